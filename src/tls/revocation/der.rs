//! DER, one element at a time: what x509-parser does not read of OCSP and of the heads of CRLs.
//!
//! Used by [`super::ocsp`] and [`super::crl`], and by the search for issuers in [`crate::tls::trust`], which
//! need the very bytes that were signed. Lengths
//! and tags are asn1-rs' business, signatures rustls'. Hostile input gives [`Refused`], never a panic.

use std::time::Duration;

use rustls::pki_types::{SubjectPublicKeyInfoDer, UnixTime};
use x509_parser::asn1_rs::Any;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::Refused;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const NULL: u8 = 0x05;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(in crate::tls) const SEQUENCE: u8 = 0x30;

/// A tag of the context: `[number]`, holding bytes.
pub(super) const fn primitive(number: u8) -> u8 {
    0x80 | number
}

/// A tag of the context: `[number]`, holding elements.
pub(super) const fn constructed(number: u8) -> u8 {
    0xa0 | number
}

/// One element: what it is, what it holds, and all its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    pub(super) whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// Reads what it holds.
    pub(super) fn inside(self) -> Reader<'a> {
        Reader(self.content)
    }

    /// A time of either kind; before 1970 counts as 1970.
    pub(super) fn time(self) -> Result<UnixTime, Refused> {
        match <ASN1Time as FromDer<_>>::from_der(self.whole) {
            Ok(([], time)) => {
                let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
                Ok(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
            }
            _ => Err(BROKEN),
        }
    }
}

pub(super) const BROKEN: Refused = Refused("its encoding is broken");

/// Elements in their order.
#[derive(Debug, Clone, Copy)]
pub(in crate::tls) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The one element that `bytes` are, and nothing after it, must be a sequence: reads inside.
    pub(in crate::tls) fn of_sequence(bytes: &'a [u8]) -> Result<Self, Refused> {
        let mut outside = Self(bytes);
        let sequence = outside.take(SEQUENCE)?;
        outside.end()?;
        Ok(sequence.inside())
    }

    /// Elements one after the other.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next element, whatever it is.
    pub(super) fn next(&mut self) -> Result<Element<'a>, Refused> {
        let (rest, any) = Any::from_der(self.0).map_err(|_| BROKEN)?;
        let number = u8::try_from(any.tag().0).ok().filter(|number| *number < 0x1f).ok_or(BROKEN)?;
        let shape = if any.header.is_constructed() { 0x20 } else { 0 };
        let tag = (any.class() as u8) << 6 | shape | number;
        let whole = &self.0[..self.0.len() - rest.len()];
        self.0 = rest;
        Ok(Element { tag, content: any.data, whole })
    }

    /// The next element, which must be one of these.
    pub(super) fn take(&mut self, tag: u8) -> Result<Element<'a>, Refused> {
        let element = self.next()?;
        if element.tag == tag { Ok(element) } else { Err(BROKEN) }
    }

    /// The next element if it is one of these.
    pub(super) fn take_if(&mut self, tag: u8) -> Result<Option<Element<'a>>, Refused> {
        if self.0.first() == Some(&tag) { self.take(tag).map(Some) } else { Ok(None) }
    }

    pub(super) fn at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing may follow.
    pub(super) fn end(self) -> Result<(), Refused> {
        if self.at_end() { Ok(()) } else { Err(BROKEN) }
    }
}

/// The OID, whether critical, and the value of the next Extension (RFC 5280 section 4.1).
pub(super) fn extension<'a>(reader: &mut Reader<'a>) -> Result<(&'a [u8], bool, &'a [u8]), Refused> {
    let mut extension = reader.take(SEQUENCE)?.inside();
    let oid = extension.take(OBJECT_IDENTIFIER)?.content;
    let critical = extension.take_if(BOOLEAN)?.is_some_and(|critical| critical.content != [0]);
    let value = extension.take(OCTET_STRING)?.content;
    extension.end()?;
    Ok((oid, critical, value))
}

/// Bytes with a signature: the shape of certificates, CRLs and OCSP answers (RFC 5280 section 4.1.1).
#[derive(Debug, Clone, Copy)]
pub(in crate::tls) struct Signed<'a> {
    /// What was signed, with its tag.
    pub(super) data: Element<'a>,
    /// The content of the AlgorithmIdentifier.
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    pub(in crate::tls) fn read(reader: &mut Reader<'a>) -> Result<Self, Refused> {
        let data = reader.take(SEQUENCE)?;
        let algorithm = reader.take(SEQUENCE)?.content;
        // The first byte counts the bits that are not used; no signature has any.
        let [0, signature @ ..] = reader.take(BIT_STRING)?.content else { return Err(BROKEN) };
        Ok(Self { data, algorithm, signature })
    }

    /// Whether the holder of this key signed it, with an algorithm that TLS would accept.
    pub(in crate::tls) fn verify(&self, key: &SubjectPublicKeyInfoDer<'_>) -> Result<(), Refused> {
        let key = webpki::RawPublicKeyEntity::try_from(key)
            .map_err(|_| Refused("the signer's key cannot be read"))?;
        let all = crate::tls::provider().signature_verification_algorithms.all;
        let mut fitting =
            all.iter().filter(|algorithm| algorithm.signature_alg_id().as_ref() == self.algorithm).peekable();
        if fitting.peek().is_none() {
            return Err(Refused("it is signed with an algorithm that is not accepted (SHA-1, DSA, …)"));
        }
        // An identifier does not tell the curve, so several may fit.
        let good = |algorithm: &&dyn rustls::pki_types::SignatureVerificationAlgorithm| {
            key.verify_signature(*algorithm, self.data.whole, self.signature).is_ok()
        };
        if fitting.any(good) { Ok(()) } else { Err(Refused("its signature is wrong")) }
    }
}

/// An element that holds these bytes, one after the other.
pub(in crate::tls) fn element(tag: u8, content: &[&[u8]]) -> Vec<u8> {
    let length: usize = content.iter().map(|part| part.len()).sum();
    let mut bytes = vec![tag];
    if length < 0x80 {
        bytes.push(length as u8);
    } else {
        let big = length.to_be_bytes();
        let digits = &big[big.iter().take_while(|byte| **byte == 0).count()..];
        bytes.push(0x80 | digits.len() as u8);
        bytes.extend_from_slice(digits);
    }
    bytes.extend(content.iter().copied().flatten());
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_element_is_read_as_it_was_written() {
        for length in [0, 1, 127, 128, 255, 256, 65_536] {
            let content = vec![7; length];
            let bytes = element(constructed(3), &[&content]);
            let mut reader = Reader(&bytes);
            let read = reader.next().unwrap();
            assert_eq!((read.tag, read.content, read.whole), (0xa3, content.as_slice(), bytes.as_slice()));
            assert!(reader.at_end());
        }
    }

    #[test]
    fn what_is_cut_or_followed_by_more_is_refused() {
        let bytes = element(SEQUENCE, &[&element(INTEGER, &[&[5]])]);
        assert!(Reader::of_sequence(&bytes).is_ok());
        for end in 0..bytes.len() {
            assert!(Reader::of_sequence(&bytes[..end]).is_err());
        }
        assert!(Reader::of_sequence(&[bytes.as_slice(), &[0]].concat()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader(&bytes);
            while let Ok(element) = reader.next() {
                let _ = element.time();
                let _ = Signed::read(&mut element.inside());
            }
        }
    }
}
