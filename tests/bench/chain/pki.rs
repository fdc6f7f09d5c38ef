//! The certificates of a run: ECDSA P-256, one CA, one gateway, one client; the same for everybody.
//!
//! Written once into the run's folder in the forms the programs read, and held as a rustls client
//! configuration for the load that speaks TLS itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use mtls_bridge::pki::{Authority, Development, Leaf, create_all};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

/// The name in the gateway's certificate, which every reverse proxy verifies.
pub const GATEWAY_NAME: &str = "gateway.bench";
/// The name in the client's certificate, which our gateway's acl lets pass.
pub const CLIENT_NAME: &str = "orders-app";

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
        let mut roots = RootCertStore::empty();
        roots.add(made.authority.certificate().clone())?;
        let mut client = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_client_auth_cert(made.client.chain(), made.client.key())
            .context("the client's certificate")?;
        client.resumption = Resumption::disabled();
        Ok(Self { folder: folder.to_owned(), authority: made.authority, client: Arc::new(client) })
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
