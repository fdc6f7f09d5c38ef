//! What a route or a plugin speaks: http, https, grpc, grpcs.

use std::fmt;

use super::Invalid;

/// One of the protocols of Kong that carry HTTP requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP, plain.
    Http,
    /// HTTP over TLS.
    Https,
    /// gRPC, plain.
    Grpc,
    /// gRPC over TLS.
    Grpcs,
}

impl Protocol {
    /// All of them, in the order they are told in.
    pub const ALL: [Self; 4] = [Self::Http, Self::Https, Self::Grpc, Self::Grpcs];

    /// The one that Kong gives that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name)
    }

    /// Its name in Kong.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Grpc => "grpc",
            Self::Grpcs => "grpcs",
        }
    }
}

/// A set of protocols; Kong's default for routes is http and https.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocols(u8);

impl Protocols {
    /// The set with these names, which are Kong's.
    ///
    /// # Errors
    /// No name at all, a name nobody knows, or a protocol that is no HTTP.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, Invalid> {
        let mut set = 0;
        for name in names {
            set |= bit(Protocol::named(name).ok_or_else(|| unknown(name))?);
        }
        match set {
            0 => Err(Invalid::new("no protocol", ADVICE)),
            set => Ok(Self(set)),
        }
    }

    /// Whether the protocol is in the set.
    #[must_use]
    pub fn contains(self, protocol: Protocol) -> bool {
        self.0 & bit(protocol) != 0
    }

    /// Whether no protocol in the set is without TLS.
    #[must_use]
    pub fn is_only_tls(self) -> bool {
        !self.contains(Protocol::Http) && !self.contains(Protocol::Grpc)
    }

    /// Whether both sets have a protocol.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether one of the protocols is HTTP without gRPC.
    #[must_use]
    pub fn is_http(self) -> bool {
        self.contains(Protocol::Http) || self.contains(Protocol::Https)
    }

    /// Whether one of the protocols is gRPC.
    #[must_use]
    pub fn is_grpc(self) -> bool {
        self.contains(Protocol::Grpc) || self.contains(Protocol::Grpcs)
    }

    /// Whether one of the protocols has TLS.
    #[must_use]
    pub fn is_tls(self) -> bool {
        self.contains(Protocol::Https) || self.contains(Protocol::Grpcs)
    }
}

impl FromIterator<Protocol> for Protocols {
    fn from_iter<I: IntoIterator<Item = Protocol>>(protocols: I) -> Self {
        Self(protocols.into_iter().fold(0, |set, protocol| set | bit(protocol)))
    }
}

impl Default for Protocols {
    fn default() -> Self {
        Self(bit(Protocol::Http) | bit(Protocol::Https))
    }
}

/// The names, comma separated, in a fixed order.
impl fmt::Display for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for protocol in Protocol::ALL.into_iter().filter(|protocol| self.contains(*protocol)) {
            write!(f, "{separator}{}", protocol.name())?;
            separator = ", ";
        }
        Ok(())
    }
}

fn bit(protocol: Protocol) -> u8 {
    1 << protocol as u8
}

fn unknown(name: &str) -> Invalid {
    let what = match name {
        "tcp" | "udp" | "tls" | "tls_passthrough" | "ws" | "wss" => "it is not supported",
        _ => "it is not a protocol",
    };
    Invalid::new(what, ADVICE)
}

const ADVICE: &str = "write http, https, grpc or grpcs";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_reads_and_prints_as_kong_writes_it() {
        check(&["https", "http"], Ok("http, https"));
        check(&["grpcs"], Ok("grpcs"));
        check(&["http", "http"], Ok("http"));
        check(&["http", "grpc"], Ok("http, grpc"));
        check(&[], Err("no protocol; write http, https, grpc or grpcs"));
        check(&["tcp"], Err("it is not supported; write http, https, grpc or grpcs"));
        check(&["HTTP"], Err("it is not a protocol; write http, https, grpc or grpcs"));
        assert_eq!(Protocols::default().to_string(), "http, https");
    }

    #[test]
    fn sets_overlap_where_they_share_one() {
        let set = |names: &[&str]| Protocols::parse(names.iter().copied()).unwrap();
        assert!(set(&["http", "grpc"]).overlaps(Protocols::default()));
        assert!(!set(&["grpc", "grpcs"]).overlaps(Protocols::default()));
    }

    fn check(names: &[&str], expected: Result<&str, &str>) {
        let parsed = Protocols::parse(names.iter().copied());
        let shown = parsed.map(|set| set.to_string()).map_err(|error| error.to_string());
        assert_eq!(shown.as_deref().map_err(String::as_str), expected, "{names:?}");
    }
}
