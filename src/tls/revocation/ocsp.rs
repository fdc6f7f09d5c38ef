//! OCSP (RFC 6960): the request for one certificate, and what a responder's answer is worth.
//!
//! Values in, values out. An answer counts only if it is signed by the issuer, or by a responder
//! that the issuer made one, is about this very certificate, and is fresh.

use std::time::Duration;

use rustls::pki_types::UnixTime;

use super::der::{
    BROKEN, ENUMERATED, Element, GENERALIZED_TIME, INTEGER, NULL, OBJECT_IDENTIFIER, OCTET_STRING, Reader,
    SEQUENCE, Signed, constructed, element, primitive,
};
use super::question::{Query, Serial};
use super::{Refused, SKEW, Told, Verdict, later, signer};

/// An answer without an end is believed for this long: its responder always has a newer one.
const WITHOUT_END: Duration = Duration::from_secs(3600);

/// 1.3.14.3.2.26
const SHA1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
/// 1.3.6.1.5.5.7.48.1.1
const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
/// 1.3.6.1.5.5.7.48.1.2
const NONCE: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02];

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
    signer::verify(&signed, data.responder, certificates, query, now)?;
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
fn each_extension(
    tagged: Element<'_>,
) -> Result<impl Iterator<Item = Result<Extension<'_>, Refused>>, Refused> {
    let mut inside = tagged.inside();
    let mut extensions = inside.take(SEQUENCE)?.inside();
    inside.end()?;
    let mut broken = false;
    Ok(std::iter::from_fn(move || {
        let more = !broken && !extensions.at_end();
        more.then(|| super::der::extension(&mut extensions).inspect_err(|_| broken = true))
    }))
}

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::world::{Answer, Ca, HOUR, NOW, by, extensions, id, id_of, now, revoked};
    use super::*;

    const NONCE: Nonce = [7; 32];

    /// What is made of the CA's answer about a leaf, after `change`.
    fn told(change: impl for<'a> FnOnce(&mut Answer<'a>, &'a Ca, &Query)) -> Result<Verdict, &'static str> {
        let ca = Ca::new("ca");
        let query = ca.query(&ca.leaf(5, &["http://ocsp.example/"], &[]));
        let mut answer = Answer::good(&query, &ca);
        change(&mut answer, &ca, &query);
        let der = answer.der(&query);
        read(&der, &query, &NONCE, now()).map(|told| told.verdict).map_err(|refused| refused.0)
    }

    fn refused(part: &str, change: impl for<'a> FnOnce(&mut Answer<'a>, &'a Ca, &Query)) {
        let why = told(change).unwrap_err();
        assert!(why.contains(part), "{why}");
    }

    #[test]
    fn an_issuer_answers_for_its_certificates() {
        assert_eq!(told(|_, _, _| {}), Ok(Verdict::Good));
        let at = UnixTime::since_unix_epoch(Duration::from_secs((NOW - 2 * HOUR) as u64));
        let verdict = told(|answer, _, _| answer.status = revoked(NOW - 2 * HOUR));
        assert_eq!(verdict, Ok(Verdict::Revoked { at, reason: Some(1) }));
        let verdict = told(|answer, _, _| answer.status = element(primitive(2), &[]));
        assert_eq!(verdict, Ok(Verdict::NotKnown));
        refused("encoding", |answer, _, _| answer.status = element(primitive(3), &[]));
        refused("encoding", |answer, _, _| answer.status = element(constructed(1), &[]));
    }

    #[test]
    fn what_it_tells_must_be_of_this_very_certificate() {
        refused("nothing of this", |answer, _, _| answer.ids = Vec::new());
        refused("twice", |answer, _, query| answer.ids = vec![id(query), id(query)]);
        let others = |answer: &mut Answer<'_>, _: &Ca, query: &Query| {
            let (name, key) = (&query.issuer.name_hash, &query.issuer.key_hash);
            answer.ids =
                vec![id_of(name, key, &[6]), id_of(&[1; 20], key, &[5]), id_of(name, &[1; 20], &[5])];
        };
        refused("nothing of this", others);
        let among = told(|answer, _, query| {
            let (name, key) = (&query.issuer.name_hash, &query.issuer.key_hash);
            answer.ids = vec![id_of(name, key, &[6]), id(query)];
        });
        assert_eq!(among, Ok(Verdict::Good));
    }

    #[test]
    fn it_must_be_fresh() {
        let skew = SKEW.as_secs() as i64;
        let at = |this_update, next_update: Option<i64>| {
            told(|answer, _, _| {
                (answer.this_update, answer.next_update) =
                    (NOW + this_update, next_update.map(|at| NOW + at));
            })
        };
        assert_eq!(at(skew, Some(HOUR)), Ok(Verdict::Good));
        assert!(at(skew + 1, Some(HOUR)).unwrap_err().contains("future"));
        assert_eq!(at(-HOUR, Some(-skew)), Ok(Verdict::Good));
        assert!(at(-HOUR, Some(-skew - 1)).unwrap_err().contains("out of date"));
        assert_eq!(at(-HOUR, None), Ok(Verdict::Good));
        assert!(at(-HOUR - skew - 1, None).unwrap_err().contains("out of date"));
    }

    #[test]
    fn a_nonce_that_is_repeated_must_be_ours() {
        assert_eq!(told(|answer, _, _| answer.nonce = Some(&NONCE)), Ok(Verdict::Good));
        refused("nonce", |answer, _, _| answer.nonce = Some(&[8; 32]));
        refused("nonce", |answer, _, _| answer.nonce = Some(&[]));
    }

    #[test]
    fn an_extension_that_is_critical_and_not_known_spoils_it() {
        let with = |critical| {
            move |answer: &mut Answer<'_>, _: &Ca, _: &Query| {
                answer.extensions = Some(extensions(&[0x2a, 3], critical, &element(OCTET_STRING, &[])));
            }
        };
        assert_eq!(told(with(false)), Ok(Verdict::Good));
        refused("critical", with(true));
    }

    #[test]
    fn an_answer_without_a_status_says_why() {
        let ca = Ca::new("ca");
        let query = ca.query(&ca.leaf(5, &[], &[]));
        for (status, part) in [
            (1, "malformed"),
            (2, "internal"),
            (3, "later"),
            (5, "sig"),
            (6, "unauthorized"),
            (4, "not known"),
        ] {
            let der = element(SEQUENCE, &[&element(ENUMERATED, &[&[status]])]);
            let why = read(&der, &query, &NONCE, now()).unwrap_err().0;
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn a_changed_byte_never_changes_the_verdict() {
        let ca = Ca::new("ca");
        let query = ca.query(&ca.leaf(5, &[], &[]));
        let (certificate, key) = ca.responder(|_| {});
        let responder = Some(by(&certificate));
        let certificates = vec![certificate];
        let status = revoked(NOW - HOUR);
        let answer = Answer { status, signer: &key, responder, certificates, ..Answer::good(&query, &ca) };
        let der = answer.der(&query);
        let whole = read(&der, &query, &NONCE, now()).unwrap();
        for at in 0..der.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut changed = der.clone();
                changed[at] ^= flip;
                if let Ok(told) = read(&changed, &query, &NONCE, now()) {
                    assert_eq!(told, whole, "byte {at}");
                }
            }
            assert!(read(&der[..at], &query, &NONCE, now()).is_err(), "cut at {at}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            thread_local!(static QUERY: Query = { let ca = Ca::new("ca"); ca.query(&ca.leaf(5, &[], &[])) });
            prop_assert!(QUERY.with(|query| read(&bytes, query, &NONCE, now()).is_err()));
        }
    }
}
