//! What of a request is hashed (kong/runloop/balancer/init.lua, `get_value_to_hash`).

use std::hash::{DefaultHasher, Hasher};
use std::net::IpAddr;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Uri};

use crate::snapshot::balance::HashOn;

/// A request, as far as it can be hashed.
#[derive(Debug, Clone, Copy)]
pub(in crate::proxy) struct Asked<'a> {
    /// As they are sent to the service: those that tell about the caller are ours.
    pub(in crate::proxy) headers: &'a HeaderMap,
    /// As the client sent it.
    pub(in crate::proxy) uri: &'a Uri,
    /// The client's address, as a believed peer tells it.
    pub(in crate::proxy) client: IpAddr,
    /// What is the same for all requests of one caller.
    pub(in crate::proxy) caller: Option<&'a [u8]>,
}

/// The hash of a request's value, and the cookie to set where it was made for that.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Key {
    pub(in crate::proxy) hash: Option<u64>,
    pub(in crate::proxy) cookie: Option<HeaderValue>,
}

impl Key {
    /// Of the first of the two that the request has. `fresh` is the value of a cookie that it lacks.
    pub(in crate::proxy) fn of(
        asked: &Asked<'_>,
        on: &HashOn,
        fallback: &HashOn,
        fresh: impl Fn() -> u128,
    ) -> Self {
        for on in [on, fallback] {
            if let Some(hash) = hash(asked, on) {
                return Self { hash: Some(hash), cookie: None };
            }
            if let HashOn::Cookie { name, path } = on {
                let value = format!("{:032x}", fresh());
                let cookie = format!("{name}={value}; Path={path}; SameSite=Lax; HttpOnly");
                return Self {
                    hash: Some(one(value.as_bytes())),
                    cookie: HeaderValue::try_from(cookie).ok(),
                };
            }
        }
        Self::default()
    }
}

fn hash(asked: &Asked<'_>, on: &HashOn) -> Option<u64> {
    match on {
        HashOn::None => None,
        HashOn::Consumer => asked.caller.map(one),
        HashOn::Ip => Some(match asked.client {
            IpAddr::V4(ip) => one(&ip.octets()),
            IpAddr::V6(ip) => one(&ip.octets()),
        }),
        HashOn::Header(name) => {
            let mut values = asked.headers.get_all(name).iter().map(HeaderValue::as_bytes).peekable();
            values.peek().is_some().then(|| all(values))
        }
        HashOn::Cookie { name, .. } => cookie(asked.headers, name).map(one),
        HashOn::Path => Some(one(asked.uri.path().as_bytes())),
        HashOn::QueryArg(name) => argument(asked.uri.query()?, name).map(|value| one(value.as_bytes())),
    }
}

fn one(value: &[u8]) -> u64 {
    all(std::iter::once(value))
}

fn all<'a>(values: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    values.for_each(|value| hasher.write(value));
    hasher.finish()
}

/// The value of the first cookie of that name (RFC 6265 4.2.1).
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

fn argument<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use http::header::HeaderName;

    use super::*;

    fn key(uri: &str, headers: &[(&'static str, &str)], client: &str, on: &HashOn, fallback: &HashOn) -> Key {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let uri: Uri = uri.parse().unwrap();
        let asked = Asked { headers: &map, uri: &uri, client: client.parse().unwrap(), caller: None };
        Key::of(&asked, on, fallback, || 0xabc)
    }

    /// Whether two requests have the same value, and one that is not the default.
    fn same(
        one: (&str, &[(&'static str, &str)]),
        other: (&str, &[(&'static str, &str)]),
        on: &HashOn,
    ) -> bool {
        let hash = |(uri, headers)| key(uri, headers, "192.0.2.1", on, &HashOn::None).hash;
        hash(one).is_some() && hash(one) == hash(other)
    }

    #[test]
    fn requests_with_the_same_value_have_the_same_key() {
        let tenant = HashOn::Header(HeaderName::from_static("x-tenant"));
        assert!(same(("/a", &[("x-tenant", "7")]), ("/b", &[("x-tenant", "7")]), &tenant));
        assert!(!same(("/a", &[("x-tenant", "7")]), ("/a", &[("x-tenant", "8")]), &tenant));
        assert!(!same(("/a", &[]), ("/a", &[]), &tenant));
        let cookie = HashOn::Cookie { name: "sid".into(), path: "/".into() };
        assert!(same(("/", &[("cookie", "a=1; sid=x")]), ("/", &[("cookie", "sid=x;b=2")]), &cookie));
        assert!(!same(("/", &[("cookie", "sid=x")]), ("/", &[("cookie", "mysid=x")]), &cookie));
        assert!(same(("/a?x=1", &[]), ("/a?x=2", &[]), &HashOn::Path));
        assert!(!same(("/a", &[]), ("/b", &[]), &HashOn::Path));
        let argument = HashOn::QueryArg("x".into());
        assert!(same(("/a?y=1&x=2", &[]), ("/b?x=2&x=3", &[]), &argument));
        assert!(!same(("/a", &[]), ("/a", &[]), &argument));
    }

    #[test]
    fn who_lacks_the_first_value_is_known_by_the_second() {
        let tenant = HashOn::Header(HeaderName::from_static("x-tenant"));
        let by_ip = |client, headers: &[_]| key("/", headers, client, &tenant, &HashOn::Ip).hash;
        assert_eq!(by_ip("192.0.2.1", &[]), by_ip("192.0.2.1", &[]));
        assert_ne!(by_ip("192.0.2.1", &[]), by_ip("192.0.2.2", &[]));
        assert_eq!(by_ip("192.0.2.1", &[("x-tenant", "7")]), by_ip("::1", &[("x-tenant", "7")]));
        assert!(key("/", &[], "::1", &HashOn::Consumer, &HashOn::None).hash.is_none());
    }

    #[test]
    fn who_lacks_the_cookie_gets_one_that_leads_to_the_same_target() {
        let cookie = HashOn::Cookie { name: "sid".into(), path: "/shop".into() };
        let first = key("/", &[], "::1", &cookie, &HashOn::None);
        let value = format!("{:032x}", 0xabc);
        let set = first.cookie.unwrap();
        assert_eq!(set, format!("sid={value}; Path=/shop; SameSite=Lax; HttpOnly").as_str());
        let sent = format!("sid={value}");
        let next = key("/", &[("cookie", &sent)], "::1", &cookie, &HashOn::None);
        assert_eq!(next.hash, first.hash);
        assert!(next.cookie.is_none());
    }
}
