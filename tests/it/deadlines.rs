//! Waits on clients: each deadline is run into, never early, and the log names it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::Builder;

use crate::support::bridge::{Bridge, gateway, plain_proxy};
use crate::support::client::{connect, get, is_closed, read_answer};
use crate::support::h2_client::{
    self, H2, PREFACE, block_on, frame, get_block, kind, next_frame, post, soon,
};
use crate::support::pki::Pki;
use crate::support::services::{Echo, raw, read_head};

const SHORT: Duration = Duration::from_millis(300);

/// The connection is closed, not before [`SHORT`], and the log names why.
fn closed_by(mut stream: TcpStream, started: Instant, node: &Bridge, reason: &str) {
    assert!(is_closed(&mut stream));
    assert!(started.elapsed() >= SHORT, "early: {:?}", started.elapsed());
    node.log.containing(reason);
    node.wait_for_connections(0);
}

/// Sends `bytes` one at a time, 50 ms apart, until the other side closes.
fn trickle(stream: &mut TcpStream, bytes: impl Iterator<Item = u8>) {
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    for byte in bytes {
        if stream.write_all(&[byte]).is_err() {
            return;
        }
        match stream.read(&mut [0]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => return,
        }
    }
}

#[test]
fn a_client_that_never_begins_the_handshake_is_closed_by_handshake_timeout() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let node = gateway(&pki, echo.address).env("HANDSHAKE_TIMEOUT", "300ms").start();
    let started = Instant::now();
    closed_by(connect(node.address), started, &node, "handshake_timeout passed before the TLS handshake");
}

#[test]
fn half_a_client_hello_is_closed_by_handshake_timeout() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let node = gateway(&pki, echo.address).env("HANDSHAKE_TIMEOUT", "300ms").start();
    let started = Instant::now();
    let mut client = connect(node.address);
    client.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 7, 7, 7]).unwrap();
    closed_by(client, started, &node, "handshake_timeout passed before the TLS handshake");
}

#[test]
fn a_client_that_sends_nothing_after_the_handshake_is_closed_by_client_header_timeout() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let node = gateway(&pki, echo.address).env("CLIENT_HEADER_TIMEOUT", "300ms").start();
    block_on(async {
        let started = Instant::now();
        let mut stream = h2_client::tls(&pki, node.address).await;
        let mut rest = Vec::new();
        let _ = soon(tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest)).await;
        assert!(started.elapsed() >= SHORT);
    });
    node.log.containing("client_header_timeout passed before the HTTP/2 preface");
}

#[test]
fn a_plain_client_that_sends_nothing_is_closed_by_client_header_timeout() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("CLIENT_HEADER_TIMEOUT", "300ms").start();
    let started = Instant::now();
    closed_by(connect(node.address), started, &node, "client_header_timeout passed before a request came");
}

#[test]
fn a_client_that_stops_within_what_may_be_the_http2_preface_is_closed_by_client_header_timeout() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("CLIENT_HEADER_TIMEOUT", "300ms").start();
    for (sent, reason) in [
        (&b"PR"[..], "client_header_timeout passed before a request came"),
        (&PREFACE[..10], "client_header_timeout passed before the HTTP/2 preface"),
    ] {
        let started = Instant::now();
        let mut client = connect(node.address);
        client.write_all(sent).unwrap();
        closed_by(client, started, &node, reason);
    }
}

#[test]
fn a_head_that_comes_a_byte_at_a_time_is_closed_by_client_header_timeout() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("CLIENT_HEADER_TIMEOUT", "300ms").start();
    let started = Instant::now();
    let mut client = connect(node.address);
    trickle(&mut client, b"GET / HTTP/1.1\r\nX-Slow: ".iter().copied().chain(std::iter::repeat(b'x')));
    closed_by(client, started, &node, "client_header_timeout passed before a request's head was complete");
}

#[test]
fn a_second_head_that_comes_a_byte_at_a_time_is_closed_by_client_header_timeout() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("CLIENT_HEADER_TIMEOUT", "300ms").start();
    let mut client = connect(node.address);
    assert!(get(&mut client, "/").0.starts_with("HTTP/1.1 200"));
    let started = Instant::now();
    trickle(&mut client, b"GET / HTTP/1.1\r\nX-Slow: ".iter().copied().chain(std::iter::repeat(b'x')));
    closed_by(client, started, &node, "client_header_timeout passed before a request's head was complete");
}

#[test]
fn a_body_that_stops_is_answered_408_by_client_body_timeout() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("CLIENT_BODY_TIMEOUT", "300ms").start();
    let started = Instant::now();
    let mut client = connect(node.address);
    client.write_all(b"POST /slow HTTP/1.1\r\nHost: node\r\nContent-Length: 10\r\n\r\nabc").unwrap();
    let (head, _) = read_answer(&mut client);
    assert!(head.starts_with("HTTP/1.1 408"), "{head}");
    assert!(started.elapsed() >= SHORT);
    let line = node.access_line("/slow");
    assert_eq!(line["reason"], "client_body_timeout passed while waiting for more of the client's body");
    assert_eq!((&line["status"], &line["bytes_in"]), (&408.into(), &3.into()));
}

#[test]
fn a_body_that_stops_on_http2_is_answered_408_and_the_other_streams_stay() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("CLIENT_BODY_TIMEOUT", "300ms").start();
    block_on(async {
        let client = H2::connect(node.address).await;
        let (answer, mut body) = client.start(post("/slow"), false).await;
        body.send_data(Bytes::from_static(b"abc"), false).unwrap();
        assert_eq!(soon(answer).await.unwrap().status(), 408);
        assert_eq!(client.get("/next").await.unwrap().status(), 200);
    });
    let line = node.access_line("/slow");
    assert_eq!(line["reason"], "client_body_timeout passed while waiting for more of the client's body");
}

#[test]
fn an_idle_connection_is_closed_by_keepalive_timeout() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("KEEPALIVE_TIMEOUT", "300ms").env("LOG_LEVEL", "debug").start();
    let mut client = connect(node.address);
    assert!(get(&mut client, "/").0.starts_with("HTTP/1.1 200"));
    let started = Instant::now();
    closed_by(client, started, &node, "keepalive_timeout passed without a request");
}

#[test]
fn a_connection_in_use_is_not_closed_by_keepalive_timeout() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("KEEPALIVE_TIMEOUT", "300ms").start();
    let mut client = connect(node.address);
    // Takes four times as long as the connection may be idle.
    let (head, body) = get(&mut client, "/bytes/196608?delay_ms=600");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(body.len(), 196_608);
    assert!(get(&mut client, "/").0.starts_with("HTTP/1.1 200"));
}

#[test]
fn an_idle_http2_connection_gets_goaway_by_keepalive_timeout() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("KEEPALIVE_TIMEOUT", "300ms").env("LOG_LEVEL", "debug").start();
    block_on(async {
        let client = H2::connect(node.address).await;
        assert_eq!(client.get("/").await.unwrap().status(), 200);
        let started = Instant::now();
        soon(client.ended).await.unwrap().expect("GOAWAY with NO_ERROR");
        assert!(started.elapsed() >= SHORT);
    });
    node.log.containing("keepalive_timeout passed without a request");
    node.wait_for_connections(0);
}

#[test]
fn an_http2_client_that_ignores_goaway_is_closed_all_the_same() {
    let echo = Echo::start();
    let node =
        plain_proxy(echo.address).env("KEEPALIVE_TIMEOUT", "300ms").env("WRITE_TIMEOUT", "300ms").start();
    let mut client = h2_client::raw(node.address);
    assert!(next_frame(&mut client, kind::GOAWAY).is_some());
    let started = Instant::now();
    closed_by(client, started, &node, "write_timeout passed after GOAWAY");
}

#[test]
fn a_client_that_reads_nothing_is_closed_by_write_timeout() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("WRITE_TIMEOUT", "300ms").start();
    let started = Instant::now();
    let mut client = connect(node.address);
    client.write_all(b"GET /bytes/1000000000 HTTP/1.1\r\nHost: node\r\n\r\n").unwrap();
    let line = node.access_line("/bytes/1000000000");
    assert_eq!(line["reason"], "write_timeout passed while the client took no bytes");
    assert!(started.elapsed() >= SHORT);
    node.log.containing("write_timeout passed while the client took no bytes");
    node.wait_for_connections(0);
}

#[test]
fn a_client_that_reads_slowly_is_not_closed_by_write_timeout() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("WRITE_TIMEOUT", "600ms").start();
    let mut client = connect(node.address);
    client.write_all(b"GET /bytes/40000000 HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").unwrap();
    assert!(read_head(&mut client).starts_with("HTTP/1.1 200"));
    let (mut chunk, mut total, started) = (vec![0; 4_000_000], 0, Instant::now());
    while total < 40_000_000 {
        // Long enough between two reads that the whole takes several times the deadline.
        std::thread::park_timeout(Duration::from_millis(200));
        client.read_exact(&mut chunk).unwrap();
        total += chunk.len();
    }
    assert!(started.elapsed() > Duration::from_millis(1200));
    assert!(is_closed(&mut client));
}

#[test]
fn an_http2_stream_whose_window_stays_shut_is_reset_by_write_timeout() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("WRITE_TIMEOUT", "300ms").start();
    block_on(async {
        let client = H2::connect(node.address).await;
        // Its window of 64 KiB is never opened again.
        let mut body = client.get("/bytes/1000000").await.unwrap().into_body();
        let mut kept = Vec::new();
        let error = loop {
            match soon(body.data()).await.expect("a body that ends in an error") {
                Ok(data) => kept.push(data),
                Err(error) => break error,
            }
        };
        assert_eq!(error.reason(), Some(h2::Reason::CANCEL));
        assert_eq!(client.get("/next").await.unwrap().status(), 200);
    });
    let line = node.access_line("/bytes/1000000");
    assert_eq!(line["reason"], "write_timeout passed while the client took no bytes");
}

#[test]
fn an_http2_client_that_reads_nothing_is_closed_by_write_timeout() {
    let echo = Echo::start();
    let node =
        plain_proxy(echo.address).env("WRITE_TIMEOUT", "300ms").env("KEEPALIVE_TIMEOUT", "300ms").start();
    let mut client = h2_client::raw(node.address);
    // Windows as large as they can be: only the socket holds the answer up.
    client.write_all(&frame(kind::SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff])).unwrap();
    client.write_all(&frame(kind::WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0])).unwrap();
    let head = [h2_client::END_STREAM | h2_client::END_HEADERS];
    client.write_all(&frame(kind::HEADERS, head[0], 1, &get_block("/bytes/1000000000"))).unwrap();
    let line = node.access_line("/bytes/1000000000");
    assert_eq!(line["reason"], "write_timeout passed while the client took no bytes");
    node.wait_for_connections(0);
}

#[test]
fn a_slow_download_outlives_every_deadline_that_is_shorter_than_it() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address)
        .env("READ_TIMEOUT", "400ms")
        .env("WRITE_TIMEOUT", "300ms")
        .env("KEEPALIVE_TIMEOUT", "300ms")
        .env("CLIENT_HEADER_TIMEOUT", "300ms")
        .env("CLIENT_BODY_TIMEOUT", "300ms")
        .start();
    block_on(async {
        let mut builder = Builder::new();
        builder.initial_window_size(1 << 20).initial_connection_window_size(1 << 20);
        let tcp = tokio::net::TcpStream::connect(node.address).await.unwrap();
        let client = H2::over(tcp, &builder).await;
        let answer = client.get("/bytes/655360?delay_ms=200").await.unwrap();
        assert_eq!(h2_client::read_all(answer.into_body()).await.unwrap().len(), 655_360);
    });
    assert_eq!(node.access_line("/bytes/655360")["reason"], serde_json::Value::Null);
}

#[test]
fn a_tunnel_in_which_nothing_moves_is_closed_by_read_timeout() {
    let service = raw(|mut stream| {
        read_head(&mut stream);
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
            .unwrap();
        let mut byte = [0];
        while let Ok(1) = stream.read(&mut byte) {
            stream.write_all(&byte).unwrap();
        }
    });
    let node = plain_proxy(service).env("READ_TIMEOUT", "300ms").start();
    let mut client = connect(node.address);
    client
        .write_all(b"GET /tunnel HTTP/1.1\r\nHost: node\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        .unwrap();
    assert!(read_head(&mut client).starts_with("HTTP/1.1 101"));
    let mut byte = [0];
    for sent in b"hello" {
        client.write_all(&[*sent]).unwrap();
        client.read_exact(&mut byte).unwrap();
        assert_eq!(byte[0], *sent);
    }
    let started = Instant::now();
    assert!(is_closed(&mut client));
    assert!(started.elapsed() >= SHORT);
    let line = node.access_line("/tunnel");
    assert_eq!(line["reason"], "read_timeout passed without a byte in either direction");
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&5.into(), &5.into()));
}
