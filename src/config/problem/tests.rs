//! Lines that name what is wrong, and never a secret.

use super::*;

fn check(key: &str, value: &str, expected: &str) {
    let said = Said::new(key, value, Origin::environment(&key.to_uppercase()));
    assert_eq!(Problem::new(&said, "wrong", "mend it").to_string(), expected);
}

#[test]
fn a_problem_is_one_line() {
    check("client_ssl", "maybe", "client_ssl=maybe (environment CLIENT_SSL): wrong; mend it");
    check("acl_allow", "a\nb", "acl_allow=a b (environment ACL_ALLOW): wrong; mend it");
}

#[test]
fn secrets_are_not_shown() {
    let key = "MC4CAQAwBQYDK2VwBCIEIL/WwNJpSbZUGN4bl/nPDd/q2IPuhN9kHO1BxfHrv3Fd";
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----");
    for secret in [key, &format!("{key}\n{key}"), &pem, "hidden"] {
        check("ssl_cert_key", secret, "ssl_cert_key=*** (environment SSL_CERT_KEY): wrong; mend it");
    }
    check("ssl_cert", key, "ssl_cert=PEM text (environment SSL_CERT): wrong; mend it");
    check("ssl_cert", &key[1..], "ssl_cert=*** (environment SSL_CERT): wrong; mend it");
    check("upstream_url", "http://u:pw@h", "upstream_url=*** (environment UPSTREAM_URL): wrong; mend it");
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
    check("ssl_cert", pem, "ssl_cert=PEM text (environment SSL_CERT): wrong; mend it");
    let said = Said::new("client_ssl_cert_key", "hidden", Origin::DEFAULT);
    assert_eq!(format!("{said:?}"), "client_ssl_cert_key=*** (default)");
}

#[test]
fn where_a_key_lies_is_no_secret() {
    check("ssl_cert_key", "/run/key", "ssl_cert_key=/run/key (environment SSL_CERT_KEY): wrong; mend it");
    check("ssl_cert_key", "tls.key", "ssl_cert_key=tls.key (environment SSL_CERT_KEY): wrong; mend it");
}

#[test]
fn time_heals_nothing_while_there_is_anything_it_cannot_heal() {
    let problem = |what: &str| Problem::missing("ssl_cert", what, "mend it");
    let mut problems = Problems::default();
    assert!(!problems.may_heal());
    problems.push(problem("expired").that_may_heal());
    assert!(problems.may_heal());
    problems.push(problem("garbage"));
    assert!(!problems.may_heal());
}

#[test]
fn warnings_follow_the_problems() {
    let problems = Problems::from(Problem::missing("upstream_url", "not set", "set it"))
        .with_warnings(vec!["UPSTREAM_URI is not a setting".to_owned()]);
    let expected = "upstream_url: not set; set it\nwarning: UPSTREAM_URI is not a setting";
    assert_eq!(problems.to_string(), expected);
}
