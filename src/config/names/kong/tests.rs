//! Every key of Kong 3.9's kong.conf is sorted.

use super::super::Name;
use super::*;

/// kong/templates/kong_defaults.lua at 3.9, and what the Enterprise edition adds; each with its default.
const DEFAULTS: &str = include_str!("../../../../tests/data/kong-defaults.conf");

#[test]
fn every_key_of_kongs_is_known_and_its_default_decides_nothing() {
    let mut keys = 0;
    for line in DEFAULTS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{line}"));
        let (key, value) = (key.trim(), value.trim());
        let name = Name::of(key).unwrap_or_else(|| panic!("{key} is not known"));
        if name == Name::Kong && key != "database" {
            let meaning = meaning(key, value);
            assert!(!matches!(meaning, Meaning::Deciding { .. }), "{key} = {value}: {meaning:?}");
        }
        keys += 1;
    }
    assert!(keys > 250, "{keys}");
}

#[test]
fn what_is_said_elsewhere_is_refused_unless_it_is_off() {
    for (key, value) in [
        ("database", "postgres"),
        ("role", "data_plane"),
        ("konnect_mode", "on"),
        ("stream_listen", "0.0.0.0:9000"),
        ("fips", "on"),
        ("tls_certificate_verify", "on"),
        ("ssl_cipher_suite", "fips"),
    ] {
        assert!(matches!(meaning(key, value), Meaning::Deciding { .. }), "{key}={value}");
        assert!(!matches!(meaning(key, "off"), Meaning::Deciding { .. }) || key == "role", "{key}=off");
        assert!(!matches!(meaning(key, ""), Meaning::Deciding { .. }), "{key} without a value");
    }
    assert_eq!(meaning("role", "traditional"), Meaning::Harmless);
}

#[test]
fn what_has_an_equal_here_counts() {
    let says = |key, value, expected: &[(&'static str, &str)]| {
        let expected = expected.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        assert_eq!(meaning(key, value), Meaning::Says(expected), "{key}={value}");
    };
    says("lua_ssl_trusted_certificate", "system,/ca.pem", &[("upstream_ca_certificates", "system,/ca.pem")]);
    says("lua_max_req_headers", "50", &[("max_header_count", "50")]);
    says("ssl_cipher_suite", "modern", &[("ssl_protocols", "TLSv1.3")]);
    says("proxy_access_log", "off", &[("access_log", "off")]);
    says("nginx_worker_processes", "2", &[("workers", "2")]);
    assert_eq!(meaning("ssl_cipher_suite", "intermediate"), Meaning::Harmless);
    assert_eq!(meaning("proxy_access_log", "/dev/stdout"), Meaning::Harmless);
}
