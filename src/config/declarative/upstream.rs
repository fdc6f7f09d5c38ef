//! Upstreams with their targets and health checks.
//! Source: kong/db/schema/entities/{upstreams,targets}.lua.

use std::collections::HashSet;

use super::fields::Fields;
use super::gather::Found;
use super::health::health_checks;
use super::kind::Kind;
use super::model::{Algorithm, HashOn, Upstream, UpstreamTarget};
use super::node::shortened;
use super::reader::{Reader, host, tags};

/// Those that could be read, with their targets.
pub(super) fn upstreams<'a>(reader: Reader<'a>) -> Vec<Upstream> {
    let mut upstreams: Vec<_> =
        reader.gathered.each(Kind::Upstreams).filter_map(|found| upstream(reader, found)).collect();
    let mut seen = HashSet::new();
    for found in reader.gathered.each(Kind::Targets) {
        let Some(mut fields) = reader.fields(Kind::Targets, found) else { continue };
        let owner = reader.gathered.owner(found, &mut fields, "upstream", Kind::Upstreams);
        let target = target(&mut fields, found);
        tags(&mut fields);
        fields.refuse("failover", &["false"], "remove it; it came after Kong 3.9");
        if let (Some(owner), Some(target)) = (owner, target) {
            if !seen.insert((owner, target.host.clone(), target.port)) {
                fields.wrong_all("the upstream has this target already", "keep one of the two");
            }
            if let Some(upstream) = upstreams.get_mut(owner) {
                upstream.targets.push(target);
            }
        }
        fields.finish();
    }
    upstreams
}

fn upstream<'a>(reader: Reader<'a>, found: &'a Found<'a>) -> Option<Upstream> {
    let mut fields = reader.fields(Kind::Upstreams, found)?;
    let name = fields.needed_text("name", "write the host that services name");
    if let Some(name) = name.filter(|name| {
        name.text.parse::<std::net::IpAddr>().is_ok()
            || name.text.contains([':', '['])
            || host(name.text).is_none()
    }) {
        let what = format!("`{}` is not a host name", shortened(name.text));
        fields.wrong(name.at, what, "write a name, not an address, and no port");
    }
    let algorithm = algorithm(&mut fields);
    let hash_on = hash(&mut fields, "hash_on", "hash_on_header", "hash_on_query_arg");
    let hash_fallback = hash(&mut fields, "hash_fallback", "hash_fallback_header", "hash_fallback_query_arg");
    check_fallback(&fields, &hash_on, &hash_fallback);
    let cookie_path = fields.text("hash_on_cookie_path").map_or("/", |text| text.text).into();
    for field in ["hash_on_uri_capture", "hash_fallback_uri_capture"] {
        fields.refuse(field, &[], "hash on consumer, ip, header, cookie, path or query_arg");
    }
    fields.refuse("use_srv_name", &["false"], "write host_header instead");
    let upstream = Upstream {
        place: found.place.clone(),
        id: found.id,
        name: name.map_or("", |name| name.text).into(),
        algorithm,
        hash_on,
        hash_fallback,
        hash_on_cookie_path: cookie_path,
        host_header: fields.text("host_header").map(|text| text.text.into()),
        client_certificate: reader.gathered.reference(&mut fields, "client_certificate", Kind::Certificates),
        healthchecks: fields.record("healthchecks", health_checks),
        targets: Vec::new(),
    };
    tags(&mut fields);
    fields.finish();
    Some(upstream)
}

fn algorithm(fields: &mut Fields<'_>) -> Algorithm {
    let words = [
        ("round-robin", Algorithm::RoundRobin),
        ("least-connections", Algorithm::LeastConnections),
        ("consistent-hashing", Algorithm::ConsistentHashing),
        ("latency", Algorithm::Latency),
    ];
    fields.word("algorithm", &words).unwrap_or(Algorithm::RoundRobin)
}

fn hash(
    fields: &mut Fields<'_>,
    key: &'static str,
    header_key: &'static str,
    argument_key: &'static str,
) -> HashOn {
    let header = fields.text(header_key);
    let argument = fields.text(argument_key);
    let cookie = fields.text("hash_on_cookie");
    if let Some(header) = header.filter(|header| http::HeaderName::try_from(header.text).is_err()) {
        fields.wrong(header.at, "not the name of a header", "write letters, digits and dashes");
    }
    let words = [
        ("none", 0),
        ("consumer", 1),
        ("ip", 2),
        ("header", 3),
        ("cookie", 4),
        ("path", 5),
        ("query_arg", 6),
    ];
    match fields.word(key, &words) {
        Some(1) => HashOn::Consumer,
        Some(2) => HashOn::Ip,
        Some(3) => {
            if header.is_none() {
                fields.missing(header_key, "write the name of the header to hash");
            }
            HashOn::Header(header.map(|header| header.text.to_ascii_lowercase()).unwrap_or_default().into())
        }
        Some(4) => {
            if cookie.is_none() {
                fields.missing("hash_on_cookie", "write the name of the cookie to hash");
            }
            HashOn::Cookie(cookie.map_or("", |cookie| cookie.text).into())
        }
        Some(5) => HashOn::Path,
        Some(6) => {
            if argument.is_none() {
                fields.missing(argument_key, "write the name of the argument to hash");
            }
            HashOn::QueryArg(argument.map_or("", |argument| argument.text).into())
        }
        _ => HashOn::None,
    }
}

/// A fallback has to be something else, and there is none behind a cookie, which is always there.
fn check_fallback(fields: &Fields<'_>, on: &HashOn, fallback: &HashOn) {
    let what = match (on, fallback) {
        (_, HashOn::None) => return,
        (HashOn::None, _) => "`hash_fallback` without `hash_on`",
        (HashOn::Cookie(_), _) => "`hash_fallback` behind a cookie, which is always there",
        _ if on == fallback => "`hash_fallback` is the same as `hash_on`",
        _ => return,
    };
    fields.wrong_all(what, "remove hash_fallback, or write another one");
}

fn target(fields: &mut Fields<'_>, found: &Found<'_>) -> Option<UpstreamTarget> {
    let weight = fields.integer("weight", 0..=65_535).unwrap_or(100);
    let text = fields.needed_text("target", "write a host, perhaps with a port: orders.internal:8080")?;
    let (name, port) = match text.text.rsplit_once(':') {
        // An IPv6 address without brackets has no port.
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, port.parse().ok()),
        _ => (text.text, Some(DEFAULT_PORT)),
    };
    let (Some(host), Some(port)) = (host(name), port.filter(|port| *port > 0)) else {
        let what = format!("`{}` is not a target", shortened(text.text));
        fields.wrong(text.at, what, "write a host, perhaps with a port: orders.internal:8080");
        return None;
    };
    Some(UpstreamTarget { id: found.id, host: host.into(), port, weight: weight.try_into().ok()? })
}

/// Source: kong/db/schema/entities/targets.lua.
const DEFAULT_PORT: u16 = 8000;
