//! Beside a declarative file each setting is in force, or it is refused: none is listed and says nothing.

use crate::config::settings::known;
use crate::config::{Layers, Mode, Problems, load};

/// What the file says itself, or what is about `upstream_url` alone.
const VOID: &[(&str, &str)] = &[
    ("upstream_url", "http://service"),
    ("upstream_tls_server_name", "service.example"),
    ("ready_without_upstream", "on"),
    ("mtls_auth_authenticated_group_by", "DN"),
    ("mtls_auth_allow_partial_chain", "on"),
    ("mtls_auth_verify_depth", "2"),
    ("mtls_auth_send_ca_dn", "on"),
    ("mtls_auth_skip_consumer_lookup", "on"),
    ("acl_allow", "app"),
    ("acl_deny", "app"),
    ("acl_hide_groups_header", "on"),
    ("mtls_auth_revocation_check_mode", "STRICT"),
    ("mtls_auth_http_timeout", "3s"),
    ("mtls_auth_cert_cache_ttl", "3s"),
    ("mtls_auth_http_proxy_host", "proxy"),
    ("mtls_auth_http_proxy_port", "3128"),
    ("mtls_auth_https_proxy_host", "proxy"),
    ("mtls_auth_https_proxy_port", "3128"),
];

/// What counts for a file too: of this node, or of services and plugins that say nothing else.
const IN_FORCE: &[(&str, &str)] = &[
    ("proxy_listen", "127.0.0.1:8443 ssl"),
    ("status_listen", "off"),
    ("ssl_cert", "/other.pem"),
    ("ssl_cert_key", "/other.key"),
    ("ssl_protocols", "TLSv1.3"),
    ("authenticate_before_routing", "on"),
    // The CAs of Callista's plugin: `snapshot` refuses them where no plugin uses them.
    ("mtls_auth_ca_certificates", "/ca.pem"),
    ("mtls_auth_handshake", "require"),
    ("mtls_auth_crl_files", "/ca.crl"),
    ("mtls_auth_revocation_hosts", "ocsp.internal"),
    ("upstream_http", "http1"),
    ("connect_timeout", "3s"),
    ("read_timeout", "3s"),
    ("write_timeout", "3s"),
    ("link_timeout", "3s"),
    ("retries", "3"),
    ("upstream_keepalive_pool_size", "3"),
    ("upstream_keepalive_max_requests", "3"),
    ("upstream_keepalive_idle_timeout", "3s"),
    ("client_ssl", "on"),
    ("client_ssl_cert", "/client.pem"),
    ("client_ssl_cert_key", "/client.key"),
    ("upstream_tls_verify", "off"),
    ("upstream_ca_certificates", "/ca.pem"),
    ("upstream_tls_verify_depth", "2"),
    ("identity_headers", "xfcc"),
    ("trusted_ips", "10.0.0.0/8"),
    ("real_ip_header", "X-Forwarded-For"),
    ("real_ip_recursive", "on"),
    ("trusted_peers", "proxy"),
    ("preserve_host", "on"),
    ("headers", "off"),
    ("headers_upstream", "off"),
    ("max_connections", "100"),
    ("max_header_bytes", "16k"),
    ("max_header_count", "50"),
    ("client_max_body_size", "1m"),
    ("http2_max_concurrent_streams", "10"),
    ("handshake_timeout", "3s"),
    ("client_header_timeout", "3s"),
    ("client_body_timeout", "3s"),
    ("keepalive_timeout", "3s"),
    ("workers", "1"),
    ("drain_timeout", "3s"),
    ("insecure", "warn"),
    ("log_level", "debug"),
    ("log_format", "json"),
    ("access_log", "off"),
];

/// What names the mode and the file.
const APART: &[&str] = &["mode", "declarative_config", "declarative_config_string"];

const BASE: [(&str, &str); 3] =
    [("DECLARATIVE_CONFIG", "/etc/kong.yml"), ("SSL_CERT", "/s.pem"), ("SSL_CERT_KEY", "/s.key")];

/// Settings that need another one.
const PARTNERS: &[(&str, (&str, &str))] = &[
    ("mtls_auth_http_proxy_host", ("MTLS_AUTH_HTTP_PROXY_PORT", "3128")),
    ("mtls_auth_https_proxy_host", ("MTLS_AUTH_HTTPS_PROXY_PORT", "3128")),
    ("client_ssl_cert", ("CLIENT_SSL_CERT_KEY", "/client.key")),
    ("client_ssl_cert_key", ("CLIENT_SSL_CERT", "/client.pem")),
];

fn beside(mode: Mode, more: &[(&str, &str)]) -> Result<(), Problems> {
    let mut environment = std::collections::BTreeMap::new();
    for (name, value) in BASE.iter().chain(more) {
        environment.insert((*name).to_owned(), value.into());
    }
    let environment = environment.into_iter().collect();
    load(&Layers { mode: Some(mode), environment, flags: Vec::new() }).map(drop)
}

fn said(mode: Mode, key: &str, value: &str) -> Result<(), Problems> {
    let variable = key.to_uppercase();
    let partner = PARTNERS.iter().find(|(whose, _)| *whose == key).map(|(_, partner)| *partner);
    let pairs: Vec<_> = [(variable.as_str(), value)].into_iter().chain(partner).collect();
    beside(mode, &pairs)
}

#[test]
fn what_a_file_makes_void_is_refused_beside_it() {
    for mode in Mode::ALL {
        for (key, value) in VOID {
            let problems = said(mode, key, value).expect_err(key).to_string();
            let of_key = |line: &str| line.starts_with(&format!("{key}={value} (environment "));
            assert!(problems.lines().any(of_key), "{key}: {problems}");
        }
    }
}

#[test]
fn what_counts_beside_a_file_is_taken() {
    for mode in Mode::ALL {
        for (key, value) in IN_FORCE {
            said(mode, key, value).unwrap_or_else(|problems| panic!("{key}: {problems}"));
        }
    }
}

#[test]
fn every_setting_is_one_or_the_other() {
    let listed: Vec<_> =
        VOID.iter().chain(IN_FORCE).map(|(key, _)| *key).chain(APART.iter().copied()).collect();
    for setting in known() {
        let times = listed.iter().filter(|key| **key == setting.key).count();
        assert_eq!(times, 1, "say above, once, whether {} counts beside a declarative file", setting.key);
    }
}

#[test]
fn what_a_profile_says_for_everybody_is_no_contradiction() {
    for profile in ["development", "hardened", "gateway", "reverse-proxy"] {
        for mode in Mode::ALL {
            beside(mode, &[("PROFILE", profile)]).unwrap_or_else(|problems| panic!("{profile}: {problems}"));
        }
    }
}

#[test]
fn what_is_about_the_cas_of_the_settings_counts_with_them() {
    for (key, value) in [("MTLS_AUTH_ALLOW_PARTIAL_CHAIN", "on"), ("MTLS_AUTH_VERIFY_DEPTH", "2")] {
        beside(Mode::Gateway, &[("MTLS_AUTH_CA_CERTIFICATES", "/ca.pem"), (key, value)])
            .unwrap_or_else(|problems| panic!("{key}: {problems}"));
    }
}
