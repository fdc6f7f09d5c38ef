//! One line of JSON for every request, whatever became of it, and no secret in any log.

use std::io::{Read, Write};
use std::sync::mpsc::channel;

use base64::Engine;
use http::Request;
use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::bridge::{Bridge, chain, gateway, plain_proxy, reverse_proxy};
use crate::support::client::{connect, curl, curl_anonymous, curl_as, curl_fails, exchange};
use crate::support::http2::{Http2, soon};
use crate::support::pki::Pki;
use crate::support::services::{Echo, answering, raw, read_head};

fn keys(line: &Value) -> Vec<&str> {
    line.as_object().unwrap().keys().map(String::as_str).collect()
}

/// All lines, and exactly one of them for the request.
fn the_only_line(bridge: Bridge) -> Value {
    let mut lines = bridge.stopped_access_lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

#[test]
fn a_request_that_passed_has_a_line_with_all_there_is_to_say() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).env("ACL_ALLOW", "app").start();
    let url = format!("{}/orders?secret=1", gateway.https());
    let answer = curl_as(&pki, "client", &["-d", "hello", &url]);
    let line = gateway.access_line("/orders");
    let mut all = [
        "time",
        "request_id",
        "client",
        "peer",
        "certificate",
        "fingerprint",
        "group",
        "method",
        "host",
        "path",
        "protocol",
        "status",
        "bytes_in",
        "bytes_out",
        "duration_ms",
        "upstream_ms",
        "upstream",
    ];
    all.sort_unstable();
    assert_eq!(keys(&line), all);
    let same = |key: &str, expected: Value| assert_eq!(line[key], expected, "{key}");
    same("client", "127.0.0.1".into());
    same("certificate", "CN=app".into());
    same("group", "app".into());
    same("method", "POST".into());
    same("host", format!("localhost:{}", gateway.address.port()).into());
    same("protocol", "HTTP/2.0".into());
    same("status", 200.into());
    same("bytes_in", 5.into());
    same("bytes_out", answer.body.len().into());
    same("upstream", format!("http://{}", echo.address).into());
    same("request_id", answer.header("x-kong-request-id").unwrap().into());
    assert_eq!(line["fingerprint"].as_str().unwrap().len(), 64);
    assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert!(line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    assert!(line["duration_ms"].as_f64() >= line["upstream_ms"].as_f64(), "{line}");
}

#[test]
fn a_denial_has_a_line_with_its_reason_and_no_upstream() {
    let (pki, stranger, echo) = (Pki::new(), Pki::new(), Echo::start());
    pki.keep("stranger", stranger.authority.issue(&mtls_bridge::pki::Leaf::client("spy")).unwrap());
    let gateway = gateway(&pki, echo.address).env("ACL_ALLOW", "billing").start();
    let url = |path: &str| format!("{}{path}", gateway.https());
    curl_anonymous(&pki, &[&url("/none")]);
    curl_as(&pki, "stranger", &[&url("/stranger")]);
    curl_as(&pki, "client", &[&url("/client")]);
    let told = |path: &str| {
        let line = gateway.access_line(path);
        assert_eq!((line.get("upstream"), line.get("group")), (None, None), "{line}");
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        (line["status"].as_u64().unwrap(), text("certificate"), text("reason"))
    };
    assert_eq!(told("/none"), (401, String::new(), "the client sent no certificate".into()));
    let (status, certificate, reason) = told("/stranger");
    assert_eq!((status, certificate.as_str()), (401, "CN=spy"));
    assert!(reason.contains("does not lead to any CA in mtls-auth's list"), "{reason}");
    let denied = r#"group "app" is not on the acl's allow list ["billing"]"#;
    assert_eq!(told("/client"), (403, "CN=app".into(), denied.into()));
}

#[test]
fn a_client_that_leaves_before_the_answer_leaves_one_line() {
    let (arrived, told) = channel();
    let arrived = std::sync::Mutex::new(arrived);
    let service = raw(move |mut stream| {
        if !read_head(&mut stream).is_empty() {
            arrived.lock().unwrap().send(()).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let proxy = plain_proxy(service).start();
    let mut client = connect(proxy.address);
    client.write_all(b"GET /left HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    told.recv_timeout(PATIENCE).unwrap();
    drop(client);
    let line = proxy.access_line("/left");
    assert_eq!(line["status"], 0);
    assert_eq!(line["reason"], "the client ended the connection before the answer was complete");
    the_only_line(proxy);
}

#[tokio::test]
async fn a_stream_that_is_reset_in_the_answer_leaves_one_line_on_each_node() {
    let service = raw(|mut stream| {
        if !read_head(&mut stream).is_empty() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let nodes = chain(service);
    let client = Http2::plain(nodes.reverse_proxy.address).await;
    let (response, mut stream) = client.send(Request::get("http://x/left").body(()).unwrap(), true).await;
    let mut body = soon(response).await.unwrap().into_body();
    assert_eq!(soon(body.data()).await.unwrap().unwrap(), "only this");
    stream.send_reset(h2::Reason::CANCEL);
    drop((body, stream, client));
    let (gateway, reverse_proxy) = (nodes.gateway, nodes.reverse_proxy);
    tokio::task::spawn_blocking(move || {
        for node in [reverse_proxy, gateway] {
            let reason = node.access_line("/left")["reason"].clone();
            assert_eq!(reason, "the client ended the connection before the answer was complete");
            let line = the_only_line(node);
            assert_eq!((&line["status"], &line["bytes_out"]), (&200.into(), &9.into()));
        }
    })
    .await
    .unwrap();
}

#[test]
fn a_body_that_breaks_leaves_one_line() {
    let proxy = plain_proxy(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")).start();
    curl_fails(&[&proxy.http()]);
    let line = the_only_line(proxy);
    assert_eq!((&line["status"], &line["bytes_out"]), (&200.into(), &9.into()));
}

#[test]
fn whole_answers_in_any_shape_have_no_reason() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno",
    ] {
        let nodes = chain(answering(answer));
        for method in ["GET", "HEAD"] {
            let path = format!("/{method}");
            let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            exchange(nodes.reverse_proxy.address, request.as_bytes());
            for node in [&nodes.gateway, &nodes.reverse_proxy] {
                let line = node.access_line(&path);
                assert_eq!(line.get("reason"), None, "{:?} {line}", String::from_utf8_lossy(answer));
            }
        }
    }
}

#[test]
fn an_http2_upstream_that_ends_its_stream_late_has_sent_a_whole_answer() {
    let (send, arrived) = tokio::sync::oneshot::channel();
    let service = http2_service(arrived);
    let proxy = plain_proxy(service).env("UPSTREAM_HTTP", "http2").start();
    let mut client = connect(proxy.address);
    client.write_all(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\nhello") {
        let mut byte = [0];
        assert_eq!(client.read(&mut byte).unwrap(), 1);
        seen.push(byte[0]);
    }
    assert_eq!(proxy.access_line("/late").get("reason"), None);
    send.send(()).unwrap();
}

/// Sends `hello`, and the end of the stream when it is told to.
fn http2_service(go: tokio::sync::oneshot::Receiver<()>) -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let mut connection = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
            let (_, mut respond) = connection.accept().await.unwrap().unwrap();
            let head = http::Response::builder().header("content-length", "5").body(()).unwrap();
            let mut stream = respond.send_response(head, false).unwrap();
            stream.send_data("hello".into(), false).unwrap();
            tokio::select! {
                _ = connection.accept() => {}
                _ = go => stream.send_data(bytes::Bytes::new(), true).unwrap_or_default(),
            }
        });
    });
    address
}

#[test]
fn hostile_text_in_head_and_path_stays_in_one_line() {
    let echo = Echo::start();
    let proxy = plain_proxy(echo.address).start();
    let request = b"GET /a\"b\xc2\x9b31m\xe2\x80\xa8\",\"status\":999,\"x\":\"\\n%0a%1b[31m HTTP/1.1\r\nHost: \"},{\"\r\n\
          X-A: \x80\xff\r\nConnection: close\r\n\r\n";
    exchange(proxy.address, request);
    let request = b"GET /esc\x1b[31m HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    exchange(proxy.address, request);
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nBad\x1b[31m\nName: 1\r\n\r\n";
    exchange(proxy.address, request);
    curl(&[&format!("{}/end", proxy.http())]);
    let log = proxy.log.clone();
    let lines = proxy.stopped_access_lines();
    assert_eq!(lines.last().unwrap()["path"], "/end");
    for line in &lines {
        assert!(line["status"].as_u64().unwrap() <= 599, "{line}");
    }
    for line in log.all() {
        assert!(serde_json::from_str::<Value>(&line).is_ok(), "{line}");
        assert!(!line.contains('\x1b'), "{line}");
    }
}

#[test]
fn control_characters_of_a_path_reach_no_terminal() {
    let echo = Echo::start();
    let proxy = plain_proxy(echo.address).start();
    // C1 control characters and line separators, which some readers obey.
    const OBEYED: [char; 5] = ['\u{9b}', '\u{85}', '\u{2028}', '\u{2029}', '\u{202e}'];
    for character in OBEYED {
        let request = format!("GET /c-{character}31m HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        exchange(proxy.address, request.as_bytes());
    }
    curl(&[&format!("{}/end", proxy.http())]);
    proxy.access_line("/end");
    let lines = proxy.access.so_far();
    assert_eq!(lines.len(), OBEYED.len() + 1, "{lines:?}");
    for line in lines {
        assert!(!line.contains(OBEYED), "{line:?}");
    }
    // A reader of JSON gets what was sent.
    assert_eq!(proxy.access_line("/c-\u{9b}31m")["status"], 200);
}

#[test]
fn no_log_holds_a_secret_even_at_debug() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let key = pki.text("client.key");
    let gateway = gateway(&pki, echo.address).env("LOG_LEVEL", "debug").start();
    let reverse_proxy = reverse_proxy(&pki, gateway.address)
        .env("LOG_LEVEL", "debug")
        .env("CLIENT_SSL_CERT_KEY", &key)
        .start_ready();
    let answer = curl(&[
        "-H",
        "Authorization: Bearer hunter2-authorization",
        "-H",
        "Cookie: session=hunter2-cookie",
        "-H",
        "X-Api-Key: hunter2-header",
        "-d",
        "password=hunter2-body",
        &format!("{}/s?token=hunter2-query", reverse_proxy.http()),
    ]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.received("authorization"), ["Bearer hunter2-authorization"]);
    // A failure is logged in more words than a success.
    exchange(
        reverse_proxy.address,
        b"GET /t?token=hunter2-broken HTTP/1.1\r\nAuthorization : hunter2\r\n\r\n",
    );
    let (first, second) = (gateway.log.clone(), reverse_proxy.log.clone());
    let mut text = String::new();
    for node in [reverse_proxy, gateway] {
        text += &node.stopped_access_lines().iter().map(Value::to_string).collect::<String>();
    }
    for log in [first, second] {
        text += &log.all().join("\n");
    }
    assert!(text.contains("DEBUG"), "nothing was logged at debug");
    assert!(!text.contains("hunter2"), "{text}");
    let lines: Vec<_> = key.lines().filter(|line| !line.starts_with("-----")).collect();
    for line in &lines {
        assert!(!text.contains(line), "{text}");
    }
    let der = base64::prelude::BASE64_STANDARD.decode(lines.concat()).unwrap();
    assert!(der.len() > 32);
    assert!(!text.contains("PRIVATE KEY"), "{text}");
}

#[test]
fn the_access_log_can_be_off() {
    let echo = Echo::start();
    let proxy = plain_proxy(echo.address).env("ACCESS_LOG", "off").start();
    assert_eq!(curl(&[&proxy.http()]).status, 200);
    assert!(proxy.stopped_access_lines().is_empty());
}
