//! The format, by what Kong reads of it.

use super::*;

fn read(text: &str) -> Gathered {
    let mut gathered = Gathered::default();
    settings(text, &Origin::file(Path::new("/etc/kong/kong.conf")), &mut gathered);
    gathered
}

fn said(text: &str) -> Vec<(String, String)> {
    let gathered = read(text);
    assert_eq!(gathered.problems.to_string(), "", "{text}");
    gathered.said.iter().map(|said| (said.key().to_owned(), said.value().to_owned())).collect()
}

#[test]
fn a_line_is_a_key_and_a_value() {
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let text = "\u{feff}# a comment\r\n\r\n  client_ssl = on   # inline\r\nretries=2\r\n; also one\r\n";
    assert_eq!(said(text), pairs(&[("client_ssl", "on"), ("retries", "2")]));
    assert_eq!(said("upstream_url = https://g/a\\#b"), pairs(&[("upstream_url", "https://g/a#b")]));
    assert_eq!(said("trusted_ips = 10.0.0.0/8, \\\n  ::1"), pairs(&[("trusted_ips", "10.0.0.0/8, ::1")]));
    assert_eq!(said("retries = 1\nretries = 2"), pairs(&[("retries", "2")]));
    assert_eq!(said("ssl_cert = \"/a b.pem\""), pairs(&[("ssl_cert", "/a b.pem")]));
    let own_wins = "upstream_ca_certificates = /own.pem\nlua_ssl_trusted_certificate = /lua.pem";
    assert_eq!(said(own_wins).last().unwrap().1, "/own.pem");
    let suite_wins = "ssl_cipher_suite = modern\nssl_protocols = TLSv1.2 TLSv1.3";
    assert_eq!(said(suite_wins).last().unwrap().1, "TLSv1.3");
}

#[test]
fn what_is_kongs_own_is_named_in_one_line() {
    let mut gathered =
        read("admin_listen = 0.0.0.0:8001\nplugins = bundled, oidc\nprefix = /kong\ndatabase = off");
    gathered.name_what_was_passed_over();
    assert_eq!(gathered.problems.to_string(), "");
    assert_eq!(
        gathered.warnings,
        [
            "admin_listen, database, plugins and prefix (file /etc/kong/kong.conf) are not settings of mtls-bridge \
          and were ignored"
        ]
    );
}

#[test]
fn what_cannot_be_kept_is_refused_with_its_line_or_its_key() {
    let problems =
        read("nginx_proxy_include = /rules\n[section]\nclient_ssl_crt = /c\nnginx_proxy_x = 1").problems;
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let at = "(file /etc/kong/kong.conf)";
    assert_eq!(lines[0], format!("line 2 {at}: not a setting; write `key = value`, or `#` before a comment"));
    assert_eq!(lines[1], format!("client_ssl_crt {at}: no such setting; did you mean client_ssl_cert?"));
    assert!(lines[2].starts_with(&format!("nginx_proxy_include {at}: nginx's `include` ")), "{}", lines[2]);
    assert!(lines[3].starts_with(&format!("nginx_proxy_x {at}: nginx's `x` ")), "{}", lines[3]);
    assert_eq!(lines.len(), 4);
}

#[test]
fn a_key_that_lost_its_setting_is_not_shown() {
    let text = "ssl_cert_key = -----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEILxWwNJpSbZUGN4b==\n";
    let problems = read(text).problems.to_string();
    assert!(problems.starts_with("line 2 (file") && !problems.contains("MC4CAQAwBQYD"), "{problems}");
}

#[test]
fn a_rule_that_is_said_twice_is_not_half_lost() {
    let text = "acl_deny = a\nretries = 1\nretries = 2\nacl_deny = b\nacl_allow = c\nacl_allow = c\n";
    assert_eq!(
        read(text).problems.to_string(),
        "acl_deny (file /etc/kong/kong.conf): line 4 says it again, and only one of the two would count; \
         keep one line"
    );
}

#[test]
fn it_is_told_by_its_ending_or_its_lines() {
    let check = |path: &str, text: &str, expected| {
        assert_eq!(is_kong_conf(Path::new(path), text), expected, "{text}")
    };
    check("/etc/kong.conf", "anything", true);
    check("/etc/bridge.toml", "client_ssl = on", false);
    check("/run/secrets/config", "# a\nclient_ssl = on\nplugins = bundled, x", true);
    check("/run/secrets/config", "client_ssl = 'on'\nretries = = 2", false);
    check("/run/secrets/config", "", false);
}
