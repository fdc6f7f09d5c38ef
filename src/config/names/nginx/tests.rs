//! Directives: understood, harmless, deciding.

use proptest::prelude::*;

use super::directives::{DECIDING, EVENTS, HARMLESS, MAIN, UPSTREAM};
use super::*;
use crate::config::settings::known;

fn says(key: &str, value: &str, expected: &[(&'static str, &str)]) {
    let expected = expected.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    assert_eq!(meaning(key, value), Meaning::Says(expected), "{key}={value}");
}

fn is_refused(key: &str, value: &str) -> bool {
    matches!(meaning(key, value), Meaning::Deciding { .. })
}

#[test]
fn what_has_an_equal_here_is_that() {
    let ca = [("upstream_ca_certificates", "/ca.pem")];
    for block in ["http", "proxy", "location", "stream", "sproxy"] {
        says(&format!("nginx_{block}_proxy_ssl_trusted_certificate"), "/ca.pem", &ca);
        says(&format!("nginx_{block}_proxy_ssl_verify"), "on", &[("upstream_tls_verify", "on")]);
        says(&format!("nginx_{block}_proxy_ssl_verify_depth"), "2", &[("upstream_tls_verify_depth", "2")]);
    }
    says("nginx_http_grpc_ssl_trusted_certificate", "/ca.pem", &ca);
    says("nginx_proxy_proxy_ssl_verify", "off", &[("upstream_tls_verify", "off")]);
    says("nginx_proxy_ssl_verify_client", "on", &[("mtls_auth_handshake", "on")]);
    says("nginx_proxy_ssl_client_certificate", "'/ca.pem';", &[("mtls_auth_ca_certificates", "/ca.pem")]);
    says("nginx_proxy_ssl_verify_depth", "3", &[("mtls_auth_verify_depth", "3")]);
    let crl = [("mtls_auth_crl_files", "/ca.crl"), ("mtls_auth_revocation_check_mode", "STRICT")];
    says("nginx_http_ssl_crl", "/ca.crl", &crl);
    says("nginx_http_client_max_body_size", "10m", &[("client_max_body_size", "10m")]);
    says("nginx_http_large_client_header_buffers", "4 16k", &[("max_header_bytes", "64k")]);
    says(
        "nginx_location_proxy_ssl_certificate",
        "/c.pem",
        &[("client_ssl_cert", "/c.pem"), ("client_ssl", "on")],
    );
    says("nginx_upstream_keepalive", "60", &[("upstream_keepalive_pool_size", "60")]);
    says("nginx_http_upstream_keepalive_timeout", "60s", &[("upstream_keepalive_idle_timeout", "60000ms")]);
    says("nginx_main_worker_processes", "auto", &[("workers", "auto")]);
}

#[test]
fn times_are_nginxs() {
    let time = |value, expected| says("nginx_proxy_proxy_read_timeout", value, &[("read_timeout", expected)]);
    time("60", "60s");
    time("5s", "5000ms");
    time("500ms", "500ms");
    time("1h30m", "5400000ms");
    time("'1h 30m'", "5400000ms");
    time("1d", "86400000ms");
    time("soon", "soon");
    says("nginx_http_keepalive_timeout", "75 60", &[("keepalive_timeout", "75s")]);
    says("nginx_http_keepalive_timeout", "75s 60s", &[("keepalive_timeout", "75000ms")]);
}

#[test]
fn what_may_decide_is_refused_in_every_block() {
    for block in
        ["http", "proxy", "location", "upstream", "admin", "status", "stream", "sproxy", "main", "events"]
    {
        for (directive, value) in [
            ("include", "/etc/nginx/rules.conf"),
            ("deny", "all"),
            ("allow", "10.0.0.0/8"),
            ("auth_request", "/auth"),
            ("auth_basic", "\"closed\""),
            ("satisfy", "any"),
            ("limit_req", "zone=one"),
            ("if", "($ssl_client_s_dn != CN=app) { return 403; }"),
            ("return", "403"),
            ("proxy_ssl_crl", "/ca.crl"),
            ("ssl_trusted_certificate", "/ca.pem"),
            ("ssl_ocsp", "on"),
            ("access_by_lua_block", "{ deny() }"),
            ("load_module", "modules/waf.so"),
            ("nobody_knows_this", "1"),
            ("nobody_knows_this", "off"),
        ] {
            assert!(is_refused(&format!("nginx_{block}_{directive}"), value), "{block} {directive} {value}");
        }
    }
    assert!(is_refused("nginx_no_such_block", "1"));
    // What guards the Admin API guards nothing here, and is not to be forgotten on the day there is one.
    assert!(is_refused("nginx_admin_ssl_client_certificate", "/ca.pem"));
    assert!(is_refused("nginx_status_ssl_verify_client", "on"));
}

#[test]
fn what_asks_for_nothing_is_harmless() {
    for (key, value) in [
        ("nginx_proxy_ssl_verify_client", "off"),
        ("nginx_admin_ssl_verify_client", "off"),
        ("nginx_sproxy_proxy_ssl_verify", "off"),
        ("nginx_proxy_auth_basic", "off"),
        ("nginx_proxy_auth_request", "OFF"),
        ("nginx_proxy_allow", "all"),
        ("nginx_proxy_satisfy", "all"),
        ("nginx_http_limit_rate", "0"),
        ("nginx_http_proxy_ssl_protocols", "TLSv1.2 TLSv1.3"),
        ("nginx_http_ssl_crl", "NONE"),
        ("nginx_admin_client_max_body_size", "10m"),
        ("nginx_stream_ssl_protocols", "TLSv1.3"),
        ("nginx_http_log_format", "'{\"a;b\": \"$status\"}'"),
        ("nginx_wasm_shm_kv", "10m"),
        ("nginx_daemon", "off"),
    ] {
        assert_eq!(meaning(key, value), Meaning::Harmless, "{key}={value}");
    }
    for (block, directives) in
        [("http", HARMLESS), ("main", MAIN), ("events", EVENTS), ("upstream", UPSTREAM)]
    {
        for directive in directives {
            assert_eq!(meaning(&format!("nginx_{block}_{directive}"), "x"), Meaning::Harmless, "{directive}");
        }
    }
}

#[test]
fn a_directive_is_in_one_list_and_leads_to_settings() {
    for understood in UNDERSTOOD {
        let directive = understood.directive;
        for target in understood.targets {
            assert!(known().iter().any(|setting| setting.key == *target), "{directive}: {target}");
        }
        let deciding = DECIDING.iter().find(|deciding| deciding.matches(directive));
        assert!(deciding.is_none(), "{directive} is understood and deciding");
    }
    for directive in HARMLESS {
        let deciding = DECIDING.iter().find(|deciding| deciding.matches(directive));
        assert!(deciding.is_none(), "{directive} is harmless and deciding");
    }
}

#[test]
fn the_inner_block_wins() {
    let rank = |key| super::super::kong::rank(key);
    let ranks = [
        "lua_ssl_trusted_certificate",
        "nginx_sproxy_x",
        "nginx_http_x",
        "nginx_proxy_x",
        "nginx_location_x",
    ];
    assert!(ranks.map(rank).is_sorted() && rank(ranks[0]) < rank(ranks[1]), "{:?}", ranks.map(rank));
}

proptest! {
    /// Whatever comes before and after it, in whatever directive.
    #[test]
    fn a_second_directive_is_never_carried_along(
        index in 0..UNDERSTOOD.len() + HARMLESS.len(),
        first in "[a-z0-9/ .]{0,12}",
        second in "(deny all|include x|return 403)",
        gap in "(;|; |;\\n|;\\t)",
    ) {
        let directive = UNDERSTOOD.get(index).map_or_else(|| HARMLESS[index - UNDERSTOOD.len()], |it| it.directive);
        let key = format!("nginx_proxy_{directive}");
        prop_assert!(is_refused(&key, &format!("{first}{gap}{second}")), "{}", key);
        prop_assert!(is_refused(&key, &format!("{first}{gap}{second};")), "{}", key);
    }

    #[test]
    fn what_is_in_no_list_is_refused(
        block in "(http|proxy|location|upstream|status|admin|stream|main|events)",
        directive in "x[a-z_]{3,20}",
    ) {
        let key = format!("nginx_{block}_{directive}");
        prop_assert!(is_refused(&key, "on"), "{}", key);
    }
}
