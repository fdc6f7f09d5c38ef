//! What is told about the caller and the way: identity headers, forwarding headers, Kong's own.
//!
//! Said in [`ForwardingSettings`], meant as [`Forwarding`], used by `proxy` and `message`.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::identity::HeaderFormat;

use super::problem::{Problem, Problems, Said};
use super::value;
use super::{Forwarding, ResponseHeaders};

/// Which headers are believed, set and sent.
#[derive(Debug, Clone, clap::Args, serde::Deserialize)]
#[command(next_help_heading = "Headers")]
pub(super) struct ForwardingSettings {
    /// How the caller's certificate is told to the service: any of `kong` (`X-Client-Cert-Dn`,
    /// `X-Client-Cert-San`), `rfc9440` (`Client-Cert`, `Client-Cert-Chain`) and `xfcc`
    /// (`X-Forwarded-Client-Cert`), or `off`.
    #[arg(long, value_name = "FORMATS", default_value = "kong")]
    pub(super) identity_headers: Said,

    /// Addresses and networks whose forwarding headers are believed: a comma list such as
    /// `10.0.0.0/8, ::1`.
    #[arg(long, value_name = "NETWORKS")]
    pub(super) trusted_ips: Option<Said>,

    /// The header that carries the client's address, where the sender is believed.
    #[arg(long, value_name = "HEADER", default_value = "X-Real-IP")]
    pub(super) real_ip_header: Said,

    /// Whether trusted addresses are skipped from the right, where that header lists several.
    #[arg(long, value_name = "on|off", default_value = "off")]
    pub(super) real_ip_recursive: Said,

    /// Names (CN, DNS or URI SAN) of certificates whose forwarding headers, request id and trace
    /// headers are believed: the paired reverse proxy. Better than an address: it is proven.
    #[arg(long, value_name = "NAMES")]
    pub(super) trusted_peers: Option<Said>,

    /// Whether the upstream gets the client's `Host`. The original is in `X-Forwarded-Host`
    /// either way.
    #[arg(long, value_name = "on|off", default_value = "off")]
    pub(super) preserve_host: Said,

    /// Which headers of ours the client gets: `server_tokens`, `latency_tokens`, `Server`, `Via`,
    /// `X-Kong-Proxy-Latency`, `X-Kong-Response-Latency`, `X-Kong-Upstream-Latency`,
    /// `X-Kong-Upstream-Status`, `X-Kong-Request-Id`, or `off`.
    #[arg(long, value_name = "TOKENS", default_value = "server_tokens, latency_tokens, X-Kong-Request-Id")]
    pub(super) headers: Said,

    /// Which headers of ours the upstream gets: `X-Kong-Request-Id`, or `off`.
    #[arg(long, value_name = "TOKENS", default_value = "X-Kong-Request-Id")]
    pub(super) headers_upstream: Said,
}

impl Forwarding {
    /// After a problem, as far as it was told.
    pub(super) fn compile(settings: &ForwardingSettings, problems: &mut Problems) -> Self {
        let real_ip_header = problems.note(header_name(&settings.real_ip_header));
        let upstream = problems.value(tokens(&settings.headers_upstream, &[("X-Kong-Request-Id", ())]));
        Self {
            identity_headers: problems.value(tokens(&settings.identity_headers, FORMATS)),
            trusted_ips: networks(settings.trusted_ips.as_ref(), problems),
            real_ip_recursive: problems.value(value::switch(&settings.real_ip_recursive)),
            trusted_peers: names(settings.trusted_peers.as_ref()),
            preserve_host: problems.value(value::switch(&settings.preserve_host)),
            response_headers: response_headers(&problems.value(tokens(&settings.headers, TOKENS))),
            request_id_upstream: !upstream.is_empty(),
            real_ip_header: real_ip_header.unwrap_or(http::HeaderName::from_static("x-real-ip")),
        }
    }
}

/// A list of known words; `off` alone is an empty one.
fn tokens<T: Clone + PartialEq>(said: &Said, words: &[(&str, T)]) -> Result<Vec<T>, Problem> {
    if said.value().eq_ignore_ascii_case("off") { Ok(Vec::new()) } else { value::words(said, words) }
}

fn networks(said: Option<&Said>, problems: &mut Problems) -> Vec<IpNet> {
    let parts = said.map(value::list).unwrap_or_default();
    parts.iter().filter_map(|part| problems.note(network(part))).collect()
}

fn network(said: &Said) -> Result<IpNet, Problem> {
    let text = said.value();
    text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
        let what = format!("`{text}` is neither an address nor a network");
        Problem::new(said, what, "write for example 10.0.0.0/8 or ::1")
    })
}

fn names(said: Option<&Said>) -> Vec<String> {
    let parts = said.map(value::list).unwrap_or_default();
    parts.iter().map(|part| part.value().to_owned()).collect()
}

fn header_name(said: &Said) -> Result<http::HeaderName, Problem> {
    if said.value().eq_ignore_ascii_case("proxy_protocol") {
        let what = "the PROXY protocol is not supported by this version";
        return Err(Problem::new(said, what, "name a header such as X-Real-IP"));
    }
    let name = said.value().parse();
    name.map_err(|_| Problem::new(said, "not a header name", "write for example X-Real-IP"))
}

fn response_headers(tokens: &[Token]) -> ResponseHeaders {
    let named = |token| tokens.contains(&token);
    let server = named(Token::ServerTokens);
    let latency = named(Token::LatencyTokens);
    ResponseHeaders {
        server: server || named(Token::Server),
        via: server || named(Token::Via),
        proxy_latency: latency || named(Token::ProxyLatency),
        response_latency: latency || named(Token::ResponseLatency),
        upstream_latency: latency || named(Token::UpstreamLatency),
        upstream_status: named(Token::UpstreamStatus),
        request_id: named(Token::RequestId),
    }
}

/// A word of Kong's `headers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    ServerTokens,
    LatencyTokens,
    Server,
    Via,
    ProxyLatency,
    ResponseLatency,
    UpstreamLatency,
    UpstreamStatus,
    RequestId,
    /// Kong's Admin API has a latency of its own; we have no such answers.
    AdminLatency,
}

const TOKENS: &[(&str, Token)] = &[
    ("server_tokens", Token::ServerTokens),
    ("latency_tokens", Token::LatencyTokens),
    ("Server", Token::Server),
    ("Via", Token::Via),
    ("X-Kong-Proxy-Latency", Token::ProxyLatency),
    ("X-Kong-Response-Latency", Token::ResponseLatency),
    ("X-Kong-Upstream-Latency", Token::UpstreamLatency),
    ("X-Kong-Upstream-Status", Token::UpstreamStatus),
    ("X-Kong-Request-Id", Token::RequestId),
    ("X-Kong-Admin-Latency", Token::AdminLatency),
];

const FORMATS: &[(&str, HeaderFormat)] =
    &[("kong", HeaderFormat::Kong), ("rfc9440", HeaderFormat::Rfc9440), ("xfcc", HeaderFormat::Xfcc)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn said(key: &str, value: &str) -> Said {
        Said::new(key, value, Origin::DEFAULT)
    }

    #[test]
    fn kongs_header_tokens() {
        let of = |value| response_headers(&tokens(&said("headers", value), TOKENS).unwrap());
        let all = of("server_tokens, latency_tokens, x-kong-request-id");
        assert!(all.server && all.via && all.proxy_latency && all.request_id && !all.upstream_status);
        let some = of("via, X-Kong-Upstream-Status");
        assert!(some.via && some.upstream_status && !some.server && !some.response_latency);
        assert!(!of("off").server);
        assert_eq!(
            tokens(&said("headers", "Via, X-Powered-By"), &TOKENS[2..4]).unwrap_err().to_string(),
            "headers=X-Powered-By (default): not a known word; write Server or Via"
        );
    }

    #[test]
    fn networks_and_addresses() {
        let mut problems = Problems::default();
        let found = networks(Some(&said("trusted_ips", "10.0.0.0/8, ::1,nowhere, unix:")), &mut problems);
        assert_eq!(found, ["10.0.0.0/8".parse::<IpNet>().unwrap(), "::1/128".parse().unwrap()]);
        assert_eq!(
            problems.to_string(),
            "trusted_ips=nowhere (default): `nowhere` is neither an address nor a network; \
             write for example 10.0.0.0/8 or ::1\n\
             trusted_ips=unix: (default): `unix:` is neither an address nor a network; \
             write for example 10.0.0.0/8 or ::1"
        );
    }

    #[test]
    fn the_header_with_the_clients_address() {
        assert_eq!(header_name(&said("real_ip_header", "X-Real-IP")).unwrap(), "x-real-ip");
        assert_eq!(
            header_name(&said("real_ip_header", "proxy_protocol")).unwrap_err().to_string(),
            "real_ip_header=proxy_protocol (default): the PROXY protocol is not supported by this version; \
             name a header such as X-Real-IP"
        );
        assert_eq!(
            header_name(&said("real_ip_header", "a b")).unwrap_err().to_string(),
            "real_ip_header=a b (default): not a header name; write for example X-Real-IP"
        );
    }
}
