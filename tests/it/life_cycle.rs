//! The orderly end: what is in flight finishes, everything else is refused or closed, and every
//! request leaves its line.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::PATIENCE;
use crate::support::bridge::{Bridge, gateway, plain_proxy, reverse_proxy};
use crate::support::client::{connect, curl, get, is_closed, read_answer};
use crate::support::h2_client::{self, H2, block_on, kind, next_frame, soon};
use crate::support::pki::Pki;
use crate::support::services::{Echo, raw, read_head};

/// Shorter than any deadline that would end a connection by itself.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Waits until nobody listens there any more.
fn refuses(address: SocketAddr) {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "it still accepts");
        thread::park_timeout(Duration::from_millis(10));
    }
}

/// Sends the signal and waits until the program acts on it.
fn begin_drain(node: &Bridge, signal: &str) {
    node.signal(signal);
    node.log.containing(&format!("SIG{signal}: no new connections"));
    refuses(node.address);
}

fn ended_well(mut node: Bridge) -> Vec<serde_json::Value> {
    let status = node.ended();
    assert_eq!(status.code(), Some(0), "{status}");
    node.access.all().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A service that switches protocols and sends every byte back.
fn tunnel_service() -> SocketAddr {
    raw(|mut stream| {
        read_head(&mut stream);
        let head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
        stream.write_all(head).unwrap();
        let mut byte = [0];
        while let Ok(1) = stream.read(&mut byte) {
            stream.write_all(&byte).unwrap();
        }
    })
}

/// An upgraded connection to [`tunnel_service`].
fn tunnel(address: SocketAddr) -> TcpStream {
    let mut client = connect(address);
    let head = b"GET /tunnel HTTP/1.1\r\nHost: node\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    client.write_all(head).unwrap();
    assert!(read_head(&mut client).starts_with("HTTP/1.1 101"));
    client
}

fn echoes(client: &mut TcpStream) -> bool {
    let mut byte = [0];
    client.write_all(b"x").is_ok() && client.read_exact(&mut byte).is_ok() && byte == *b"x"
}

#[test]
fn a_download_in_flight_finishes_and_new_connections_are_refused_on_either_signal() {
    let echo = Echo::start();
    for signal in ["TERM", "INT"] {
        let node = plain_proxy(echo.address).start();
        let mut client = connect(node.address);
        client.write_all(b"GET /bytes/262144?delay_ms=200 HTTP/1.1\r\nHost: node\r\n\r\n").unwrap();
        assert!(read_head(&mut client).starts_with("HTTP/1.1 200"));
        begin_drain(&node, signal);
        let mut body = Vec::new();
        client.read_to_end(&mut body).unwrap();
        assert_eq!(body.len(), 262_144);
        node.log.containing("drained: everything in flight was finished");
        let lines = ended_well(node);
        assert_eq!((&lines[0]["bytes_out"], &lines[0]["reason"]), (&json!(262_144), &json!(null)));
    }
}

#[test]
fn an_upload_in_flight_finishes() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let node = reverse_proxy(&pki, gateway.address).start_ready();
    let mut client = connect(node.address);
    client.write_all(b"POST /upload HTTP/1.1\r\nHost: node\r\nContent-Length: 6\r\n\r\nabc").unwrap();
    node.wait_for_connections(1);
    begin_drain(&node, "TERM");
    client.write_all(b"def").unwrap();
    let (head, body) = read_answer(&mut client);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(body.contains("abcdef"), "{body}");
    assert!(is_closed(&mut client));
    ended_well(node);
}

#[test]
fn idle_connections_end_at_once() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).start();
    let mut client = connect(node.address);
    assert!(get(&mut client, "/").0.starts_with("HTTP/1.1 200"));
    let started = Instant::now();
    begin_drain(&node, "TERM");
    assert!(is_closed(&mut client));
    ended_well(node);
    assert!(started.elapsed() < AT_ONCE);
}

#[test]
fn connections_on_which_nothing_was_sent_do_not_hold_the_end_up() {
    let (pki, echo) = (Pki::new(), Echo::start());
    for node in [plain_proxy(echo.address).start(), gateway(&pki, echo.address).start()] {
        let mut client = connect(node.address);
        node.wait_for_connections(1);
        let started = Instant::now();
        begin_drain(&node, "TERM");
        assert!(is_closed(&mut client));
        ended_well(node);
        assert!(started.elapsed() < AT_ONCE);
    }
}

#[test]
fn an_http2_client_gets_goaway_and_its_stream_in_flight_finishes() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).start();
    block_on(async {
        let client = H2::connect(node.address).await;
        let answer = client.get("/bytes/262144?delay_ms=200").await.unwrap();
        begin_drain(&node, "TERM");
        assert_eq!(h2_client::read_all(answer.into_body()).await.unwrap().len(), 262_144);
        // Its last window may meet a socket that is closed already.
        let ended = soon(client.ended).await.unwrap();
        assert!(ended.as_ref().map_or_else(h2::Error::is_io, |()| true), "GOAWAY with NO_ERROR: {ended:?}");
    });
    let lines = ended_well(node);
    assert_eq!((&lines[0]["bytes_out"], &lines[0]["reason"]), (&json!(262_144), &json!(null)));
}

#[test]
fn an_idle_http2_client_gets_goaway_and_is_closed_even_if_it_ignores_it() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("WRITE_TIMEOUT", "300ms").start();
    let mut client = h2_client::raw(node.address);
    assert!(next_frame(&mut client, kind::SETTINGS).is_some());
    node.signal("TERM");
    let goaway = next_frame(&mut client, kind::GOAWAY).unwrap();
    assert_eq!(goaway.error_code(), 0);
    node.log.containing("write_timeout passed after GOAWAY");
    ended_well(node);
}

#[test]
fn an_upgraded_connection_may_finish() {
    let node = plain_proxy(tunnel_service()).start();
    let mut client = tunnel(node.address);
    begin_drain(&node, "TERM");
    assert!(echoes(&mut client));
    drop(client);
    let lines = ended_well(node);
    assert_eq!((&lines[0]["status"], &lines[0]["reason"]), (&json!(101), &json!(null)));
}

#[test]
fn drain_timeout_cuts_what_remains_and_its_lines_say_so() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("DRAIN_TIMEOUT", "300ms").start();
    let mut download = connect(node.address);
    download.write_all(b"GET /bytes/1000000000?delay_ms=500 HTTP/1.1\r\nHost: node\r\n\r\n").unwrap();
    assert!(read_head(&mut download).starts_with("HTTP/1.1 200"));
    let mut upload = connect(node.address);
    upload.write_all(b"POST /upload HTTP/1.1\r\nHost: node\r\nContent-Length: 6\r\n\r\nabc").unwrap();
    block_on(async {
        let client = H2::connect(node.address).await;
        let answer = client.get("/bytes/2000000000?delay_ms=500").await.unwrap();
        node.wait_for_connections(3);
        let started = Instant::now();
        node.signal("TERM");
        h2_client::read_all(answer.into_body()).await.expect_err("a cut body never ends well");
        assert!(started.elapsed() >= Duration::from_millis(300));
    });
    assert!(is_closed(&mut download));
    node.log.containing("drain_timeout passed: what was still in flight is cut");
    let lines = ended_well(node);
    assert_eq!(lines.len(), 3, "{lines:?}");
    for line in lines {
        assert_eq!(line["reason"], "drain_timeout passed before the answer was complete", "{line}");
    }
}

#[test]
fn drain_timeout_cuts_an_upgraded_connection() {
    let node = plain_proxy(tunnel_service()).env("DRAIN_TIMEOUT", "300ms").start();
    let mut client = tunnel(node.address);
    begin_drain(&node, "TERM");
    assert!(is_closed(&mut client));
    let lines = ended_well(node);
    assert_eq!(lines[0]["reason"], "drain_timeout passed before the answer was complete");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).start();
    let mut client = connect(node.address);
    client.write_all(b"GET /bytes/1000000000?delay_ms=500 HTTP/1.1\r\nHost: node\r\n\r\n").unwrap();
    assert!(read_head(&mut client).starts_with("HTTP/1.1 200"));
    begin_drain(&node, "TERM");
    let started = Instant::now();
    node.signal("INT");
    node.log.containing("SIGINT again: ending at once");
    ended_well(node);
    assert!(started.elapsed() < AT_ONCE);
}

#[test]
fn nobody_reading_the_access_log_does_not_keep_it_from_ending() {
    let echo = Echo::start();
    let mut node = plain_proxy(echo.address).start_unread();
    let mut client = connect(node.address);
    // More lines than a pipe takes.
    for index in 0..500 {
        assert!(get(&mut client, &format!("/{index}")).0.starts_with("HTTP/1.1 200"));
    }
    node.signal("TERM");
    node.log.containing("access lines: standard output takes none");
    assert_eq!(node.ended().code(), Some(0));
}

#[test]
fn it_is_not_ready_while_it_drains() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).start();
    node.wait_until_ready();
    assert_eq!(node.ask_status("/status/ready"), (200, json!({"ready": true, "pending": []})));
    let mut client = connect(node.address);
    client.write_all(b"GET /bytes/262144?delay_ms=300 HTTP/1.1\r\nHost: node\r\n\r\n").unwrap();
    assert!(read_head(&mut client).starts_with("HTTP/1.1 200"));
    begin_drain(&node, "TERM");
    assert_eq!(node.ask_status("/status/ready"), (503, json!({"ready": false, "pending": ["drain"]})));
    let mut body = Vec::new();
    client.read_to_end(&mut body).unwrap();
    ended_well(node);
}

#[test]
fn every_request_has_its_line_at_the_end() {
    const CLIENTS: usize = 8;
    const EACH: usize = 125;
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("WORKERS", "2").start();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let mut stream = connect(node.address);
            thread::spawn(move || {
                for request in 0..EACH {
                    assert!(get(&mut stream, &format!("/{client}/{request}")).0.starts_with("HTTP/1.1 200"));
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    node.signal("TERM");
    let lines = ended_well(node);
    assert_eq!(lines.len(), CLIENTS * EACH);
    assert!(lines.iter().all(|line| line["status"] == 200 && line["reason"].is_null()));
}

#[test]
fn a_reverse_proxy_whose_gateway_drains_sends_the_next_request_on_another_link() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let old = gateway(&pki, echo.address).start();
    let node = reverse_proxy(&pki, old.address).start_ready();
    let mut client = connect(node.address);
    client.write_all(b"GET /bytes/1000000000?delay_ms=200 HTTP/1.1\r\nHost: node\r\n\r\n").unwrap();
    assert!(read_head(&mut client).starts_with("HTTP/1.1 200"));
    begin_drain(&old, "TERM");
    // In its place, on its port; the old one still serves what it has.
    let listen = format!("{} ssl http2", old.address);
    let new = gateway(&pki, echo.address).env("PROXY_LISTEN", listen).start();
    for _ in 0..3 {
        assert_eq!(curl(&[&format!("{}/next", node.http())]).status, 200);
    }
    assert_eq!(new.access_line("/next")["status"], 200);
    let mut chunk = [0; 65_536];
    client.read_exact(&mut chunk).unwrap();
    drop(client);
    ended_well(old);
}

#[test]
fn a_drain_under_load_fails_no_request() {
    const CLIENTS: usize = 32;
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("WORKERS", "2").start();
    let (begun, waiting) = mpsc::channel();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (mut stream, begun) = (connect(node.address), begun.clone());
            thread::spawn(move || answered_until_closed(&mut stream, &begun))
        })
        .collect();
    // Every client is at work when the signal comes.
    waiting.iter().take(CLIENTS).count();
    node.signal("TERM");
    let answered: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    let lines = ended_well(node);
    assert_eq!(lines.iter().filter(|line| line["status"] == 200).count(), answered);
    assert_eq!(lines.len(), answered);
}

/// Asks again and again until an answer says that the connection ends; every request must be answered.
fn answered_until_closed(stream: &mut TcpStream, begun: &mpsc::Sender<()>) -> usize {
    for count in 1.. {
        let head = get(stream, "/load").0.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200"), "request {count}: {head:?}");
        if count == 1 {
            begun.send(()).unwrap();
        }
        if head.contains("\r\nconnection: close") {
            return count;
        }
    }
    unreachable!("requests are counted without an end")
}
