//! The rules across groups, through [`load`]: what is meant, what is refused, what is doubted.

use std::time::Duration;

use crate::config::{CaFiles, Handshake, Layers, Link, Loaded, Mode, Problems, load};

const GATEWAY: [(&str, &str); 5] = [
    ("UPSTREAM_URL", "http://service:8080"),
    ("SSL_CERT", "/tls/server.pem"),
    ("SSL_CERT_KEY", "/tls/server.key"),
    ("MTLS_AUTH_CA_CERTIFICATES", "/tls/ca.pem"),
    ("ACL_ALLOW", "app"),
];

const REVERSE_PROXY: [(&str, &str); 3] = [
    ("UPSTREAM_URL", "https://gateway.example:8443"),
    ("CLIENT_SSL_CERT", "/tls/client.pem"),
    ("CLIENT_SSL_CERT_KEY", "/tls/client.key"),
];

/// The later of two values for a name counts, as in a shell.
fn run(mode: Mode, base: &[(&str, &str)], more: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let mut environment = std::collections::BTreeMap::new();
    for (name, value) in base.iter().chain(more) {
        environment.insert((*name).to_owned(), value.into());
    }
    load(&Layers { mode: Some(mode), environment: environment.into_iter().collect(), flags: Vec::new() })
}

fn gateway(more: &[(&str, &str)]) -> Result<Loaded, Problems> {
    run(Mode::Gateway, &GATEWAY, more)
}

fn reverse_proxy(more: &[(&str, &str)]) -> Result<Loaded, Problems> {
    run(Mode::ReverseProxy, &REVERSE_PROXY, more)
}

fn refused(result: Result<Loaded, Problems>) -> String {
    result.expect_err("it should be refused").to_string()
}

fn cautions(result: Result<Loaded, Problems>) -> Vec<String> {
    let loaded = result.unwrap_or_else(|problems| panic!("{problems}"));
    loaded.config.cautions.iter().map(ToString::to_string).collect()
}

#[test]
fn a_gateway_asks_everybody_and_a_reverse_proxy_nobody() {
    let config = gateway(&[]).unwrap().config;
    let tls = config.server_tls.unwrap();
    assert_eq!((tls.handshake, tls.send_ca_dn, tls.credentials.len()), (Some(Handshake::Request), false, 1));
    assert!(config.listeners[0].tls && config.listeners[0].http2);
    assert!(matches!(config.access.mtls_auth.unwrap().ca_certificates, CaFiles::Pem(cas) if cas.len() == 1));
    assert!(
        config.upstream.unwrap().tls.is_none() && !config.calls.open_at_start && !config.ready_needs_upstream
    );

    let config = reverse_proxy(&[]).unwrap().config;
    assert!(config.server_tls.is_none() && config.access.mtls_auth.is_none() && config.access.acl.is_none());
    let tls = config.upstream.unwrap().tls.unwrap();
    assert_eq!((tls.server_name.as_str(), tls.verify), ("gateway.example", true));
    assert!(tls.credentials.is_some() && config.calls.open_at_start && config.ready_needs_upstream);
    assert!(!reverse_proxy(&[("READY_WITHOUT_UPSTREAM", "on")]).unwrap().config.ready_needs_upstream);
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let config = gateway(&[]).unwrap().config;
    let seconds = Duration::from_secs;
    assert_eq!(config.status.unwrap().address.to_string(), "127.0.0.1:8008");
    let beside = reverse_proxy(&[]).unwrap().config;
    assert_eq!(beside.status.unwrap().address.to_string(), "127.0.0.1:8007");
    let limits = config.limits;
    // `auto`: what this machine holds.
    assert!((1..=16_384).contains(&limits.max_connections), "{}", limits.max_connections);
    assert_eq!((limits.max_header_bytes, limits.max_header_count), (65536, 100));
    assert_eq!((limits.client_max_body_size, limits.http2_max_concurrent_streams), (None, 256));
    let upstream = config.upstream.unwrap();
    let terms = upstream.terms;
    assert_eq!((terms.connect_timeout, terms.read_timeout), (seconds(5), seconds(60)));
    assert_eq!((terms.link_timeout, upstream.retries), (seconds(5), 1));
    assert_eq!((terms.keepalive_pool_size, terms.keepalive_max_requests), (512, 10000));
    assert_eq!((config.deadlines.handshake, config.deadlines.client_write), (seconds(10), seconds(60)));
    assert_eq!((config.drain_timeout, config.access_log), (seconds(30), true));
}

#[test]
fn bare_numbers_have_kongs_units() {
    let config = gateway(&[("CONNECT_TIMEOUT", "250"), ("KEEPALIVE_TIMEOUT", "250")]).unwrap().config;
    assert_eq!(config.upstream.unwrap().terms.connect_timeout, Duration::from_millis(250));
    assert_eq!(config.deadlines.keepalive, Duration::from_secs(250));
}

#[test]
fn a_reverse_proxy_can_ask_for_certificates_too() {
    let more = [GATEWAY[1], GATEWAY[2], GATEWAY[3], ("PROXY_LISTEN", "0.0.0.0:8443 ssl")];
    let config = reverse_proxy(&more).unwrap().config;
    assert!(config.access.mtls_auth.is_some() && config.server_tls.unwrap().handshake.is_some());
}

#[test]
fn grpc_is_http2() {
    let link = |url, http| {
        gateway(&[("UPSTREAM_URL", url), ("UPSTREAM_HTTP", http)])
            .map(|loaded| loaded.config.upstream.unwrap().terms.link)
    };
    assert_eq!(link("grpc://service", "auto"), Ok(Link::Http2));
    assert_eq!(link("http://service", "auto"), Ok(Link::Auto));
    assert_eq!(
        link("grpcs://service", "http1").unwrap_err().to_string(),
        "upstream_http=http1 (environment UPSTREAM_HTTP): gRPC needs HTTP/2; \
         write http2 or auto, or an http or https URL"
    );
}

#[test]
fn all_problems_are_told_at_once() {
    let problems = refused(run(
        Mode::Gateway,
        &[],
        &[("CLIENT_SSL", "maybe"), ("RETRIES", "-1"), ("SSL_CERT", "/c.pem"), ("LOG_FORMAT", "xml")],
    ));
    let expected = "\
log_format=xml (environment LOG_FORMAT): not a known word; write text, json or auto
ssl_cert=/c.pem (environment SSL_CERT): ssl_cert_key is not set; set SSL_CERT_KEY to its key
mtls_auth_ca_certificates: not set, so nobody could come in; set MTLS_AUTH_CA_CERTIFICATES to the CA that signs your clients
upstream_url: not set, so there is nowhere to send requests; set UPSTREAM_URL, for example to https://gateway.example:8443
client_ssl=maybe (environment CLIENT_SSL): neither on nor off; write on, off, true, false, yes, no, 1 or 0
retries=-1 (environment RETRIES): not a number in range; write a whole number from 0 to 32767";
    assert_eq!(problems, expected);
}

#[test]
fn a_client_certificate_that_is_on_must_be_there() {
    let url = [("UPSTREAM_URL", "https://gateway.example")];
    assert_eq!(
        refused(run(Mode::ReverseProxy, &url, &[])),
        "client_ssl=on (profile reverse-proxy): there is no certificate to present; \
         set CLIENT_SSL_CERT and CLIENT_SSL_CERT_KEY, or CLIENT_SSL=off"
    );
}

#[test]
fn what_weakens_security_is_named_and_refused_on_demand() {
    let url = |url| ("UPSTREAM_URL", url);
    let off = ("CLIENT_SSL", "off");
    for (mode, more, line) in [
        (
            Mode::Gateway,
            vec![("PROXY_LISTEN", "0.0.0.0:8443 ssl, 0.0.0.0:8000")],
            "proxy_listen=0.0.0.0:8443 ssl, 0.0.0.0:8000 (environment PROXY_LISTEN): \
             0.0.0.0:8000 takes plain HTTP from other hosts; add `ssl`, or listen on 127.0.0.1",
        ),
        (
            Mode::Gateway,
            vec![("PROXY_LISTEN", "127.0.0.1:8000")],
            "mtls_auth_ca_certificates=/tls/ca.pem (environment MTLS_AUTH_CA_CERTIFICATES): \
             no listener has `ssl`, so every request is refused with 401; add `ssl` to PROXY_LISTEN",
        ),
        (
            Mode::ReverseProxy,
            vec![off, url("http://gateway:8000")],
            "upstream_url=http://gateway:8000 (environment UPSTREAM_URL): \
             requests leave this host without TLS; write https",
        ),
        (
            Mode::ReverseProxy,
            vec![url("http://localhost:8000")],
            "client_ssl=on (profile reverse-proxy): \
             the upstream is plain HTTP, so the client certificate is not presented; \
             write https in UPSTREAM_URL, or CLIENT_SSL=off",
        ),
        (
            Mode::ReverseProxy,
            vec![("UPSTREAM_TLS_VERIFY", "off")],
            "upstream_tls_verify=off (environment UPSTREAM_TLS_VERIFY): \
             anyone on the way can pose as the upstream; write on, and name its CA in UPSTREAM_CA_CERTIFICATES",
        ),
        (
            Mode::Gateway,
            vec![("TRUSTED_IPS", "10.0.0.0/8, ::/0")],
            "trusted_ips=10.0.0.0/8, ::/0 (environment TRUSTED_IPS): \
             every client's forwarding headers are believed; name the proxies in front, or use TRUSTED_PEERS",
        ),
    ] {
        let base: &[_] = if mode == Mode::Gateway { &GATEWAY } else { &REVERSE_PROXY };
        assert_eq!(cautions(run(mode, base, &more)), [line]);
        let refusal = refused(run(mode, base, &[more, vec![("PROFILE", "hardened")]].concat()));
        let (what, advice) = line.rsplit_once("; ").unwrap();
        assert_eq!(refusal, format!("{what} (refused by insecure=refuse, profile hardened); {advice}"));
    }
}

#[test]
fn what_was_probably_meant_otherwise_is_named_and_never_refused() {
    for (setting, what) in [
        (("ACL_ALLOW", "'app'"), "`'app'` has a quotation mark"),
        (("TRUSTED_PEERS", "CN=proxy"), "`CN=proxy` is no name but a part of a subject"),
        (("MAX_CONNECTIONS", "10000000"), "as far as it goes; write auto"),
    ] {
        let told = cautions(gateway(&[setting]));
        assert!(told[0].contains(what), "{told:?}");
        assert!(gateway(&[setting, ("PROFILE", "hardened")]).is_ok(), "{setting:?}");
    }
}

#[test]
fn what_stays_on_this_host_is_no_weakness() {
    assert_eq!(cautions(gateway(&[])), [""; 0]);
    assert_eq!(
        cautions(reverse_proxy(&[("CLIENT_SSL", "off"), ("UPSTREAM_URL", "http://[::1]:80")])),
        [""; 0]
    );
    assert!(gateway(&[("PROFILE", "hardened")]).is_ok() && reverse_proxy(&[("PROFILE", "hardened")]).is_ok());
}

#[test]
fn a_wrong_setting_hides_no_other() {
    let more = [("UPSTREAM_TLS_SERVER_NAME", "bad name"), ("WORKERS", "-3"), ("REAL_IP_HEADER", "a b")];
    let problems = refused(gateway(&[&more[..], &[("ACL_ALLOW", ","), ("PROFILE", "hardened")]].concat()));
    for key in ["upstream_tls_server_name", "workers", "real_ip_header", "acl_allow"] {
        assert_eq!(
            problems.lines().filter(|line| line.starts_with(&format!("{key}="))).count(),
            1,
            "{problems}"
        );
    }
    assert_eq!(problems.lines().count(), 4, "{problems}");
    // What hardened refuses is told with what is broken.
    let both = [("UPSTREAM_TLS_VERIFY", "off"), ("WORKERS", "-3"), ("PROFILE", "hardened")];
    let problems = refused(reverse_proxy(&both));
    assert!(problems.contains("anyone on the way") && problems.contains("workers=-3"), "{problems}");
}

#[test]
fn a_bare_number_that_was_hardly_meant_in_milliseconds_is_doubted() {
    for variable in [
        "CONNECT_TIMEOUT",
        "READ_TIMEOUT",
        "WRITE_TIMEOUT",
        "MTLS_AUTH_HTTP_TIMEOUT",
        "MTLS_AUTH_CERT_CACHE_TTL",
    ] {
        let key = variable.to_lowercase();
        let line = format!(
            "{key}=5 (environment {variable}): a bare number is milliseconds here, as in Kong, so this is 5 ms; \
             write 5s for seconds, or 5ms if that is meant"
        );
        // It is no weakness, so that hardened lets it pass.
        for profile in [("PROFILE", ""), ("PROFILE", "hardened")] {
            assert_eq!(cautions(gateway(&[(variable, "5"), profile])), [line.as_str()]);
        }
        for meant in ["100", "5s", "5ms", "99ms"] {
            assert_eq!(cautions(gateway(&[(variable, meant)])), [""; 0], "{variable}={meant}");
        }
    }
    // Seconds are seconds.
    assert_eq!(cautions(gateway(&[("KEEPALIVE_TIMEOUT", "5"), ("LINK_TIMEOUT", "5")])), [""; 0]);
}

#[test]
fn the_two_modes_never_listen_at_the_same_place() {
    let (one, other) = (gateway(&[]).unwrap().config, reverse_proxy(&[]).unwrap().config);
    let ports = |config: &crate::config::Config| {
        config
            .listeners
            .iter()
            .chain(&config.status)
            .map(|listener| listener.address.port())
            .collect::<Vec<_>>()
    };
    assert!(
        ports(&one).iter().all(|port| !ports(&other).contains(port)),
        "{:?} {:?}",
        ports(&one),
        ports(&other)
    );
}
