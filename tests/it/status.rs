//! Being ready: the status listener, and the health check that asks it.

use std::net::SocketAddr;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::bridge::{Bridge, Setup, gateway, program, reverse_proxy};
use crate::support::client::{Answer, curl};
use crate::support::pki::Pki;
use crate::support::services::{Echo, answering, closed_port};

fn ask(bridge: &Bridge, path: &str) -> Answer {
    curl(&[&format!("http://{}{path}", bridge.status_address())])
}

fn healthcheck(status: SocketAddr) -> Output {
    program().arg("healthcheck").env("STATUS_LISTEN", status.to_string()).output().unwrap()
}

/// Exit code 1, and the one sentence.
fn unhealthy(status: SocketAddr) -> String {
    let output = healthcheck(status);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text.trim_end().to_owned()
}

fn lonely(pki: &Pki) -> Setup {
    reverse_proxy(pki, closed_port())
}

#[test]
fn a_reverse_proxy_whose_gateway_is_down_is_not_ready_and_says_what_it_waits_for() {
    let pki = Pki::new();
    let bridge = lonely(&pki).start();
    let answer = ask(&bridge, "/status/ready");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json(), serde_json::json!({"ready": false, "pending": ["upstream"]}));
    let expected = "mtls-bridge: not ready: still waiting for upstream";
    assert_eq!(unhealthy(bridge.status_address()), expected);
}

#[test]
fn a_reverse_proxy_that_reached_its_gateway_is_ready() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let bridge = reverse_proxy(&pki, gateway.address).start_ready();
    let answer = ask(&bridge, "/status/ready");
    assert_eq!((answer.status, answer.json()), (200, serde_json::json!({"ready": true, "pending": []})));
    let output = healthcheck(bridge.status_address());
    assert_eq!((output.status.code(), output.stdout, output.stderr), (Some(0), vec![], vec![]));
}

#[test]
fn once_reached_is_ready_even_when_the_gateway_goes_away() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let bridge = reverse_proxy(&pki, gateway.address).start_ready();
    drop(gateway);
    assert_eq!(curl(&[&bridge.http()]).status, 502);
    assert_eq!(ask(&bridge, "/status/ready").status, 200);
}

/// Asks the health check again until it fails, and gives what it says then.
fn unhealthy_at_last(status: SocketAddr) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let output = healthcheck(status);
        if !output.status.success() {
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            return String::from_utf8(output.stderr).unwrap();
        }
        assert!(Instant::now() < deadline, "it stays healthy");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn a_link_that_stays_away_for_longer_than_the_setting_fails_the_health_check_and_not_readiness() {
    for http in ["http2", "http1"] {
        let (pki, echo) = (Pki::new(), Echo::start());
        let gateway = gateway(&pki, echo.address).start();
        let bridge = reverse_proxy(&pki, gateway.address)
            .env("UPSTREAM_HTTP", http)
            .env("HEALTHCHECK_LINK_TIMEOUT", "1s")
            .start_ready();
        assert!(healthcheck(bridge.status_address()).status.success());
        drop(gateway);
        let said = unhealthy_at_last(bridge.status_address());
        let (front, back) = said.trim_end().split_once(" for ").unwrap();
        assert_eq!(front, "mtls-bridge: not healthy: the link to the upstream has been away", "{http}");
        assert!(
            back.ends_with(" s, longer than healthcheck_link_timeout; the program log says why"),
            "{said}"
        );
        assert_eq!(ask(&bridge, "/status/ready").status, 200, "{http}");
        let answer = ask(&bridge, "/status/health");
        assert_eq!((answer.status, &answer.json()["healthy"]), (503, &false.into()));
        assert!(answer.json()["link_away_seconds"].as_u64().unwrap() >= 1);
    }
}

#[test]
fn a_link_that_comes_back_makes_it_healthy_again() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let first = gateway(&pki, echo.address).start();
    let address = first.address;
    let bridge = reverse_proxy(&pki, address).env("HEALTHCHECK_LINK_TIMEOUT", "1s").start_ready();
    drop(first);
    unhealthy_at_last(bridge.status_address());
    let listen = format!("{address} ssl http2");
    let _second = gateway(&pki, echo.address).env("PROXY_LISTEN", listen).start();
    let deadline = Instant::now() + PATIENCE;
    while !healthcheck(bridge.status_address()).status.success() {
        assert!(Instant::now() < deadline, "it stays unhealthy");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn without_the_setting_a_link_may_stay_away() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let setup = reverse_proxy(&pki, gateway.address).env("HEALTHCHECK_LINK_TIMEOUT", "off");
    let bridge = setup.start_ready();
    drop(gateway);
    assert_eq!(curl(&[&bridge.http()]).status, 502);
    assert_eq!(ask(&bridge, "/status/health").status, 200);
}

#[test]
fn ready_without_upstream_asks_for_no_gateway() {
    let pki = Pki::new();
    let bridge = lonely(&pki).env("READY_WITHOUT_UPSTREAM", "on").start();
    assert_eq!(ask(&bridge, "/status/ready").status, 200);
}

#[test]
fn a_gateway_is_ready_when_it_listens_whatever_its_service_does() {
    let pki = Pki::new();
    let bridge = gateway(&pki, closed_port()).start();
    assert_eq!(ask(&bridge, "/status/ready").status, 200);
}

#[test]
fn status_counts_connections_and_requests() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let bridge = reverse_proxy(&pki, gateway.address).start_ready();
    for _ in 0..3 {
        assert_eq!(curl(&[&bridge.http()]).status, 200);
    }
    let answer = ask(&bridge, "/status");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/json; charset=utf-8"))
    );
    let status = answer.json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&status["ready"], &status["workers"]), (&true.into(), &1.into()));
    assert_eq!((&status["requests_total"], &status["connections_total"]), (&3.into(), &3.into()));
}

#[test]
fn the_status_listener_has_few_pages_and_changes_nothing() {
    let pki = Pki::new();
    let bridge = lonely(&pki).start();
    assert_eq!(ask(&bridge, "/").status, 404);
    assert_eq!(ask(&bridge, "/status/").status, 404);
    let url = format!("http://{}/status/ready", bridge.status_address());
    assert_eq!(curl(&["-X", "DELETE", &url]).status, 405);
}

#[test]
fn a_health_check_needs_to_know_the_status_listener_and_nothing_else() {
    let pki = Pki::new();
    let bridge = gateway(&pki, closed_port()).start();
    let broken = program()
        .args(["healthcheck", "--status-listen", &bridge.status_address().to_string()])
        .env("MODE", "neither")
        .env("CLIENT_SSL", "maybe")
        .output()
        .unwrap();
    assert_eq!((broken.status.code(), broken.stderr), (Some(0), vec![]));
}

#[test]
fn a_health_check_of_nobody_says_where_it_asked() {
    let nobody = closed_port();
    let expected = format!("mtls-bridge: nothing answers at {nobody}: Connection refused (os error 111)");
    assert_eq!(unhealthy(nobody), expected);
}

#[test]
fn a_health_check_does_not_take_another_service_for_the_status_listener() {
    let other = answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let expected = format!("mtls-bridge: {other} answers 404: is it the status listener?");
    assert_eq!(unhealthy(other), expected);
}

#[test]
fn a_health_check_without_a_status_listener_has_nobody_to_ask() {
    let output = program().arg("healthcheck").env("STATUS_LISTEN", "off").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let expected = "mtls-bridge: status_listen is off, so there is nobody to ask\n";
    assert_eq!((output.status.code(), text.as_str()), (Some(1), expected));
}

#[test]
fn a_health_check_with_a_broken_address_is_a_refused_configuration() {
    let output = program().arg("healthcheck").env("STATUS_LISTEN", "8007").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let expected = "status_listen=8007 (environment STATUS_LISTEN): `8007` has no address; \
                    write for example 127.0.0.1:8007\n";
    assert_eq!((output.status.code(), text.as_str()), (Some(2), expected));
}
