//! OCSP (RFC 6960): the request for one certificate, and what a responder's answer is worth.
//!
//! Values in, values out. An answer counts only if it is signed by the issuer, or by a responder
//! that the issuer made one, is about this very certificate, and is fresh.

use std::time::Duration;

use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::der::{
    BROKEN, ENUMERATED, Element, GENERALIZED_TIME, INTEGER, NULL, OBJECT_IDENTIFIER, OCTET_STRING, Reader,
    SEQUENCE, Signed, constructed, element, primitive,
};
use super::question::{Query, Serial, sha1};
use super::{Refused, SKEW, Told, Verdict, later};

/// An answer without an end is believed for this long: its responder always has a newer one.
const WITHOUT_END: Duration = Duration::from_secs(3600);

/// Certificates in an answer that are looked at as its signer's.
const MAX_SIGNERS: usize = 4;

/// 1.3.14.3.2.26
const SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
/// 1.3.6.1.5.5.7.48.1.1
const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
/// 1.3.6.1.5.5.7.48.1.2
const NONCE: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02];
/// id-kp-OCSPSigning, 1.3.6.1.5.5.7.3.9
const OCSP_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x09];

/// What an answer must repeat, if it repeats anything (RFC 9654: 32 bytes).
pub(super) type Nonce = [u8; 32];

/// A request for the status of one certificate. SHA-1 names the issuer, as every responder
/// understands (RFC 5019); it proves nothing, so its weakness does no harm.
pub(super) fn request(query: &Query, nonce: &Nonce) -> Vec<u8> {
    let algorithm = element(SEQUENCE, &[&element(OBJECT_IDENTIFIER, &[SHA1]), &element(NULL, &[])]);
    let name = element(OCTET_STRING, &[&query.issuer.name_hash]);
    let key = element(OCTET_STRING, &[&query.issuer.key_hash]);
    let serial = element(INTEGER, &[&query.raw_serial]);
    let asked = element(SEQUENCE, &[&element(SEQUENCE, &[&algorithm, &name, &key, &serial])]);
    let nonce = element(OCTET_STRING, &[&element(OCTET_STRING, &[nonce])]);
    let extension = element(SEQUENCE, &[&element(OBJECT_IDENTIFIER, &[NONCE]), &nonce]);
    let extensions = element(constructed(2), &[&element(SEQUENCE, &[&extension])]);
    element(SEQUENCE, &[&element(SEQUENCE, &[&element(SEQUENCE, &[&asked]), &extensions])])
}

/// What the answer tells of this certificate, at the time `now`.
pub(super) fn read(answer: &[u8], query: &Query, nonce: &Nonce, now: UnixTime) -> Result<Told, Refused> {
    let mut basic = Reader::of_sequence(successful(answer)?)?;
    let signed = Signed::read(&mut basic)?;
    let certificates = basic.take_if(constructed(0))?;
    basic.end()?;
    let data = Data::read(signed.data.inside())?;
    signature(&signed, &data, certificates, query, now)?;
    if data.produced > later(now, SKEW) {
        return Err(Refused("it was made in the future; is this host's clock right?"));
    }
    if data.nonce.is_some_and(|repeated| repeated != nonce) {
        return Err(Refused("its nonce is not ours: it answers another request"));
    }
    single(data.answers, query, now)
}

/// The BasicOCSPResponse within an OCSPResponse.
fn successful(answer: &[u8]) -> Result<&[u8], Refused> {
    let mut response = Reader::of_sequence(answer)?;
    match response.take(ENUMERATED)?.content {
        [0] => {}
        [1] => return Err(Refused("the responder could not read our request (malformedRequest)")),
        [2] => return Err(Refused("the responder has an error of its own (internalError)")),
        [3] => return Err(Refused("the responder says: try later")),
        [5] => return Err(Refused("the responder wants signed requests (sigRequired)")),
        [6] => return Err(Refused("the responder does not answer for this issuer (unauthorized)")),
        _ => return Err(Refused("the responder gives a status that is not known")),
    }
    let mut bytes = response.take(constructed(0))?.inside();
    response.end()?;
    let mut sequence = bytes.take(SEQUENCE)?.inside();
    bytes.end()?;
    if sequence.take(OBJECT_IDENTIFIER)?.content != BASIC {
        return Err(Refused("it is of another kind than id-pkix-ocsp-basic"));
    }
    let basic = sequence.take(OCTET_STRING)?.content;
    sequence.end()?;
    Ok(basic)
}

/// ResponseData.
struct Data<'a> {
    responder: Element<'a>,
    produced: UnixTime,
    answers: Reader<'a>,
    nonce: Option<&'a [u8]>,
}

impl<'a> Data<'a> {
    fn read(mut data: Reader<'a>) -> Result<Self, Refused> {
        if let Some(version) = data.take_if(constructed(0))?
            && version.inside().take(INTEGER)?.content != [0]
        {
            return Err(Refused("it is of a later version"));
        }
        let responder = data.next()?;
        let produced = data.take(GENERALIZED_TIME)?.time()?;
        let answers = data.take(SEQUENCE)?.inside();
        let extensions = data.take_if(constructed(1))?;
        data.end()?;
        let nonce = extensions.map(nonce_among).transpose()?.flatten();
        Ok(Self { responder, produced, answers, nonce })
    }
}

/// The nonce in an answer's extensions; a critical one that is not known spoils the answer.
fn nonce_among(extensions: Element<'_>) -> Result<Option<&[u8]>, Refused> {
    let mut nonce = None;
    for extension in each_extension(extensions)? {
        let (oid, critical, value) = extension?;
        if oid == NONCE {
            let mut inside = Reader::of(value);
            let repeated = inside.take(OCTET_STRING)?.content;
            inside.end()?;
            if nonce.replace(repeated).is_some() {
                return Err(Refused("it has two nonces"));
            }
        } else if critical {
            return Err(UNKNOWN_CRITICAL);
        }
    }
    Ok(nonce)
}

const UNKNOWN_CRITICAL: Refused = Refused("it has a critical extension that is not known");

type Extension<'a> = (&'a [u8], bool, &'a [u8]);

/// OID, whether critical, and value of each, from `[1] EXPLICIT Extensions`.
fn each_extension(tagged: Element<'_>) -> Result<impl Iterator<Item = Result<Extension<'_>, Refused>>, Refused> {
    let mut inside = tagged.inside();
    let mut extensions = inside.take(SEQUENCE)?.inside();
    inside.end()?;
    let mut broken = false;
    Ok(std::iter::from_fn(move || {
        let more = !broken && !extensions.at_end();
        more.then(|| super::der::extension(&mut extensions).inspect_err(|_| broken = true))
    }))
}

/// By the issuer itself, or by who it made a responder.
fn signature(
    signed: &Signed<'_>,
    data: &Data<'_>,
    certificates: Option<Element<'_>>,
    query: &Query,
    now: UnixTime,
) -> Result<(), Refused> {
    let issuer = &query.issuer;
    if data.is_by(&issuer.name, &issuer.key_hash) {
        return signed.verify(&issuer.key);
    }
    let Some(certificates) = certificates else {
        return Err(Refused("it is signed by someone else than the issuer, and their certificate is not in it"));
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
        if data.is_by(x509.subject().as_raw(), &sha1(&key.subject_public_key.data)) {
            made_responder(&der, &x509, query, now)?;
            return signed.verify(&SubjectPublicKeyInfoDer::from(key.raw));
        }
    }
    Err(Refused("the certificate of its signer is not in it"))
}

impl Data<'_> {
    /// Whether the answer names this one as its responder.
    fn is_by(&self, name: &[u8], key_hash: &[u8]) -> bool {
        match self.responder.tag {
            tag if tag == constructed(1) => self.responder.content == name,
            tag if tag == constructed(2) => {
                let mut inside = self.responder.inside();
                inside.take(OCTET_STRING).is_ok_and(|hash| hash.content == key_hash) && inside.at_end()
            }
            _ => false,
        }
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

const NO_RESPONDER: Refused =
    Refused("it is signed by someone whom the issuer did not make a responder, or whose certificate has expired");

/// What is told of the one certificate that was asked about.
fn single(mut answers: Reader<'_>, query: &Query, now: UnixTime) -> Result<Told, Refused> {
    let mut found = None;
    while !answers.at_end() {
        let mut answer = answers.take(SEQUENCE)?.inside();
        let is_it = is_about(answer.take(SEQUENCE)?.inside(), query)?;
        let told = status(answer, now);
        if is_it && found.replace(told).is_some() {
            return Err(Refused("it tells of this certificate twice"));
        }
    }
    found.unwrap_or(Err(Refused("it tells nothing of this certificate")))
}

/// Whether a CertID is that of the request.
fn is_about(mut id: Reader<'_>, query: &Query) -> Result<bool, Refused> {
    let mut algorithm = id.take(SEQUENCE)?.inside();
    let same_hash = algorithm.take(OBJECT_IDENTIFIER)?.content == SHA1;
    let name = id.take(OCTET_STRING)?.content;
    let key = id.take(OCTET_STRING)?.content;
    let serial = Serial::new(id.take(INTEGER)?.content)?;
    id.end()?;
    let issuer = &query.issuer;
    Ok(same_hash && name == issuer.name_hash && key == issuer.key_hash && serial == query.serial)
}

/// The rest of a SingleResponse: status, thisUpdate, nextUpdate, extensions.
fn status(mut answer: Reader<'_>, now: UnixTime) -> Result<Told, Refused> {
    let status = answer.next()?;
    let this_update = answer.take(GENERALIZED_TIME)?.time()?;
    let next_update = match answer.take_if(constructed(0))? {
        Some(tagged) => tagged.inside().take(GENERALIZED_TIME)?.time()?,
        None => later(this_update, WITHOUT_END),
    };
    if let Some(extensions) = answer.take_if(constructed(1))? {
        for extension in each_extension(extensions)? {
            if extension?.1 {
                return Err(UNKNOWN_CRITICAL);
            }
        }
    }
    answer.end()?;
    if this_update > later(now, SKEW) {
        return Err(Refused("it is not valid yet; is this host's clock right?"));
    }
    if now > later(next_update, SKEW) {
        return Err(Refused("it is out of date: the responder repeats an old answer"));
    }
    Ok(Told { verdict: verdict(status)?, next_update })
}

fn verdict(status: Element<'_>) -> Result<Verdict, Refused> {
    match status.tag {
        tag if tag == primitive(0) && status.content.is_empty() => Ok(Verdict::Good),
        tag if tag == primitive(2) && status.content.is_empty() => Ok(Verdict::NotKnown),
        tag if tag == constructed(1) => {
            let mut revoked = status.inside();
            let at = revoked.take(GENERALIZED_TIME)?.time()?;
            let reason = match revoked.take_if(constructed(0))? {
                Some(tagged) => tagged.inside().take(ENUMERATED)?.content.first().copied(),
                None => None,
            };
            Ok(Verdict::Revoked { at, reason })
        }
        _ => Err(BROKEN),
    }
}
