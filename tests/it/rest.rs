//! Connections that rest: without requests for a second they give their buffers back, and nobody
//! notices.

use std::io::Write;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::support::bridge::{Bridge, gateway, plain_proxy};
use crate::support::client::{connect, get, is_closed, read_answer};
use crate::support::h2_client::{block_on, soon};
use crate::support::http2;
use crate::support::pki::Pki;
use crate::support::services::Echo;

const RESTS: &str = "a connection rests";

fn node(echo: &Echo, settings: &[(&str, &str)]) -> Bridge {
    let node = plain_proxy(echo.address).env("LOG_LEVEL", "debug");
    settings.iter().fold(node, |node, (name, value)| node.env(name, value)).start()
}

#[test]
fn a_plain_connection_that_rested_serves_the_next_request_and_rests_again() {
    let echo = Echo::start();
    let node = node(&echo, &[]);
    let mut client = connect(node.address);
    for round in 1..=3 {
        let (head, body) = get(&mut client, "/bytes/20000");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(body.len(), 20_000);
        node.log.wait_times(1, RESTS, |line| line.contains(RESTS).then_some(()));
        assert_eq!(node.connections(), 1, "round {round}");
    }
}

async fn answer(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    stream.write_all(b"GET /bytes/5 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nxxxxx") {
        assert!(
            soon(stream.read_buf(&mut answer)).await.unwrap() > 0,
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    String::from_utf8(answer).unwrap()
}

#[test]
fn a_tls_connection_that_rested_is_still_the_callers() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let node = gateway(&pki, echo.address).env("LOG_LEVEL", "debug").start();
    block_on(async {
        let mut client = http2::tls(node.address, &pki, Some("client"), &[b"http/1.1"]).await;
        assert!(answer(&mut client).await.starts_with("HTTP/1.1 200"));
        node.log.containing(RESTS);
        assert!(answer(&mut client).await.starts_with("HTTP/1.1 200"));
    });
    let lines = node.stopped_access_lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["peer"], lines[1]["peer"]);
    assert_eq!(lines[1]["certificate"], "CN=app");
}

#[test]
fn a_resting_connection_is_closed_by_keepalive_timeout() {
    let echo = Echo::start();
    let node = node(&echo, &[("KEEPALIVE_TIMEOUT", "2s")]);
    let mut client = connect(node.address);
    assert!(get(&mut client, "/").0.starts_with("HTTP/1.1 200"));
    let started = Instant::now();
    node.log.containing(RESTS);
    assert!(is_closed(&mut client));
    assert!(started.elapsed() >= Duration::from_secs(2) - Duration::from_millis(100));
    node.log.containing("keepalive_timeout passed without a request");
    node.wait_for_connections(0);
}

#[test]
fn half_a_head_after_a_rest_is_closed_by_client_header_timeout() {
    let echo = Echo::start();
    let node = node(&echo, &[("CLIENT_HEADER_TIMEOUT", "300ms")]);
    let mut client = connect(node.address);
    assert!(get(&mut client, "/").0.starts_with("HTTP/1.1 200"));
    node.log.containing(RESTS);
    client.write_all(b"GET / HT").unwrap();
    assert!(is_closed(&mut client));
    node.log.containing("client_header_timeout passed before a request's head was complete");
}

#[test]
fn resting_connections_do_not_hold_the_end_up() {
    let echo = Echo::start();
    let mut node = node(&echo, &[]);
    let mut client = connect(node.address);
    assert!(get(&mut client, "/").0.starts_with("HTTP/1.1 200"));
    node.log.containing(RESTS);
    let started = Instant::now();
    node.signal("TERM");
    assert!(node.ended().success());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(is_closed(&mut client));
}

#[test]
fn a_stray_byte_behind_a_request_is_closed_by_client_header_timeout() {
    let echo = Echo::start();
    let node = node(&echo, &[("CLIENT_HEADER_TIMEOUT", "300ms")]);
    let mut client = connect(node.address);
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nG").unwrap();
    assert!(read_answer(&mut client).0.starts_with("HTTP/1.1 200"));
    assert!(is_closed(&mut client));
    node.log.containing("client_header_timeout passed before a request's head was complete");
    node.wait_for_connections(0);
}

#[test]
fn empty_lines_behind_a_request_neither_begin_the_next_nor_keep_the_connection() {
    let echo = Echo::start();
    let node = node(&echo, &[("KEEPALIVE_TIMEOUT", "2s")]);
    let mut client = connect(node.address);
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n\r\n").unwrap();
    assert!(read_answer(&mut client).0.starts_with("HTTP/1.1 200"));
    node.log.containing(RESTS);
    assert!(get(&mut client, "/").0.starts_with("HTTP/1.1 200"));
    assert!(is_closed(&mut client));
    node.log.containing("keepalive_timeout passed without a request");
}
