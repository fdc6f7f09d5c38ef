//! Everything that is wrong is told at once: each setting, each file, and the kong.yml.

use crate::support::bridge::Setup;
use crate::support::pki::Pki;

/// Each setting that can be said wrongly beside a kong.yml, a wrong value, and the lines it costs.
const BROKEN: &[(&str, &str, usize)] = &[
    ("PROXY_LISTEN", "8443", 1),
    ("STATUS_LISTEN", "localhost:8007", 1),
    ("SSL_PROTOCOLS", "SSLv3", 1),
    ("SSL_CERT_KEY", "/no/such.key", 1),
    ("MTLS_AUTH_HANDSHAKE", "perhaps", 1),
    ("MTLS_AUTH_CA_CERTIFICATES", "system", 1),
    ("MTLS_AUTH_AUTHENTICATED_GROUP_BY", "shoe size", 2),
    ("MTLS_AUTH_ALLOW_PARTIAL_CHAIN", "maybe", 1),
    ("MTLS_AUTH_VERIFY_DEPTH", "deep", 1),
    ("MTLS_AUTH_SEND_CA_DN", "maybe", 2),
    ("MTLS_AUTH_SKIP_CONSUMER_LOOKUP", "maybe", 1),
    ("ACL_ALLOW", ",", 2),
    ("ACL_HIDE_GROUPS_HEADER", "maybe", 2),
    ("AUTHENTICATE_BEFORE_ROUTING", "maybe", 1),
    ("MTLS_AUTH_REVOCATION_CHECK_MODE", "LAX", 1),
    ("MTLS_AUTH_CRL_FILES", "/no/such.crl", 1),
    ("MTLS_AUTH_REVOCATION_HOSTS", "http://a/", 1),
    ("MTLS_AUTH_HTTP_TIMEOUT", "soon", 1),
    ("MTLS_AUTH_CERT_CACHE_TTL", "soon", 1),
    ("MTLS_AUTH_HTTP_PROXY_HOST", "proxy", 1),
    ("MTLS_AUTH_HTTPS_PROXY_PORT", "3128", 1),
    ("UPSTREAM_URL", "http://a", 1),
    ("UPSTREAM_HTTP", "http9", 1),
    ("CONNECT_TIMEOUT", "soon", 1),
    ("READ_TIMEOUT", "soon", 1),
    ("WRITE_TIMEOUT", "soon", 1),
    ("LINK_TIMEOUT", "soon", 1),
    ("RETRIES", "-1", 1),
    ("UPSTREAM_KEEPALIVE_POOL_SIZE", "-1", 1),
    ("UPSTREAM_KEEPALIVE_MAX_REQUESTS", "-1", 1),
    ("UPSTREAM_KEEPALIVE_IDLE_TIMEOUT", "soon", 1),
    ("READY_WITHOUT_UPSTREAM", "maybe", 2),
    ("CLIENT_SSL", "maybe", 1),
    ("CLIENT_SSL_CERT", "/no/such.crt", 1),
    ("UPSTREAM_TLS_VERIFY", "maybe", 1),
    ("UPSTREAM_CA_CERTIFICATES", ",", 1),
    ("UPSTREAM_TLS_VERIFY_DEPTH", "deep", 1),
    ("UPSTREAM_TLS_SERVER_NAME", "bad name", 2),
    ("IDENTITY_HEADERS", "all", 1),
    ("TRUSTED_IPS", "everybody", 1),
    ("REAL_IP_HEADER", "a b", 1),
    ("REAL_IP_RECURSIVE", "maybe", 1),
    ("PRESERVE_HOST", "maybe", 1),
    ("HEADERS", "all", 1),
    ("HEADERS_UPSTREAM", "all", 1),
    ("MAX_CONNECTIONS", "-1", 1),
    ("MAX_HEADER_BYTES", "1", 1),
    ("MAX_HEADER_COUNT", "-1", 1),
    ("CLIENT_MAX_BODY_SIZE", "big", 1),
    ("HTTP2_MAX_CONCURRENT_STREAMS", "-1", 1),
    ("HANDSHAKE_TIMEOUT", "soon", 1),
    ("CLIENT_HEADER_TIMEOUT", "soon", 1),
    ("CLIENT_BODY_TIMEOUT", "soon", 1),
    ("KEEPALIVE_TIMEOUT", "soon", 1),
    ("WORKERS", "-3", 1),
    ("DRAIN_TIMEOUT", "soon", 1),
    ("INSECURE", "maybe", 1),
    ("LOG_LEVEL", "loud", 1),
    ("LOG_FORMAT", "xml", 1),
    ("ACCESS_LOG", "maybe", 1),
    ("KONG_NGINX_PROXY_INCLUDE", "/rules", 1),
    ("ACL_ALLOWED", "app", 1),
];

/// Three problems of an otherwise good file.
const FILE: &str =
    "_format_version: \"3.0\"\nservices:\n- {name: a, host: b, port: high}\n- {name: c}\nservces: []\n";

#[test]
fn every_broken_setting_and_a_broken_kong_yml_are_told_at_once() {
    let pki = Pki::new();
    let file = pki.write("kong.yml", FILE);
    let setup = BROKEN.iter().fold(Setup::new("gateway"), |setup, (name, value, _)| setup.env(name, value));
    let setup = setup.env("SSL_CERT", pki.path("server.crt")).env("DECLARATIVE_CONFIG", &file);
    let refused = setup.refused();
    let lines = refused.lines();
    for (variable, _, count) in BROKEN {
        let told = lines.iter().filter(|line| line.contains(&format!("(environment {variable}): "))).count();
        assert_eq!(told, *count, "{variable} in\n{}", refused.text);
    }
    let of_file = lines.iter().filter(|line| line.starts_with("declarative_config=")).count();
    assert_eq!(of_file, 3, "{}", refused.text);
    let expected: usize = BROKEN.iter().map(|(.., count)| count).sum();
    assert_eq!(lines.len(), expected + of_file, "{}", refused.text);
}

#[test]
fn a_broken_kong_yml_hides_no_broken_file() {
    let pki = Pki::new();
    let refused = Setup::new("gateway")
        .env("PROXY_LISTEN", "127.0.0.1:0 ssl")
        .env("SSL_CERT", "/no/server.crt")
        .env("SSL_CERT_KEY", pki.path("server.key"))
        .env("UPSTREAM_CA_CERTIFICATES", "/no/ca.crt")
        .env("DECLARATIVE_CONFIG", pki.write("kong.yml", FILE))
        .refused();
    assert_eq!(refused.lines().len(), 5, "{}", refused.text);
}

#[test]
fn a_crl_that_is_none_is_told_beside_whatever_else_is_wrong() {
    let pki = Pki::new();
    let gateway = || {
        Setup::new("gateway")
            .env("PROXY_LISTEN", "127.0.0.1:0 ssl")
            .env("SSL_CERT", pki.path("server.crt"))
            .env("SSL_CERT_KEY", pki.path("server.key"))
            .env("MTLS_AUTH_CA_CERTIFICATES", pki.path("ca.crt"))
            .env("MTLS_AUTH_REVOCATION_CHECK_MODE", "STRICT")
            .env("MTLS_AUTH_CRL_FILES", pki.path("ca.crt"))
            .env("UPSTREAM_URL", "http://127.0.0.1:1")
    };
    for (variable, wrong) in [
        ("RETRIES", "-1"),
        ("MTLS_AUTH_CA_CERTIFICATES", "/no/ca.crt"),
        ("MTLS_AUTH_REVOCATION_CHECK_MODE", "LAX"),
        ("SSL_CERT", "/no/server.crt"),
        ("CONFIG", "/no/kong.conf"),
    ] {
        let refused = gateway().env(variable, wrong).refused();
        let told = |of: &str| refused.lines().iter().filter(|line| line.contains(of)).count();
        assert_eq!(told(&format!("(environment {variable}): ")), 1, "{}", refused.text);
        let of_list = "(environment MTLS_AUTH_CRL_FILES): it holds no revocation list; give";
        assert_eq!(told(of_list), 1, "{}", refused.text);
        assert_eq!(refused.lines().len(), 2, "{}", refused.text);
    }
}
