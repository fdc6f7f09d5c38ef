//! One address of a service, with everything a connection to it needs.
//!
//! Made by `service` and `balance`. `proxy` gives each target of each service a pool of its own, so a
//! connection is never shared between two TLS identities: certificate, trust and name are the target's.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::HeaderValue;
use http::uri::Authority;
use rustls::pki_types::ServerName;

use crate::config::{self, Terms};
use crate::routing::is_host;
use crate::tls::client::Dialer;

/// Where connections go.
#[derive(Debug)]
pub struct Target {
    /// A name or an IP address; IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// For logs: `https://gateway:8443`.
    pub label: Arc<str>,
    /// What is sent as `Host`, unless the client's own is kept.
    pub host_header: HeaderValue,
    /// The same for HTTP/2, read once.
    pub authority: Authority,
    /// `None` where there is no TLS.
    pub dialer: Option<Dialer>,
    /// How it is spoken to.
    pub terms: Arc<Terms>,
}

impl Target {
    /// At the host and port of `address`. `host_header` stands in for the host in `Host`.
    ///
    /// # Errors
    /// When the host cannot be sent in a header.
    pub fn new(
        address: &config::Target,
        host_header: Option<&str>,
        dialer: Option<Dialer>,
        terms: &Arc<Terms>,
    ) -> Result<Self, String> {
        let (host_header, authority) = sent_host(address, host_header)?;
        Ok(Self {
            host: address.host.clone(),
            port: address.port,
            label: address.to_string().into(),
            host_header,
            authority,
            dialer,
            terms: Arc::clone(terms),
        })
    }
}

/// The port is added unless it is the scheme's own, to a `host_header` without one too
/// (kong/runloop/balancer/init.lua, `set_host_header`).
fn sent_host(address: &config::Target, said: Option<&str>) -> Result<(HeaderValue, Authority), String> {
    let text = match said {
        None => address.authority(),
        Some(said) if has_port(said) => said.to_owned(),
        Some(said) if address.port == address.scheme.default_port() => said.to_owned(),
        Some(said) => format!("{said}:{}", address.port),
    };
    let (header, authority) = (HeaderValue::try_from(&text).ok(), text.parse().ok());
    header.zip(authority).ok_or_else(|| format!("`{text}` cannot be sent as Host"))
}

fn has_port(host: &str) -> bool {
    host.parse::<Authority>().is_ok_and(|authority| authority.port().is_some())
}

/// The name that is asked for (SNI) and that the target's certificate must hold: the upstream's
/// `host_header`, else the target's own name; of a target that is an IP address, the service's host.
/// It never depends on a request: Kong lets `preserve_host` change it (kong/templates/nginx_kong.lua,
/// `proxy_ssl_name`), so that a client's `Host` decides whom it trusts.
///
/// # Errors
/// When it is neither a DNS name nor an IP address, and `verify` says that the certificate must hold it.
pub(super) fn verified_name(
    service: &str,
    host_header: Option<&str>,
    target: &str,
    verify: bool,
) -> Result<ServerName<'static>, String> {
    let header = host_header.map(|said| match said.parse::<Authority>() {
        Ok(authority) => authority.host().trim_matches(['[', ']']).to_owned(),
        Err(_) => said.to_owned(),
    });
    let is_name = target.parse::<IpAddr>().is_err();
    let name = header.unwrap_or_else(|| if is_name { target } else { service }.to_owned());
    tls_name(&name, verify)
}

/// A name as TLS wants it.
///
/// # Errors
/// When it is none, and `verify` says that the certificate must hold it.
pub(super) fn tls_name(name: &str, verify: bool) -> Result<ServerName<'static>, String> {
    match ServerName::try_from(name.to_owned()) {
        Ok(name) => Ok(name),
        // Nobody compares it, and an address is not sent as SNI.
        Err(_) if !verify && is_host(name) => Ok(IpAddr::from(Ipv4Addr::UNSPECIFIED).into()),
        Err(_) if is_host(name) => {
            Err(format!("`{name}` can be in no certificate: the last label of a DNS name is not a number"))
        }
        Err(_) => Err(format!("`{name}` is neither a DNS name nor an IP address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Scheme;

    fn address(scheme: Scheme, host: &str, port: u16) -> config::Target {
        config::Target { scheme, host: host.into(), port, path: String::new() }
    }

    #[test]
    fn the_host_sent_is_the_targets_or_the_upstreams_with_the_port() {
        let check = |port, said: Option<&str>, expected: &str| {
            let sent = sent_host(&address(Scheme::Https, "one.example", port), said).unwrap();
            assert_eq!((sent.0.as_bytes(), sent.1.as_str()), (expected.as_bytes(), expected));
        };
        check(443, None, "one.example");
        check(8443, None, "one.example:8443");
        check(80, None, "one.example:80");
        check(443, Some("api.example"), "api.example");
        check(8443, Some("api.example"), "api.example:8443");
        check(8443, Some("api.example:7"), "api.example:7");
        assert!(sent_host(&address(Scheme::Https, "x", 443), Some("a\nb")).is_err());
    }

    #[test]
    fn the_name_that_is_verified_comes_from_the_configuration_alone() {
        let check = |header: Option<&str>, target: &str, expected: &str| {
            let name = verified_name("orders.internal", header, target, true).unwrap();
            assert_eq!(name, ServerName::try_from(expected).unwrap(), "{header:?} {target}");
        };
        check(None, "one.example", "one.example");
        check(None, "10.0.0.1", "orders.internal");
        check(None, "::1", "orders.internal");
        check(Some("api.example"), "one.example", "api.example");
        check(Some("api.example:8443"), "10.0.0.1", "api.example");
        check(Some("[::1]:8443"), "10.0.0.1", "::1");
        let alone = verified_name("10.0.0.1", None, "10.0.0.1", true).unwrap();
        assert_eq!(alone, ServerName::try_from("10.0.0.1").unwrap());
        assert!(verified_name("a b", None, "10.0.0.1", false).is_err());
    }

    #[test]
    fn a_name_that_no_certificate_has_is_good_where_nobody_verifies() {
        let verified = verified_name("backend.1", None, "10.0.0.1", true);
        let expected = "`backend.1` can be in no certificate: the last label of a DNS name is not a number";
        assert_eq!(verified, Err(expected.to_owned()));
        let unverified = verified_name("backend.1", None, "10.0.0.1", false).unwrap();
        assert_eq!(unverified, ServerName::try_from("0.0.0.0").unwrap());
    }
}
