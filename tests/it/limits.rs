//! Sizes and counts: each limit is run into, the client is told, and the log names the limit.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::support::bridge::plain_proxy;
use crate::support::client::{connect, curl, exchange, get, read_answer};
use crate::support::h2_client::{
    self, END_HEADERS, END_STREAM, H2, REFUSED_STREAM, block_on, frame, get_block, kind, next_frame, post,
    soon,
};
use crate::support::services::{Echo, raw, read_head};

/// A service that keeps what it receives and never answers.
fn silent_service() -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let received = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&received);
    let address = raw(move |mut stream: TcpStream| {
        let mut chunk = [0; 4096];
        while let Ok(bytes @ 1..) = std::io::Read::read(&mut stream, &mut chunk) {
            kept.lock().unwrap().extend_from_slice(&chunk[..bytes]);
        }
    });
    (address, received)
}

#[test]
fn beyond_max_connections_a_client_waits_and_is_served_when_another_ends() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("MAX_CONNECTIONS", "2").start();
    let (mut first, mut second) = (connect(node.address), connect(node.address));
    // Busy: an idle one would make room.
    for busy in [&mut first, &mut second] {
        busy.write_all(b"POST / HTTP/1.1\r\nHost: node\r\nContent-Length: 1\r\n\r\n").unwrap();
    }
    node.wait_for_connections(2);
    let mut third = connect(node.address);
    third.write_all(b"GET /3 HTTP/1.1\r\nHost: node\r\n\r\n").unwrap();
    node.log.containing("max_connections reached");
    third.set_nonblocking(true).unwrap();
    assert_eq!(third.peek(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "it was served");
    third.set_nonblocking(false).unwrap();
    drop(first);
    assert!(read_answer(&mut third).0.starts_with("HTTP/1.1 200"));
    second.write_all(b"x").unwrap();
    assert!(read_answer(&mut second).0.starts_with("HTTP/1.1 200"), "who is in is served");
}

#[test]
fn max_connections_is_for_all_listeners_together_and_an_idle_listener_takes_no_place() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address)
        .env("PROXY_LISTEN", "127.0.0.1:0, 127.0.0.1:0")
        .env("MAX_CONNECTIONS", "1")
        .start();
    // The log tells both addresses, in order.
    let second = node.log.json("the second address", |line| {
        line["message"] == "listening" && line["address"] != node.address.to_string()
    });
    let second: SocketAddr = second["address"].as_str().unwrap().parse().unwrap();
    for address in [node.address, second, node.address] {
        assert!(get(&mut connect(address), "/").0.starts_with("HTTP/1.1 200"), "{address}");
        node.wait_for_connections(0);
    }
    let notices = node.log.so_far().iter().filter(|line| line.contains("max_connections reached")).count();
    assert_eq!(notices, 0, "nobody waited");
}

#[test]
fn an_http1_head_beyond_max_header_bytes_is_431_and_the_log_names_the_limit() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("MAX_HEADER_BYTES", "8k").start();
    let filler = "x".repeat(9000);
    let answer = exchange(
        node.address,
        format!("GET / HTTP/1.1\r\nHost: node\r\nX-Filler: {filler}\r\n\r\n").as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    node.log.containing("max_header_bytes (8192)");
}

#[test]
fn an_http1_head_with_more_fields_than_max_header_count_is_431_and_the_log_names_the_limit() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("MAX_HEADER_COUNT", "10").start();
    let head = |fields: usize| {
        let fields: String = (0..fields).map(|index| format!("X-{index}: y\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: node\r\nConnection: close\r\n{fields}\r\n")
    };
    assert!(exchange(node.address, head(8).as_bytes()).starts_with("HTTP/1.1 200"));
    assert!(exchange(node.address, head(9).as_bytes()).starts_with("HTTP/1.1 431"));
    node.log.containing("max_header_count (10)");
}

#[test]
fn an_http2_head_beyond_max_header_bytes_is_400_as_in_kong_and_the_access_line_names_the_limit() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("MAX_HEADER_BYTES", "8k").start();
    block_on(async {
        let client = H2::connect(node.address).await;
        let mut request = h2_client::get("/large");
        request.headers_mut().insert("x-filler", "x".repeat(9000).parse().unwrap());
        assert_eq!(soon(client.start(request, true).await.0).await.unwrap().status(), 400);
        // Far beyond it the library refuses on its own; the connection and its other streams stay.
        let mut request = h2_client::get("/huge");
        request.headers_mut().insert("x-filler", "x".repeat(40_000).parse().unwrap());
        assert_eq!(soon(client.start(request, true).await.0).await.unwrap().status(), 431);
        assert_eq!(client.get("/small").await.unwrap().status(), 200);
    });
    let reason = node.access_line("/large")["reason"].to_string();
    assert!(reason.contains("max_header_bytes (8192)"), "{reason}");
}

#[test]
fn an_http2_head_with_more_fields_than_max_header_count_is_400_as_in_kong_and_the_access_line_names_the_limit()
 {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("MAX_HEADER_COUNT", "10").start();
    let mut request = h2_client::get("/many");
    for index in 0..11 {
        let name = http::HeaderName::try_from(format!("x-{index}")).unwrap();
        request.headers_mut().insert(name, "y".parse().unwrap());
    }
    block_on(async {
        let client = H2::connect(node.address).await;
        assert_eq!(soon(client.start(request, true).await.0).await.unwrap().status(), 400);
    });
    let reason = node.access_line("/many")["reason"].to_string();
    assert!(reason.contains("max_header_count (10)"), "{reason}");
}

#[test]
fn a_body_announced_larger_than_client_max_body_size_is_413_before_the_service_hears_of_it() {
    let (service, received) = silent_service();
    let node = plain_proxy(service).env("CLIENT_MAX_BODY_SIZE", "1k").start();
    let answer = curl(&["--data-binary", &"x".repeat(1025), &format!("{}/announced", node.http())]);
    assert_eq!(answer.status, 413);
    let line = node.access_line("/announced");
    assert_eq!(line["reason"], "content-length 1025 is larger than client_max_body_size (1024)");
    assert!(received.lock().unwrap().is_empty(), "the service was asked");
}

#[test]
fn a_body_of_exactly_client_max_body_size_passes() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("CLIENT_MAX_BODY_SIZE", "1k").start();
    let url = format!("{}/", node.http());
    let body = "x".repeat(1024);
    assert_eq!(curl(&["--data-binary", &body, &url]).status, 200);
    assert_eq!(curl(&["-H", "Transfer-Encoding: chunked", "--data-binary", &body, &url]).status, 200);
}

#[test]
fn a_chunked_body_beyond_client_max_body_size_is_413_and_the_service_gets_no_complete_request() {
    let (service, received) = silent_service();
    let node = plain_proxy(service).env("CLIENT_MAX_BODY_SIZE", "1k").start();
    let body = "x".repeat(1025);
    let arguments = ["-H", "Transfer-Encoding: chunked", "--data-binary", &body];
    let answer = curl(&[&arguments[..], &[&format!("{}/chunked", node.http())]].concat());
    assert_eq!(answer.status, 413);
    let line = node.access_line("/chunked");
    assert_eq!(line["reason"], "the client's body is larger than client_max_body_size");
    assert!(!received.lock().unwrap().ends_with(b"0\r\n\r\n"), "the service took it for complete");
}

#[test]
fn an_http2_body_without_length_beyond_client_max_body_size_is_413() {
    let (service, received) = silent_service();
    let node = plain_proxy(service).env("CLIENT_MAX_BODY_SIZE", "1k").start();
    block_on(async {
        let client = H2::connect(node.address).await;
        let (answer, mut body) = client.start(post("/streamed"), false).await;
        body.send_data(Bytes::from(vec![b'x'; 1025]), true).unwrap();
        assert_eq!(soon(answer).await.unwrap().status(), 413);
    });
    let line = node.access_line("/streamed");
    assert_eq!(line["reason"], "the client's body is larger than client_max_body_size");
    assert!(!received.lock().unwrap().ends_with(b"0\r\n\r\n"), "the service took it for complete");
}

#[test]
fn http2_max_concurrent_streams_is_told_and_one_stream_more_is_refused() {
    let (service, _) = silent_service();
    let node = plain_proxy(service).env("HTTP2_MAX_CONCURRENT_STREAMS", "2").start();
    let mut client = h2_client::raw(node.address);
    let settings = next_frame(&mut client, kind::SETTINGS).unwrap().payload;
    let told = settings.chunks(6).find(|setting| setting[..2] == [0, 3]).expect("MAX_CONCURRENT_STREAMS");
    assert_eq!(told[2..], [0, 0, 0, 2]);
    for stream in [1, 3, 5] {
        let head = frame(kind::HEADERS, END_STREAM | END_HEADERS, stream, &get_block("/"));
        client.write_all(&head).unwrap();
    }
    let reset = next_frame(&mut client, kind::RST_STREAM).unwrap();
    assert_eq!((reset.stream, reset.error_code()), (5, REFUSED_STREAM));
}

#[test]
fn within_http2_max_concurrent_streams_more_requests_follow_each_other() {
    let service = raw(|mut stream| {
        while !read_head(&mut stream).is_empty() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let node = plain_proxy(service).env("HTTP2_MAX_CONCURRENT_STREAMS", "2").start();
    block_on(async {
        let client = H2::connect(node.address).await;
        // After it the limit is known on both sides.
        assert_eq!(client.get("/first").await.unwrap().status(), 200);
        let mut answers = Vec::new();
        for index in 0..20 {
            let mut send = client.send.clone();
            answers.push(tokio::spawn(async move {
                send = soon(send.ready()).await.unwrap();
                let (answer, _) = send.send_request(h2_client::get(&format!("/{index}")), true).unwrap();
                soon(answer).await.map(|answer| answer.status().as_u16())
            }));
        }
        for answer in answers {
            assert_eq!(answer.await.unwrap().unwrap(), 200);
        }
    });
}
