//! Kong's and nginx's names in the environment: kept, named as harmless, or refused; and slips in ours.

use mtls_bridge::pki::Leaf;

use crate::support::bridge::{Setup, gateway, program, reverse_proxy};
use crate::support::client::{curl, curl_as};
use crate::support::pki::Pki;
use crate::support::services::{Echo, closed_port};

/// The lines of a gateway that is refused.
fn refused(more: &[(&str, &str)]) -> Vec<String> {
    let pki = Pki::new();
    let setup = more.iter().fold(gateway(&pki, closed_port()), |setup, (name, value)| setup.env(name, value));
    setup.refused().lines().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_subject_rule_in_an_included_file_is_not_dropped() {
    let lines = refused(&[
        ("KONG_NGINX_PROXY_SSL_VERIFY_CLIENT", "on"),
        ("KONG_NGINX_PROXY_INCLUDE", "/etc/nginx/subject.conf"),
    ]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let start = "nginx_proxy_include (environment KONG_NGINX_PROXY_INCLUDE): nginx's `include` may decide who \
                 passes, and is not kept here; ";
    assert!(lines[0].starts_with(start), "{lines:?}");
}

#[test]
fn whatever_may_decide_is_refused_each_in_its_line() {
    let said = [
        ("KONG_NGINX_HTTP_DENY", "all"),
        ("KONG_NGINX_LOCATION_AUTH_REQUEST", "/auth"),
        ("KONG_NGINX_PROXY_NO_SUCH_DIRECTIVE", "1"),
        ("KONG_NGINX_UPSTREAM_NO_SUCH_DIRECTIVE", "1"),
        ("KONG_NGINX_PROXY_SSL_VERIFY_CLIENT", "on; include /x"),
        ("NGINX_PROXY_ALLOW", "10.0.0.0/8"),
        ("KONG_DATABASE", "postgres"),
        ("ACL_ALLOWED", "app"),
        ("MTLS_AUTH_CRL", "/ca.crl"),
    ];
    let lines = refused(&said);
    assert_eq!(lines.len(), said.len(), "{lines:#?}");
    for (variable, _) in said {
        let of_variable = |line: &&String| line.contains(&format!("(environment {variable}): "));
        assert_eq!(lines.iter().filter(of_variable).count(), 1, "{variable} in {lines:#?}");
    }
}

#[test]
fn what_changes_nothing_is_named_in_one_line() {
    let harmless = [("KONG_DATABASE", "off"), ("KONG_PREFIX", "/kong"), ("KONG_PLUGINS", "bundled")];
    let nginxs =
        [("KONG_NGINX_MAIN_WORKER_RLIMIT_NOFILE", "auto"), ("KONG_NGINX_PROXY_SSL_VERIFY_CLIENT", "off")];
    let mut command = program();
    command.args(["check", "reverse-proxy"]).env("UPSTREAM_URL", "http://localhost").env("CLIENT_SSL", "off");
    command.envs(harmless).envs(nginxs);
    let others = [
        ("ACL_SERVICE_HOST", "10.0.0.1"),
        ("UPSTREAM_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("SSLKEYLOGFILE", "/x"),
    ];
    let output = command.envs(others).output().unwrap();
    let page = String::from_utf8(output.stdout).unwrap();
    let remarks: Vec<_> = page.split("\n\n").nth(1).unwrap().lines().collect();
    assert_eq!(
        remarks,
        [
            "warning: KONG_DATABASE, KONG_NGINX_MAIN_WORKER_RLIMIT_NOFILE, KONG_NGINX_PROXY_SSL_VERIFY_CLIENT, \
          KONG_PLUGINS and KONG_PREFIX are not settings of mtls-bridge and were ignored"
        ]
    );
}

#[test]
fn nginxs_client_verification_runs_a_gateway() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let intermediate = pki.authority.intermediate("Intermediate").unwrap();
    pki.keep("far", intermediate.issue(&Leaf::client("far")).unwrap());
    let node = |depth: &str| {
        gateway(&pki, echo.address)
            .without("MTLS_AUTH_CA_CERTIFICATES")
            .env("KONG_NGINX_PROXY_SSL_CLIENT_CERTIFICATE", pki.path("ca.crt"))
            .env("KONG_NGINX_PROXY_SSL_VERIFY_CLIENT", "optional")
            .env("KONG_NGINX_PROXY_SSL_VERIFY_DEPTH", depth)
            .env("KONG_NGINX_HTTP_CLIENT_MAX_BODY_SIZE", "1k")
            .start()
    };
    let strict = node("0");
    assert_eq!(curl_as(&pki, "client", &[&strict.https()]).status, 200);
    assert_eq!(curl_as(&pki, "far", &[&strict.https()]).status, 401);
    strict.access.containing("its chain has more than 0 intermediates (mtls_auth_verify_depth)");
    let lenient = node("1");
    assert_eq!(curl_as(&pki, "far", &[&lenient.https()]).status, 200);
    let body = format!("@{}", pki.write("body", "x".repeat(2000)).display());
    assert_eq!(curl_as(&pki, "client", &["--http1.1", "--data-binary", &body, &lenient.https()]).status, 413);
}

#[test]
fn upstream_trust_is_kept_under_every_prefix() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    for name in [
        "KONG_NGINX_PROXY_PROXY_SSL_TRUSTED_CERTIFICATE",
        "KONG_NGINX_HTTP_PROXY_SSL_TRUSTED_CERTIFICATE",
        "KONG_NGINX_LOCATION_PROXY_SSL_TRUSTED_CERTIFICATE",
        "KONG_NGINX_SPROXY_PROXY_SSL_TRUSTED_CERTIFICATE",
        "KONG_LUA_SSL_TRUSTED_CERTIFICATE",
    ] {
        let node = Setup::new("reverse-proxy")
            .env("PROXY_LISTEN", "127.0.0.1:0")
            .env("UPSTREAM_URL", gateway.https())
            .env("CLIENT_SSL_CERT", pki.path("client.crt"))
            .env("CLIENT_SSL_CERT_KEY", pki.path("client.key"))
            .env(name, pki.path("ca.crt"))
            .start_ready();
        assert_eq!(curl(&[&node.http()]).status, 200, "{name}");
    }
    // Verification that is off is said, and cautioned about.
    let node = reverse_proxy(&pki, gateway.address)
        .without("UPSTREAM_CA_CERTIFICATES")
        .env("KONG_NGINX_PROXY_PROXY_SSL_VERIFY", "off")
        .start_ready();
    let subject =
        "upstream_tls_verify=off (environment KONG_NGINX_PROXY_PROXY_SSL_VERIFY): anyone on the way";
    node.log.containing(subject);
}

#[test]
fn an_upstreams_chain_is_no_longer_than_is_said() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let intermediate = pki.authority.intermediate("Intermediate").unwrap();
    pki.keep("behind", intermediate.issue(&Leaf::server(&["localhost"]).unwrap()).unwrap());
    let gateway = gateway(&pki, echo.address)
        .env("SSL_CERT", pki.path("behind.crt"))
        .env("SSL_CERT_KEY", pki.path("behind.key"))
        .start();
    let node =
        |depth| reverse_proxy(&pki, gateway.address).env("KONG_NGINX_PROXY_PROXY_SSL_VERIFY_DEPTH", depth);
    let strict = node("0").start();
    assert_eq!(curl(&[&strict.http()]).status, 502);
    assert_eq!(curl(&[&node("1").start_ready().http()]).status, 200);
}
