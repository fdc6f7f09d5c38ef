//! Requests that two readers could read differently: the service counts exactly those meant.

use bytes::Bytes;
use http::Request;

use crate::support::bridge::{Bridge, chain, plain_proxy};
use crate::support::client::{curl, exchange};
use crate::support::http2::{Http2, collect};
use crate::support::services::Recorder;

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

/// Nothing but `expected` reached the service, and never with two lengths.
fn counts(recorder: &Recorder, proxy: &Bridge, what: &str, expected: &[&str]) {
    // Whatever else was sent on would have come before this.
    assert_eq!(curl(&[&format!("{}/end", proxy.http())]).status, 200, "{what}");
    let mut all = expected.to_vec();
    all.push("/end");
    assert_eq!(recorder.targets(), all, "{what}");
    for received in recorder.received() {
        let framing = received.header("content-length").len() + received.header("transfer-encoding").len();
        assert!(framing <= 1, "{what}: {}", received.head);
    }
}

/// Each of these heads is answered 400, alone, and nothing of it reaches the service.
fn refused(heads: &[&str]) {
    let recorder = Recorder::start();
    let nodes = chain(recorder.address);
    let alone = plain_proxy(recorder.address).start();
    for proxy in [&nodes.reverse_proxy, &alone] {
        for head in heads {
            let answer = exchange(proxy.address, format!("{head}{SMUGGLED}").as_bytes());
            assert!(
                answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.0 400 "),
                "{head:?}: {answer}"
            );
            assert_eq!(answer.matches("HTTP/1.").count(), 1, "{head:?}: {answer}");
        }
    }
    counts(&recorder, &alone, "refused heads", &[]);
}

#[test]
fn two_content_lengths_are_refused() {
    refused(&[
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 39\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 39\r\n\r\n",
    ]);
}

#[test]
fn a_length_that_is_no_number_is_refused() {
    refused(&[
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    ]);
}

#[test]
fn a_transfer_encoding_that_does_not_end_in_chunked_is_refused() {
    refused(&[
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ]);
}

#[test]
fn transfer_encoding_in_http_1_0_is_refused() {
    refused(&["POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]);
}

#[test]
fn a_head_with_a_bare_cr_a_folded_line_or_a_space_before_the_colon_is_refused() {
    refused(&[
        "GET / HTTP/1.1\r\nHost: x\r\nX-A: 1\rTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n Transfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX-A: \0\r\n\r\n",
    ]);
}

#[test]
fn two_hosts_and_no_host_and_a_host_that_is_none_are_refused() {
    refused(&[
        "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nhost: x\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x/admin?\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: user@x\r\nConnection: close\r\n\r\n",
    ]);
}

#[test]
fn with_both_lengths_the_chunks_count_and_the_length_goes_no_further() {
    for lengths in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked\r\nContent-Length: 500",
    ] {
        let recorder = Recorder::start();
        let nodes = chain(recorder.address);
        let request = format!("POST /one HTTP/1.1\r\nHost: x\r\n{lengths}\r\n\r\n0\r\n\r\n{SMUGGLED}");
        // What follows the last chunk is a request of its own, or the connection is closed.
        let answers = exchange(
            nodes.reverse_proxy.address,
            request.replace("Host: x\r\n\r\n", "Host: x\r\nConnection: close\r\n\r\n").as_bytes(),
        );
        let count = answers.matches("HTTP/1.1 200").count();
        counts(&recorder, &nodes.reverse_proxy, lengths, &["/one", "/smuggled"][..count]);
        assert!(recorder.received()[0].body.is_empty());
    }
}

#[test]
fn a_chunk_size_that_overflows_ends_the_connection_and_completes_no_request() {
    for chunk in [
        "fffffffffffffffff\r\n",
        "1;\nGET / HTTP/1.1\r\n",
        "-1\r\n",
        "0x1\r\na\r\n",
        " 1\r\na\r\n",
        "1\na\r\n",
    ] {
        let recorder = Recorder::start();
        let proxy = plain_proxy(recorder.address).start();
        let head = "POST /one HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        exchange(proxy.address, format!("{head}{chunk}0\r\n\r\n{SMUGGLED}").as_bytes());
        assert_eq!(curl(&[&format!("{}/end", proxy.http())]).status, 200);
        let received = recorder.received();
        let complete: Vec<_> = received.iter().filter(|it| it.complete).map(|it| it.target()).collect();
        assert_eq!(complete, ["/end"], "{chunk:?}");
    }
}

#[test]
fn connect_is_405_and_what_follows_is_no_tunnel() {
    let recorder = Recorder::start();
    let nodes = chain(recorder.address);
    let request = format!("CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n{SMUGGLED}");
    let answer = exchange(
        nodes.reverse_proxy.address,
        request.replace("x\r\n\r\n", "x\r\nConnection: close\r\n\r\n").as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    let passed = answer.matches("HTTP/1.1 200").count();
    counts(&recorder, &nodes.reverse_proxy, "CONNECT", &["/smuggled"][..passed]);
}

#[test]
fn an_upgrade_to_h2c_is_ignored_and_opens_no_tunnel() {
    let recorder = Recorder::start();
    let nodes = chain(recorder.address);
    let request = "GET /one HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\
                   Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let answer = exchange(nodes.reverse_proxy.address, request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    counts(&recorder, &nodes.reverse_proxy, "h2c", &["/one"]);
    let first = &recorder.received()[0];
    assert!(!first.head.to_lowercase().contains("h2c"), "{}", first.head);
    assert!(!first.head.to_lowercase().contains("http2-settings"), "{}", first.head);
}

#[test]
fn what_is_sent_behind_a_refused_upgrade_is_a_request_and_never_part_of_a_tunnel() {
    let recorder = Recorder::start();
    let nodes = chain(recorder.address);
    let request = "GET /one HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\
         GET /two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = exchange(nodes.reverse_proxy.address, request.as_bytes());
    let count = answers.matches("HTTP/1.1 200").count();
    counts(&recorder, &nodes.reverse_proxy, "early upgrade", &["/one", "/two"][..count]);
}

#[tokio::test]
async fn a_content_length_over_http2_that_lies_completes_no_request() {
    for (length, data, end) in [("5", "", true), ("5", "abc", false), ("2", "abc", false)] {
        let recorder = Recorder::start();
        let nodes = chain(recorder.address);
        let client = Http2::plain(nodes.reverse_proxy.address).await;
        let request = Request::post("http://x/one").header("content-length", length).body(()).unwrap();
        let (response, mut stream) = client.send(request, end).await;
        if !end {
            // The peer may have refused it already.
            let _ = stream.send_data(Bytes::from(data), true);
        }
        let answer = collect(response).await;
        assert!(answer.as_ref().map_or(true, |whole| whole.head.status() == 400), "{answer:?}");
        assert_eq!(curl(&[&format!("{}/end", nodes.reverse_proxy.http())]).status, 200);
        let received = recorder.received();
        let complete: Vec<_> = received.iter().filter(|it| it.complete).map(|it| it.target()).collect();
        assert_eq!(complete, ["/end"], "{length} {data}");
    }
}

#[tokio::test]
async fn http2_without_a_length_becomes_chunks_over_http1() {
    let recorder = Recorder::start();
    let nodes = chain(recorder.address);
    let client = Http2::plain(nodes.reverse_proxy.address).await;
    let (response, mut stream) = client.send(Request::post("http://x/one").body(()).unwrap(), false).await;
    stream.send_data(Bytes::from_static(SMUGGLED.as_bytes()), true).unwrap();
    assert_eq!(collect(response).await.unwrap().body, b"ok");
    let received = &recorder.received()[0];
    assert_eq!(received.header("transfer-encoding"), ["chunked"]);
    assert_eq!((received.header("content-length").len(), &received.body[..]), (0, SMUGGLED.as_bytes()));
    counts(&recorder, &nodes.reverse_proxy, "h2 body", &["/one"]);
}

#[test]
fn the_absolute_form_beats_host_and_keeps_the_path() {
    let recorder = Recorder::start();
    let nodes = chain(recorder.address);
    let request = "GET http://absolute.example/one?q HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n";
    exchange(nodes.reverse_proxy.address, request.as_bytes());
    assert_eq!(nodes.reverse_proxy.access_line("/one")["host"], "absolute.example");
    counts(&recorder, &nodes.reverse_proxy, "absolute", &["/one?q"]);
}

#[tokio::test]
async fn one_length_written_twice_over_http2_reaches_the_service_once() {
    let recorder = Recorder::start();
    let proxy = plain_proxy(recorder.address).start();
    let client = Http2::plain(proxy.address).await;
    let request =
        Request::post("http://node/twice").header("content-length", "3").header("content-length", "003");
    let (response, mut stream) = client.send(request.body(()).unwrap(), false).await;
    stream.send_data(Bytes::from_static(b"abc"), true).unwrap();
    assert_eq!(collect(response).await.unwrap().head.status(), 200);
    counts(&recorder, &proxy, "a length written twice", &["/twice"]);
    assert_eq!(recorder.received()[0].header("content-length"), ["3"]);
}
