//! What is wrong with the other node: the caller gets 502 or 504, our log the exact reason.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use http::Request;
use mtls_bridge::pki::{Issued, Leaf, Usage, Validity};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::support::bridge::{Bridge, chain, gateway, plain_proxy, reverse_proxy};
use crate::support::client::{Answer, curl, curl_fails};
use crate::support::http2::{Http2, soon};
use crate::support::pki::Pki;
use crate::support::services::{Echo, answering, closed_port, raw, read_head};

/// One request through the reverse proxy: what the caller got, and what the log says.
pub fn ask(proxy: &Bridge) -> (Answer, Value) {
    let answer = curl(&[&format!("{}/ask", proxy.http())]);
    (answer, proxy.access_line("/ask"))
}

/// The caller gets 502 with Kong's words and none of ours; the log has the reason.
fn is_502(proxy: &Bridge, reason: &str) {
    let (answer, line) = ask(proxy);
    let message = "An invalid response was received from the upstream server";
    assert_eq!((answer.status, &answer.json()["message"]), (502, &message.into()));
    assert_eq!(line["status"], 502);
    let told = line["reason"].as_str().unwrap();
    assert!(told.contains(reason), "{told:?} lacks {reason:?}");
}

/// A TLS server with this certificate that asks for one of the PKI, and serves as told.
fn tls_server(
    pki: &Pki,
    certificate: &Issued,
    asks: bool,
    serve: impl Fn(StreamOwned<ServerConnection, TcpStream>) + Send + Sync + 'static,
) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(pki.authority.certificate().clone()).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if asks {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let config = builder.with_single_cert(certificate.chain(), certificate.key()).unwrap();
    let config = Arc::new(config);
    raw(move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        serve(StreamOwned::new(connection, stream));
    })
}

/// Answers one request in TLS.
fn polite(mut stream: StreamOwned<ServerConnection, TcpStream>) {
    let mut head = [0; 4096];
    if stream.read(&mut head).is_ok_and(|read| read > 0) {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    }
}

fn localhost() -> Leaf {
    Leaf::server(&["localhost", "127.0.0.1"]).unwrap()
}

/// A reverse proxy towards a server whose certificate says this.
fn towards(pki: &Pki, leaf: &Leaf) -> Bridge {
    let issued = pki.authority.issue(leaf).unwrap();
    reverse_proxy(pki, tls_server(pki, &issued, true, polite)).start()
}

#[test]
fn a_tls_upstream_of_the_tests_own_is_fine_when_nothing_is_wrong() {
    let pki = Pki::new();
    assert_eq!(ask(&towards(&pki, &localhost())).0.status, 200);
}

#[test]
fn an_upstream_that_refuses_connections() {
    let proxy = reverse_proxy(&Pki::new(), closed_port()).start();
    is_502(
        &proxy,
        "cannot be reached: Connection refused (os error 111); is it running, and is the port right?",
    );
}

#[test]
fn a_name_that_is_unknown() {
    let pki = Pki::new();
    let url = "https://nowhere.invalid:8443";
    let proxy = reverse_proxy(&pki, closed_port()).env("UPSTREAM_URL", url).start();
    is_502(&proxy, "the name nowhere.invalid does not resolve");
}

#[test]
fn a_server_certificate_of_the_wrong_ca() {
    let (pki, other) = (Pki::new(), Pki::new());
    let issued = other.authority.issue(&localhost()).unwrap();
    let proxy = reverse_proxy(&pki, tls_server(&pki, &issued, true, polite)).start();
    is_502(&proxy, "was not issued by any CA in upstream_ca_certificates");
}

#[test]
fn a_server_certificate_with_another_name() {
    let pki = Pki::new();
    let proxy = towards(&pki, &Leaf::server(&["other.example"]).unwrap());
    is_502(&proxy, "has another name");
    let told = proxy.access_line("/ask")["reason"].to_string();
    assert!(told.contains("other.example") && told.contains("upstream_tls_server_name"), "{told}");
}

#[test]
fn the_name_that_is_verified_can_be_told() {
    let pki = Pki::new();
    let issued = pki.authority.issue(&Leaf::server(&["other.example"]).unwrap()).unwrap();
    let proxy = reverse_proxy(&pki, tls_server(&pki, &issued, true, polite))
        .env("UPSTREAM_TLS_SERVER_NAME", "other.example")
        .start();
    assert_eq!(ask(&proxy).0.status, 200);
}

#[test]
fn a_server_certificate_that_expired() {
    let pki = Pki::new();
    is_502(&towards(&pki, &Leaf { validity: Validity::expired(), ..localhost() }), "has expired");
}

#[test]
fn a_server_certificate_that_is_not_valid_yet() {
    let pki = Pki::new();
    is_502(&towards(&pki, &Leaf { validity: Validity::not_yet(), ..localhost() }), "is not valid yet");
}

#[test]
fn a_server_certificate_that_is_meant_for_clients() {
    let pki = Pki::new();
    is_502(&towards(&pki, &Leaf { usage: Usage::Client, ..localhost() }), "is not acceptable");
}

#[test]
fn an_upstream_that_never_asks_for_our_certificate() {
    let pki = Pki::new();
    let issued = pki.authority.issue(&localhost()).unwrap();
    let proxy = reverse_proxy(&pki, tls_server(&pki, &issued, false, polite)).start();
    is_502(&proxy, "did not ask for a client certificate, so the link would not be mutual");
}

#[test]
fn an_upstream_that_never_asks_is_fine_where_no_certificate_is_presented() {
    let pki = Pki::new();
    let issued = pki.authority.issue(&localhost()).unwrap();
    let setup = reverse_proxy(&pki, tls_server(&pki, &issued, false, polite));
    let proxy =
        setup.env("CLIENT_SSL", "off").without("CLIENT_SSL_CERT").without("CLIENT_SSL_CERT_KEY").start();
    assert_eq!(ask(&proxy).0.status, 200);
}

#[test]
fn a_gateway_that_refuses_our_certificate_in_the_handshake() {
    for link in ["auto", "http1"] {
        let (pki, stranger, echo) = (Pki::new(), Pki::new(), Echo::start());
        let gateway = gateway(&pki, echo.address).env("MTLS_AUTH_HANDSHAKE", "require").start();
        pki.keep("stranger", stranger.authority.issue(&Leaf::client("app")).unwrap());
        let proxy = reverse_proxy(&pki, gateway.address)
            .env("CLIENT_SSL_CERT", pki.path("stranger.crt"))
            .env("CLIENT_SSL_CERT_KEY", pki.path("stranger.key"))
            .env("UPSTREAM_HTTP", link)
            .start();
        is_502(&proxy, "refused our client certificate");
        gateway.log.containing("which does not lead to any CA in mtls-auth's list");
    }
}

#[test]
fn a_gateway_that_requires_a_certificate_we_do_not_present() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).env("MTLS_AUTH_HANDSHAKE", "require").start();
    let proxy = reverse_proxy(&pki, gateway.address)
        .env("CLIENT_SSL", "off")
        .without("CLIENT_SSL_CERT")
        .without("CLIENT_SSL_CERT_KEY")
        .start();
    is_502(&proxy, "requires a client certificate and got none");
    gateway.log.containing("the client sent no certificate, and one is required");
}

#[test]
fn a_plaintext_answer_on_the_tls_port() {
    let service = raw(|mut stream| {
        // Before any ServerHello, as an attacker on the way would.
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let _ = stream.read(&mut [0; 4096]);
    });
    is_502(&reverse_proxy(&Pki::new(), service).start(), "answered in plaintext; is its port a TLS port?");
}

#[test]
fn a_connection_closed_in_the_handshake() {
    let service = raw(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
    });
    is_502(&reverse_proxy(&Pki::new(), service).start(), "closed the connection in the TLS handshake");
}

#[test]
fn tls_spoken_to_a_plain_service_by_mistake_is_told_by_the_service_side_too() {
    let (pki, echo) = (Pki::new(), Echo::start());
    // A plain URL for a gateway's TLS port.
    let gateway = gateway(&pki, echo.address).start();
    let proxy = plain_proxy(gateway.address).start();
    let (answer, line) = ask(&proxy);
    assert_eq!(answer.status, 502, "{line}");
    gateway.log.containing("the client did not speak TLS; is it plain HTTP sent to a TLS port?");
}

#[test]
fn garbage_instead_of_http() {
    let proxy = plain_proxy(answering(b"\x00\x01 garbage\r\n\r\n")).start();
    is_502(&proxy, "did not answer in HTTP/1.1");
}

#[test]
fn an_answer_that_ends_in_its_head() {
    let proxy = plain_proxy(answering(b"HTTP/1.1 200 OK\r\nContent-Le")).start();
    is_502(&proxy, "the connection to http://127.0.0.1:");
}

#[test]
fn an_answer_with_two_lengths() {
    let proxy =
        plain_proxy(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!"))
            .start();
    is_502(&proxy, "did not answer in HTTP/1.1");
}

#[test]
fn no_answer_at_all() {
    is_502(&plain_proxy(answering(b"")).start(), "broke: connection closed before message completed");
}

const CUT: [&[u8]; 2] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
];

#[test]
fn an_answer_cut_in_its_body_never_ends_cleanly_over_http1() {
    for answer in CUT {
        let proxy = plain_proxy(answering(answer)).start();
        let got = curl(&["--http1.1", &format!("{}/ask", proxy.http())]);
        assert_eq!((got.status, got.exit, got.body.as_str()), (200, 18, "only this"));
        let line = proxy.access_line("/ask");
        assert!(line["reason"].as_str().unwrap().contains("the upstream's body broke off"), "{line}");
        assert_eq!(line["bytes_out"], 9);
    }
}

#[tokio::test]
async fn an_answer_cut_in_its_body_resets_the_stream_over_http2_behind_what_came() {
    for answer in CUT {
        let proxy = plain_proxy(answering(answer)).start();
        let client = Http2::plain(proxy.address).await;
        let (response, _stream) = client.send(Request::get("http://x/").body(()).unwrap(), true).await;
        let mut body = soon(response).await.unwrap().into_body();
        assert_eq!(soon(body.data()).await.unwrap().unwrap(), "only this");
        let end = soon(body.data()).await.unwrap().unwrap_err();
        assert_eq!(end.reason(), Some(h2::Reason::INTERNAL_ERROR));
        let url = format!("{}/", proxy.http());
        assert_eq!(curl_fails(&["--http2-prior-knowledge", &url]), 92);
    }
}

#[test]
fn an_answer_cut_behind_the_gateway_is_cut_for_the_caller_too_and_both_logs_say_so() {
    for answer in CUT {
        let nodes = chain(answering(answer));
        let got = curl(&["--http1.1", &format!("{}/ask", nodes.reverse_proxy.http())]);
        assert_eq!((got.status, got.exit), (200, 18));
        for node in [&nodes.gateway, &nodes.reverse_proxy] {
            let line = node.access_line("/ask");
            assert!(line["reason"].as_str().unwrap().contains("the upstream's body broke off"), "{line}");
        }
    }
}

#[test]
fn a_gateway_that_dies_in_an_answer_cuts_it_and_the_log_names_the_link() {
    let service = raw(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
        let _ = stream.read(&mut [0]);
    });
    let nodes = chain(service);
    let mut client = crate::support::client::connect(nodes.reverse_proxy.address);
    client.write_all(b"GET /ask HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"only this") {
        let mut byte = [0];
        assert_eq!(client.read(&mut byte).unwrap(), 1);
        seen.push(byte[0]);
    }
    drop(nodes.gateway);
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest);
    assert!(rest.is_empty(), "{rest:?}");
    let line = nodes.reverse_proxy.access_line("/ask");
    assert!(line["reason"].as_str().unwrap().contains("the upstream's body broke off"), "{line}");
}
