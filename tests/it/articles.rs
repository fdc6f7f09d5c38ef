//! The four articles that describe the whole, case by case, with the files of `tests/data/articles`.
//!
//! Where an article says what does not hold, the test shows what this program does, and
//! docs/kong-compatibility.md says why.

use std::path::PathBuf;

use mtls_bridge::pki::{Authority, Leaf};
use serde_json::json;

use crate::support::bridge::{Bridge, Setup, gateway};
use crate::support::client::{Answer, curl, curl_anonymous, curl_as};
use crate::support::declarative::{declared, filled, service};
use crate::support::openssl::{Kind, OpensslPki};
use crate::support::pki::Pki;
use crate::support::services::Echo;

fn file(pki: &Pki, echo: &Echo, name: &str) -> PathBuf {
    filled(pki, &format!("articles/{name}"), &service(echo.address))
}

fn message(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["message"].as_str().unwrap_or_default().to_owned())
}

const NO_CERTIFICATE: &str = "No required TLS certificate was sent";
const NOT_VERIFIED: &str = "TLS certificate failed verification";

#[test]
fn article_a_a_consumer_is_found_by_the_common_name_and_told_to_the_service() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let intermediate = pki.authority.intermediate("Intermediate").unwrap();
    pki.write("intermediate.crt", intermediate.certificate_pem());
    let gateway = declared(&pki, &file(&pki, &echo, "a-consumer.yaml")).start();
    let url = format!("{}/mtls", gateway.https());
    let refused = (401, NO_CERTIFICATE.to_owned());
    assert_eq!(message(&curl_anonymous(&pki, &[&url])), refused);
    let answer = curl_as(&pki, "client", &[&url]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["path"], "/anything");
    assert_eq!(answer.received("x-consumer-id"), ["4e3ad2e4-0bc4-4638-8e34-c84a417ba39b"]);
    assert_eq!(answer.received("x-consumer-username"), ["app"]);
    assert_eq!(answer.received("x-forwarded-path"), ["/mtls"]);
    assert_eq!(answer.received("x-forwarded-prefix"), ["/mtls"]);
    for absent in ["x-consumer-custom-id", "x-client-cert-dn", "x-client-cert-san", "x-anonymous-consumer"] {
        assert_eq!(answer.received(absent), [""; 0], "{absent}");
    }
    // A certificate of the intermediate, sent with its chain, is as good.
    pki.keep("of-intermediate", intermediate.issue(&Leaf::client("app")).unwrap());
    assert_eq!(curl_as(&pki, "of-intermediate", &[&url]).status, 200);
    pki.issue("other", &Leaf::client("nobody"));
    assert_eq!(message(&curl_as(&pki, "other", &[&url])), (401, NOT_VERIFIED.to_owned()));
}

#[test]
fn article_a_the_acl_lets_a_common_name_pass_without_a_consumer() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = declared(&pki, &file(&pki, &echo, "a-acl.yaml")).start();
    let url = format!("{}/mtls", gateway.https());
    let answer = curl_as(&pki, "client", &[&url]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.received("x-authenticated-groups"), ["app"]);
    assert_eq!(answer.received("x-client-cert-dn"), ["CN=app"]);
    assert_eq!(answer.received("x-client-cert-san"), ["app"]);
    assert_eq!(answer.received("x-consumer-username"), [""; 0]);
    pki.issue("other", &Leaf::client("other"));
    let refused = (403, "You cannot consume this service".to_owned());
    assert_eq!(message(&curl_as(&pki, "other", &[&url])), refused);
}

#[test]
fn article_a_dbless_a_manual_mapping_names_the_consumer() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = declared(&pki, &file(&pki, &echo, "a-dbless.yaml")).start();
    let url = format!("{}/mtls/x?y=z", gateway.https());
    let answer = curl_as(&pki, "client", &[&url]);
    assert_eq!(answer.status, 200);
    assert_eq!((&answer.json()["path"], &answer.json()["query"]), (&json!("/anything/x"), &json!("y=z")));
    assert_eq!(answer.received("x-consumer-username"), ["mtls-user"]);
    assert_eq!(answer.received("x-consumer-custom-id"), ["customer-7"]);
    assert_eq!(answer.received("x-credential-identifier"), ["9ffed9cd-82a3-4a27-b88a-9816c76bad35"]);
    // With `consumer_by: []` a consumer's own name counts for nothing.
    pki.issue("named", &Leaf::client("mtls-user"));
    assert_eq!(message(&curl_as(&pki, "named", &[&url])), (401, NOT_VERIFIED.to_owned()));
}

#[test]
fn article_a_one_service_of_three_gets_the_client_certificate() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let upstream = gateway(&pki, echo.address).start();
    let mut values = service(echo.address).to_vec();
    values.push(("upstream-port", upstream.address.port().to_string()));
    let file = filled(&pki, "articles/a-selective-upstream.yaml", &values);
    let node = plain(&file).start();
    let one = curl(&[&format!("{}/one", node.http())]);
    assert_eq!((one.status, one.received("x-client-cert-dn")), (200, vec!["CN=app".to_owned()]));
    // The upstream's own refusal, passed on as it is.
    assert_eq!(message(&curl(&[&format!("{}/two", node.http())])), (401, NO_CERTIFICATE.to_owned()));
    assert_eq!(curl(&[&format!("{}/three", node.http())]).status, 200);
}

/// A reverse proxy without a certificate of its own, on a free port, with this declarative file.
fn plain(file: &PathBuf) -> Setup {
    Setup::new("reverse-proxy")
        .env("PROXY_LISTEN", "127.0.0.1:0")
        .env("CLIENT_SSL", "off")
        .env("DECLARATIVE_CONFIG", file)
}

#[test]
fn article_a_two_nodes_secure_everything_between_them() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let node_2 = declared(&pki, &file(&pki, &echo, "a-node-2.yaml")).start();
    let values = [("gateway-port", node_2.address.port().to_string())];
    let node_1 = Setup::new("reverse-proxy")
        .env("PROXY_LISTEN", "127.0.0.1:0")
        .env("KONG_CLIENT_SSL", "on")
        .env("KONG_CLIENT_SSL_CERT", pki.path("client.crt"))
        .env("KONG_CLIENT_SSL_CERT_KEY", pki.path("client.key"))
        .env("KONG_DECLARATIVE_CONFIG", filled(&pki, "articles/a-node-1.yaml", &values))
        .start();
    for (path, behind) in [("/orders/7", "/v1/7"), ("/invoices", "/v2")] {
        let answer = curl(&[&format!("{}{path}", node_1.http())]);
        assert_eq!((answer.status, &answer.json()["path"]), (200, &json!(behind)), "{path}");
        assert_eq!(answer.received("x-authenticated-groups"), ["app"]);
        assert_eq!(answer.received("x-client-cert-dn"), ["CN=app"]);
    }
    let nothing = curl(&[&format!("{}/nothing", node_1.http())]);
    assert_eq!(message(&nothing), (404, "no Route matched with those values".to_owned()));
}

/// Article B's PKI and gateway, its settings named as there.
fn callista(echo: &Echo) -> (OpensslPki, Pki, Bridge) {
    let made = OpensslPki::new(Kind::RSA_2048);
    let subject = |organization, name| format!("/C=SE/ST=Sweden/O={organization}/CN={name}");
    for (name, organization) in [
        ("client1", "Callista Enterprise AB"),
        ("client2", "Callista Enterprise AB"),
        ("other", "Other Corp"),
    ] {
        made.leaf(name, "client", &subject(organization, name));
    }
    made.leaf("localhost", "server", "/CN=localhost");
    let pki = Pki::new();
    let ca = made.join("callers.crt", &["ca.crt", "intermediate.crt"]);
    let node = Setup::new("gateway")
        .env("KONG_PROXY_LISTEN", "127.0.0.1:0 ssl")
        .env("KONG_SSL", "on")
        .env("KONG_SSL_CERT", pki.path("server.crt"))
        .env("KONG_SSL_CERT_KEY", pki.path("server.key"))
        .env("KONG_NGINX_PROXY_SSL_CLIENT_CERTIFICATE", ca)
        .env("KONG_NGINX_PROXY_SSL_VERIFY_CLIENT", "optional")
        .env("KONG_DECLARATIVE_CONFIG", file(&pki, echo, "b.yaml"))
        .start();
    (made, pki, node)
}

#[test]
fn article_b_the_organization_decides_and_the_service_learns_the_names() {
    let echo = Echo::start();
    let (made, pki, node) = callista(&echo);
    let url = format!("{}/mtls/api/", node.https());
    let ask = |name: &str| {
        let (cert, key) = (made.path(&format!("{name}.crt")), made.path(&format!("{name}.key")));
        let arguments = ["--cert", cert.to_str().unwrap(), "--key", key.to_str().unwrap(), &url];
        curl_anonymous(&pki, &arguments)
    };
    for name in ["client1", "client2"] {
        let answer = ask(name);
        assert_eq!((answer.status, &answer.json()["path"]), (200, &json!("/api/")));
        let dn = format!("CN={name},O=Callista Enterprise AB,ST=Sweden,C=SE");
        assert_eq!(answer.received("x-client-cert-dn"), [dn]);
        assert_eq!(answer.received("x-client-cert-san"), [name]);
        assert_eq!(answer.received("x-client-cert-organization"), ["Callista Enterprise AB"]);
    }
    let answer = ask("other");
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (403, r#"{"message":"You cannot consume this service"}"#)
    );
    // A header is no certificate.
    let forged = ["-H", "X-Client-Cert-Organization: Callista Enterprise AB", url.as_str()];
    let answer = curl_anonymous(&pki, &forged);
    let body = r#"{"error":"invalid_request", "error_description": "mTLS client not provided or invalid"}"#;
    assert_eq!((answer.status, answer.body.as_str()), (401, body));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[test]
fn article_c_client_to_kong_a_consumer_is_known_by_a_mail_address() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = declared(&pki, &file(&pki, &echo, "c-client-to-kong.yaml")).start();
    let url = format!("{}/mtls-auth", gateway.https());
    let leaf = Leaf { sans: vec!["email:demo@apim.eu".parse().unwrap()], ..Leaf::client("Demo") };
    pki.issue("demo", &leaf);
    assert_eq!(message(&curl_anonymous(&pki, &[&url])), (401, NO_CERTIFICATE.to_owned()));
    let answer = curl_as(&pki, "demo", &[&url]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.received("x-consumer-id"), ["35cfdf1b-11ef-4582-b80f-a0cfb1d67b07"]);
    assert_eq!(answer.received("x-consumer-username"), ["demo@apim.eu"]);
    assert_eq!(answer.received("x-consumer-custom-id"), ["demo@apim.eu"]);
    let id = answer.header("x-kong-request-id").unwrap();
    assert_eq!(answer.received("x-kong-request-id"), [id]);
    assert!(answer.header("via").is_some_and(|via| via.contains("1.1 ")), "{answer:?}");
}

#[test]
fn article_c_kong_to_upstream_the_services_certificate_goes_before_the_global_one() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let upstream = gateway(&pki, echo.address).start();
    pki.issue("own", &Leaf::client("the-service's"));
    let values = [("upstream-port", upstream.address.port().to_string())];
    let node = plain(&filled(&pki, "articles/c-kong-to-upstream.yaml", &values))
        .env("CLIENT_SSL", "on")
        .env("CLIENT_SSL_CERT", pki.path("client.crt"))
        .env("CLIENT_SSL_CERT_KEY", pki.path("client.key"))
        .env("UPSTREAM_CA_CERTIFICATES", pki.path("ca.crt"))
        .start();
    let dn = |path: &str| curl(&[&format!("{}{path}", node.http())]).received("x-client-cert-dn");
    assert_eq!(dn("/own"), ["CN=the-service's"]);
    assert_eq!(dn("/shared"), ["CN=app"]);
}

/// Article D: one node for its four cases, with an upstream it trusts and one it does not.
struct ArticleD {
    pki: Pki,
    node: Bridge,
    _upstreams: [Bridge; 2],
    _echo: Echo,
}

fn article_d() -> ArticleD {
    let (pki, echo) = (Pki::new(), Echo::start());
    pki.issue("internal", &Leaf::server(&["api.internal.lan"]).unwrap());
    pki.issue("other", &Leaf::client("other"));
    let trusted = gateway(&pki, echo.address).start();
    let strange = Authority::new("Another CA").unwrap();
    pki.keep("strange", strange.issue(&Leaf::server(&["localhost"]).unwrap()).unwrap());
    let stranger = gateway(&pki, echo.address)
        .env("SSL_CERT", pki.path("strange.crt"))
        .env("SSL_CERT_KEY", pki.path("strange.key"))
        .start();
    let mut values = service(echo.address).to_vec();
    values.push(("upstream-port", trusted.address.port().to_string()));
    values.push(("stranger-port", stranger.address.port().to_string()));
    let node = declared(&pki, &filled(&pki, "articles/d.yaml", &values)).start();
    ArticleD { pki, node, _upstreams: [trusted, stranger], _echo: echo }
}

#[test]
fn article_d_1_each_server_name_has_its_certificate_and_the_default_is_ours() {
    let ArticleD { pki, node, .. } = &article_d();
    let port = node.address.port();
    let resolve = format!("api.internal.lan:{port}:127.0.0.1");
    // curl verifies the name, so an answer is the proof.
    let internal = format!("https://api.internal.lan:{port}/");
    assert_eq!(curl_anonymous(pki, &["--resolve", &resolve, &internal]).status, 200);
    assert_eq!(curl_anonymous(pki, &[&format!("{}/public", node.https())]).status, 200);
    // The route asks for the server name too: Host alone does not reach it.
    let by_host = ["-H", "Host: api.internal.lan", &format!("{}/", node.https())];
    assert_eq!(curl_anonymous(pki, &by_host).status, 404);
}

#[test]
fn article_d_2_a_trusted_certificate_is_not_enough_the_group_decides() {
    let ArticleD { pki, node, .. } = &article_d();
    let url = format!("{}/consumers", node.https());
    let answer = curl_as(pki, "client", &[&url]);
    assert_eq!((answer.status, answer.received("x-consumer-groups")), (200, vec!["gold".to_owned()]));
    let refused = (403, "You cannot consume this service".to_owned());
    assert_eq!(message(&curl_as(pki, "other", &[&url])), refused);
    pki.issue("unknown", &Leaf::client("unknown"));
    assert_eq!(message(&curl_as(pki, "unknown", &[&url])), (401, NOT_VERIFIED.to_owned()));
    // Groups out of the certificate, without a consumer.
    let url = format!("{}/groups", node.https());
    assert_eq!(curl_as(pki, "client", &[&url]).received("x-authenticated-groups"), ["CN=app"]);
    assert_eq!(message(&curl_as(pki, "other", &[&url])), refused);
}

#[test]
fn article_d_3_the_sensitive_backend_gets_the_certificate_of_its_service() {
    let ArticleD { pki, node, .. } = &article_d();
    let answer = curl_anonymous(pki, &[&format!("{}/sensitive", node.https())]);
    assert_eq!((answer.status, answer.received("x-client-cert-dn")), (200, vec!["CN=app".to_owned()]));
}

#[test]
fn article_d_4_an_upstream_of_another_ca_is_502() {
    let ArticleD { pki, node, .. } = &article_d();
    let answer = curl_anonymous(pki, &[&format!("{}/stranger", node.https())]);
    let text = "An invalid response was received from the upstream server".to_owned();
    assert_eq!(message(&answer), (502, text));
    let reason = node.access_line("/stranger")["reason"].to_string();
    assert!(reason.contains("certificate"), "{reason}");
}

#[test]
fn article_a_kubernetes_the_manifests_are_read_as_they_are() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = declared(&pki, &file(&pki, &echo, "a-kubernetes.yaml")).start();
    let url = format!("{}/mtls", gateway.https());
    assert_eq!(message(&curl_anonymous(&pki, &[&url])), (401, NO_CERTIFICATE.to_owned()));
    let answer = curl_as(&pki, "client", &[&url]);
    assert_eq!((answer.status, &answer.json()["path"]), (200, &json!("/anything")));
    assert_eq!(answer.received("x-consumer-username"), ["mtls-user"]);
    assert_eq!(answer.received("x-credential-identifier"), ["9ffed9cd-82a3-4a27-b88a-9816c76bad35"]);
    pki.issue("other", &Leaf::client("other"));
    assert_eq!(message(&curl_as(&pki, "other", &[&url])), (401, NOT_VERIFIED.to_owned()));
}
