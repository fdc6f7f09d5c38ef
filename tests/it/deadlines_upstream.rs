//! Waits on upstreams: each deadline is run into, the caller gets 504, and the log names it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use socket2::{Domain, Socket, Type};

use crate::support::bridge::{gateway, plain_proxy, reverse_proxy};
use crate::support::client::{connect, curl, get};
use crate::support::pki::Pki;
use crate::support::services::{Echo, raw, read_head, silent_at_times};

const SHORT: Duration = Duration::from_millis(300);

/// Keeps a connection open and does nothing.
fn hold<T>(stream: T) {
    loop {
        thread::park();
        let _ = &stream;
    }
}

#[test]
fn an_upstream_that_never_completes_tls_is_504_by_connect_timeout() {
    let (pki, silent) = (Pki::new(), raw(hold));
    let node = reverse_proxy(&pki, silent).env("CONNECT_TIMEOUT", "300ms").start();
    let started = Instant::now();
    assert_eq!(curl(&[&format!("{}/tls", node.http())]).status, 504);
    assert!(started.elapsed() < Duration::from_secs(10), "it waited for something else");
    let reason = node.access_line("/tls")["reason"].clone();
    assert_eq!(reason, format!("connect_timeout passed (https://localhost:{})", silent.port()));
    node.log.containing("the upstream is not reached yet: connect_timeout passed");
}

#[test]
fn an_upstream_that_takes_no_connection_is_504_by_connect_timeout_even_when_read_timeout_is_shorter() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // A full backlog drops every further SYN without a word.
    let filler: Vec<Socket> = (0..4)
        .map(|_| {
            let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            filler.set_nonblocking(true).unwrap();
            let _ = filler.connect(&address.into());
            filler
        })
        .collect();
    let node = plain_proxy(address).env("CONNECT_TIMEOUT", "600ms").env("READ_TIMEOUT", "100ms").start();
    let started = Instant::now();
    assert_eq!(curl(&[&format!("{}/blackhole", node.http())]).status, 504);
    assert!(started.elapsed() >= Duration::from_millis(600), "early: {:?}", started.elapsed());
    assert_eq!(
        node.access_line("/blackhole")["reason"],
        format!("connect_timeout passed (http://{address})")
    );
    drop(filler);
}

#[test]
fn an_upstream_that_does_not_answer_is_504_by_read_timeout() {
    let silent = raw(|mut stream| {
        read_head(&mut stream);
        hold(stream);
    });
    let node = plain_proxy(silent).env("READ_TIMEOUT", "300ms").start();
    let started = Instant::now();
    let answer = curl(&[&format!("{}/head", node.http())]);
    assert_eq!(
        (answer.status, answer.json()["message"].as_str()),
        (504, Some("The upstream server is timing out"))
    );
    assert!(started.elapsed() >= SHORT);
    assert_eq!(node.access_line("/head")["reason"], format!("read_timeout passed (http://{silent})"));
}

#[test]
fn a_service_behind_the_link_that_does_not_answer_is_504_and_the_link_stays() {
    let silent = silent_at_times();
    let pki = Pki::new();
    let gateway = gateway(&pki, silent).start();
    let node = reverse_proxy(&pki, gateway.address).env("READ_TIMEOUT", "300ms").start_ready();
    assert_eq!(curl(&[&format!("{}/silent", node.http())]).status, 504);
    let reason = node.access_line("/silent")["reason"].to_string();
    assert!(reason.contains("read_timeout passed (https://localhost:"), "{reason}");
    let reason = gateway.access_line("/silent")["reason"].clone();
    assert_eq!(reason, "the client ended the connection before the answer was complete");
    assert_eq!(curl(&[&format!("{}/next", node.http())]).status, 200);
    assert_eq!(gateway.ask_status("/status").1["connections_total"], 1, "another link was opened");
}

#[test]
fn an_answer_that_stops_in_its_body_is_cut_by_read_timeout() {
    let stalling = raw(|mut stream| {
        read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").unwrap();
        hold(stream);
    });
    let node = plain_proxy(stalling).env("READ_TIMEOUT", "300ms").start();
    let started = Instant::now();
    let answer = curl(&[&format!("{}/body", node.http())]);
    assert_eq!((answer.status, answer.body.as_str(), answer.exit), (200, "abc", 18));
    assert!(started.elapsed() < Duration::from_secs(4), "the caller learns it late");
    let line = node.access_line("/body");
    assert_eq!(line["reason"], "read_timeout passed while waiting for more of the upstream's body");
}

#[test]
fn an_upstream_that_reads_nothing_is_504_by_write_timeout() {
    let deaf = raw(hold);
    let node = plain_proxy(deaf).env("WRITE_TIMEOUT", "300ms").start();
    let started = Instant::now();
    let mut client = connect(node.address);
    client.write_all(b"POST /deaf HTTP/1.1\r\nHost: node\r\nContent-Length: 1000000000\r\n\r\n").unwrap();
    let mut body = client.try_clone().unwrap();
    let upload = thread::spawn(move || while body.write_all(&[b'x'; 65536]).is_ok() {});
    assert!(read_head(&mut client).starts_with("HTTP/1.1 504"));
    assert!(started.elapsed() >= SHORT);
    assert_eq!(node.access_line("/deaf")["reason"], format!("write_timeout passed (http://{deaf})"));
    client.shutdown(Shutdown::Both).unwrap();
    upload.join().unwrap();
}

/// An HTTP/2 service in plaintext on a thread of its own, for `UPSTREAM_HTTP=http2`.
fn http2_service<W: Future<Output = ()>>(
    serve: impl Fn(h2::server::Connection<tokio::net::TcpStream, Bytes>) -> W + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                serve(h2::server::handshake(stream).await.unwrap()).await;
            }
        });
    });
    address
}

#[test]
fn a_link_whose_window_stays_shut_is_504_by_write_timeout() {
    let deaf = http2_service(async |mut connection| {
        let mut held = Vec::new();
        // Answers PING, takes streams, and never gives their windows back.
        while let Some(Ok(stream)) = connection.accept().await {
            held.push(stream);
        }
    });
    let node = plain_proxy(deaf).env("UPSTREAM_HTTP", "http2").env("WRITE_TIMEOUT", "300ms").start();
    for attempt in 0..5 {
        let url = format!("{}/deaf{attempt}", node.http());
        assert_eq!(curl(&["--data-binary", &"x".repeat(100_000), &url]).status, 504);
        let line = node.access_line(&format!("/deaf{attempt}"));
        assert_eq!(line["reason"], format!("write_timeout passed (http://{deaf})"));
    }
}

#[test]
fn a_link_that_answers_no_ping_is_dead_by_link_timeout() {
    let silent = http2_service(async |mut connection| {
        // The first PING is answered, and the request taken; then there is silence.
        let held = connection.accept().await;
        let _held = (held, connection);
        std::future::pending::<()>().await;
    });
    let node = plain_proxy(silent).env("UPSTREAM_HTTP", "http2").env("LINK_TIMEOUT", "300ms").start();
    let started = Instant::now();
    assert_eq!(curl(&[&format!("{}/dead", node.http())]).status, 504);
    assert!(started.elapsed() >= SHORT);
    assert_eq!(node.access_line("/dead")["reason"], format!("link_timeout passed (http://{silent})"));
}

#[test]
fn a_link_that_never_answers_its_first_ping_is_504_by_link_timeout() {
    let node = plain_proxy(raw(hold)).env("UPSTREAM_HTTP", "http2").env("LINK_TIMEOUT", "300ms").start();
    assert_eq!(curl(&[&format!("{}/mute", node.http())]).status, 504);
    let reason = node.access_line("/mute")["reason"].to_string();
    assert!(reason.contains("link_timeout passed (http://"), "{reason}");
}

#[test]
fn an_idle_connection_to_the_service_is_closed_by_upstream_keepalive_idle_timeout() {
    let (told, closed) = std::sync::mpsc::channel();
    let service = raw(move |mut stream| {
        // Connections that were opened ahead and never used are closed as well.
        if read_head(&mut stream).is_empty() {
            return;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        let started = Instant::now();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        told.send(started.elapsed()).unwrap();
    });
    let node = plain_proxy(service).env("UPSTREAM_KEEPALIVE_IDLE_TIMEOUT", "1s").start();
    let mut client = connect(node.address);
    assert!(get(&mut client, "/").0.starts_with("HTTP/1.1 200"));
    let idle = closed.recv_timeout(crate::support::PATIENCE).expect("it is kept for ever");
    assert!(idle >= Duration::from_millis(900), "early: {idle:?}");
}

#[test]
fn an_answer_that_comes_before_its_request_is_complete_frees_both_connections() {
    check_early_answer("");
}

#[test]
fn an_upgrade_that_is_refused_before_its_request_is_complete_frees_both_connections() {
    check_early_answer("Connection: Upgrade\r\nUpgrade: websocket\r\n");
}

/// A service that answers an upload at once, and then neither reads nor closes.
fn check_early_answer(more_headers: &str) {
    let service = raw(|mut stream| {
        read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").unwrap();
        hold(stream);
    });
    let node = plain_proxy(service).env("WRITE_TIMEOUT", "300ms").start();
    node.log.containing("is reached");
    let before = node.descriptors();
    let mut client = connect(node.address);
    let head =
        format!("POST /early HTTP/1.1\r\nHost: node\r\n{more_headers}Content-Length: 1000000000\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    let mut body = client.try_clone().unwrap();
    let upload = thread::spawn(move || while body.write_all(&[b'x'; 65536]).is_ok() {});
    assert!(read_head(&mut client).starts_with("HTTP/1.1 403"));
    client.shutdown(Shutdown::Both).unwrap();
    node.access_line("/early");
    upload.join().unwrap();
    node.wait_for_connections(0);
    let deadline = Instant::now() + crate::support::PATIENCE;
    while node.descriptors() > before {
        assert!(Instant::now() < deadline, "{} descriptors, not {before}", node.descriptors());
        thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn an_upload_that_takes_longer_than_read_timeout_is_not_cut_by_it() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("READ_TIMEOUT", "300ms").start();
    let mut client = connect(node.address);
    client.write_all(b"POST /upload HTTP/1.1\r\nHost: node\r\nContent-Length: 8\r\n\r\n").unwrap();
    for byte in b"12345678" {
        thread::park_timeout(Duration::from_millis(100));
        client.write_all(&[*byte]).unwrap();
    }
    assert!(read_head(&mut client).starts_with("HTTP/1.1 200"));
    assert_eq!(node.access_line("/upload")["bytes_in"], 8);
}
