//! Upstreams with many targets: who gets a request, and who gets none any more.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use crate::support::PATIENCE;
use crate::support::bridge::{Bridge, Setup, gateway};
use crate::support::client::{Answer, curl};
use crate::support::declarative::written;
use crate::support::pki::Pki;
use crate::support::services::{answering, closed_port};

const ONE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\none";
const TWO: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\ntwo";
const BROKEN: &[u8] = b"HTTP/1.1 500 Broken\r\nContent-Length: 6\r\nConnection: close\r\n\r\nbroken";

/// A node whose one service is an upstream of these targets and weights, with these further fields.
fn balanced(pki: &Pki, targets: &[(SocketAddr, u32)], fields: &str) -> Setup {
    let targets: String = targets
        .iter()
        .map(|(target, weight)| format!("  - {{target: \"{target}\", weight: {weight}}}\n"))
        .collect();
    let text = format!(
        "_format_version: \"3.0\"\nservices: [{{name: s, host: pool, retries: 5, routes: [{{name: r, paths: [/]}}]}}]\n\
         upstreams:\n- name: pool\n{fields}  targets:\n{targets}"
    );
    plain_node(written(pki, &text, &[]))
}

/// In plain HTTP, with this declarative file.
fn plain_node(file: PathBuf) -> Setup {
    Setup::new("reverse-proxy")
        .env("PROXY_LISTEN", "127.0.0.1:0")
        .env("CLIENT_SSL", "off")
        .env("DECLARATIVE_CONFIG", file)
}

fn ask(node: &Bridge, arguments: &[&str], path: &str) -> Answer {
    let url = format!("{}{path}", node.http());
    let all: Vec<_> = arguments.iter().copied().chain([url.as_str()]).collect();
    curl(&all)
}

/// How often each body came in so many answers.
fn bodies(node: &Bridge, count: usize) -> BTreeMap<String, usize> {
    let mut bodies = BTreeMap::new();
    for _ in 0..count {
        *bodies.entry(ask(node, &[], "/").body).or_default() += 1;
    }
    bodies
}

fn counted(pairs: &[(&str, usize)]) -> BTreeMap<String, usize> {
    pairs.iter().map(|(body, count)| ((*body).to_owned(), *count)).collect()
}

#[test]
fn targets_get_their_share_by_weight() {
    let (one, two, out) = (answering(ONE), answering(TWO), closed_port());
    let node = balanced(&Pki::new(), &[(one, 100), (two, 300), (out, 0)], "").start();
    assert_eq!(bodies(&node, 8), counted(&[("one", 2), ("two", 6)]));
}

#[test]
fn a_target_that_is_down_is_passed_over_within_the_request() {
    let (one, down) = (answering(ONE), closed_port());
    let node = balanced(&Pki::new(), &[(one, 100), (down, 100)], "").start();
    assert_eq!(bodies(&node, 6), counted(&[("one", 6)]));
}

#[test]
fn a_header_chooses_the_target_and_goes_on_choosing_it() {
    let (one, two) = (answering(ONE), answering(TWO));
    let fields = "  algorithm: consistent-hashing\n  hash_on: header\n  hash_on_header: X-Customer\n";
    let node = balanced(&Pki::new(), &[(one, 100), (two, 100)], fields).start();
    let mut seen = std::collections::BTreeSet::new();
    for customer in 0..16 {
        let header = format!("X-Customer: {customer}");
        let first = ask(&node, &["-H", &header], "/").body;
        for _ in 0..2 {
            assert_eq!(ask(&node, &["-H", &header], "/").body, first);
        }
        seen.insert(first);
    }
    assert_eq!(seen.len(), 2);
}

#[test]
fn after_failures_a_target_gets_nothing_and_without_targets_it_is_503() {
    let broken = answering(BROKEN);
    let fields = "  healthchecks: {passive: {unhealthy: {http_failures: 2}}}\n";
    let node = balanced(&Pki::new(), &[(broken, 100)], fields).start();
    assert_eq!((ask(&node, &[], "/").status, ask(&node, &[], "/").status), (500, 500));
    let answer = ask(&node, &[], "/");
    assert_eq!(
        (answer.status, &answer.json()["message"]),
        (503, &"failure to get a peer from the ring-balancer".into())
    );
    let line = node.log.containing("unhealthy");
    assert!(line.contains("pool") && line.contains(&broken.to_string()), "{line}");
}

#[test]
fn active_checks_take_a_target_out_and_bring_it_back() {
    let (one, reserved) = (answering(ONE), closed_port());
    let checks = "  healthchecks:\n    active:\n      http_path: /health\n      healthy: {interval: 0.2, successes: 1}\n      \
                  unhealthy: {interval: 0.2, tcp_failures: 1, http_failures: 1}\n";
    let node = balanced(&Pki::new(), &[(one, 100), (reserved, 100)], checks).start();
    node.log.containing("unhealthy");
    assert_eq!(bodies(&node, 4), counted(&[("one", 4)]));
    let back = crate::support::services::Echo::start_on(&reserved.to_string());
    node.log.wait("the target is healthy again", |line| {
        (line.contains(&back.address.to_string()) && line.contains("healthy again")).then_some(())
    });
    let deadline = Instant::now() + PATIENCE;
    while ask(&node, &[], "/").body == "one" {
        assert!(Instant::now() < deadline, "the target that came back gets nothing");
    }
}

#[test]
fn the_upstreams_certificate_is_presented_and_the_services_goes_before_it() {
    let pki = Pki::new();
    let echo = crate::support::services::Echo::start();
    let upstream = gateway(&pki, echo.address).start();
    pki.issue("pool", &mtls_bridge::pki::Leaf::client("the-pool"));
    let (pool, own) = ("55555555-5555-4555-8555-555555555555", "66666666-6666-4666-8666-666666666666");
    let text = format!(
        r#"
_format_version: "3.0"
certificates:
- {{id: {pool}, cert: {{{{pool.crt}}}}, key: {{{{pool.key}}}}}}
- {{id: {own}, cert: {{{{client.crt}}}}, key: {{{{client.key}}}}}}
ca_certificates: [{{id: 11111111-1111-4111-8111-111111111111, cert: {{{{ca.crt}}}}}}]
upstreams:
- name: localhost
  client_certificate: {pool}
  targets: [{{target: "127.0.0.1:{}"}}]
services:
- name: of-the-pool
  host: localhost
  protocol: https
  ca_certificates: [11111111-1111-4111-8111-111111111111]
  routes: [{{name: pool, paths: [/pool]}}]
- name: own
  host: localhost
  protocol: https
  client_certificate: {own}
  ca_certificates: [11111111-1111-4111-8111-111111111111]
  routes: [{{name: own, paths: [/own]}}]
"#,
        upstream.address.port()
    );
    let node = plain_node(written(&pki, &text, &[])).start();
    let dn = |path: &str| ask(&node, &[], path).received("x-client-cert-dn");
    assert_eq!((dn("/pool"), dn("/own")), (vec!["CN=the-pool".to_owned()], vec!["CN=app".to_owned()]));
}
