//! Where to listen, in Kong's grammar: `<ip>:<port> [flag…], [… next entry …]`.
//!
//! Said in [`ListenSettings`], meant as [`Listener`]s, used by `server` and `admin`.
//! Source: kong/conf_loader/listeners.lua at 3.9.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::problem::{Problem, Problems, Said};
use super::value::{self, Unit};

/// Where this node can be reached.
#[derive(Debug, Clone, clap::Args, serde::Deserialize)]
#[command(next_help_heading = "Listeners")]
pub(super) struct ListenSettings {
    /// Where requests are accepted: a comma list of `<ip>:<port> [flag…]`. Flags: `ssl`, `http2`,
    /// `backlog=N`, `reuseport`, `ipv6only=off` (`[::]` takes IPv4 too); `deferred`, `bind` and
    /// `so_keepalive` are accepted and change nothing. IPv6 addresses are in brackets.
    #[arg(long, value_name = "LISTEN")]
    pub(super) proxy_listen: Option<Said>,

    /// Where `/status`, `/status/ready`, `/status/live` and `/status/health` answer, in plain
    /// HTTP; or `off`. `[::]` takes IPv4 too, unless `ipv6only=on` follows it.
    #[arg(long, value_name = "LISTEN", default_value = "127.0.0.1:8007")]
    pub(super) status_listen: Said,

    /// How long a reverse proxy that has reached its `upstream_url` may be without any link to it before
    /// `/status/health`, which `mtls-bridge healthcheck` asks, says unhealthy; or `off`: for any time.
    /// `/status/ready` stays as it is.
    #[arg(long, value_name = "DURATION|off", default_value = "30s")]
    pub(super) healthcheck_link_timeout: Said,
}

/// A socket to accept requests from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The entry it was read from: for the line about an address that cannot be had.
    pub said: Said,
    /// Port 0 takes any free one.
    pub address: SocketAddr,
    /// `ssl`: TLS, with the certificates of `ssl_cert`.
    pub tls: bool,
    /// `http2`: offered by ALPN, or accepted with prior knowledge where there is no TLS.
    pub http2: bool,
    /// Connections the kernel holds until they are accepted.
    pub backlog: u32,
    /// `SO_REUSEPORT`.
    pub reuse_port: bool,
    /// `IPV6_V6ONLY`, which counts for IPv6 addresses: `[::]` takes no IPv4 connections.
    pub ipv6_only: bool,
}

impl Listener {
    /// Whether the kernel would refuse one of the two, because both are for the same connections.
    fn collides(&self, other: &Self) -> bool {
        let covers = |one: &Self, other: &Self| {
            one.address.ip().is_unspecified()
                && (one.address.is_ipv4() == other.address.is_ipv4()
                    || (one.address.is_ipv6() && !one.ipv6_only))
        };
        let fixed = self.address.port() != 0 && self.address.port() == other.address.port();
        let shared = self.reuse_port && other.reuse_port;
        fixed && !shared && (covers(self, other) || covers(other, self))
    }

    /// As it would be written, as far as it matters for who comes in here.
    fn reach(&self) -> String {
        let both = self.address.is_ipv6() && !self.ipv6_only;
        format!("{}{}", self.address, if both { " ipv6only=off" } else { "" })
    }
}

/// The listeners of the proxy; none of a broken list.
pub(super) fn listeners(settings: &ListenSettings, problems: &mut Problems) -> Vec<Listener> {
    let Some(said) = &settings.proxy_listen else {
        problems.push(Problem::missing("proxy_listen", "not set", "write where requests come in"));
        return Vec::new();
    };
    let entries = value::list(said);
    if entries.is_empty() || is_off(said) {
        problems.push(Problem::new(said, "nowhere to accept requests", "write an address and port"));
    }
    let listeners: Vec<_> =
        entries.iter().filter(|s| !is_off(s)).filter_map(|s| problems.note(listener(s))).collect();
    for (index, listener) in listeners.iter().enumerate() {
        let earlier = &listeners[..index];
        let fixed = listener.address.port() != 0;
        if fixed && earlier.iter().any(|earlier| earlier.address == listener.address) {
            let what = format!("{} is there twice", listener.address);
            problems.push(Problem::new(said, what, "write each address once"));
        } else if let Some(other) = earlier.iter().find(|earlier| earlier.collides(listener)) {
            let what = format!("{} and {} are for the same connections", other.reach(), listener.reach());
            problems.push(Problem::new(said, what, remedy(other, listener)));
        }
    }
    listeners
}

fn remedy(one: &Listener, other: &Listener) -> &'static str {
    match one.address.is_ipv4() == other.address.is_ipv4() {
        true => "keep the one without a particular address, or give them different ports",
        false => "keep the IPv6 one alone, or write ipv6only=on for it",
    }
}

/// How long the link may be away; `None` for any time.
pub(super) fn healthcheck_link_timeout(said: &Said) -> Result<Option<Duration>, Problem> {
    if is_off(said) { Ok(None) } else { value::wait(said, Unit::Seconds).map(Some) }
}

/// Where `/status` answers: one plain address, or nowhere.
pub(super) fn status(said: &Said) -> Result<Option<Listener>, Problem> {
    if is_off(said) {
        return Ok(None);
    }
    let entries = value::list(said);
    let [entry] = entries.as_slice() else {
        return Err(Problem::new(said, "not one address", "write one <ip>:<port>, or off"));
    };
    // Whoever probes comes by whichever family; nothing else is to be bound beside it.
    let listener = parse(entry, false)?;
    if listener.tls {
        return Err(Problem::new(said, "the status listener speaks plain HTTP", "leave `ssl` out"));
    }
    Ok(Some(listener))
}

/// One entry of the list.
fn listener(said: &Said) -> Result<Listener, Problem> {
    parse(said, true)
}

fn parse(said: &Said, ipv6_only: bool) -> Result<Listener, Problem> {
    let mut words = said.value().split_whitespace();
    let address = address(said, words.next().unwrap_or_default())?;
    let mut listener = Listener {
        said: said.clone(),
        address,
        tls: false,
        http2: false,
        backlog: BACKLOG,
        reuse_port: false,
        ipv6_only,
    };
    for flag in words {
        apply(said, flag, &mut listener)?;
    }
    Ok(listener)
}

fn apply(said: &Said, flag: &str, listener: &mut Listener) -> Result<(), Problem> {
    let (name, argument) = flag.split_once('=').unwrap_or((flag, ""));
    match name {
        "ssl" => listener.tls = true,
        "http2" => listener.http2 = true,
        "reuseport" => listener.reuse_port = true,
        "backlog" => {
            listener.backlog = argument.parse().ok().filter(|backlog| *backlog > 0).ok_or_else(|| {
                Problem::new(said, "`backlog` has no number", "write for example backlog=1024")
            })?;
        }
        "ipv6only" => listener.ipv6_only = ipv6_only(said, argument, listener.address)?,
        "deferred" | "bind" | "so_keepalive" => {}
        "proxy_protocol" => {
            let advice = "remove `proxy_protocol`, and let the balancer in front send plain TCP";
            return Err(Problem::new(said, "the PROXY protocol is not supported by this version", advice));
        }
        _ => {
            let advice = "write ssl, http2, backlog=N, reuseport or ipv6only=off";
            return Err(Problem::new(said, format!("`{flag}` is not a listen flag"), advice));
        }
    }
    Ok(())
}

/// As in nginx, the word is one of two, and means nothing for IPv4.
fn ipv6_only(said: &Said, word: &str, address: SocketAddr) -> Result<bool, Problem> {
    if address.is_ipv4() {
        let what = format!("`ipv6only` means nothing for {address}");
        return Err(Problem::new(said, what, "remove it, or write an IPv6 address such as [::]:8443"));
    }
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(Problem::new(said, "`ipv6only` is neither on nor off", "write ipv6only=on or ipv6only=off")),
    }
}

fn address(said: &Said, text: &str) -> Result<SocketAddr, Problem> {
    text.parse().map_err(|_| {
        let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
        let (what, advice) = if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
            (format!("`{text}` has no address"), format!("write for example 127.0.0.1:{text}"))
        } else if text.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4()) {
            (format!("`{text}` has no port"), format!("write for example {text}:8443"))
        } else if host.matches(':').count() > 1 && !host.starts_with('[') {
            (format!("`{text}` is IPv6 without brackets"), "write for example [::1]:8443".to_owned())
        } else if host.starts_with(|c: char| c.is_ascii_alphabetic()) {
            (format!("`{host}` is a name, not an address"), "write for example 127.0.0.1".to_owned())
        } else {
            (format!("`{text}` is not an address and port"), FORM.to_owned())
        };
        Problem::new(said, what, advice)
    })
}

fn is_off(said: &Said) -> bool {
    said.value().eq_ignore_ascii_case("off")
}

const FORM: &str = "write <ip>:<port> [flag…], [… next entry …]";

/// Kong's default; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: u32 = 16_384;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn settings(proxy: &str, status: &str) -> ListenSettings {
        let said = |key, value| Said::new(key, value, Origin::DEFAULT);
        ListenSettings {
            proxy_listen: Some(said("proxy_listen", proxy)),
            status_listen: said("status_listen", status),
            healthcheck_link_timeout: said("healthcheck_link_timeout", "30s"),
        }
    }

    fn check(value: &str, expected: Result<&[(&str, bool, bool)], &str>) {
        let mut problems = Problems::default();
        let found = listeners(&settings(value, "off"), &mut problems);
        match expected {
            Ok(expected) => {
                assert_eq!(problems.to_string(), "", "{value}");
                let found: Vec<_> = found.iter().map(|l| (l.address.to_string(), l.tls, l.http2)).collect();
                let expected: Vec<_> = expected.iter().map(|(a, t, h)| ((*a).to_owned(), *t, *h)).collect();
                assert_eq!(found, expected, "{value}");
            }
            Err(line) => assert_eq!(problems.to_string(), format!("proxy_listen={line}"), "{value}"),
        }
    }

    #[test]
    fn kongs_grammar() {
        check("127.0.0.1:8000", Ok(&[("127.0.0.1:8000", false, false)]));
        check(
            "0.0.0.0:8000 reuseport backlog=16384, 0.0.0.0:8443 http2 ssl reuseport backlog=16384",
            Ok(&[("0.0.0.0:8000", false, false), ("0.0.0.0:8443", true, true)]),
        );
        check(
            "[::1]:8443 ssl deferred bind ipv6only=on so_keepalive=30m::10",
            Ok(&[("[::1]:8443", true, false)]),
        );
        check("127.0.0.1:0, 127.0.0.1:0", Ok(&[("127.0.0.1:0", false, false); 2]));
    }

    #[test]
    fn flags_are_kept() {
        let found = listeners(&settings("[::]:1 reuseport backlog=7", "off"), &mut Problems::default());
        assert_eq!((found[0].reuse_port, found[0].backlog), (true, 7));
    }

    #[test]
    fn an_ipv6_listener_is_for_ipv6_alone_unless_it_says_otherwise() {
        for (value, expected) in
            [("[::]:1", true), ("[::]:1 ipv6only=on", true), ("[::]:1 ipv6only=off", false)]
        {
            let found = listeners(&settings(value, "off"), &mut Problems::default());
            assert_eq!(found[0].ipv6_only, expected, "{value}");
        }
    }

    #[test]
    fn both_families_may_have_one_port() {
        for value in ["0.0.0.0:1, [::]:1", "0.0.0.0:1, [::]:1 ipv6only=on", "[::]:1 ipv6only=off, 0.0.0.0:2"]
        {
            let mut problems = Problems::default();
            assert_eq!(listeners(&settings(value, "off"), &mut problems).len(), 2, "{value}");
            assert_eq!(problems.to_string(), "", "{value}");
        }
    }

    #[test]
    fn what_is_not_a_listener() {
        for (value, line) in [
            ("off", "off (default): nowhere to accept requests; write an address and port"),
            ("8000", "8000 (default): `8000` has no address; write for example 127.0.0.1:8000"),
            ("10.0.0.1", "10.0.0.1 (default): `10.0.0.1` has no port; write for example 10.0.0.1:8443"),
            ("::1:80", "::1:80 (default): `::1:80` is IPv6 without brackets; write for example [::1]:8443"),
            (
                "localhost:80",
                "localhost:80 (default): `localhost` is a name, not an address; write for example 127.0.0.1",
            ),
            (
                "1.2.3:80",
                "1.2.3:80 (default): `1.2.3:80` is not an address and port; \
                 write <ip>:<port> [flag…], [… next entry …]",
            ),
            (
                "[::]:1 tls",
                "[::]:1 tls (default): `tls` is not a listen flag; \
                 write ssl, http2, backlog=N, reuseport or ipv6only=off",
            ),
            (
                "[::]:1 backlog=many",
                "[::]:1 backlog=many (default): `backlog` has no number; write for example backlog=1024",
            ),
            (
                "[::]:1 proxy_protocol",
                "[::]:1 proxy_protocol (default): the PROXY protocol is not supported by this version; \
                 remove `proxy_protocol`, and let the balancer in front send plain TCP",
            ),
            ("[::]:1,[::]:1", "[::]:1,[::]:1 (default): [::]:1 is there twice; write each address once"),
            (
                "[::]:1 ipv6only=no",
                "[::]:1 ipv6only=no (default): `ipv6only` is neither on nor off; write ipv6only=on or ipv6only=off",
            ),
            (
                "0.0.0.0:1 ipv6only=off",
                "0.0.0.0:1 ipv6only=off (default): `ipv6only` means nothing for 0.0.0.0:1; \
                 remove it, or write an IPv6 address such as [::]:8443",
            ),
            (
                "0.0.0.0:1, [::]:1 ipv6only=off",
                "0.0.0.0:1, [::]:1 ipv6only=off (default): \
                 0.0.0.0:1 and [::]:1 ipv6only=off are for the same connections; \
                 keep the IPv6 one alone, or write ipv6only=on for it",
            ),
            (
                "[::]:1 ipv6only=off, 127.0.0.1:1 reuseport",
                "[::]:1 ipv6only=off, 127.0.0.1:1 reuseport (default): \
                 [::]:1 ipv6only=off and 127.0.0.1:1 are for the same connections; \
                 keep the IPv6 one alone, or write ipv6only=on for it",
            ),
            (
                "127.0.0.1:1, 0.0.0.0:1",
                "127.0.0.1:1, 0.0.0.0:1 (default): 127.0.0.1:1 and 0.0.0.0:1 are for the same connections; \
                 keep the one without a particular address, or give them different ports",
            ),
        ] {
            check(value, Err(line));
        }
    }

    #[test]
    fn the_link_may_be_away_for_a_time_that_is_not_zero_or_for_any() {
        let check = |value, expected: Result<Option<u64>, &str>| {
            let said = Said::new("healthcheck_link_timeout", value, Origin::DEFAULT);
            let actual = healthcheck_link_timeout(&said).map_err(|problem| problem.to_string());
            let expected = expected.map(|seconds| seconds.map(Duration::from_secs));
            let line = |line| format!("healthcheck_link_timeout={value} (default): {line}");
            assert_eq!(actual, expected.map_err(line));
        };
        check("off", Ok(None));
        check("45", Ok(Some(45)));
        check("2m", Ok(Some(120)));
        check("0s", Err("no time at all; write a duration such as 500ms, 5s or 1m"));
    }

    #[test]
    fn status_is_one_plain_address_or_off() {
        let check = |value, expected: Result<Option<&str>, &str>| {
            let said = Said::new("status_listen", value, Origin::DEFAULT);
            let actual = status(&said).map(|found| found.map(|listener| listener.address));
            let actual = actual.map_err(|problem| problem.to_string());
            let expected = expected.map(|address| address.map(|a| a.parse().unwrap()));
            assert_eq!(actual, expected.map_err(|line| format!("status_listen={value} (default): {line}")));
        };
        check("off", Ok(None));
        check("127.0.0.1:8007 reuseport", Ok(Some("127.0.0.1:8007")));
        check("[::1]:1 ssl", Err("the status listener speaks plain HTTP; leave `ssl` out"));
        check("[::1]:1, [::1]:2", Err("not one address; write one <ip>:<port>, or off"));
    }
}
