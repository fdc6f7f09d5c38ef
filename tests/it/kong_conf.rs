//! `CONFIG=kong.conf`: a file that was written for Kong, as the articles have it.

use std::path::Path;

use crate::support::bridge::{Bridge, Setup, gateway, reverse_proxy};
use crate::support::client::{curl, curl_anonymous};
use crate::support::declarative::{declared, filled, service};
use crate::support::openssl::{Kind, OpensslPki};
use crate::support::pki::Pki;
use crate::support::services::{Echo, closed_port};

fn written(pki: &Pki, text: &str) -> String {
    pki.write("kong.conf", text).display().to_string()
}

#[test]
fn article_b_configures_a_gateway_by_its_kong_conf() {
    let echo = Echo::start();
    let made = OpensslPki::new(Kind::RSA_2048);
    made.leaf("client1", "client", "/C=SE/ST=Sweden/O=Callista Enterprise AB/CN=client1");
    let ca = made.join("callers.crt", &["ca.crt", "intermediate.crt"]);
    let pki = Pki::new();
    let text = format!(
        "# listening ports\n\
         proxy_listen = 127.0.0.1:0, 127.0.0.1:0 ssl\n\
         admin_listen = 0.0.0.0:8081, 0.0.0.0:8444 ssl\n\
         # ssl configuration\n\
         ssl_cert = {}\n\
         ssl_cert_key = {}\n\
         # mTLS configuration\n\
         nginx_proxy_ssl_client_certificate = {}   # the anchor\n\
         nginx_proxy_ssl_verify_client = optional\n\
         plugins = bundled, oidc, access-token-introspection, mtls-auth, mtls-acl\n",
        pki.path("server.crt").display(),
        pki.path("server.key").display(),
        ca.display()
    );
    let node = Setup::new("gateway")
        .env("CONFIG", written(&pki, &text))
        .env("KONG_DATABASE", "off")
        .env("KONG_SSL", "on")
        .env("KONG_DECLARATIVE_CONFIG", filled(&pki, "articles/b.yaml", &service(echo.address)))
        .start();
    // One line for all that is Kong's own.
    let line = node.log.containing("are not settings of mtls-bridge and were ignored");
    for name in ["KONG_DATABASE", "KONG_SSL", "admin_listen", "plugins"] {
        assert!(line.contains(name), "{name}: {line}");
    }
    let url = format!("https://localhost:{}/mtls/api/", tls_port(&node));
    let (cert, key) = (made.path("client1.crt"), made.path("client1.key"));
    let arguments = ["--cert", cert.to_str().unwrap(), "--key", key.to_str().unwrap(), &url];
    let answer = curl_anonymous(&pki, &arguments);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.received("x-client-cert-organization"), ["Callista Enterprise AB"]);
    assert_eq!(curl_anonymous(&pki, &[&url]).status, 401);
}

/// The second of two listeners.
fn tls_port(node: &Bridge) -> u16 {
    let plain = node.address;
    let told = node
        .log
        .json("listening", |line| line["message"] == "listening" && line["address"] != plain.to_string());
    told["address"].as_str().unwrap().rsplit_once(':').unwrap().1.parse().unwrap()
}

/// Articles C and D: the certificate that is presented to upstreams, and whom to trust there.
#[test]
fn articles_c_and_d_configure_a_reverse_proxy_by_their_kong_conf() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let text = format!(
        "client_ssl = on\r\nclient_ssl_cert = {}\r\nclient_ssl_cert_key = {}\r\n\
         lua_ssl_trusted_certificate = system,{}\r\nproxy_access_log = off\r\n",
        pki.path("client.crt").display(),
        pki.path("client.key").display(),
        pki.path("ca.crt").display()
    );
    let reverse_proxy = Setup::new("reverse-proxy")
        .env("CONFIG", written(&pki, &text))
        .env("PROXY_LISTEN", "127.0.0.1:0")
        .env("UPSTREAM_URL", gateway.https())
        .start_ready();
    assert_eq!(curl(&[&reverse_proxy.http()]).received("x-client-cert-dn"), ["CN=app"]);
    assert_eq!(reverse_proxy.stopped_access_lines().len(), 0);
}

#[test]
fn a_rule_in_a_kong_conf_that_is_not_kept_stops_the_start() {
    let pki = Pki::new();
    let path = written(&pki, "nginx_proxy_include = /etc/nginx/rules.conf\nacl_alow = app\n");
    let refused = gateway(&pki, closed_port()).env("CONFIG", &path).refused();
    let expected = [
        format!("acl_alow (file {path}): no such setting; did you mean acl_allow?"),
        format!(
            "nginx_proxy_include (file {path}): nginx's `include` may decide who passes, and is not kept here; \
             the file is not read: say what it says by MTLS_AUTH_CA_CERTIFICATES, ACL_ALLOW and the like, or by \
             plugins in a kong.yml"
        ),
    ];
    assert_eq!(refused.lines(), expected);
}

#[test]
fn a_kong_conf_of_any_name_is_known_by_its_lines() {
    let pki = Pki::new();
    let file = pki.write("settings", "# Kong's\nretries = many\nplugins = bundled\n");
    let refused = reverse_proxy(&pki, closed_port()).env("CONFIG", &file).refused();
    let expected = format!("retries=many (file {}): not a number in range", file.display());
    assert!(refused.text.starts_with(&expected), "{}", refused.text);
    assert!(Path::new(&file).exists());
}

#[test]
fn a_gateway_whose_kong_yml_has_no_ca_starts_with_a_caution() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let routes = "services:\n- {name: s, host: {{service-host}}, port: {{service-port}}, routes: [{name: r, paths: [/]}]}\n";
    let with_ca = "ca_certificates:\n- cert: {{ca.crt}}\n";
    let said = "no plugin asks callers for certificates, so everybody comes in; add an mtls-auth";
    for (name, text) in [("none.yaml", String::new()), ("unused.yaml", with_ca.to_owned())] {
        let text = format!("_format_version: \"3.0\"\n{text}{routes}");
        let file = crate::support::declarative::written(&pki, &text, &service(echo.address));
        let file = pki.write(name, std::fs::read(file).unwrap());
        let node = declared(&pki, &file).start();
        let line = node.log.containing("everybody comes in");
        assert!(line.contains(said), "{line}");
        assert_eq!(curl_anonymous(&pki, &[&node.https()]).status, 200);
        let refused = declared(&pki, &file).env("PROFILE", "hardened").refused();
        assert!(refused.text.contains("everybody comes in (refused by insecure=refuse"), "{}", refused.text);
    }
}

#[test]
fn a_reverse_proxy_whose_services_have_certificates_of_their_own_needs_no_other() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let port = [("port", gateway.address.port().to_string())];
    let text = |certificate: &str| {
        format!(
            "_format_version: \"3.0\"\n\
             certificates:\n- {{id: 22222222-2222-4222-8222-222222222222, cert: {{{{client.crt}}}}, key: {{{{client.key}}}}}}\n\
             services:\n- {{name: s, protocol: https, host: localhost, port: {{{{port}}}}, read_timeout: 5{certificate}, \
             routes: [{{name: r, paths: [/]}}]}}\n"
        )
    };
    let node = |text: &str| {
        let file = crate::support::declarative::written(&pki, text, &port);
        Setup::new("reverse-proxy")
            .env("PROXY_LISTEN", "127.0.0.1:0")
            .env("UPSTREAM_CA_CERTIFICATES", pki.path("ca.crt"))
            .env("DECLARATIVE_CONFIG", file)
    };
    let own = node(&text(", client_certificate: 22222222-2222-4222-8222-222222222222")).start();
    let line = own.log.containing("read_timeout is in milliseconds, as in Kong, so this is 5 ms");
    assert!(line.contains("services[0]"), "{line}");
    let own = node(
        &text(", client_certificate: 22222222-2222-4222-8222-222222222222")
            .replace("timeout: 5", "timeout: 60000"),
    );
    assert_eq!(curl(&[&own.start().http()]).received("x-client-cert-dn"), ["CN=app"]);
    let refused = node(&text("")).refused();
    let expected = "client_ssl=on (profile reverse-proxy): there is no certificate to present to services[0] (line 5); \
                    set CLIENT_SSL_CERT and CLIENT_SSL_CERT_KEY, give each of these a client_certificate, or \
                    CLIENT_SSL=off";
    assert_eq!(refused.line(), expected);
}
