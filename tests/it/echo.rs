//! The echo service, as everything else in these tests relies on it.

use std::future::{Future, ready};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mtls_bridge::cli::echo::{self, serve};
use mtls_bridge::pki::{Authority, Issued, Leaf};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsConnector, client};

/// An echo service in this process. Dropped, it is cut off.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    tasks: JoinSet<io::Result<()>>,
}

fn start(tls: Option<Arc<ServerConfig>>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener, tls, async { drop(stopped.await) }));
    Running { address, stop, tasks }
}

/// No test waits for ever.
async fn soon<T>(waited: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), waited).await.unwrap()
}

/// What comes back for these bytes, until the service closes.
async fn raw(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

#[tokio::test]
async fn a_request_comes_back_as_it_was_received() {
    let echo = start(None);
    let request = "PUT /a/b?c=d HTTP/1.1\r\nHost: example\r\nX-B: 1\r\nX-A: 2\r\nConnection: close\r\n\
                   Content-Length: 5\r\n\r\nhello";
    let (head, body) = raw(echo.address, request).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(
        parsed(body.as_bytes()),
        json!({
            "method": "PUT", "path": "/a/b", "query": "c=d", "authority": null, "version": "HTTP/1.1",
            "headers": [
                ["host", "example"], ["x-b", "1"], ["x-a", "2"], ["connection", "close"], ["content-length", "5"],
            ],
            "body": "hello", "trailers": [], "tls": null,
        })
    );
}

#[tokio::test]
async fn the_trailers_of_a_chunked_body_are_told() {
    let echo = start(None);
    let request = "POST / HTTP/1.1\r\nHost: example\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
                   Trailer: x-sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n";
    let (_, body) = raw(echo.address, request).await;
    let facts = parsed(body.as_bytes());
    assert_eq!((&facts["body"], &facts["trailers"]), (&json!("hi"), &json!([["x-sum", "7"]])));
}

#[tokio::test]
async fn http2_is_understood_without_tls() {
    let echo = start(None);
    let stream = TokioIo::new(TcpStream::connect(echo.address).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);

    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from_static(b"\xff\x00")).with_trailers(ready(Some(Ok(trailers))));
    let request = Request::post("http://service.example/echo.Echo/Say").body(body).unwrap();
    let response = soon(sender.send_request(request)).await.unwrap();
    let facts = parsed(&response.into_body().collect().await.unwrap().to_bytes());
    assert_eq!(facts["version"], "HTTP/2.0");
    assert_eq!(facts["authority"], "service.example");
    assert_eq!(facts["body_base64"], "/wA=");
    assert_eq!(facts["trailers"], json!([["grpc-status", "0"]]));
}

#[tokio::test]
async fn a_path_chooses_the_status() {
    let echo = start(None);
    let get = async |path: &str| {
        raw(echo.address, &format!("GET {path} HTTP/1.1\r\nHost: example\r\nConnection: close\r\n\r\n")).await
    };
    let (head, body) = get("/status/503").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_eq!(parsed(body.as_bytes())["path"], "/status/503");
    let (head, body) = get("/status/204").await;
    assert!(head.starts_with("HTTP/1.1 204 ") && body.is_empty(), "{head}");
    let (head, body) = get("/status/99").await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert_eq!(parsed(body.as_bytes()), json!({ "message": "/status/ takes a number from 200 to 599" }));
}

#[tokio::test]
async fn bytes_come_in_the_number_asked_for_with_their_length_or_in_chunks() {
    let echo = start(None);
    let stream = TokioIo::new(TcpStream::connect(echo.address).await.unwrap());
    let (mut sender, connection) = http1::handshake(stream).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    for (path, announced) in [("/bytes/300000", true), ("/bytes/300000?chunked&delay_ms=1", false)] {
        let request = Request::get(path).header("host", "example").body(Full::<Bytes>::default()).unwrap();
        let response = soon(sender.send_request(request)).await.unwrap();
        assert_eq!(response.headers().contains_key("content-length"), announced, "{path}");
        let body = soon(response.into_body().collect()).await.unwrap().to_bytes();
        assert_eq!(body.len(), 300_000, "{path}");
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_before_it_is_read() {
    let echo = start(None);
    let length = 16 * 1024 * 1024 + 1;
    let request = format!("POST / HTTP/1.1\r\nHost: example\r\nContent-Length: {length}\r\n\r\n");
    let (head, _) = raw(echo.address, &request).await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
}

#[tokio::test]
async fn an_undeclared_body_beyond_the_limit_is_refused_too() {
    let echo = start(None);
    let stream = TokioIo::new(TcpStream::connect(echo.address).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    // With trailers to come, HTTP/2 sends no content-length.
    let body = Full::new(Bytes::from(vec![b'x'; 16 * 1024 * 1024 + 1])).with_trailers(ready(None));
    let request = Request::post("http://example/").body(body).unwrap();
    let response = soon(sender.send_request(request)).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn as_many_headers_as_a_proxy_lets_through_come_back() {
    let echo = start(None);
    let mut request = String::from("GET / HTTP/1.1\r\nHost: example\r\nConnection: close\r\n");
    for number in 0..150 {
        request += &format!("x-{number}: {}\r\n", "v".repeat(400));
    }
    let (_, body) = raw(echo.address, &(request + "\r\n")).await;
    assert_eq!(parsed(body.as_bytes())["headers"].as_array().unwrap().len(), 152);
}

#[tokio::test]
async fn a_stop_lets_the_answer_under_way_finish_and_closes_idle_connections() {
    let Running { address, stop, mut tasks } = start(None);
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: example\r\n\r\n").await.unwrap();
    assert_ne!(soon(idle.read_u8()).await.unwrap(), 0);
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(b"GET /bytes/200000?delay_ms=20 HTTP/1.1\r\nHost: example\r\n\r\n").await.unwrap();
    assert_ne!(soon(busy.read_u8()).await.unwrap(), 0);

    stop.send(()).unwrap();
    let mut rest = Vec::new();
    soon(busy.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.len() > 200_000);
    soon(idle.read_to_end(&mut rest)).await.unwrap();
    soon(tasks.join_next()).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

/// A service that asks for client certificates from `ca`, named `gateway`.
fn start_tls(ca: &Authority) -> Running {
    let server = ca.issue(&Leaf::server(&["gateway"]).unwrap()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)), Arc::clone(&provider));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(server.chain(), server.key())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    start(Some(Arc::new(config)))
}

fn roots(ca: &Authority) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(ca.certificate().clone()).unwrap();
    roots
}

async fn connect(
    address: SocketAddr,
    ca: &Authority,
    client: Option<&Issued>,
) -> client::TlsStream<TcpStream> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(ca));
    let mut config = match client {
        Some(client) => builder.with_client_auth_cert(client.chain(), client.key()).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = "gateway".try_into().unwrap();
    soon(TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap()
}

#[tokio::test]
async fn over_tls_it_tells_who_called() {
    let ca = Authority::new("Example CA").unwrap();
    let echo = start_tls(&ca);
    let billing = Leaf { organization: Some("Acme".into()), ..Leaf::client("billing") };
    // An intermediate, to see that the chain as issued is one that verifies.
    let client = ca.intermediate("Lower").unwrap().issue(&billing).unwrap();
    let stream = TokioIo::new(connect(echo.address, &ca, Some(&client)).await);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let request = Request::get("https://gateway/").body(Full::<Bytes>::default()).unwrap();
    let response = soon(sender.send_request(request)).await.unwrap();
    let facts = parsed(&response.into_body().collect().await.unwrap().to_bytes());
    assert_eq!(
        facts["tls"],
        json!({
            "version": "TLSv1.3", "server_name": "gateway", "protocol": "h2",
            "client_certificate_subject": "CN=billing,O=Acme",
        })
    );
}

#[tokio::test]
async fn a_stranger_reaches_no_echo_over_tls() {
    let ca = Authority::new("Example CA").unwrap();
    let echo = start_tls(&ca);
    let stranger = Authority::new("Example CA").unwrap().issue(&Leaf::client("billing")).unwrap();
    for client in [None, Some(&stranger)] {
        // In TLS 1.3 the client hears of the refusal only when it reads.
        let mut stream = connect(echo.address, &ca, client).await;
        assert!(soon(stream.read_u8()).await.is_err());
    }
}

/// The command line after `mtls-bridge echo`.
#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    echo: echo::Echo,
}

#[test]
fn files_that_do_not_fit_end_the_command_with_a_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let ca = Authority::new("Example CA").unwrap();
    let [one, other] = ["one", "other"].map(|name| ca.issue(&Leaf::client(name)).unwrap());
    let [certificate, key] =
        [("one.crt", &one.certificate_pem), ("other.key", &other.key_pem)].map(|(name, pem)| {
            let path = directory.path().join(name);
            std::fs::write(&path, pem).unwrap();
            path.to_str().unwrap().to_owned()
        });
    let refused = |flags: &[&str], expected: &str| {
        let refusal = match Line::try_parse_from(["echo", "--listen", "127.0.0.1:0"].iter().chain(flags)) {
            Ok(line) => format!("{:#}", echo::run(&line.echo).unwrap_err()),
            Err(refusal) => refusal.to_string(),
        };
        assert!(refusal.contains(expected), "{refusal}");
    };
    refused(&["--tls-cert", &certificate, "--tls-key", &key], "cannot be used");
    refused(&["--tls-cert", &key, "--tls-key", &key], "it holds a private key but no certificate");
    refused(&["--tls-cert", "/nonexistent", "--tls-key", &key], "/nonexistent cannot be read: No such file");
    refused(&["--tls-cert", &certificate], "--tls-key <FILE>");
    refused(&["--tls-client-ca", &certificate], "--tls-cert <FILE>");
}
