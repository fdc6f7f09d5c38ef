//! Subject alternative names: the names a certificate is meant to be known by.
//!
//! Read once into owned values. Promise: a name that cannot be read makes the certificate
//! malformed; it is never skipped, for a skipped name would change what the rest means.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use x509_parser::extensions::GeneralName;

use super::certificate::Malformed;
use super::distinguished_name::{DistinguishedName, dotted};
use super::escape::push_hex;

/// One subject alternative name; `Display` is the bare value, unescaped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SubjectAltName {
    /// A host name, as written: case is kept.
    Dns(String),
    /// A mail address.
    Email(String),
    /// A URI, for example a SPIFFE id.
    Uri(String),
    /// An IP address.
    Ip(IpAddr),
    /// Any other kind, as text: a directory name as a DN, a registered id in numbers and dots,
    /// the rest in hexadecimal.
    Other(String),
}

impl SubjectAltName {
    pub(super) fn parse(name: &GeneralName<'_>) -> Result<Self, Malformed> {
        Ok(match name {
            GeneralName::DNSName(name) => Self::Dns((*name).to_owned()),
            GeneralName::RFC822Name(address) => Self::Email((*address).to_owned()),
            GeneralName::URI(uri) => Self::Uri((*uri).to_owned()),
            GeneralName::IPAddress(bytes) => Self::Ip(ip_address(bytes)?),
            GeneralName::DirectoryName(name) => Self::Other(DistinguishedName::parse(name)?.to_string()),
            GeneralName::RegisteredID(oid) => Self::Other(dotted(oid.as_bytes())?),
            GeneralName::OtherName(oid, value) => Self::Other(hex(dotted(oid.as_bytes())? + "=", value)),
            GeneralName::X400Address(value) | GeneralName::EDIPartyName(value) => {
                Self::Other(hex(String::new(), value.as_bytes()))
            }
            GeneralName::Invalid(..) => return Err(UNREADABLE),
        })
    }

    /// The name as text where the certificate holds text: DNS name, mail address or URI.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Dns(text) | Self::Email(text) | Self::Uri(text) => Some(text),
            Self::Ip(_) | Self::Other(_) => None,
        }
    }
}

impl fmt::Display for SubjectAltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(text) | Self::Email(text) | Self::Uri(text) | Self::Other(text) => f.write_str(text),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

fn ip_address(bytes: &[u8]) -> Result<IpAddr, Malformed> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Ok(Ipv4Addr::from(v4).into());
    }
    let v6 = <[u8; 16]>::try_from(bytes).map_err(|_| UNREADABLE)?;
    Ok(Ipv6Addr::from(v6).into())
}

fn hex(mut prefix: String, bytes: &[u8]) -> String {
    prefix.push('#');
    push_hex(&mut prefix, bytes);
    prefix
}

const UNREADABLE: Malformed = Malformed("a subject alternative name is unreadable");

#[cfg(test)]
mod tests {
    use x509_parser::asn1_rs::{Oid, Tag};

    use super::*;

    #[test]
    fn each_kind_shows_its_bare_value() {
        check(GeneralName::DNSName("A.example"), Some("A.example"));
        check(GeneralName::RFC822Name("a@example"), Some("a@example"));
        check(GeneralName::URI("spiffe://td/a"), Some("spiffe://td/a"));
        check(GeneralName::IPAddress(&[10, 0, 0, 1]), Some("10.0.0.1"));
        check(GeneralName::IPAddress(&[0; 16]), Some("::"));
        check(GeneralName::IPAddress(&[10, 0, 0]), None);
        check(GeneralName::RegisteredID(Oid::new((&[0x2a, 3][..]).into())), Some("1.2.3"));
        check(GeneralName::RegisteredID(Oid::new((&[][..]).into())), None);
        check(GeneralName::RegisteredID(Oid::new((&[0x2a, 0x83][..]).into())), None);
        check(GeneralName::RegisteredID(Oid::new((&[0xff; 40][..]).into())), None);
        check(GeneralName::OtherName(Oid::new((&[0x2a, 3][..]).into()), &[5, 0]), Some("1.2.3=#0500"));
        check(GeneralName::Invalid(Tag(2), &[0xff]), None);
    }

    fn check(name: GeneralName<'_>, expected: Option<&str>) {
        let parsed = SubjectAltName::parse(&name).ok().map(|name| name.to_string());
        assert_eq!(parsed.as_deref(), expected, "{name:?}");
    }
}
