//! The room as a whole, asked as `proxy` asks it: a world with two CAs and a few consumers.

mod acl;
mod authentication;
mod callista;
mod decisions;
mod matching;
mod relatives;

use rustls::pki_types::CertificateDer;

use super::*;
use crate::identity::{Certificate, Fingerprint, PeerTls};
use crate::pki::{Authority, Issued, Leaf, San};
use crate::tls::trust::ChainVerifier;

/// A CA that is trusted and one that is not.
struct World {
    ca: Authority,
    stranger: Authority,
    now: UnixTime,
}

impl World {
    fn new() -> Self {
        let ca = Authority::new("trusted").unwrap();
        let made = Certificate::parse(ca.certificate().clone()).unwrap().validity().not_before;
        let (stranger, now) =
            (Authority::new("stranger").unwrap(), later(made, Duration::from_secs(172_800)));
        Self { ca, stranger, now }
    }

    fn verifier(&self) -> Arc<ChainVerifier> {
        Arc::new(ChainVerifier::new(vec![self.ca.certificate().clone()], false, self.now).unwrap())
    }

    fn mtls_auth(&self, lookup: Lookup) -> MtlsAuth {
        MtlsAuth { verifier: self.verifier(), lookup, anonymous: None, revocation: None }
    }

    /// A connection that presents a certificate of the trusted CA.
    fn peer(&self, common_name: &str, sans: &[San]) -> Peer {
        peer(&self.issue(common_name, sans).chain())
    }

    fn issue(&self, common_name: &str, sans: &[San]) -> Issued {
        self.ca.issue(&Leaf { sans: sans.to_vec(), ..Leaf::client(common_name) }).unwrap()
    }

    fn question<'a>(&self, peer: &'a Peer, headers: &'a HeaderMap) -> Question<'a> {
        let (client_ip, statuses) = (peer.address.ip(), &NobodyKnows);
        Question { peer, client_ip, from_trusted_ip: false, headers, statuses, now: self.now }
    }

    /// What becomes of a request of this peer, as one line.
    fn ask(&self, policy: Policy, peer: &Peer) -> String {
        let headers = HeaderMap::new();
        outcome(Arc::new(policy).authorize(&self.question(peer, &headers), &Decisions::default()))
    }
}

/// The headers that are set, in order; or what the caller is told.
fn outcome(result: Result<Arc<Permit>, Refused>) -> String {
    match result {
        Ok(permit) => {
            let text =
                |(name, value): &(HeaderName, HeaderValue)| format!("{name}={}", value.to_str().unwrap());
            permit.headers().iter().map(text).collect::<Vec<_>>().join(" ")
        }
        Err(Refused::Denied(denial)) => format!("{} {}", denial.reply.status.as_u16(), denial.reply.message),
        Err(Refused::Undecided(queries)) => format!("{} questions", queries.len()),
    }
}

/// A TLS connection with this chain; with none, without a certificate.
fn peer(chain: &[CertificateDer<'static>]) -> Peer {
    let certificate = PeerCertificate::parse(chain).unwrap().map(Arc::new);
    let tls = Some(PeerTls { version: "TLSv1.3", server_name: None, certificate });
    Peer { address: ([192, 0, 2, 1], 50_000).into(), local: ([127, 0, 0, 1], 8443).into(), tls }
}

fn plain() -> Peer {
    Peer { tls: None, ..peer(&[]) }
}

fn consumer(id: u128, username: Option<&str>, custom_id: Option<&str>) -> NewConsumer {
    NewConsumer {
        id: ConsumerId(id),
        username: username.map(Into::into),
        custom_id: custom_id.map(Into::into),
        groups: Vec::new(),
        mtls_auth: Vec::new(),
        header_cert_auth: Vec::new(),
    }
}

fn credential(id: u128, name: &str, ca: Option<&CertificateDer<'_>>) -> NewCredential {
    let ca_certificate = ca.map(|ca| Fingerprint::of(ca));
    NewCredential { id: CredentialId(id), subject_name: name.into(), ca_certificate }
}

fn by_name() -> Lookup {
    Lookup::Consumer { by: ConsumerBy::default(), default: None }
}

fn id(number: u128) -> String {
    ConsumerId(number).to_string()
}

fn email(name: &str) -> San {
    San::Email(name.into())
}

fn dns(name: &str) -> San {
    San::Dns(name.into())
}
