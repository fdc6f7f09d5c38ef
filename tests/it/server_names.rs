//! What the server name in the handshake decides: our certificate, and whether a client is asked for his.

use std::process::{Command, Stdio};

use mtls_bridge::pki::Leaf;

use crate::support::bridge::Bridge;
use crate::support::client::{curl, curl_anonymous, curl_as};
use crate::support::declarative::{CA_ID, declaring};
use crate::support::pki::Pki;
use crate::support::services::Echo;

/// What openssl tells of a handshake for this name, or for none.
fn handshake(node: &Bridge, name: Option<&str>) -> String {
    let address = node.address.to_string();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-msg", "-connect", &address]).stdin(Stdio::null());
    match name {
        Some(name) => command.args(["-servername", name]),
        None => command.arg("-noservername"),
    };
    let output = command.output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn is_asked(node: &Bridge, name: Option<&str>) -> bool {
    let told = handshake(node, name);
    assert!(told.contains("ServerHello"), "{told}");
    told.contains("CertificateRequest")
}

#[test]
fn the_certificate_is_chosen_by_the_server_name() {
    let (pki, echo) = (Pki::new(), Echo::start());
    for name in ["exact", "left", "right", "star"] {
        pki.issue(name, &Leaf::server(&[&format!("{name}.test")]).unwrap());
    }
    let certificate = |name: &str, sni: &str| {
        format!("- {{cert: {{{{{name}.crt}}}}, key: {{{{{name}.key}}}}, snis: [{{name: \"{sni}\"}}]}}\n")
    };
    let text = format!(
        "certificates:\n{}{}{}{}services: [{{name: s, url: \"http://{{{{service}}}}\", routes: [{{name: r, paths: [/]}}]}}]\n",
        certificate("exact", "a.shop.example"),
        certificate("left", "*.shop.example"),
        certificate("right", "a.shop.*"),
        certificate("star", "*"),
    );
    let node = declaring(&pki, echo.address, &text).start();
    let subject = |name| {
        let told = handshake(&node, name);
        let line = told.lines().find(|line| line.starts_with("subject=")).unwrap_or_else(|| panic!("{told}"));
        line.trim_start_matches("subject=").trim().replace(' ', "")
    };
    assert_eq!(subject(Some("a.shop.example")), "CN=exact.test");
    assert_eq!(subject(Some("A.Shop.Example")), "CN=exact.test");
    assert_eq!(subject(Some("b.shop.example")), "CN=left.test");
    assert_eq!(subject(Some("a.shop.other")), "CN=right.test");
    assert_eq!(subject(Some("elsewhere")), "CN=star.test");
    assert_eq!(subject(None), "CN=localhost");
}

/// A route that asks, for one name alone, and an open one.
fn asking_for_one_name(send_ca_dn: bool) -> String {
    format!(
        r#"
services:
- name: s
  url: http://{{{{service}}}}
  routes:
  - {{name: open, hosts: [localhost, open.test], paths: [/]}}
  - name: closed
    hosts: [closed.test]
    paths: [/]
    snis: [closed.test]
    protocols: [https]
    plugins:
    - name: mtls-auth
      config: {{ca_certificates: [{CA_ID}], skip_consumer_lookup: true, revocation_check_mode: SKIP, send_ca_dn: {send_ca_dn}}}
"#
    )
}

#[test]
fn a_certificate_is_asked_for_where_a_route_of_that_name_wants_one() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let node = declaring(&pki, echo.address, &asking_for_one_name(false)).start();
    assert!(is_asked(&node, Some("closed.test")));
    assert!(is_asked(&node, Some("CLOSED.test")));
    assert!(!is_asked(&node, Some("open.test")));
    assert!(!is_asked(&node, None));
    assert_eq!(curl_anonymous(&pki, &[&format!("{}/", node.https())]).status, 200);
}

#[test]
fn the_names_of_the_cas_are_sent_where_the_plugin_says_so() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let silent = declaring(&pki, echo.address, &asking_for_one_name(false)).start();
    let telling = declaring(&pki, echo.address, &asking_for_one_name(true)).start();
    let names = |node: &Bridge| {
        handshake(node, Some("closed.test")).contains("Acceptable client certificate CA names")
    };
    assert_eq!((names(&silent), names(&telling)), (false, true));
}

#[test]
fn who_was_not_asked_under_one_name_does_not_come_in_under_another() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let node = declaring(&pki, echo.address, &asking_for_one_name(false)).start();
    let url = format!("{}/", node.https());
    for version in ["--http1.1", "--http2"] {
        // The route wants its own server name, so another one's connection does not even find it.
        let answer = curl_as(&pki, "client", &[version, "-H", "Host: closed.test", &url]);
        assert_eq!(answer.status, 404, "{answer:?}");
    }
    let global = format!(
        r#"
services:
- name: s
  url: http://{{{{service}}}}
  routes:
  - {{name: open, snis: [open.test], protocols: [https]}}
  - name: closed
    hosts: [closed.test]
    plugins: [{{name: mtls-auth, config: {{ca_certificates: [{CA_ID}], skip_consumer_lookup: true, revocation_check_mode: SKIP}}}}]
"#
    );
    // Without SNIs on its route the plugin asks everybody, under every name.
    let node = declaring(&pki, echo.address, &global).start();
    assert!(is_asked(&node, Some("open.test")) && is_asked(&node, None));
    let url = format!("{}/", node.https());
    assert_eq!(curl_anonymous(&pki, &["-H", "Host: closed.test", &url]).status, 401);
    assert_eq!(curl_as(&pki, "client", &["-H", "Host: closed.test", &url]).status, 200);
}

#[test]
fn under_the_asking_name_the_certificate_is_judged() {
    let (pki, echo) = (Pki::new(), Echo::start());
    pki.issue("closed", &Leaf::server(&["closed.test"]).unwrap());
    let node = declaring(&pki, echo.address, &asking_for_one_name(true)).start();
    let port = node.address.port();
    let resolve = format!("closed.test:{port}:127.0.0.1");
    let url = format!("https://closed.test:{port}/");
    let ask = |more: &[&str]| {
        let all: Vec<_> = ["-k", "--resolve", &resolve]
            .iter()
            .copied()
            .chain(more.iter().copied())
            .chain([url.as_str()])
            .collect();
        curl(&all)
    };
    assert_eq!(ask(&[]).status, 401);
    let (cert, key) = (pki.path("client.crt"), pki.path("client.key"));
    let answer = ask(&["--cert", cert.to_str().unwrap(), "--key", key.to_str().unwrap()]);
    assert_eq!((answer.status, answer.received("x-client-cert-dn")), (200, vec!["CN=app".to_owned()]));
}
