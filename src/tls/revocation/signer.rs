//! Who may sign an OCSP answer: the issuer of the certificate, or who it made a responder.
//!
//! Used by [`super::ocsp`] alone. Only the one whom the answer names is tried.

use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::Refused;
use super::der::{BROKEN, Element, OCTET_STRING, SEQUENCE, Signed, constructed};
use super::question::{Query, sha1};

/// Certificates in an answer that are looked at as its signer's.
const MAX_SIGNERS: usize = 4;

/// id-kp-OCSPSigning, 1.3.6.1.5.5.7.3.9
const OCSP_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x09];

/// By the issuer itself, or by who it made a responder.
pub(super) fn verify(
    signed: &Signed<'_>,
    responder: Element<'_>,
    certificates: Option<Element<'_>>,
    query: &Query,
    now: UnixTime,
) -> Result<(), Refused> {
    let issuer = &query.issuer;
    if is_by(responder, &issuer.name, &issuer.key_hash) {
        return signed.verify(&issuer.key);
    }
    let Some(certificates) = certificates else {
        return Err(Refused(
            "it is signed by someone else than the issuer, and their certificate is not in it",
        ));
    };
    let mut list = certificates.inside();
    let mut list = list.take(SEQUENCE)?.inside();
    for _ in 0..MAX_SIGNERS {
        if list.at_end() {
            break;
        }
        let der = CertificateDer::from(list.take(SEQUENCE)?.whole);
        let Ok((_, x509)) = X509Certificate::from_der(&der) else { return Err(BROKEN) };
        let key = &x509.tbs_certificate.subject_pki;
        if is_by(responder, x509.subject().as_raw(), &sha1(&key.subject_public_key.data)) {
            made_responder(&der, &x509, query, now)?;
            return signed.verify(&SubjectPublicKeyInfoDer::from(key.raw));
        }
    }
    Err(Refused("the certificate of its signer is not in it"))
}

/// Whether the answer names this one as its responder.
fn is_by(responder: Element<'_>, name: &[u8], key_hash: &[u8]) -> bool {
    match responder.tag {
        tag if tag == constructed(1) => responder.content == name,
        tag if tag == constructed(2) => {
            let mut inside = responder.inside();
            inside.take(OCTET_STRING).is_ok_and(|hash| hash.content == key_hash) && inside.at_end()
        }
        _ => false,
    }
}

/// Issued by the issuer itself, valid now, with the extended key usage OCSPSigning (RFC 6960 section
/// 4.2.2.2). Whether the responder itself is revoked is not asked, as if it had id-pkix-ocsp-nocheck.
fn made_responder(
    der: &CertificateDer<'_>,
    x509: &X509Certificate<'_>,
    query: &Query,
    now: UnixTime,
) -> Result<(), Refused> {
    let usage = x509.key_usage().map_err(|_| BROKEN)?;
    if usage.is_some_and(|usage| !usage.value.digital_signature() && !usage.value.non_repudiation()) {
        return Err(Refused("its signer's certificate may not sign"));
    }
    let anchor = anchor_from_trusted_cert(&query.issuer.der)
        .map_err(|_| Refused("the issuer's certificate cannot be read"))?;
    let responder = EndEntityCert::try_from(der).map_err(|_| NO_RESPONDER)?;
    let algorithms = crate::tls::provider().signature_verification_algorithms.all;
    let usage = KeyUsage::required(OCSP_SIGNING);
    responder
        .verify_for_usage(algorithms, &[anchor], &[], now, usage, None, None)
        .map(drop)
        .map_err(|_| NO_RESPONDER)
}

const NO_RESPONDER: Refused = Refused(
    "it is signed by someone whom the issuer did not make a responder, or whose certificate has expired",
);

#[cfg(test)]
mod tests {
    use super::super::ocsp::{Nonce, read};
    use super::super::world::{Answer, Ca, HOUR, NOW, by, date, now};

    const NONCE: Nonce = [7; 32];

    #[test]
    fn nobody_else_answers_for_an_issuer() {
        let other = Ca::new("ca");
        let ca = Ca::new("ca");
        let query = ca.query(&ca.leaf(5, &[], &[]));
        let check = |answer: Answer<'_>, part: &str| {
            let why = read(&answer.der(&query), &query, &NONCE, now()).unwrap_err().0;
            assert!(why.contains(part), "{why}");
        };
        // In the issuer's name, with another key.
        check(Answer { signer: &other.key, ..Answer::good(&query, &ca) }, "signature");
        // In its own name: the name is the same, the key is not.
        let certificates = vec![other.der.clone()];
        let responder = Some(by(&other.der));
        check(
            Answer { signer: &other.key, certificates, responder, ..Answer::good(&query, &ca) },
            "did not make a responder",
        );
        check(
            Answer { signer: &other.key, responder: Some(by(&other.der)), ..Answer::good(&query, &ca) },
            "not in it",
        );
    }

    #[test]
    fn an_issuer_can_make_responders_but_not_everyone_it_issued_for_is_one() {
        let (ca, other) = (Ca::new("ca"), Ca::new("other"));
        let query = ca.query(&ca.leaf(5, &[], &[]));
        let check = |by_whom: &Ca, change: &dyn Fn(&mut rcgen::CertificateParams), good: bool| {
            let (certificate, key) = by_whom.responder(change);
            let responder = Some(by(&certificate));
            let certificates = vec![certificate];
            let answer = Answer { signer: &key, responder, certificates, ..Answer::good(&query, &ca) };
            let told = read(&answer.der(&query), &query, &NONCE, now());
            assert_eq!(told.is_ok(), good, "{told:?}");
        };
        check(&ca, &|_| {}, true);
        check(&other, &|_| {}, false);
        check(&ca, &|params| params.extended_key_usages.clear(), false);
        check(&ca, &|params| params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::Any], false);
        check(&ca, &|params| params.not_after = date(NOW - HOUR), false);
        check(&ca, &|params| params.not_before = date(NOW + HOUR), false);
        check(&ca, &|params| params.key_usages = vec![rcgen::KeyUsagePurpose::KeyEncipherment], false);
        check(&ca, &|params| params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained), false);
    }
}
