//! What is near, and what is left alone.

use super::*;

fn refused(variable: &str) -> String {
    match suspicion(variable, "x") {
        Suspicion::Refused(problem) => problem.to_string(),
        other => panic!("{variable}: {other:?}"),
    }
}

fn doubted(variable: &str, meant: &str) {
    let expected = format!("{variable} is not a setting and was ignored; did you mean {meant}?");
    assert_eq!(suspicion(variable, "x"), Suspicion::Doubt(expected), "{variable}");
}

#[test]
fn a_rule_about_who_may_pass_is_not_lost_to_a_slip() {
    for (variable, meant) in [
        ("ACL_ALLOWED", "ACL_ALLOW"),
        ("ACL_WHITELIST", "ACL_ALLOW"),
        ("ACL_ALLOWLIST", "ACL_ALLOW"),
        ("ACL_BLACKLIST", "ACL_DENY"),
        ("ACL_DENIED", "ACL_DENY"),
        ("ALLOW_ACL", "ACL_ALLOW"),
        ("ALC_ALLOW", "ACL_ALLOW"),
        ("ACL_ALOW_FILE", "ACL_ALLOW"),
        ("MTLS_AUTH_CRL", "MTLS_AUTH_CRL_FILES"),
        ("MTLS_AUTH_CRL_FILE", "MTLS_AUTH_CRL_FILES"),
        ("MTLS_AUTH_CA_CERTIFICATE", "MTLS_AUTH_CA_CERTIFICATES"),
        ("MTLS_AUTH_CA_CERTS", "MTLS_AUTH_CA_CERTIFICATES"),
        ("MTLS_AUTH_CA", "MTLS_AUTH_CA_CERTIFICATES"),
        ("MTLS_AUTH", "MTLS_AUTH_CA_CERTIFICATES"),
        ("MTLS_CA_CERTIFICATES", "MTLS_AUTH_CA_CERTIFICATES"),
        ("MTLSAUTH_CA_CERTIFICATES", "MTLS_AUTH_CA_CERTIFICATES"),
        ("MTLS_AUTH_HTTP_PROXI_PORT", "MTLS_AUTH_HTTP_PROXY_PORT"),
        ("KONG_ACL_ALLOWED", "ACL_ALLOW"),
        ("KONG_MTLS_AUTH_CA_CERTIFICATE_FILE", "MTLS_AUTH_CA_CERTIFICATES"),
        ("acl_allow", "ACL_ALLOW"),
        ("kong_acl_allow", "KONG_ACL_ALLOW"),
        ("ACL-ALLOW", "ACL_ALLOW"),
        ("Acl_Allow", "ACL_ALLOW"),
        ("MTLS_BRIDGE_ACL_ALLOW", "ACL_ALLOW"),
        ("AUTHENTICATE_BEFORE_ROUTE", "AUTHENTICATE_BEFORE_ROUTING"),
        ("SSL_VERIFY_CLIENT", "MTLS_AUTH_HANDSHAKE"),
        ("SSL_CLIENT_CERTIFICATE", "MTLS_AUTH_CA_CERTIFICATES"),
        ("SSL_CRL", "MTLS_AUTH_CRL_FILES"),
        ("nginx_proxy_deny", "NGINX_PROXY_DENY"),
        ("KONG_nginx_http_include", "KONG_NGINX_HTTP_INCLUDE"),
        ("Kong_Nginx_Proxy_Unheard_Of", "KONG_NGINX_PROXY_UNHEARD_OF"),
        ("kong_role", "KONG_ROLE"),
        ("KONG_NGINX-PROXY-ALLOW", "KONG_NGINX_PROXY_ALLOW"),
        ("AUTHENTICATED_GROUP_BY", "MTLS_AUTH_AUTHENTICATED_GROUP_BY"),
        ("REVOCATION_CHECK_MODE", "MTLS_AUTH_REVOCATION_CHECK_MODE"),
        ("KONG_SKIP_CONSUMER_LOOKUP", "MTLS_AUTH_SKIP_CONSUMER_LOOKUP"),
        ("CRL_FILES", "MTLS_AUTH_CRL_FILES"),
        ("HIDE_GROUPS_HEADER", "ACL_HIDE_GROUPS_HEADER"),
    ] {
        let line = refused(variable);
        let expected = format!(
            "(environment {variable}): no such setting, and a rule about who may pass is not ignored; \
             did you mean {meant}?"
        );
        assert!(line.ends_with(&expected), "{line}");
    }
    for variable in ["ACL_GROUPS", "MTLS_AUTH_ISSUERS", "MTLS_AUTH_NAME", "KONG_ACL_SOMETHING"] {
        assert!(refused(variable).contains("a rule about who may pass is not ignored"), "{variable}");
    }
}

#[test]
fn a_rule_of_a_later_kong_is_not_dropped() {
    for variable in ["KONG_IP_WHITELIST", "KONG_TLS_VERIFY_CLIENTS", "KONG_TRUST_STORE", "KONG_UPSTREAM_OCSP"]
    {
        let line = refused(variable);
        assert!(line.contains("its name speaks of access or trust; remove it"), "{line}");
    }
}

#[test]
fn what_is_near_another_name_is_doubted() {
    for (variable, meant) in [
        ("CLIENT_SSL_CERTS", "CLIENT_SSL_CERT"),
        ("CLIENT_SSL_CERTIFICATE", "CLIENT_SSL_CERT"),
        ("CLIENT_SSL_CERTIFICATE_KEY", "CLIENT_SSL_CERT_KEY"),
        ("CLIENT_SSL_KEY", "CLIENT_SSL_CERT_KEY"),
        ("CLIENT_TLS_CERT", "CLIENT_SSL_CERT"),
        ("CLIENT_CERT", "CLIENT_SSL_CERT"),
        ("CLIENT_SSL_PRIVATE_KEY", "CLIENT_SSL_CERT_KEY"),
        ("SSL_CERTIFICATE", "SSL_CERT"),
        ("SSL_CERTIFICATE_KEY", "SSL_CERT_KEY"),
        ("SSL_KEY", "SSL_CERT_KEY"),
        ("TLS_CERT", "SSL_CERT"),
        ("UPSTREAM_URI", "UPSTREAM_URL"),
        ("UPSTREAM_ADDRESS", "UPSTREAM_URL"),
        ("UPSTREAM_CA", "UPSTREAM_CA_CERTIFICATES"),
        ("UPSTREAM_SSL_VERIFY", "UPSTREAM_TLS_VERIFY"),
        ("UPSTREAM_VERIFY", "UPSTREAM_TLS_VERIFY"),
        ("TRUSTED_IP", "TRUSTED_IPS"),
        ("LISTEN_PROXY", "PROXY_LISTEN"),
        ("PROXY_READ_TIMEOUT", "READ_TIMEOUT"),
        ("KONG_CLIENT_SLL", "CLIENT_SSL"),
        ("MTLS_BRIDGE_MODE", "MODE"),
        ("client_ssl_cert", "CLIENT_SSL_CERT"),
        ("kong_nginx_http_gzip", "KONG_NGINX_HTTP_GZIP"),
    ] {
        doubted(variable, meant);
    }
}

#[test]
fn what_others_set_is_left_alone() {
    for (variable, value) in [
        ("PATH", "/bin"),
        ("HOME", "/"),
        ("HOSTNAME", "x"),
        ("LANG", "C"),
        ("LOG_DIR", "/log"),
        ("NODE", "x"),
        ("PORT", "1"),
        ("SSL_CERT_FILE", "/x"),
        ("SSL_CERT_DIR", "/x"),
        ("SSLKEYLOGFILE", "/x"),
        ("HTTP_PROXY", "http://proxy"),
        ("HTTP_PROXY_HOST", "proxy"),
        ("HTTP_TIMEOUT", "5"),
        ("CA_CERTIFICATES", "/x"),
        ("nginx_version", "1.27"),
        ("NO_PROXY", "x"),
        ("http_proxy", "http://proxy"),
        ("ssl_cert_file", "/x"),
        ("RUST_LOG", "info"),
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
        ("UPSTREAM_SERVICE_HOST", "10.0.0.1"),
        ("UPSTREAM_PORT", "8080"),
        ("ACL_PORT", "8080"),
        ("ACL_PORT", "tcp://10.0.0.1:8080"),
        ("MTLS_AUTH_SERVICE_PORT_HTTPS", "443"),
        ("MTLS_BRIDGE_PORT", "tcp://10.0.0.1:8443"),
        ("ACL_NAME", "/bridge/acl"),
        ("UPSTREAM_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("KONG_PROXY_PORT", "tcp://10.0.0.1:80"),
        ("DATABASE", "postgres"),
        ("NGINX_VERSION", "1.27"),
        ("NODE_TLS_REJECT_UNAUTHORIZED", "0"),
    ] {
        assert_eq!(suspicion(variable, value), Suspicion::Nothing, "{variable}");
    }
    assert_eq!(suspicion("KONG_SSL", "on"), Suspicion::PassedOver);
}
