//! What the extensions of a certificate say about its use (RFC 5280 section 4.2.1).
//!
//! Read once, with the certificate. An extension that is there and cannot be read is never taken for an
//! absent one.

use x509_parser::certificate::TbsCertificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::OID_X509_EXT_BASIC_CONSTRAINTS;

use super::Malformed;
use crate::identity::distinguished_name::dotted;

/// Which side of a handshake presents the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It is asked for by a server.
    Client,
    /// It is shown to every client.
    Server,
}

impl Side {
    /// Its name in the extended key usage.
    pub fn usage(self) -> &'static str {
        match self {
            Self::Client => "clientAuth",
            Self::Server => "serverAuth",
        }
    }
}

/// What is allowed; without an extension everything is, but to be a CA.
#[derive(Debug, Clone)]
pub(super) struct Extensions {
    pub(super) is_ca: bool,
    pub(super) path_length: Option<u32>,
    pub(super) any_purpose: bool,
    client: bool,
    server: bool,
    pub(super) may_sign: bool,
    pub(super) may_certify: bool,
    pub(super) unknown_critical: Option<Box<str>>,
}

impl Extensions {
    pub(super) fn read(x509: &TbsCertificate<'_>) -> Result<Self, Malformed> {
        let (is_ca, path_length) = basic_constraints(x509)?;
        let key_usage =
            x509.key_usage().map_err(|_| Malformed("its key usage is unreadable or given twice"))?;
        let purposes = x509
            .extended_key_usage()
            .map_err(|_| Malformed("its extended key usage is unreadable or given twice"))?
            .map(|extension| extension.value);
        Ok(Self {
            is_ca,
            path_length,
            any_purpose: purposes.is_some_and(|purposes| purposes.any),
            client: purposes.is_none_or(|purposes| purposes.client_auth),
            server: purposes.is_none_or(|purposes| purposes.server_auth),
            may_sign: key_usage.as_ref().is_none_or(|usage| usage.value.digital_signature()),
            may_certify: key_usage.is_none_or(|usage| usage.value.key_cert_sign()),
            unknown_critical: unknown_critical(x509),
        })
    }

    pub(super) fn names(&self, side: Side) -> bool {
        match side {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }
}

fn basic_constraints(x509: &TbsCertificate<'_>) -> Result<(bool, Option<u32>), Malformed> {
    const UNREADABLE: Malformed = Malformed("its basic constraints are unreadable or given twice");
    // Not `basic_constraints()`: that one takes an unreadable extension for an absent one.
    let extension = x509.get_extension_unique(&OID_X509_EXT_BASIC_CONSTRAINTS).map_err(|_| UNREADABLE)?;
    match extension.map(|extension| extension.parsed_extension()) {
        None => Ok((false, None)),
        Some(ParsedExtension::BasicConstraints(constraints)) => {
            Ok((constraints.ca, constraints.path_len_constraint))
        }
        Some(_) => Err(UNREADABLE),
    }
}

fn unknown_critical(x509: &TbsCertificate<'_>) -> Option<Box<str>> {
    let critical = x509.extensions().iter().filter(|extension| extension.critical);
    let mut unknown = critical.map(|extension| extension.oid.as_bytes()).filter(|oid| !is_known(oid));
    unknown.next().map(|oid| in_dots(oid).into())
}

/// Those of RFC 5280 section 4.2.1, all below id-ce (2.5.29).
fn is_known(oid: &[u8]) -> bool {
    const KNOWN: [u8; 13] = [14, 15, 17, 18, 19, 30, 31, 32, 33, 35, 36, 37, 54];
    matches!(oid, [0x55, 0x1d, last] if KNOWN.contains(last))
}

/// As people write it; a stranger may send one of any length.
fn in_dots(oid: &[u8]) -> String {
    const MAX: usize = 60;
    match dotted(oid) {
        Ok(text) if text.len() <= MAX => text,
        _ => "with an unreadable identifier".to_owned(),
    }
}
