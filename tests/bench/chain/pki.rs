//! The certificates of a run: ECDSA P-256, one CA, one gateway, one client; the same for everybody.
//!
//! Written once into the run's folder in the forms the programs read, and held as a rustls client
//! configuration for the load that speaks TLS itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use mtls_bridge::identity::Certificate;
use mtls_bridge::pki::{Authority, Development, Leaf, create_all};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// The name in the gateway's certificate, which every reverse proxy verifies.
pub const GATEWAY_NAME: &str = "gateway.bench";
/// The name in the client's certificate, which our gateway's acl lets pass.
pub const CLIENT_NAME: &str = "orders-app";

/// A client that believes this CA and shows this chain: TLS 1.3, never resuming.
fn client(
    believes: &Authority,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(believes.certificate().clone())?;
    let mut client = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .context("the client's certificate")?;
    client.resumption = Resumption::disabled();
    Ok(Arc::new(client))
}

/// Where the certificates are, and what a client makes of them.
pub struct Pki {
    folder: PathBuf,
    authority: Authority,
    /// TLS 1.3, our client certificate, never resuming: each connection is a full handshake.
    pub client: Arc<ClientConfig>,
}

impl Pki {
    /// Makes the certificates in `folder`.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        let made = Development::new(&[GATEWAY_NAME], CLIENT_NAME, 30)?;
        create_all(&made.files(folder))?;
        for (name, issued) in [("server", &made.server), ("client", &made.client)] {
            // HAProxy wants both in one file.
            let both = format!("{}{}", issued.certificate_pem, issued.key_pem);
            fs::write(folder.join(format!("{name}.pem")), both)?;
        }
        let client = client(&made.authority, made.client.chain(), made.client.key())?;
        Ok(Self { folder: folder.to_owned(), authority: made.authority, client })
    }

    /// A client whom the gateway's CA did not issue a certificate: one that another CA did.
    pub fn stranger(&self) -> anyhow::Result<Arc<ClientConfig>> {
        let issued = Authority::new("somebody else's CA")?.issue(&Leaf::client("stranger"))?;
        client(&self.authority, issued.chain(), issued.key())
    }

    /// Clients of nobody who send so many CAs that have the name of the gateway's and keys of their own. Each
    /// client is another, so that nothing is known of it.
    pub fn namesakes(&self, cas: usize, clients: usize) -> anyhow::Result<Vec<Arc<ClientConfig>>> {
        let listed = Certificate::parse(self.authority.certificate().clone())?;
        let name = listed.common_name().context("the CA has no name")?.as_str();
        let same_name = || Authority::new(name);
        let cas: Vec<_> = (0..cas).map(|_| same_name()).collect::<Result<_, _>>()?;
        let issuer = same_name()?;
        let told = Certificate::parse(issuer.certificate().clone())?;
        ensure!(told.subject() == listed.subject(), "{} is not {}", told.subject(), listed.subject());
        let one = |_| {
            let issued = issuer.issue(&Leaf::client("stranger"))?;
            let chain =
                issued.chain().into_iter().take(1).chain(cas.iter().map(|ca| ca.certificate().clone()));
            client(&self.authority, chain.collect(), issued.key())
        };
        (0..clients).map(one).collect()
    }

    /// Issues `server` or `client` anew and puts it into place: the certificate, and then its key.
    pub fn replace(&self, name: &str) -> anyhow::Result<()> {
        let leaf = if name == "server" { Leaf::server(&[GATEWAY_NAME])? } else { Leaf::client(CLIENT_NAME) };
        let issued = self.authority.issue(&leaf)?;
        for (suffix, text) in [("crt", &issued.certificate_pem), ("key", &issued.key_pem)] {
            let (new, place) = (self.folder.join("new"), self.folder.join(format!("{name}.{suffix}")));
            fs::write(&new, text)?;
            fs::rename(&new, place)?;
        }
        Ok(())
    }

    /// The path of one of `ca.crt`, `server.crt`, `server.key`, `server.pem` and the same of `client`.
    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}
