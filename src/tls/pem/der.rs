//! What some DER is, by its structure: labels and file names lie, and DER files have none.
//!
//! Used by `pem`. Lengths and tags are asn1-rs' business; nothing is verified here.

use x509_parser::asn1_rs::{Any, Class, Header};
use x509_parser::prelude::FromDer;

use super::format::Format;

/// The things that certificates and keys come as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// X.509, of any version.
    Certificate,
    /// A private key: PKCS#8 (RFC 5958), PKCS#1 (RFC 8017 A.1.2), SEC1 (RFC 5915).
    Pkcs8,
    Pkcs1,
    Sec1,
    /// A revocation list.
    Crl,
    /// What is not read.
    Other(Format),
}

/// How many bytes the first element of something says it has; `None` for what does not begin with a SEQUENCE.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    if bytes.first() != Some(&SEQUENCE) {
        return None;
    }
    let (rest, header) = Header::from_der(bytes).ok()?;
    (bytes.len() - rest.len()).checked_add(header.length().definite().ok()?)
}

impl Kind {
    /// `None` for what is nothing known.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let top = children(der)?;
        let tags: Vec<_> = top.iter().map(tag).collect();
        match *tags.as_slice() {
            [INTEGER, SEQUENCE, OCTET_STRING, ..] => Some(Self::Pkcs8),
            [INTEGER, OCTET_STRING, ..] => Some(Self::Sec1),
            [INTEGER, INTEGER] => Some(Self::Other(Format::PublicKey)),
            [INTEGER, INTEGER, INTEGER, INTEGER, INTEGER, INTEGER] => Some(Self::Other(Format::DsaKey)),
            [INTEGER, INTEGER, INTEGER, ..] => Some(Self::Pkcs1),
            [INTEGER, SEQUENCE] | [INTEGER, SEQUENCE, SEQUENCE] => Some(Self::Other(Format::Pkcs12)),
            [OBJECT_IDENTIFIER, ..] => Some(Self::Other(Format::Pkcs7Der)),
            [SEQUENCE, BIT_STRING] => Some(Self::Other(Format::PublicKey)),
            [SEQUENCE, OCTET_STRING] => Some(Self::Other(Format::EncryptedKey)),
            [SEQUENCE, SEQUENCE, BIT_STRING] => Self::of_signed(&children_of(&top[0])?),
            _ => None,
        }
    }

    /// What was signed begins with a version, or without one if that is the first.
    fn of_signed(signed: &[Any<'_>]) -> Option<Self> {
        let tags: Vec<_> = signed.iter().map(tag).collect();
        let after_version = match tags.split_first()? {
            (&INTEGER, rest) => rest,
            _ => &tags,
        };
        match after_version {
            // RFC 5280 section 5.1: algorithm, issuer, time.
            [SEQUENCE, SEQUENCE, UTC_TIME | GENERALIZED_TIME, ..] => Some(Self::Crl),
            // RFC 2986 section 4.1: subject, public key, attributes.
            [SEQUENCE, SEQUENCE] | [SEQUENCE, SEQUENCE, OF_CONTEXT] => Some(Self::Other(Format::Request)),
            _ => Some(Self::Certificate),
        }
    }
}

/// Whether OpenSSL's trust settings, which follow a certificate (`X509_CERT_AUX` in its x_x509a.c), trust it as a CA
/// of certificates with this extended key usage; `None` for what cannot be read.
///
/// As OpenSSL has it: what is rejected is not trusted; where anything is trusted, the rest is not.
pub(super) fn trusts(settings: &[u8], usage: &[u8]) -> Option<bool> {
    if settings.is_empty() {
        return Some(true);
    }
    let names = |list: &Any<'_>| {
        let usages = children_of(list)?;
        Some(usages.iter().any(|named| named.data == usage || named.data == ANY_USAGE))
    };
    let mut trusted = true;
    for list in &children(settings)? {
        if tag(list) == SEQUENCE {
            trusted = names(list)?;
        } else if list.class() == Class::ContextSpecific && list.tag().0 == 0 && names(list)? {
            return Some(false);
        }
    }
    Some(trusted)
}

/// What a sequence that is all of `der` holds.
fn children(der: &[u8]) -> Option<Vec<Any<'_>>> {
    match <Any<'_> as FromDer<_>>::from_der(der) {
        Ok(([], any)) if tag(&any) == SEQUENCE => children_of(&any),
        _ => None,
    }
}

fn children_of<'a>(any: &Any<'a>) -> Option<Vec<Any<'a>>> {
    let mut rest = any.data;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (more, child) = <Any<'_> as FromDer<_>>::from_der(rest).ok()?;
        found.push(child);
        rest = more;
        if found.len() > MOST {
            return None;
        }
    }
    Some(found)
}

fn tag(any: &Any<'_>) -> u8 {
    match any.class() {
        Class::Universal if any.tag().0 == 16 => SEQUENCE,
        Class::Universal => u8::try_from(any.tag().0).unwrap_or(u8::MAX),
        _ => OF_CONTEXT,
    }
}

pub(super) const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const OF_CONTEXT: u8 = 0xff;

/// anyExtendedKeyUsage (RFC 5280 section 4.2.1.12).
const ANY_USAGE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];

/// No structure that is told apart here has more.
const MOST: usize = 64;
