//! An upstream that speaks HTTP/2 and misbehaves, and heads that are too much of anything.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use http::{Request, Response};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::bridge::{Bridge, chain, gateway, plain_proxy};
use crate::support::client::{curl, curl_anonymous, exchange};
use crate::support::http2::{Http2, collect, soon, tls};
use crate::support::pki::Pki;
use crate::support::services::{Echo, Recorder, raw, read_head};

/// What to do with the request of this number: whether the connection goes on.
type Serve = fn(usize, SendResponse<Bytes>, &mut Connection<TcpStream, Bytes>) -> bool;

/// A proxy in front of a plain HTTP/2 service, and how many requests that service got.
fn in_front_of(serve: Serve) -> (Bridge, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let address = service(serve, Arc::clone(&requests));
    (plain_proxy(address).env("UPSTREAM_HTTP", "http2").start(), requests)
}

fn service(serve: Serve, requests: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                let mut goes_on = true;
                while goes_on && let Some(Ok((_, respond))) = connection.accept().await {
                    let number = requests.fetch_add(1, Ordering::SeqCst);
                    goes_on = serve(number, respond, &mut connection);
                }
                // Whatever was queued goes out.
                let _ = std::future::poll_fn(|cx| connection.poll_closed(cx)).await;
            }
        });
    });
    address
}

fn ok(mut respond: SendResponse<Bytes>) {
    let _ = respond.send_response(Response::new(()), true);
}

#[test]
fn a_stream_that_was_refused_unprocessed_is_sent_again_whatever_its_method() {
    let (proxy, requests) = in_front_of(|number, mut respond, _| {
        match number {
            0 => respond.send_reset(h2::Reason::REFUSED_STREAM),
            _ => ok(respond),
        }
        true
    });
    assert_eq!(curl(&["-X", "POST", &format!("{}/post", proxy.http())]).status, 200);
    assert_eq!(requests.load(Ordering::SeqCst), 2);
}

#[test]
fn a_stream_that_broke_may_have_been_processed_and_is_not_sent_again() {
    for method in ["GET", "POST"] {
        let (proxy, requests) = in_front_of(|_, mut respond, _| {
            respond.send_reset(h2::Reason::INTERNAL_ERROR);
            true
        });
        assert_eq!(curl(&["-X", method, &format!("{}/broke", proxy.http())]).status, 502);
        assert_eq!(requests.load(Ordering::SeqCst), 1, "{method}");
        let reason = proxy.access_line("/broke")["reason"].to_string();
        assert!(reason.contains("broke: ") && reason.contains("internal error"), "{reason}");
    }
}

#[test]
fn a_post_that_a_goaway_counts_as_processed_is_not_sent_again() {
    let (proxy, requests) = in_front_of(|_, respond, connection| {
        drop(respond);
        connection.abrupt_shutdown(h2::Reason::NO_ERROR);
        false
    });
    assert_eq!(curl(&["-X", "POST", &format!("{}/post", proxy.http())]).status, 502);
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[test]
fn after_a_goaway_the_next_request_takes_a_new_link() {
    let (proxy, requests) = in_front_of(|_, respond, connection| {
        ok(respond);
        connection.graceful_shutdown();
        false
    });
    for _ in 0..3 {
        assert_eq!(curl(&[&proxy.http()]).status, 200);
    }
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[test]
fn a_flood_of_interim_answers_ends_in_the_answer() {
    let service = raw(|mut stream| {
        use std::io::Write;
        if !read_head(&mut stream).is_empty() {
            let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n".repeat(20_000);
            let _ = stream.write_all(&hints);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let nodes = chain(service);
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = exchange(nodes.reverse_proxy.address, request);
    assert_eq!(answer.matches("HTTP/1.1 200 OK\r\n").count(), 1);
    assert!(answer.ends_with("\r\n\r\nok"), "{}", answer.len());
}

#[test]
fn an_answer_with_a_head_without_end_is_502() {
    let service = raw(|mut stream| {
        use std::io::Write;
        if !read_head(&mut stream).is_empty() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            while stream.write_all(b"X-More: and more\r\n").is_ok() {}
        }
    });
    let proxy = plain_proxy(service).start();
    assert_eq!(curl(&[&format!("{}/endless", proxy.http())]).status, 502);
    let reason = proxy.access_line("/endless")["reason"].to_string();
    assert!(reason.contains("message head is too large"), "{reason}");
}

#[tokio::test]
async fn connect_over_http2_is_405_and_reaches_no_service() {
    let recorder = Recorder::start();
    let nodes = chain(recorder.address);
    let client = Http2::plain(nodes.reverse_proxy.address).await;
    let request = Request::builder().method("CONNECT").uri("inside:22").body(()).unwrap();
    let (response, _stream) = client.send(request, false).await;
    assert_eq!(collect(response).await.unwrap().head.status(), 405);
    assert!(recorder.targets().is_empty());
}

#[test]
fn who_uploads_without_a_certificate_gets_the_401_and_not_a_reset() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let file = pki.write("large", vec![b'x'; 8 * 1024 * 1024]);
    let data = format!("@{}", file.display());
    for _ in 0..5 {
        let arguments = ["--http1.1", "-H", "Expect:", "--data-binary", &data, &gateway.https()];
        let answer = curl_anonymous(&pki, &arguments);
        assert_eq!((answer.status, answer.exit), (401, 0));
    }
}

#[tokio::test]
async fn who_goes_on_sending_after_his_answer_is_cut_off() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let mut client = tls(gateway.address, &pki, None, &[b"http/1.1"]).await;
    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    // The test's patience is the limit; the gateway's ends sooner.
    soon(async { while client.write_all(chunk.as_bytes()).await.is_ok() {} }).await;
}

#[tokio::test]
async fn who_uploads_over_http2_without_a_certificate_gets_the_401_and_then_no_error() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let client = Http2::tls(gateway.address, &pki, None).await;
    let (response, mut stream) =
        client.send(Request::post("https://localhost/").body(()).unwrap(), false).await;
    stream.send_data(vec![b'x'; 30_000].into(), false).unwrap();
    let answer = collect(response).await.unwrap();
    assert_eq!((answer.head.status().as_u16(), answer.json()["message"].as_str()), (401, Some(MESSAGE)));
    // RFC 9113 8.1: the rest of the upload is not wanted, and nothing is wrong.
    let reset = soon(std::future::poll_fn(|cx| stream.poll_reset(cx))).await.unwrap();
    assert_eq!(reset, h2::Reason::NO_ERROR);
}

const MESSAGE: &str = "No required TLS certificate was sent";
