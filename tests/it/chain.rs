//! The main job: an application's plain request reaches the service, and the service learns who called.

use crate::support::bridge::{gateway, plain_proxy, reverse_proxy};
use crate::support::client::{curl, curl_anonymous, curl_as};
use crate::support::peers::free_address;
use crate::support::pki::Pki;
use crate::support::services::Echo;

#[test]
fn a_plain_request_goes_through_both_nodes_and_the_service_learns_who_called() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).env("ACL_ALLOW", "app").start();
    let reverse_proxy = reverse_proxy(&pki, gateway.address).start_ready();
    let answer = curl(&[&format!("{}/orders?x=1", reverse_proxy.http())]);
    assert_eq!(answer.status, 200);
    assert_eq!((&answer.json()["path"], &answer.json()["query"]), (&"/orders".into(), &"x=1".into()));
    assert_eq!(answer.received("x-client-cert-dn"), ["CN=app"]);
    assert_eq!(answer.received("x-client-cert-san"), ["app"]);
    assert_eq!(answer.received("x-authenticated-groups"), ["app"]);
    let line = gateway.access_line("/orders");
    assert_eq!(
        (&line["certificate"], &line["group"], &line["status"]),
        (&"CN=app".into(), &"app".into(), &200.into())
    );
}

#[test]
fn without_a_certificate_the_gateway_says_401_and_the_log_says_why() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let answer = curl_anonymous(&pki, &[&format!("{}/", gateway.https())]);
    assert_eq!(
        (answer.status, &answer.json()["message"]),
        (401, &"No required TLS certificate was sent".into())
    );
    assert_eq!(gateway.access_line("/")["reason"], "the client sent no certificate");
}

#[test]
fn a_bridge_that_is_its_own_upstream_ends_the_circle() {
    let address = free_address();
    let node = plain_proxy(address).env("PROXY_LISTEN", address.to_string()).start();
    let answer = curl(&[&format!("{}/round", node.http())]);
    assert_eq!((answer.status, &answer.json()["message"]), (508, &"Loop detected".into()));
    let refused = node.access.json("the refusal", |line| line["reason"].is_string());
    assert!(refused["reason"].as_str().unwrap().starts_with("the request has passed 8 bridges"), "{refused}");
}

#[test]
fn a_group_that_is_not_allowed_gets_403() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).env("ACL_ALLOW", "billing").start();
    let answer = curl_as(&pki, "client", &[&format!("{}/", gateway.https())]);
    assert_eq!((answer.status, &answer.json()["message"]), (403, &"You cannot consume this service".into()));
}
