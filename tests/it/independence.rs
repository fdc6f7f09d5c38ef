//! Files that are replaced while others are broken: each setting keeps its own last good one, and none holds up
//! the others.

use std::fs;

use mtls_bridge::pki::{Authority, Leaf};

use crate::support::bridge::{Bridge, gateway, reverse_proxy};
use crate::support::client::{curl, curl_anonymous, curl_as};
use crate::support::declarative::{CA_ID, declaring};
use crate::support::pki::Pki;
use crate::support::services::Echo;

const IN_PART: &str = "were replaced: those of them that are good are in force";

/// Puts a new file into the place of another at once.
fn put(pki: &Pki, name: &str, content: &str) {
    fs::rename(pki.write("beside", content), pki.path(name)).unwrap();
}

/// Puts a server certificate with this name into place.
fn renew_server(pki: &Pki, name: &str) {
    pki.issue("next", &Leaf::server(&[name, "localhost"]).unwrap());
    for suffix in ["crt", "key"] {
        fs::rename(pki.path(&format!("next.{suffix}")), pki.path(&format!("server.{suffix}"))).unwrap();
    }
}

/// The status that curl gets when it insists on this name in the certificate; 0: none.
fn status_by_name(node: &Bridge, pki: &Pki, name: &str) -> u16 {
    let port = node.address.port();
    let resolve = format!("{name}:{port}:127.0.0.1");
    curl_anonymous(pki, &["--resolve", &resolve, &format!("https://{name}:{port}/")]).status
}

#[test]
fn a_ca_is_taken_away_from_the_callers_although_the_key_of_the_listener_is_broken() {
    let (pki, echo) = (Pki::new(), Echo::start());
    pki.write("cas.crt", pki.text("ca.crt"));
    let node = gateway(&pki, echo.address).env("MTLS_AUTH_CA_CERTIFICATES", pki.path("cas.crt")).start();
    let status = || curl_as(&pki, "client", &[&format!("{}/", node.https())]).status;
    assert_eq!(status(), 200);
    let key = pki.text("server.key");
    put(&pki, "server.key", "garbage");
    let line = node.log.containing("the last good certificates stay in force");
    assert!(line.contains("ssl_cert_key=") && line.contains("no PEM block"), "{line}");
    put(&pki, "cas.crt", &Authority::new("another CA").unwrap().certificate_pem());
    node.log.containing(IN_PART);
    assert_eq!(status(), 401, "the new list counts, and the listener goes on");
    put(&pki, "cas.crt", &pki.text("ca.crt"));
    node.log.wait_times(2, IN_PART, |line| line.contains(IN_PART).then_some(()));
    assert_eq!(status(), 200);
    put(&pki, "server.key", &key);
    node.log.containing("are again those that are in force");
}

#[test]
fn a_server_certificate_is_renewed_although_the_callers_cas_are_broken() {
    let (pki, echo) = (Pki::new(), Echo::start());
    pki.write("cas.crt", pki.text("ca.crt"));
    let node = gateway(&pki, echo.address).env("MTLS_AUTH_CA_CERTIFICATES", pki.path("cas.crt")).start();
    put(&pki, "cas.crt", "garbage");
    node.log.containing("the last good certificates stay in force");
    renew_server(&pki, "renewed.example");
    node.log.containing(IN_PART);
    assert_eq!(status_by_name(&node, &pki, "renewed.example"), 401);
    let status = curl_as(&pki, "client", &[&format!("{}/", node.https())]).status;
    assert_eq!(status, 200, "the last good CAs still count");
    put(&pki, "cas.crt", &Authority::new("another CA").unwrap().certificate_pem());
    node.log.containing("certificates were replaced: the new ones are in force (they were refused for");
    let status = curl_as(&pki, "client", &[&format!("{}/", node.https())]).status;
    assert_eq!(status, 401, "what is good again is taken over");
}

#[test]
fn a_client_certificate_is_renewed_although_the_upstreams_cas_are_broken() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    pki.write("cas.crt", pki.text("ca.crt"));
    let node = reverse_proxy(&pki, gateway.address)
        .env("UPSTREAM_CA_CERTIFICATES", pki.path("cas.crt"))
        .start_ready();
    put(&pki, "cas.crt", "garbage");
    let line = node.log.containing("the last good certificates stay in force");
    assert!(line.contains("upstream_ca_certificates="), "{line}");
    pki.issue("next", &Leaf::client("renewed"));
    for suffix in ["crt", "key"] {
        fs::rename(pki.path(&format!("next.{suffix}")), pki.path(&format!("client.{suffix}"))).unwrap();
    }
    node.log.containing(IN_PART);
    assert_eq!(curl(&[&format!("{}/", node.http())]).received("x-client-cert-dn"), ["CN=renewed"]);
}

#[test]
fn a_declarative_file_and_the_certificates_beside_it_do_not_hold_up_each_other() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let text = |path: &str| {
        format!(
            "services:\n- {{name: a, url: 'http://{{{{service}}}}', routes: [{{name: r, paths: ['{path}']}}], \
             plugins: [{{name: mtls-auth, config: {{skip_consumer_lookup: true, ca_certificates: [{CA_ID}]}}}}]}}\n"
        )
    };
    let node = declaring(&pki, echo.address, &text("/one")).start();
    let status = |path: &str| curl_as(&pki, "client", &[&format!("{}{path}", node.https())]).status;
    let kong = pki.text("kong.yaml");
    put(&pki, "kong.yaml", "_format_version: '3.0'\nservices: [{name: a, nonsense: 1}]\n");
    let line = node.log.containing("the last good configuration files stay in force");
    assert!(line.contains("declarative_config="), "{line}");
    renew_server(&pki, "renewed.example");
    node.log.containing(IN_PART);
    assert_ne!(status_by_name(&node, &pki, "renewed.example"), 0);
    assert_eq!(status("/one"), 200, "the last good routes go on");
    pki.write("server.key", "garbage");
    node.log.containing("ssl_cert_key=");
    put(&pki, "kong.yaml", &kong.replace("/one", "/two"));
    node.log.wait_times(2, IN_PART, |line| line.contains(IN_PART).then_some(()));
    assert_eq!((status("/one"), status("/two")), (404, 200));
}
