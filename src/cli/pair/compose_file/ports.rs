//! Published ports, in compose's short and long forms.
//!
//! Used by `compose_file`. Source: the Compose Specification, 05-services.md, `ports`.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde_json::Value;

/// Ports of the host that lead to a container's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli::pair) struct Port {
    /// As it is written in short, for people.
    pub(in crate::cli::pair) text: String,
    /// The host's address; `None` for all of them.
    pub(in crate::cli::pair) address: Option<IpAddr>,
    /// The host's port.
    pub(in crate::cli::pair) published: u16,
    /// The container's.
    pub(in crate::cli::pair) target: u16,
}

impl Port {
    /// Whether only the host itself comes in here.
    pub(in crate::cli::pair) fn is_loopback(&self) -> bool {
        self.address.is_some_and(|address| address.to_canonical().is_loopback())
    }
}

/// All of them, ranges one by one; where docker chooses the host's port nobody can know it, so it is left out.
pub(super) fn ports(list: &Value) -> Vec<Port> {
    list.as_array()
        .into_iter()
        .flatten()
        .flat_map(|entry| {
            match entry {
                Value::Object(_) => long(entry),
                _ => short(&super::text(entry).unwrap_or_default()),
            }
            .unwrap_or_default()
        })
        .collect()
}

fn short(text: &str) -> Option<Vec<Port>> {
    let (what, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (front, target) = what.rsplit_once(':')?;
    let (address, published) = match front.rsplit_once(':') {
        Some((address, published)) => (Some(address), published),
        None => (None, front),
    };
    together(address, published, target, protocol)
}

fn long(entry: &Value) -> Option<Vec<Port>> {
    let of = |key: &str| super::text(entry.get(key)?);
    let protocol = of("protocol").unwrap_or_else(|| "tcp".to_owned());
    together(of("host_ip").as_deref(), &of("published")?, &of("target")?, &protocol)
}

fn together(address: Option<&str>, published: &str, target: &str, protocol: &str) -> Option<Vec<Port>> {
    if !protocol.eq_ignore_ascii_case("tcp") {
        return None;
    }
    let address = address.map(|text| text.trim_start_matches('[').trim_end_matches(']'));
    let address = address.filter(|text| !text.is_empty()).map(str::parse::<IpAddr>).transpose().ok()?;
    let (published, target) = (range(published)?, range(target)?);
    // Docker takes the first free one of a longer range for a single port of the container.
    let pairs = published.zip(target).map(|(published, target)| {
        let front = address.map(|address| match address {
            IpAddr::V4(_) => format!("{address}:"),
            IpAddr::V6(_) => format!("[{address}]:"),
        });
        let text = format!("{}{published}:{target}", front.unwrap_or_default());
        let address = address.filter(|address| !address.is_unspecified());
        Port { text, address, published, target }
    });
    Some(pairs.collect())
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(entry: Value, expected: &[&str]) {
        let found = ports(&json!([entry]));
        assert_eq!(found.iter().map(|port| port.text.as_str()).collect::<Vec<_>>(), expected, "{entry}");
    }

    #[test]
    fn short_and_long_forms() {
        check(json!("9443:8443"), &["9443:8443"]);
        check(json!("127.0.0.1:80:8000/tcp"), &["127.0.0.1:80:8000"]);
        check(json!("[::1]:80:8000"), &["[::1]:80:8000"]);
        check(json!("::1:80:8000"), &["[::1]:80:8000"]);
        check(json!("1-2:3-4"), &["1:3", "2:4"]);
        check(json!({"target": 8443, "published": "443", "host_ip": "127.0.0.1"}), &["127.0.0.1:443:8443"]);
        check(json!({"target": 8443, "published": 443, "protocol": "tcp", "mode": "host"}), &["443:8443"]);
        for left_out in [json!("8443"), json!(8443), json!("53:53/udp"), json!({"target": 8443})] {
            check(left_out, &[]);
        }
    }

    #[test]
    fn loopback_is_told_from_everywhere() {
        let is_loopback = |text: &str| ports(&json!([text]))[0].is_loopback();
        assert!(is_loopback("127.0.0.1:1:2") && is_loopback("[::1]:1:2"));
        assert!(!is_loopback("1:2") && !is_loopback("0.0.0.0:1:2") && !is_loopback("10.0.0.1:1:2"));
    }
}
