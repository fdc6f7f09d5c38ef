//! Second attempts, deadlines and the way back: what a request comes to when the other node is slow or was away.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::bridge::{Bridge, chain, gateway, plain_proxy, reverse_proxy};
use crate::support::client::{curl, curl_fails, exchange};
use crate::support::pki::Pki;
use crate::support::services::{Echo, Recorder, answering, raw, read_head};
use crate::upstream_failures::ask;

/// A service that breaks every connection at its second request.
fn stale() -> (SocketAddr, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let address = raw(move |mut stream| {
        for turn in 0..2 {
            if read_head(&mut stream).is_empty() {
                return;
            }
            counted.fetch_add(1, Ordering::SeqCst);
            if turn == 0 {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        }
    });
    (address, requests)
}

#[test]
fn a_get_on_a_connection_that_had_gone_stale_is_sent_again() {
    let (service, requests) = stale();
    let proxy = plain_proxy(service).start();
    for _ in 0..2 {
        assert_eq!(ask(&proxy).0.status, 200);
    }
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[test]
fn a_post_on_a_connection_that_had_gone_stale_is_not_sent_again() {
    for body in ["", "pay=1"] {
        let (service, requests) = stale();
        let proxy = plain_proxy(service).start();
        assert_eq!(ask(&proxy).0.status, 200);
        let answer = curl(&["-X", "POST", "-d", body, &format!("{}/post", proxy.http())]);
        assert_eq!((answer.status, requests.load(Ordering::SeqCst)), (502, 2), "{body:?}");
        let line = proxy.access_line("/post");
        assert!(line["reason"].as_str().unwrap().contains("broke"), "{line}");
    }
}

#[test]
fn with_no_retries_a_get_on_a_stale_connection_fails() {
    let (service, requests) = stale();
    let proxy = plain_proxy(service).env("RETRIES", "0").start();
    assert_eq!(ask(&proxy).0.status, 200);
    assert_eq!((ask(&proxy).0.status, requests.load(Ordering::SeqCst)), (502, 2));
}

/// 504 with Kong's words, and the deadline's name in the log.
fn is_504(proxy: &Bridge, name: &str) {
    let (answer, line) = ask(proxy);
    assert_eq!(
        (answer.status, &answer.json()["message"]),
        (504, &"The upstream server is timing out".into())
    );
    assert!(line["reason"].as_str().unwrap().starts_with(&format!("{name} passed (http")), "{line}");
}

fn silent() -> SocketAddr {
    raw(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

#[test]
fn an_upstream_that_never_answers_is_504_by_read_timeout() {
    is_504(&plain_proxy(silent()).env("READ_TIMEOUT", "200").start(), "read_timeout");
}

#[test]
fn an_upstream_that_never_shakes_hands_is_504_by_connect_timeout() {
    let proxy = reverse_proxy(&Pki::new(), silent()).env("CONNECT_TIMEOUT", "200ms").start();
    is_504(&proxy, "connect_timeout");
}

#[test]
fn the_gateways_504_reaches_the_caller_as_it_is() {
    let (pki, service) = (Pki::new(), silent());
    let gateway = gateway(&pki, service).env("READ_TIMEOUT", "200").start();
    let proxy = reverse_proxy(&pki, gateway.address).start_ready();
    let (answer, line) = ask(&proxy);
    assert_eq!((answer.status, line.get("reason")), (504, None));
    let reason = gateway.access_line("/ask")["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("read_timeout passed (http://127.0.0.1:"), "{reason}");
}

#[test]
fn a_body_that_stalls_is_cut_after_read_timeout() {
    let service = raw(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let proxy = plain_proxy(service).env("READ_TIMEOUT", "200").start();
    assert_eq!(curl_fails(&[&format!("{}/ask", proxy.http())]), 18);
    let reason = "read_timeout passed while waiting for more of the upstream's body";
    assert_eq!(proxy.access_line("/ask")["reason"], reason);
}

#[test]
fn when_the_gateway_comes_back_the_next_request_passes_and_in_the_gap_502_comes_quickly() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("{} ssl http2", listener.local_addr().unwrap());
    drop(listener);
    let gateway_at = || gateway(&pki, echo.address).env("PROXY_LISTEN", &listen).start();
    let first = gateway_at();
    let proxy = reverse_proxy(&pki, first.address).start_ready();
    let status = |path: &str| curl(&[&format!("{}{path}", proxy.http())]).status;
    assert_eq!(status("/before"), 200);
    drop(first);
    let began = Instant::now();
    assert_eq!((status("/gap"), status("/gap")), (502, 502));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let reason = proxy.access_line("/gap")["reason"].to_string();
    assert!(reason.contains("cannot be reached: Connection refused"), "{reason}");
    let second = gateway_at();
    assert_eq!(status("/after"), 200);
    assert_eq!(second.access_line("/after")["status"], 200);
}

#[test]
fn a_response_that_comes_with_a_second_one_behind_it_is_one_response() {
    let service = answering(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
    );
    let proxy = plain_proxy(service).start();
    let two = "GET /ask HTTP/1.1\r\nHost: x\r\n\r\nGET /ask HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = exchange(proxy.address, two.as_bytes());
    assert!(!answers.contains("poison"), "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 2, "{answers}");
}

#[test]
fn an_early_answer_to_a_large_upload_reaches_the_caller() {
    let service = raw(|mut stream| {
        read_head(&mut stream);
        let answer = b"HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno";
        let _ = stream.write_all(answer);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let nodes = chain(service);
    let head = "POST /ask HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n";
    let mut client = crate::support::client::connect(nodes.reverse_proxy.address);
    client.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = client.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("\r\n\r\nno"), "{answer}");
}

#[test]
fn the_service_gets_no_more_of_an_upload_its_client_gave_up() {
    let recorder = Recorder::start();
    let nodes = chain(recorder.address);
    let mut client = crate::support::client::connect(nodes.reverse_proxy.address);
    let head = "POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\npart";
    client.write_all(head.as_bytes()).unwrap();
    drop(client);
    let reason = nodes.reverse_proxy.access_line("/ask")["reason"].to_string();
    assert!(reason.contains("client"), "{reason}");
    let reason = nodes.gateway.access_line("/ask")["reason"].to_string();
    assert!(reason.contains("client"), "{reason}");
    assert!(recorder.received().iter().all(|received| !received.complete));
}
