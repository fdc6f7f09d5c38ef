//! Subject alternative names, as one asks for them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rcgen::SanType;

use super::Error;

/// One subject alternative name (RFC 5280 section 4.2.1.6).
///
/// Text is written as it is, so that tests can make hostile names (NUL, line ends, wildcards); it must be
/// ASCII. Reading from text takes a prefix as OpenSSL has it (`dns:`, `ip:`, `uri:`, `email:`) or goes by
/// the looks: an address, something with `://`, something with `@`, else a DNS name. Displayed bare, without
/// the prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum San {
    /// A host name, or a wildcard.
    Dns(String),
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
    /// A URI, such as a SPIFFE ID.
    Uri(String),
    /// A mail address.
    Email(String),
}

impl San {
    pub(super) fn to_rcgen(&self) -> Result<SanType, Error> {
        let ascii = |name: &str| {
            rcgen::string::Ia5String::try_from(name).map_err(|_| Error::San {
                name: name.to_owned(),
                reason: "it is not ASCII; a domain name is written in punycode",
            })
        };
        Ok(match self {
            Self::Dns(name) => SanType::DnsName(ascii(name)?),
            Self::Ip(address) => SanType::IpAddress(*address),
            Self::Uri(uri) => SanType::URI(ascii(uri)?),
            Self::Email(address) => SanType::Rfc822Name(ascii(address)?),
        })
    }
}

impl FromStr for San {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let refuse = |reason| Error::San { name: text.to_owned(), reason };
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        let (kind, name) = text.split_once(':').unwrap_or(("", text));
        let san = match kind.to_ascii_lowercase().as_str() {
            "dns" => Self::Dns(name.to_owned()),
            "ip" => Self::Ip(name.parse().map_err(|_| refuse("it is not an IP address"))?),
            "uri" => Self::Uri(name.to_owned()),
            "email" => Self::Email(name.to_owned()),
            _ if text.contains("://") => Self::Uri(text.to_owned()),
            _ if text.contains(':') => {
                return Err(refuse("the prefixes are dns:, ip:, uri: and email:"));
            }
            _ if text.contains('@') => Self::Email(text.to_owned()),
            _ => Self::Dns(text.to_owned()),
        };
        // The dot that ends a full name is for resolvers: no certificate has it (RFC 6066, 3; RFC 5280, 4.2.1.6).
        let san = match san {
            Self::Dns(name) => Self::Dns(name.strip_suffix('.').map(str::to_owned).unwrap_or(name)),
            other => other,
        };
        if name.is_empty() { Err(refuse("it is empty")) } else { Ok(san) }
    }
}

impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) | Self::Uri(name) | Self::Email(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: San) {
        assert_eq!(text.parse::<San>().unwrap(), expected, "{text}");
    }

    #[test]
    fn a_name_is_read_by_its_prefix_or_its_looks() {
        let dns = |name: &str| San::Dns(name.into());
        check("gateway", dns("gateway"));
        check("*.example.com", dns("*.example.com"));
        check("gateway.example.", dns("gateway.example"));
        check(" DNS:10.0.0.1 ", dns("10.0.0.1"));
        check("10.0.0.1", San::Ip([10, 0, 0, 1].into()));
        check("::1", San::Ip("::1".parse().unwrap()));
        check("IP:fe80::1", San::Ip("fe80::1".parse().unwrap()));
        check("spiffe://example.org/billing", San::Uri("spiffe://example.org/billing".into()));
        check("uri:urn:x", San::Uri("urn:x".into()));
        check("ops@example.org", San::Email("ops@example.org".into()));
        check("email:localhost", San::Email("localhost".into()));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "dns:", "ip:gateway", "gateway:8443"] {
            assert!(text.parse::<San>().is_err(), "{text}");
        }
        let umlaut = San::Dns("bücher.example".into()).to_rcgen().unwrap_err();
        assert!(umlaut.to_string().contains("punycode"), "{umlaut}");
    }
}
