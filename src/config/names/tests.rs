//! Which variables are ours.

use super::*;

#[test]
fn variables_that_are_ours() {
    let check = |variable, name, kong, file| {
        assert_eq!(Variable::of(variable), Some(Variable { name, kong, file }), "{variable}");
    };
    check("CLIENT_SSL_CERT", Name::Setting("client_ssl_cert"), false, false);
    check("KONG_CLIENT_SSL_CERT", Name::Setting("client_ssl_cert"), true, false);
    check("CLIENT_SSL_CERT_KEY_FILE", Name::Setting("client_ssl_cert_key"), false, true);
    check("KONG_SSL_CERT_FILE", Name::Setting("ssl_cert"), true, true);
    check("KONG_LUA_SSL_TRUSTED_CERTIFICATE", Name::Kong, true, false);
    check("LUA_SSL_TRUSTED_CERTIFICATE_FILE", Name::Kong, false, true);
    check("NGINX_PROXY_SSL_CLIENT_CERTIFICATE", Name::Kong, false, false);
    check("KONG_NGINX_PROXY_SSL_CLIENT_CERTIFICATE_FILE", Name::Kong, true, true);
    check("KONG_NGINX_PROXY_NO_SUCH_DIRECTIVE", Name::Kong, true, false);
    check("KONG_PREFIX", Name::Kong, true, false);
    check("KONG_ADMIN_LISTEN", Name::Unsupported(&UNSUPPORTED[0]), true, false);
    for variable in [
        "PATH",
        "SSL_CERT_FILE",
        "client_ssl",
        "PREFIX",
        "DATABASE",
        "FILE",
        "KONG_",
        "NGINX_PORT",
        "KONG_CLUSTER_SERVICE_HOST",
        "KONG_NGINX_SERVICE_PORT",
        "KONG_NGINX_PORT_80_TCP_ADDR",
    ] {
        assert_eq!(Variable::of(variable), None, "{variable}");
    }
}

#[test]
fn unknown_keys_get_a_suggestion() {
    let origin = Origin::file("/etc/bridge.toml".as_ref());
    let check = |key, expected: &str| assert_eq!(unknown(key, &origin).to_string(), expected);
    check(
        "client-ssl-crt",
        "client-ssl-crt (file /etc/bridge.toml): no such setting; did you mean client_ssl_cert?",
    );
    check(
        "KONG_CLIENT_SSL_CERTIFICATE",
        "KONG_CLIENT_SSL_CERTIFICATE (file /etc/bridge.toml): no such setting; did you mean client_ssl_cert?",
    );
    check(
        "nonsense",
        "nonsense (file /etc/bridge.toml): no such setting; remove it; `mtls-bridge check` lists the settings",
    );
}
