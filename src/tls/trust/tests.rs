//! Paths that are accepted and paths that are not, in both directions, and what strangers' chains may cost.

mod limits;
mod listed;
mod rules;

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;

use super::*;
use crate::identity::PeerCertificate;

/// A change to what is issued.
type Change<'a> = &'a dyn Fn(&mut CertificateParams);

/// A CA, listed or not.
struct Ca {
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn root(name: &str, change: Change<'_>) -> Self {
        Self::root_with(KeyPair::generate().unwrap(), name, change)
    }

    fn root_with(key: KeyPair, name: &str, change: Change<'_>) -> Self {
        let params = ca(name, change);
        let der = params.self_signed(&key).unwrap().der().clone();
        Self { der, issuer: Issuer::new(params, key) }
    }

    fn intermediate(&self, name: &str, change: Change<'_>) -> Self {
        self.intermediate_with(KeyPair::generate().unwrap(), name, change)
    }

    fn intermediate_with(&self, key: KeyPair, name: &str, change: Change<'_>) -> Self {
        let params = ca(name, change);
        let der = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Self { der, issuer: Issuer::new(params, key) }
    }

    /// For `peer.example`, by both sides.
    fn leaf(&self, change: Change<'_>) -> CertificateDer<'static> {
        let params = leaf(change);
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().clone()
    }
}

fn ca(name: &str, change: Change<'_>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.use_authority_key_identifier_extension = true;
    change(&mut params);
    params
}

fn leaf(change: Change<'_>) -> CertificateParams {
    let mut params = CertificateParams::new(["peer.example".to_owned()]).unwrap();
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "peer");
    change(&mut params);
    params
}

fn as_it_is(_: &mut CertificateParams) {}

fn critical(oid: &[u64], content: &[u8]) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(oid, content.to_vec());
    extension.set_criticality(true);
    extension
}

fn peer(sent: &[&CertificateDer<'static>]) -> PeerCertificate {
    let sent: Vec<_> = sent.iter().map(|der| (*der).clone()).collect();
    PeerCertificate::parse(&sent).unwrap().unwrap()
}

fn clients(cas: &[&CertificateDer<'static>]) -> ChainVerifier {
    let cas = cas.iter().map(|der| (*der).clone()).collect();
    ChainVerifier::new(cas, false, UnixTime::now()).unwrap()
}

fn as_client(cas: &[&CertificateDer<'static>], sent: &[&CertificateDer<'static>]) -> Result<(), String> {
    let judged = clients(cas).verify(&peer(sent), UnixTime::now());
    judged.map(drop).map_err(|untrusted| untrusted.to_string())
}

fn as_server(cas: &[&CertificateDer<'static>], sent: &[&CertificateDer<'static>]) -> Result<(), String> {
    as_server_named("peer.example", cas, sent)
}

fn as_server_named(
    name: &str,
    cas: &[&CertificateDer<'static>],
    sent: &[&CertificateDer<'static>],
) -> Result<(), String> {
    let anchors = Anchors::of_servers(cas.iter().map(|der| (*der).clone()));
    let verifier = ServerVerifier::new(Arc::new(anchors), None);
    let sent: Vec<_> = sent.iter().map(|der| (*der).clone()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let judged = verifier.verify_server_cert(&sent[0], &sent[1..], &name, &[], UnixTime::now());
    judged.map(drop).map_err(|error| error.to_string())
}

/// In both directions; `None`: accepted.
fn check(cas: &[&CertificateDer<'static>], sent: &[&CertificateDer<'static>], refused: Option<&str>) {
    for judged in [as_client(cas, sent), as_server(cas, sent)] {
        match (judged, refused) {
            (Ok(()), None) => {}
            (Err(why), Some(part)) if why.contains(part) => {}
            (judged, _) => panic!("{judged:?}, not {refused:?}"),
        }
    }
}

fn from_now(days: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::now_utc() + time::Duration::days(days)
}

fn later(days: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(UnixTime::now().as_secs() + days * 86_400))
}
