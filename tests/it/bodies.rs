//! Bodies through both nodes: nothing waits for the end, nothing is lost, nothing is added.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::Bytes;
use http::Request;

use crate::support::PATIENCE;
use crate::support::bridge::{Chain, chain, gateway};
use crate::support::client::{connect, exchange, last_body};
use crate::support::http2::{Http2, collect, drain, soon, tls, upload};
use crate::support::pki::Pki;
use crate::support::services::{Echo, Recorder, answering, raw, read_head};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LARGE: usize = 20 * 1024 * 1024;

/// Bytes without a period that a lost or doubled piece could hide behind.
fn pattern() -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..LARGE).map(|_| next()).collect()
}

/// A service that sends the first piece, and the last one only when it is told to.
fn two_pieces() -> (SocketAddr, Sender<()>) {
    let (go, wait) = channel();
    let wait = Mutex::new(wait);
    let address = raw(move |mut stream| {
        if read_head(&mut stream).is_empty() {
            return;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").unwrap();
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        stream.write_all(b"4\r\nlast\r\n0\r\n\r\n").unwrap();
    });
    (address, go)
}

/// A service that tells when the first piece of a body arrived, and answers at the end.
fn tells_first_piece() -> (SocketAddr, Receiver<()>) {
    let (arrived, told) = channel();
    let arrived = Mutex::new(arrived);
    let address = raw(move |mut stream| {
        if read_head(&mut stream).is_empty() {
            return;
        }
        let mut seen = Vec::new();
        let mut read = |stream: &mut TcpStream, wanted: &[u8]| {
            let mut byte = [0];
            while !seen.windows(wanted.len()).any(|window| window == wanted) {
                stream.read_exact(&mut byte).unwrap();
                seen.push(byte[0]);
            }
        };
        read(&mut stream, b"first");
        arrived.lock().unwrap().send(()).unwrap();
        read(&mut stream, b"last");
        read(&mut stream, b"0\r\n\r\n");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").unwrap();
    });
    (address, told)
}

/// Reads until `wanted` was seen.
fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(wanted.as_bytes()) {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "ended after {:?}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

#[test]
fn the_first_bytes_of_a_slow_answer_arrive_before_the_last_are_sent() {
    let (service, go) = two_pieces();
    let nodes = chain(service);
    let mut client = connect(nodes.reverse_proxy.address);
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    read_until(&mut client, "first");
    go.send(()).unwrap();
    read_until(&mut client, "last\r\n0\r\n\r\n");
}

#[tokio::test]
async fn the_first_bytes_of_a_slow_answer_arrive_early_over_http2_too() {
    let (service, go) = two_pieces();
    let nodes = chain(service);
    let client = Http2::plain(nodes.reverse_proxy.address).await;
    let (response, _stream) = client.send(Request::get("http://x/").body(()).unwrap(), true).await;
    let mut body = soon(response).await.unwrap().into_body();
    assert_eq!(soon(body.data()).await.unwrap().unwrap(), "first");
    go.send(()).unwrap();
    assert_eq!(drain(&mut body).await.unwrap().0, b"last");
}

#[test]
fn the_first_bytes_of_a_slow_upload_arrive_before_the_last_are_sent() {
    let (service, told) = tells_first_piece();
    let nodes = chain(service);
    let mut client = connect(nodes.reverse_proxy.address);
    client
        .write_all(
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n",
        )
        .unwrap();
    told.recv_timeout(PATIENCE).unwrap();
    client.write_all(b"4\r\nlast\r\n0\r\n\r\n").unwrap();
    read_until(&mut client, "done");
}

#[tokio::test]
async fn the_first_bytes_of_a_slow_upload_arrive_early_over_http2_too() {
    let (service, told) = tells_first_piece();
    let nodes = chain(service);
    let client = Http2::plain(nodes.reverse_proxy.address).await;
    let (response, mut stream) = client.send(Request::post("http://x/").body(()).unwrap(), false).await;
    stream.send_data(Bytes::from_static(b"first"), false).unwrap();
    tokio::task::spawn_blocking(move || told.recv_timeout(PATIENCE)).await.unwrap().unwrap();
    stream.send_data(Bytes::from_static(b"last"), true).unwrap();
    assert_eq!(collect(response).await.unwrap().body, b"done");
}

/// A service that answers with the pattern.
fn large_answer() -> SocketAddr {
    raw(|mut stream| {
        if !read_head(&mut stream).is_empty() {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&pattern()).unwrap();
        }
    })
}

#[test]
fn twenty_megabytes_come_down_intact_over_http1() {
    let nodes = chain(large_answer());
    let mut client = connect(nodes.reverse_proxy.address);
    client.write_all(b"GET /down HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(&pattern()));
    assert_eq!(nodes.gateway.access_line("/down")["bytes_out"], LARGE);
    assert_eq!(nodes.reverse_proxy.access_line("/down")["bytes_out"], LARGE);
}

#[tokio::test]
async fn twenty_megabytes_come_down_intact_over_http2() {
    let nodes = chain(large_answer());
    let client = Http2::plain(nodes.reverse_proxy.address).await;
    let answer = client.whole(Request::get("http://x/").body(()).unwrap()).await;
    assert!(answer.body == pattern());
}

#[test]
fn twenty_megabytes_go_up_intact_over_http1_by_length_and_by_chunks() {
    let recorder = Recorder::start();
    let nodes = chain(recorder.address);
    let pattern = pattern();
    let mut by_length =
        format!("POST /up HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {LARGE}\r\n\r\n")
            .into_bytes();
    by_length.extend_from_slice(&pattern);
    let mut by_chunks =
        b"POST /up HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in pattern.chunks(100_003) {
        by_chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        by_chunks.extend_from_slice(chunk);
        by_chunks.extend_from_slice(b"\r\n");
    }
    by_chunks.extend_from_slice(b"0\r\n\r\n");
    for request in [by_length, by_chunks] {
        assert!(exchange(nodes.reverse_proxy.address, &request).starts_with("HTTP/1.1 200 "));
    }
    let received = recorder.received();
    assert!(received.iter().all(|received| received.body == pattern));
    assert_eq!(received[0].header("content-length"), [LARGE.to_string()]);
    assert_eq!(received[1].header("transfer-encoding"), ["chunked"]);
}

#[tokio::test]
async fn twenty_megabytes_go_up_intact_over_http2() {
    let recorder = Recorder::start();
    let nodes = chain(recorder.address);
    let client = Http2::plain(nodes.reverse_proxy.address).await;
    let (response, mut stream) = client.send(Request::post("http://x/").body(()).unwrap(), false).await;
    upload(&mut stream, pattern().into(), true).await;
    assert_eq!(collect(response).await.unwrap().body, b"ok");
    assert!(recorder.received()[0].body == pattern());
}

const TRAILING: &[u8] = b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n\
      2\r\nhi\r\n0\r\nX-Sum: 7\r\nSet-Cookie: a=b\r\n\r\n";

#[test]
fn trailers_of_the_answer_reach_an_http1_client_that_wants_them() {
    let nodes = chain(answering(TRAILING));
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n";
    let answer = exchange(nodes.reverse_proxy.address, request).to_lowercase();
    assert!(answer.ends_with("0\r\nx-sum: 7\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn trailers_of_the_answer_reach_an_http2_client_without_those_that_must_be_headers() {
    let nodes = chain(answering(TRAILING));
    let client = Http2::plain(nodes.reverse_proxy.address).await;
    let answer = client.whole(Request::get("http://x/").header("te", "trailers").body(()).unwrap()).await;
    let trailers = answer.trailers.unwrap();
    assert_eq!((answer.body, trailers.len(), &trailers["x-sum"]), (b"hi".to_vec(), 1, &"7".parse().unwrap()));
}

#[tokio::test]
async fn announced_trailers_of_a_request_reach_the_service() {
    let echo = Echo::start();
    let Chain { pki: _pki, gateway: _gateway, reverse_proxy } = chain(echo.address);
    let client = Http2::plain(reverse_proxy.address).await;
    let request = Request::post("http://x/").header("trailer", "x-sum").body(()).unwrap();
    let (response, mut stream) = client.send(request, false).await;
    stream.send_data(Bytes::from_static(b"hi"), false).unwrap();
    let trailers = [("x-sum".parse().unwrap(), "7".parse().unwrap())].into_iter().collect();
    stream.send_trailers(trailers).unwrap();
    let answer = collect(response).await.unwrap();
    assert_eq!(answer.received_trailer("x-sum"), ["7"]);
}

#[test]
fn a_client_that_waits_for_100_is_told_to_go_on_and_the_service_is_not_asked_to_wait() {
    let recorder = Recorder::start();
    let nodes = chain(recorder.address);
    let mut client = connect(nodes.reverse_proxy.address);
    let head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    client.write_all(head.as_bytes()).unwrap();
    let interim = read_until(&mut client, "\r\n\r\n");
    assert!(interim.starts_with("HTTP/1.1 100 "), "{interim}");
    client.write_all(b"hi").unwrap();
    let answer = read_until(&mut client, "\r\n\r\nok");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(recorder.received()[0].header("expect"), [""; 0]);
    assert_eq!(recorder.received()[0].body, b"hi");
}

#[tokio::test]
async fn who_may_not_pass_is_told_so_before_he_sends_his_body() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let mut client = tls(gateway.address, &pki, None, &[b"http/1.1"]).await;
    let head = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2000000\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = soon(client.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!(last_body(&answer)["message"], "No required TLS certificate was sent");
}

const HINTS: &[u8] =
    b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n\
      HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn early_hints_reach_an_http1_client_before_the_answer() {
    let nodes = chain(answering(HINTS));
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = exchange(nodes.reverse_proxy.address, request);
    let (hints, rest) = answer.split_once("\r\n\r\n").unwrap();
    assert!(hints.starts_with("HTTP/1.1 103 Early Hints\r\n"), "{answer}");
    assert!(hints.to_lowercase().contains("link: </a.css>; rel=preload"), "{answer}");
    assert!(!hints.to_lowercase().contains("x-hop"), "{answer}");
    assert!(rest.starts_with("HTTP/1.1 200 OK\r\n") && rest.ends_with("\r\n\r\nok"), "{answer}");
}

#[tokio::test]
async fn early_hints_reach_an_http2_client_before_the_answer() {
    let nodes = chain(answering(HINTS));
    let client = Http2::plain(nodes.reverse_proxy.address).await;
    let (mut response, _stream) = client.send(Request::get("http://x/").body(()).unwrap(), true).await;
    let hints = soon(std::future::poll_fn(|cx| response.poll_informational(cx))).await.unwrap().unwrap();
    assert_eq!((hints.status().as_u16(), hints.headers().len()), (103, 1));
    assert_eq!(hints.headers()["link"], "</a.css>; rel=preload");
    assert_eq!(collect(response).await.unwrap().body, b"ok");
}

#[test]
fn early_hints_are_not_sent_to_http_1_0() {
    let nodes = chain(answering(HINTS));
    let answer = exchange(nodes.reverse_proxy.address, b"GET / HTTP/1.0\r\nHost: x\r\n\r\n");
    assert!(!answer.contains(" 103 ") && answer.ends_with("\r\n\r\nok"), "{answer}");
}
