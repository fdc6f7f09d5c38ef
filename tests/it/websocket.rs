//! WebSocket, and what else asks for an upgrade, through both nodes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Error, Message, WebSocket, accept_hdr_with_config};

use crate::support::PATIENCE;
use crate::support::bridge::{Bridge, gateway, reverse_proxy};
use crate::support::client::{connect, curl, curl_anonymous, exchange};
use crate::support::pki::Pki;
use crate::support::services::{Echo, answering, closed_port, raw, read_head};

/// What makes a request ask for a WebSocket; curl and raw sockets add it to their own.
const ASKS: [&str; 8] = [
    "-H",
    "Connection: Upgrade",
    "-H",
    "Upgrade: websocket",
    "-H",
    "Sec-WebSocket-Version: 13",
    "-H",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// A WebSocket service that first says who called, then echoes; what ended each connection comes
/// out of the channel.
#[allow(clippy::result_large_err)] // the callback's type is tungstenite's
fn service() -> (SocketAddr, Receiver<String>) {
    let (ended, ends) = channel();
    let address = raw(move |stream| {
        let mut caller = String::new();
        let remember = |request: &Request, response: Response| {
            let text = |name| request.headers().get(name).map_or("", |value| value.to_str().unwrap());
            caller = format!("{} {}", text("x-client-cert-dn"), request.uri());
            Ok(response)
        };
        let mut socket = accept_hdr_with_config(stream, remember, Some(WebSocketConfig::default())).unwrap();
        socket.send(Message::text(caller)).unwrap();
        let end = loop {
            match socket.read() {
                Ok(Message::Close(frame)) => {
                    let _ = socket.flush();
                    break frame.map_or_else(|| "closed".to_owned(), |frame| format!("closed: {frame}"));
                }
                Ok(message) if message.is_text() || message.is_binary() => socket.send(message).unwrap(),
                Ok(_) => {}
                Err(error) => break format!("broke: {error}"),
            }
        };
        let _ = ended.send(end);
    });
    (address, ends)
}

/// Both nodes in front of a service.
struct Chain {
    gateway: Bridge,
    reverse_proxy: Bridge,
}

impl Chain {
    fn to(service: SocketAddr) -> Self {
        Self::with(service, "60s")
    }

    /// The gateway waits so long for a byte in either direction.
    fn with(service: SocketAddr, read_timeout: &str) -> Self {
        let pki = Pki::new();
        let gateway = gateway(&pki, service).env("READ_TIMEOUT", read_timeout).start();
        let reverse_proxy = reverse_proxy(&pki, gateway.address).start_ready();
        Self { gateway, reverse_proxy }
    }

    /// A WebSocket for `/socket`, its greeting read.
    fn open(&self) -> WebSocket<TcpStream> {
        let url = format!("ws://{}/socket?x=1", self.reverse_proxy.address);
        let stream = connect(self.reverse_proxy.address);
        let (mut socket, answer) = tungstenite::client(url, stream).unwrap();
        assert_eq!(answer.status(), 101);
        assert_eq!(socket.read().unwrap(), Message::text("CN=app /socket?x=1"));
        socket
    }

    fn curl(&self, arguments: &[&str]) -> crate::support::client::Answer {
        let url = format!("{}/socket", self.reverse_proxy.http());
        curl(&[&ASKS[..], arguments, &[&url]].concat())
    }
}

/// Asserts that the connection ends without a close frame, and does so by itself.
fn check_gone(socket: &mut WebSocket<TcpStream>) {
    let read = socket.read();
    let late = |error: &std::io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    assert!(!matches!(&read, Err(Error::Io(error)) if late(error)), "the connection stays open");
    assert!(read.is_err(), "{read:?}");
}

#[test]
fn text_and_binary_messages_go_both_ways_and_the_service_learns_who_called() {
    let (address, _ends) = service();
    let chain = Chain::to(address);
    let mut socket = chain.open();
    let large: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
    for message in [Message::text("hej på dig"), Message::binary(vec![0, 255, 1]), Message::binary(large)] {
        socket.send(message.clone()).unwrap();
        assert!(socket.read().unwrap() == message, "{} bytes came back changed", message.len());
    }
}

#[test]
fn the_close_handshake_reaches_both_ends_and_leaves_clean_access_lines() {
    let (address, ends) = service();
    let chain = Chain::to(address);
    let mut socket = chain.open();
    let frame = CloseFrame { code: CloseCode::Away, reason: "enough".into() };
    socket.close(Some(frame.clone())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Close(Some(frame)));
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)));
    assert_eq!(ends.recv_timeout(PATIENCE).unwrap(), "closed: enough (1001)");
    drop(socket);
    for node in [&chain.reverse_proxy, &chain.gateway] {
        let line = node.access_line("/socket");
        assert_eq!((&line["status"], &line["reason"]), (&101.into(), &serde_json::Value::Null), "{line}");
        assert!(line["bytes_in"].as_u64() > Some(0) && line["bytes_out"].as_u64() > Some(0), "{line}");
    }
}

#[test]
fn a_client_that_disappears_ends_the_services_connection() {
    let (address, ends) = service();
    let chain = Chain::to(address);
    drop(chain.open());
    assert!(ends.recv_timeout(PATIENCE).unwrap().starts_with("broke: "));
}

#[test]
fn a_service_that_disappears_ends_the_clients_connection() {
    // It switches, says a greeting as one WebSocket text frame, and is gone.
    let address = raw(|mut stream| {
        let head = read_head(&mut stream);
        let key = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("sec-websocket-key: ").map(|_| &line[19..]));
        let accept = tungstenite::handshake::derive_accept_key(key.unwrap().as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n\u{81}\u{12}CN=app /socket?x=1"
        );
        let bytes: Vec<u8> = answer.chars().map(|c| c as u8).collect();
        stream.write_all(&bytes).unwrap();
    });
    let chain = Chain::to(address);
    let mut socket = chain.open();
    check_gone(&mut socket);
}

#[test]
fn a_tunnel_survives_silences_shorter_than_read_timeout_and_longer_ones_end_it() {
    let (address, ends) = service();
    let chain = Chain::with(address, "1s");
    let mut socket = chain.open();
    // Together longer than the timeout; each alone is not.
    for _ in 0..3 {
        socket.get_ref().set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        assert!(matches!(socket.read(), Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock));
        socket.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send(Message::text("still here")).unwrap();
        assert_eq!(socket.read().unwrap(), Message::text("still here"));
    }
    // Nobody says anything: the gateway ends it, and both sides learn.
    check_gone(&mut socket);
    assert!(ends.recv_timeout(PATIENCE).unwrap().starts_with("broke: "));
    let line = chain.gateway.access_line("/socket");
    assert_eq!(line["status"], 101);
    assert_eq!(line["reason"], "read_timeout passed without a byte in either direction");
}

#[test]
fn a_service_that_answers_an_upgrade_with_200_is_passed_on() {
    let echo = Echo::start();
    let answer = Chain::to(echo.address).curl(&[]);
    assert_eq!((answer.status, &answer.json()["path"]), (200, &"/socket".into()));
    assert_eq!(answer.received("upgrade"), ["websocket"]);
    assert_eq!(answer.received("sec-websocket-key"), ["dGhlIHNhbXBsZSBub25jZQ=="]);
    assert_eq!((answer.header("upgrade"), answer.header("connection")), (None, None));
}

#[test]
fn a_service_that_refuses_an_upgrade_with_403_is_passed_on() {
    let address = answering(
        b"HTTP/1.1 403 Forbidden\r\nX-Why: origin\r\nContent-Length: 8\r\nConnection: close\r\n\r\nnot here",
    );
    let chain = Chain::to(address);
    let answer = chain.curl(&[]);
    assert_eq!(
        (answer.status, answer.body.as_str(), answer.header("x-why")),
        (403, "not here", Some("origin"))
    );
    assert_eq!(chain.gateway.access_line("/socket")["status"], 403);
}

#[test]
fn a_service_that_switches_to_what_nobody_asked_for_is_an_error() {
    let address =
        answering(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n");
    let chain = Chain::to(address);
    assert_eq!(chain.curl(&[]).status, 502);
    let reason = chain.gateway.access_line("/socket")["reason"].clone();
    assert!(reason.as_str().unwrap().contains("switched to a protocol nobody asked for"), "{reason}");
}

#[test]
fn an_upgrade_for_a_dead_service_is_answered_with_502() {
    let chain = Chain::to(closed_port());
    assert_eq!(chain.curl(&[]).status, 502);
    let reason = chain.gateway.access_line("/socket")["reason"].clone();
    assert!(reason.as_str().unwrap().contains("cannot be reached"), "{reason}");
}

#[test]
fn an_upgrade_without_a_certificate_never_reaches_the_service() {
    let (reached, requests) = channel();
    let address = raw(move |mut stream| {
        let _ = reached.send(read_head(&mut stream));
    });
    let pki = Pki::new();
    let gateway = gateway(&pki, address).start();
    let url = format!("{}/socket", gateway.https());
    let answer = curl_anonymous(&pki, &[&ASKS[..], &["--http1.1", &url]].concat());
    assert_eq!(answer.status, 401);
    assert!(requests.try_recv().is_err(), "the service was reached");
}

/// What the service reads of this request, which it answers with 200.
fn head_at_the_service(request: &str) -> String {
    let (read, heads) = channel();
    let address = raw(move |mut stream| {
        let head = read_head(&mut stream);
        if !head.is_empty() {
            let _ = read.send(head);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    });
    let chain = Chain::to(address);
    let answer = exchange(chain.reverse_proxy.address, request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"), "{answer}");
    heads.recv_timeout(PATIENCE).unwrap().to_lowercase()
}

#[test]
fn an_upgrade_to_h2c_is_never_passed_on() {
    for upgrade in ["h2c", "H2C", "h2c/1", "TLS/1.2, h2c"] {
        let head = head_at_the_service(&format!(
            "GET /socket HTTP/1.1\r\nHost: app\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\
             Connection: Upgrade, HTTP2-Settings, close\r\n\r\n"
        ));
        assert!(head.starts_with("get /socket http/1.1\r\n"), "{head}");
        for name in ["upgrade:", "http2-settings:", "h2c"] {
            assert!(!head.contains(name), "{upgrade}: {head}");
        }
    }
}

#[test]
fn of_several_protocols_all_but_h2c_are_passed_on() {
    let head = head_at_the_service(
        "GET /socket HTTP/1.1\r\nHost: app\r\nUpgrade: h2c, websocket, other\r\nConnection: Upgrade, close\r\n\r\n",
    );
    assert!(head.contains("\r\nupgrade: websocket, other\r\n"), "{head}");
    assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
}

#[test]
fn other_protocols_than_websocket_get_their_tunnel_too() {
    // The first bytes of the new protocol come in one piece with the 101.
    let address = raw(|mut stream| {
        let head = read_head(&mut stream).to_lowercase();
        assert!(head.contains("upgrade: shouting"), "{head}");
        let switched =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shouting\r\n\r\nHELLO\n";
        stream.write_all(switched.as_bytes()).unwrap();
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).unwrap();
        stream.write_all(&heard.to_ascii_uppercase()).unwrap();
    });
    let chain = Chain::to(address);
    // And so do the client's with its request.
    let request =
        "GET /socket HTTP/1.1\r\nHost: app\r\nConnection: upgrade\r\nUpgrade: Shouting\r\n\r\nquiet";
    let answer = exchange(chain.reverse_proxy.address, request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{answer}");
    assert!(answer.to_lowercase().contains("\r\nupgrade: shouting\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nHELLO\nQUIET"), "{answer}");
}
