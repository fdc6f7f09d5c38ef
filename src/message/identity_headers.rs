//! Identity headers: what only we may say about a caller.
//!
//! Scrubbed from every request in every mode, whether or not we set any: a service trusts them.
//! Header names are compared the way the laxest backend reads them: CGI and its heirs turn every
//! character that is neither letter nor digit into `_`, so `X_Consumer.Id` is `X-Consumer-ID`.

use http::{HeaderMap, HeaderName};

/// Names that plugins of some route were told to use for identities, beside those that are known
/// anyway. Compiled once per snapshot; they go from every request on every route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reserved(Box<[Box<str>]>);

impl Reserved {
    /// Of these names; those that are scrubbed anyway cost nothing.
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = &'a HeaderName>) -> Self {
        let names = names.into_iter().filter(|name| !is_forged(name));
        let mut patterns: Vec<_> = names.map(|name| pattern(name.as_str())).collect();
        patterns.sort_unstable();
        patterns.dedup();
        Self(patterns.into())
    }

    pub(super) fn holds(&self, name: &HeaderName) -> bool {
        // Empty in most gateways, and then nothing is looked at.
        self.0.iter().any(|known| reads_as(name.as_str().as_bytes(), known))
    }
}

/// The name with `-` for everything that a lax reader takes for a separator.
fn pattern(name: &str) -> Box<str> {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// Removes every identity header that we or Kong could emit, every `reserved` one, and every
/// look-alike of a header that tells the way of a request.
///
/// In the usual case, when there is none, it looks at each name once and allocates nothing.
pub fn scrub(headers: &mut HeaderMap, reserved: &Reserved) {
    let is_forged = |name: &&HeaderName| is_forged(name) || reserved.holds(name);
    let forged: Vec<HeaderName> = headers.keys().filter(is_forged).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
}

/// Whether a client or an upstream must never send a field of this name.
pub(super) fn is_forged(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    // All names in question begin with one of two letters; most others do not. Of those with an `x` the
    // letter behind the separator tells which list they may be in.
    match name {
        [b'x', separator, letter, ..] if !separator.is_ascii_alphanumeric() => match letter {
            b'a' | b'c' => is_asserted(name),
            // The usual ones are plain, which is asked first because it is quick.
            b'f' => reads_as(name, FORWARDED_CERT) || (!is_plain(name) && is_way(name)),
            b'k' | b'r' => !is_plain(name) && is_way(name),
            _ => false,
        },
        [b'c', ..] => CLIENT_CERT.iter().any(|known| reads_as(name, known)),
        _ => false,
    }
}

fn is_asserted(name: &[u8]) -> bool {
    IDENTITY.iter().any(|known| reads_as(name, known))
        || IDENTITY_PREFIXES.iter().any(|prefix| begins_as(name, prefix))
}

/// Headers about the way are replaced or believed by `forwarded`, which knows their plain names.
fn is_way(name: &[u8]) -> bool {
    WAY_PREFIXES.iter().any(|prefix| begins_as(name, prefix)) || reads_as(name, "x-real-ip")
}

fn is_plain(name: &[u8]) -> bool {
    // All bytes are looked at, without a way out in between: so the compiler takes 16 at a time.
    name.iter().fold(true, |plain, byte| plain & (byte.is_ascii_alphanumeric() | (*byte == b'-')))
}

fn begins_as(name: &[u8], prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| reads_as(start, prefix))
}

/// Whether a lax reader takes `name`, which is in lower case, for `known`.
fn reads_as(name: &[u8], known: &str) -> bool {
    name.len() == known.len()
        && name.iter().zip(known.bytes()).all(|(byte, known)| match known {
            b'-' => !byte.is_ascii_alphanumeric(),
            _ => *byte == known,
        })
}

/// Kong's names (kong/constants.lua, HEADERS), beside those with a prefix below.
const IDENTITY: &[&str] = &[
    "x-anonymous-consumer",
    "x-authenticated-groups",
    "x-authenticated-scope",
    "x-authenticated-userid",
    FORWARDED_CERT,
];

/// Envoy's.
const FORWARDED_CERT: &str = "x-forwarded-client-cert";

/// `X-Consumer-ID`, `-Custom-ID`, `-Username`, `-Groups`; `X-Credential-Identifier` and its older
/// `-Username`; `X-Client-Cert-Dn`, `-San` and all of the plugin `tls-metadata-headers`.
const IDENTITY_PREFIXES: &[&str] = &["x-consumer-", "x-credential-", "x-client-cert"];

/// RFC 9440.
const CLIENT_CERT: &[&str] = &["client-cert", "client-cert-chain"];

const WAY_PREFIXES: &[&str] = &["x-forwarded-", "x-kong-"];

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identity_headers_go_however_they_are_written() {
        for name in [
            "X-Consumer-ID",
            "X-Consumer-Custom-ID",
            "X-Consumer-Username",
            "X-Consumer-Groups",
            "X-Credential-Identifier",
            "X-Anonymous-Consumer",
            "X-Authenticated-Groups",
            "X-Client-Cert",
            "X-Client-Cert-Dn",
            "X-Client-Cert-San",
            "X-Client-Cert-Fingerprint",
            "Client-Cert",
            "Client-Cert-Chain",
            "X-Forwarded-Client-Cert",
        ] {
            check(name, false);
            check(&name.replace('-', "_"), false);
            check(&name.replacen('-', "_", 1), false);
            check(&name.replace('-', "."), false);
            check(&name.to_uppercase(), false);
        }
    }

    #[test]
    fn every_name_on_a_list_is_looked_for() {
        for name in IDENTITY.iter().chain(IDENTITY_PREFIXES).chain(CLIENT_CERT) {
            check(name, false);
        }
        for name in WAY_PREFIXES.iter().chain(&["x-real-ip"]) {
            check(&name.replacen('-', "_", 1), false);
        }
    }

    #[test]
    fn look_alikes_of_forwarding_headers_go() {
        check("X_Forwarded_For", false);
        check("X-Forwarded_For", false);
        check("X_Real_IP", false);
        check("X_Kong_Request_Id", false);
    }

    #[test]
    fn other_headers_stay() {
        for name in [
            "X-Forwarded-For",
            "X-Real-IP",
            "X-Kong-Request-Id",
            "X-Request-Id",
            "X_Request_Id",
            "X-Consumer",
            "X-Client",
            "Client-Certificate",
            "Client-Cert-Extra",
            "Clientcert",
            "Cookie",
            "Content-Length",
            "My-X-Consumer-ID",
            "X",
        ] {
            check(name, true);
        }
    }

    #[test]
    fn reserved_names_go_on_every_route_however_they_are_written() {
        let names = ["x-org", "team.name", "x-client-cert-dn"].map(HeaderName::from_static);
        let reserved = Reserved::new(&names);
        assert_eq!(reserved.0.len(), 2, "what goes anyway is not looked for twice");
        for (name, stays) in [
            ("X-Org", false),
            ("x_org", false),
            ("X.ORG", false),
            ("team-name", false),
            ("Team_Name", false),
            ("X-Client-Cert-Dn", false),
            ("x-orga", true),
            ("xorg", true),
            ("accept", true),
        ] {
            check_with(name, &reserved, stays);
        }
        check_with("x-org", &Reserved::default(), true);
    }

    fn check(name: &str, stays: bool) {
        check_with(name, &Reserved::default(), stays);
    }

    fn check_with(name: &str, reserved: &Reserved, stays: bool) {
        let mut headers = HeaderMap::new();
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(&name, HeaderValue::from_static("a"));
        headers.append(&name, HeaderValue::from_static(""));
        scrub(&mut headers, reserved);
        assert_eq!(headers.contains_key(&name), stays, "{name}");
    }

    proptest! {
        #[test]
        fn no_identity_header_is_left(
            names in proptest::collection::vec(disguised(), 1..8),
            others in proptest::collection::vec("[a-b]{1,8}", 0..8),
        ) {
            let mut headers = HeaderMap::new();
            for name in others.iter().chain(&names).chain(&names) {
                headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("v"));
            }
            scrub(&mut headers, &Reserved::default());
            prop_assert_eq!(headers.len(), others.len());
        }
    }

    /// An identity header's name with any case and any of the separators that backends confuse.
    fn disguised() -> impl Strategy<Value = String> {
        let known = proptest::sample::select(
            [IDENTITY, CLIENT_CERT, &["x-consumer-id", "x-credential-identifier", "x-client-cert-dn"]]
                .concat(),
        );
        (known, any::<u64>(), any::<u64>()).prop_map(|(name, cases, separators)| {
            let disguise = |(at, byte): (usize, u8)| match byte {
                b'-' => char::from(b"-_.~"[(separators >> (at * 2)) as usize & 3]),
                _ if cases >> at & 1 == 1 => char::from(byte.to_ascii_uppercase()),
                _ => char::from(byte),
            };
            name.bytes().enumerate().map(disguise).collect()
        })
    }
}
