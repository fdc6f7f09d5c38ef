//! Certificates that are replaced while the program runs.

use std::fs;

use mtls_bridge::pki::{Authority, Leaf};

use crate::support::bridge::{gateway, reverse_proxy};
use crate::support::client::{curl, curl_anonymous, curl_as};
use crate::support::pki::Pki;
use crate::support::services::{Echo, closed_port};

const REPLACED: &str = "certificates were replaced";

/// Puts `NAME.crt` and `NAME.key` of another issue into their place, each at once.
fn replace(pki: &Pki, name: &str, with: &str) {
    for suffix in ["crt", "key"] {
        fs::rename(pki.path(&format!("{with}.{suffix}")), pki.path(&format!("{name}.{suffix}"))).unwrap();
    }
}

#[test]
fn a_new_client_certificate_is_presented_without_a_restart() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let reverse_proxy = reverse_proxy(&pki, gateway.address).start_ready();
    let url = format!("{}/", reverse_proxy.http());
    assert_eq!(curl(&[&url]).received("x-client-cert-dn"), ["CN=app"]);
    pki.issue("next", &Leaf::client("renewed"));
    replace(&pki, "client", "next");
    reverse_proxy.log.containing(REPLACED);
    assert_eq!(curl(&[&url]).received("x-client-cert-dn"), ["CN=renewed"]);
}

#[test]
fn a_new_list_of_cas_decides_about_the_next_request() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).env("MTLS_AUTH_CA_CERTIFICATES", pki.path("cas.crt"));
    pki.write("cas.crt", pki.text("ca.crt"));
    let gateway = gateway.start();
    let url = format!("{}/", gateway.https());
    assert_eq!(curl_as(&pki, "client", &[&url]).status, 200);
    pki.write("other.crt", Authority::new("another CA").unwrap().certificate_pem());
    fs::rename(pki.path("other.crt"), pki.path("cas.crt")).unwrap();
    gateway.log.containing(REPLACED);
    assert_eq!(curl_as(&pki, "client", &[&url]).status, 401);
}

#[test]
fn a_new_server_certificate_is_shown_to_new_connections() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    pki.issue("next", &Leaf::server(&["renewed.example", "localhost"]).unwrap());
    replace(&pki, "server", "next");
    gateway.log.containing(REPLACED);
    let port = gateway.address.port();
    let resolve = format!("renewed.example:{port}:127.0.0.1");
    let url = format!("https://renewed.example:{port}/");
    assert_eq!(curl_anonymous(&pki, &["--resolve", &resolve, &url]).status, 401);
}

#[test]
fn a_replacement_makes_no_one_ready_who_has_not_reached_his_gateway() {
    let (pki, gateway) = (Pki::new(), closed_port());
    let reverse_proxy = reverse_proxy(&pki, gateway).start();
    let ready = format!("http://{}/status/ready", reverse_proxy.status_address());
    assert_eq!(curl(&[&ready]).status, 503);
    pki.issue("next", &Leaf::client("renewed"));
    replace(&pki, "client", "next");
    reverse_proxy.log.containing(REPLACED);
    // The second failure is told under the new snapshot: by then the old one has let go.
    let failed = |line: &str| line.contains("not reached yet").then_some(());
    reverse_proxy.log.wait_times(2, "a failure under each snapshot", failed);
    assert_eq!(curl(&[&ready]).status, 503);
}

#[test]
fn after_a_replacement_the_link_is_still_opened_before_a_request_needs_it() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let reverse_proxy = reverse_proxy(&pki, gateway.address).start_ready();
    pki.issue("next", &Leaf::client("renewed"));
    replace(&pki, "client", "next");
    reverse_proxy.log.containing(REPLACED);
    reverse_proxy.log.wait_times(2, "is reached", |line| line.contains("is reached").then_some(()));
}

#[test]
fn what_cannot_be_loaded_leaves_the_last_good_certificates_in_force_and_says_why() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    pki.write("server.key", "garbage");
    let line = gateway.log.containing("the last good certificates stay in force");
    assert!(line.contains("ssl_cert_key=") && line.contains("no PEM block"), "{line}");
    assert_eq!(curl_as(&pki, "client", &[&format!("{}/", gateway.https())]).status, 200);
}
