//! A certificate, parsed once: everything the program wants to know of it, as values.
//!
//! Used for peers (once per connection) and for our own credentials (once per snapshot).
//! Promise: hostile input gives [`Malformed`], never a panic. Nothing here is *verified*: a
//! signature, a time or a chain is the business of `policy` and `tls`.

mod extensions;

use std::borrow::Cow;
use std::time::Duration;

use http::HeaderValue;
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use x509_parser::certificate::{TbsCertificate, X509Certificate};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use self::extensions::Extensions;
use super::distinguished_name::{COMMON_NAME, DistinguishedName, ORGANIZATION, last_value};
use super::escape::{header_value, printable, push_escaped};
use super::name::{CommonName, Fingerprint, SerialNumber};
use super::san::SubjectAltName;

/// The bytes are not a certificate that can be read without guessing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the certificate is malformed: {0}")]
pub struct Malformed(pub(in crate::identity) &'static str);

pub use self::extensions::Side;

/// An X.509 certificate and what it says.
#[derive(Debug, Clone)]
pub struct Certificate {
    der: CertificateDer<'static>,
    subject: DistinguishedName,
    issuer: DistinguishedName,
    common_name: Option<CommonName>,
    organization: Option<String>,
    sans: Vec<SubjectAltName>,
    serial: SerialNumber,
    fingerprint: Fingerprint,
    validity: Validity,
    version: u32,
    is_self_issued: bool,
    extensions: Extensions,
}

impl Certificate {
    /// Reads a certificate from its DER.
    ///
    /// # Errors
    /// The DER is broken or followed by more bytes, an extension we rely on is unreadable or
    /// present twice, or a name is unreadable or longer than 4096 bytes.
    pub fn parse(der: CertificateDer<'static>) -> Result<Self, Malformed> {
        let (rest, x509) =
            X509Certificate::from_der(&der).map_err(|_| Malformed("its encoding is broken"))?;
        if !rest.is_empty() {
            return Err(Malformed("bytes follow its end"));
        }
        let common_name = last_value(x509.subject(), COMMON_NAME)?.map(CommonName::new);
        Ok(Self {
            subject: DistinguishedName::parse(x509.subject())?,
            issuer: DistinguishedName::parse(x509.issuer())?,
            common_name,
            organization: last_value(x509.subject(), ORGANIZATION)?,
            sans: alternative_names(&x509)?,
            serial: SerialNumber::from_der_content(x509.raw_serial()),
            fingerprint: Fingerprint::of(&der),
            validity: Validity::new(&x509.validity),
            // As it is written: 0 is version 1 (RFC 5280 section 4.1.2.1).
            version: x509.version().0.saturating_add(1),
            is_self_issued: x509.subject().as_raw() == x509.issuer().as_raw(),
            extensions: Extensions::read(&x509)?,
            der,
        })
    }

    /// The public key in a certificate's DER (SubjectPublicKeyInfo).
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub fn public_key<'a>(der: &'a CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'a>, Malformed> {
        let (_, x509) = X509Certificate::from_der(der).map_err(|_| Malformed("its encoding is broken"))?;
        Ok(SubjectPublicKeyInfoDer::from(x509.tbs_certificate.subject_pki.raw))
    }

    /// The certificate as it was sent.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Whom the certificate is about.
    pub fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// What a sentence calls it: its subject, or where that is empty its alternative names or its serial number.
    pub fn called(&self) -> Cow<'_, str> {
        if !self.subject.as_str().is_empty() {
            return self.subject.as_str().into();
        }
        let names = self.san_header_value().and_then(|names| names.to_str().map(str::to_owned).ok());
        names.unwrap_or_else(|| format!("serial number {}", self.serial)).into()
    }

    /// Who says so.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.issuer
    }

    /// The most specific common name of the subject.
    pub fn common_name(&self) -> Option<&CommonName> {
        self.common_name.as_ref()
    }

    /// The most specific organization of the subject, unescaped.
    pub fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    /// The subject alternative names in their order; empty exactly when there is no such extension.
    pub fn sans(&self) -> &[SubjectAltName] {
        &self.sans
    }

    /// Every name by which an operator may mean this certificate: the common name, DNS names and
    /// URIs, unescaped (`trusted_peers`).
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let common_name = self.common_name.as_ref().map(CommonName::as_str);
        let alternatives = self.sans.iter().filter_map(|san| match san {
            SubjectAltName::Dns(name) | SubjectAltName::Uri(name) => Some(name.as_str()),
            _ => None,
        });
        common_name.into_iter().chain(alternatives)
    }

    /// The value of `X-Client-Cert-San`: all alternative names joined by `,`, or the common name
    /// when there are none (Kong); `None` when there is neither.
    ///
    /// A comma inside a name is written `\,`, so a reader that splits at bare commas sees the
    /// names of the certificate and no others. How Kong joins several is not documented.
    pub fn san_header_value(&self) -> Option<HeaderValue> {
        if self.sans.is_empty() {
            return self.common_name.as_ref().map(|name| header_value(name.as_str(), ","));
        }
        let mut value = String::new();
        for (at, san) in self.sans.iter().enumerate() {
            if at > 0 {
                value.push(',');
            }
            push_escaped(&mut value, &san.to_string(), ",");
        }
        Some(printable(value))
    }

    /// The serial number its issuer gave it.
    pub fn serial(&self) -> &SerialNumber {
        &self.serial
    }

    /// The SHA-256 of its DER.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// From when until when it may be used.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The version of X.509: 3, or one that has no extensions and so cannot say what it is for.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Whether it may issue others (basic constraints).
    pub fn is_ca(&self) -> bool {
        self.extensions.is_ca
    }

    /// How many CAs may follow it on the way to a leaf (pathLenConstraint); `None`: any number.
    pub fn path_length(&self) -> Option<u32> {
        self.extensions.path_length
    }

    /// Whether subject and issuer are the same name, as in every root.
    pub fn is_self_issued(&self) -> bool {
        self.is_self_issued
    }

    /// Whether its extended key usage lets this side present it: there is none, or one that names it.
    /// anyExtendedKeyUsage alone is not enough: neither OpenSSL nor webpki takes it.
    pub fn is_meant_for(&self, side: Side) -> bool {
        self.extensions.names(side)
    }

    /// Whether its extended key usage says anyExtendedKeyUsage.
    pub fn is_meant_for_anything(&self) -> bool {
        self.extensions.any_purpose
    }

    /// Whether its key may sign handshakes: no key usage, or one with digitalSignature.
    pub fn may_sign(&self) -> bool {
        self.extensions.may_sign
    }

    /// Whether its key may sign certificates: no key usage, or one with keyCertSign.
    pub fn may_certify(&self) -> bool {
        self.extensions.may_certify
    }

    /// The first critical extension that RFC 5280 does not define, as an OID in dots.
    pub fn unknown_critical(&self) -> Option<&str> {
        self.extensions.unknown_critical.as_deref()
    }
}

/// The time a certificate may be used in, both ends included; times before 1970 count as 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second it is valid.
    pub not_before: UnixTime,
    /// The last second it is valid.
    pub not_after: UnixTime,
}

impl Validity {
    fn new(validity: &x509_parser::certificate::Validity) -> Self {
        Self { not_before: unix_time(validity.not_before), not_after: unix_time(validity.not_after) }
    }
}

fn unix_time(time: ASN1Time) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0)))
}

fn alternative_names(x509: &TbsCertificate<'_>) -> Result<Vec<SubjectAltName>, Malformed> {
    let extension = x509
        .subject_alternative_name()
        .map_err(|_| Malformed("its subject alternative names are unreadable or given twice"))?;
    let Some(extension) = extension else {
        return Ok(Vec::new());
    };
    if extension.value.general_names.is_empty() {
        // Forbidden by RFC 5280 section 4.2.1.6; accepting it would revive the common name.
        return Err(Malformed("its list of subject alternative names is empty"));
    }
    extension.value.general_names.iter().map(SubjectAltName::parse).collect()
}

#[cfg(test)]
mod tests;
