//! Fetching, over real sockets: lists and answers from a small server, which can be a bad one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::UnixTime;
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::world::{Answer, Ca, settings};
use super::*;

/// What a server sends to whoever connects, and how often that was.
struct Server {
    url: String,
    port: u16,
    calls: Arc<AtomicUsize>,
    /// The head of the last request.
    heard: Arc<Mutex<String>>,
}

impl Server {
    /// Sends these bytes after `delay`, and closes.
    async fn start(reply: Vec<u8>, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (calls, heard) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(String::new())));
        let (count, hears) = (Arc::clone(&calls), Arc::clone(&heard));
        #[expect(clippy::disallowed_methods)] // not of a worker
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (reply, hears) = (reply.clone(), Arc::clone(&hears));
                #[expect(clippy::disallowed_methods)] // likewise
                tokio::spawn(async move {
                    let mut request = vec![0; 4096];
                    let length = stream.read(&mut request).await.unwrap_or(0);
                    *hears.lock().unwrap() = String::from_utf8_lossy(&request[..length]).into_owned();
                    tokio::time::sleep(delay).await;
                    let _ = stream.write_all(&reply).await;
                });
            }
        });
        Self { url: format!("http://127.0.0.1:{port}/ca.crl"), port, calls, heard }
    }

    async fn serving(body: &[u8]) -> Self {
        Self::start(ok(body), Duration::ZERO).await
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A list of now that takes back serial number 7.
fn list(ca: &Ca) -> Vec<u8> {
    list_until(ca, time::Duration::HOUR)
}

fn list_until(ca: &Ca, end: time::Duration) -> Vec<u8> {
    let now = OffsetDateTime::now_utc();
    ca.list(&[7], |params| {
        (params.this_update, params.next_update) = (now - 2 * time::Duration::HOUR, now + end);
    })
}

fn why(status: &Status) -> &str {
    match status {
        Status::Unknown { why: Doubt::NoAnswer(why), .. } => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_list_tells_of_everyone_and_is_fetched_once() {
    let ca = Ca::new("ca");
    let server = Server::serving(&list(&ca)).await;
    let revocation = Revocation::default();
    let (good, bad) = [1, 7].map(|serial| ca.query(&ca.leaf(serial, &[], &[&server.url]))).into();
    assert_eq!(revocation.status(&good, UnixTime::now()), None);
    assert!(matches!(revocation.fetch(&good).await, Status::Good { .. }));
    assert!(matches!(revocation.status(&good, UnixTime::now()), Some(Status::Good { .. })));
    assert!(matches!(revocation.fetch(&bad).await, Status::Revoked { reason: Some(1), .. }));
    assert_eq!(server.calls(), 1);
    let ended = later(UnixTime::now(), Duration::from_secs(62));
    assert_eq!(revocation.status(&good, ended), None);
    assert_eq!(revocation.counts(), Counts::default());
    assert!(server.heard.lock().unwrap().starts_with("GET /ca.crl HTTP/1.1\r\nhost: 127.0.0.1:"));
}

#[tokio::test]
async fn what_is_no_list_of_the_issuer_tells_nothing_and_is_not_remembered() {
    let (ca, namesake, other) = (Ca::new("ca"), Ca::new("ca"), Ca::new("other"));
    let whole = list(&ca);
    let redirect = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n".to_vec();
    let announced = b"HTTP/1.1 200 OK\r\nContent-Length: 16777217\r\n\r\n".to_vec();
    let endless = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![0; 16 * 1024 * 1024 + 1]].concat();
    let short = [b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n".as_slice(), &whole].concat();
    for (reply, part) in [
        (ok(&list_until(&ca, -time::Duration::HOUR)), "out of date"),
        (ok(&list(&other)), "another issuer"),
        (ok(&list(&namesake)), "signature"),
        (ok(&whole[..whole.len() - 1]), "encoding"),
        (ok(b"<html>"), "encoding"),
        (ok(b""), "encoding"),
        (short, "end of file"),
        (redirect, "redirects are not followed"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(), "404"),
        (announced, "more than 16777216 bytes"),
        (endless, "more than 16777216 bytes"),
        (b"220 mail ready\r\n".to_vec(), "invalid HTTP"),
        (Vec::new(), "closed"),
    ] {
        let server = Server::start(reply, Duration::ZERO).await;
        let revocation = Revocation::default();
        let query = ca.query(&ca.leaf(1, &[], &[&server.url]));
        let status = revocation.fetch(&query).await;
        assert!(why(&status).contains(part), "{part}: {status:?}");
        assert_eq!(revocation.status(&query, UnixTime::now()), None);
        assert_eq!(revocation.counts(), Counts { unanswered: 1, soft_fails: 0 });
    }
}

#[tokio::test]
async fn a_place_that_hangs_costs_its_share_of_the_time_and_the_next_one_is_asked() {
    let ca = Ca::new("ca");
    let hangs = Server::start(Vec::new(), Duration::from_secs(60)).await;
    let server = Server::serving(&list(&ca)).await;
    let revocation = Revocation::default();
    let query = |lists: &[&str]| {
        let settings = Fetching { timeout: Duration::from_millis(400), ..settings() };
        ca.query_with(&ca.leaf(1, &[&hangs.url], lists), settings)
    };
    let started = Instant::now();
    let status = revocation.fetch(&query(&[&server.url])).await;
    assert!(matches!(status, Status::Good { .. }), "{status:?}");
    assert!(started.elapsed() >= Duration::from_millis(200));
    let (alone, started) = (Revocation::default(), Instant::now());
    assert!(why(&alone.fetch(&query(&[])).await).contains("in time"));
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn those_who_ask_at_once_share_a_call_and_a_failure_is_asked_anew_after_a_pause() {
    let ca = Ca::new("ca");
    let server = Server::start(Vec::new(), Duration::from_millis(50)).await;
    let revocation = Revocation::default();
    let settings = || Fetching { check: Check::IgnoreCaError, ..settings() };
    let [one, two] = [1, 2].map(|serial| ca.query_with(&ca.leaf(serial, &[], &[&server.url]), settings()));
    let (a, b, c) = tokio::join!(revocation.fetch(&one), revocation.fetch(&one), revocation.fetch(&two));
    assert!([&a, &b, &c].iter().all(|status| why(status).contains("closed")), "{a:?} {b:?} {c:?}");
    assert_eq!(server.calls(), 1);
    assert_eq!(revocation.counts(), Counts { unanswered: 3, soft_fails: 3 });
    assert!(why(&revocation.fetch(&one).await).contains("closed"));
    assert_eq!(server.calls(), 1);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(why(&revocation.fetch(&one).await).contains("closed"));
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn our_own_network_is_not_called_unless_its_host_is_listed() {
    let ca = Ca::new("ca");
    let server = Server::serving(&list(&ca)).await;
    let port = server.port;
    let ask = async |hosts: Hosts, url: &str| {
        let settings = Fetching { hosts, ..settings() };
        Revocation::default().fetch(&ca.query_with(&ca.leaf(1, &[], &[url]), settings)).await
    };
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"] {
        let status = ask(Hosts::default(), &format!("http://{host}:{port}/")).await;
        assert!(why(&status).contains("not public") || why(&status).contains("not known"), "{status:?}");
    }
    let listed = || Hosts::new(["localhost".to_owned()]);
    let status = ask(listed(), &format!("http://localhost:{port}/")).await;
    assert!(matches!(status, Status::Good { .. }), "{status:?}");
    let status = ask(listed(), &server.url).await;
    assert!(why(&status).contains("not in mtls_auth_revocation_hosts"), "{status:?}");
    let status = ask(listed(), &format!("http://localhost:secret@127.0.0.1:{port}/")).await;
    assert!(why(&status).contains("user name"), "{status:?}");
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_whole_url_and_for_a_tunnel() {
    let ca = Ca::new("ca");
    let proxy = Server::serving(&list(&ca)).await;
    let through = Some(Proxy { host: "localhost".into(), port: proxy.port });
    let ask = async |url: &str| {
        let proxies = (through.clone(), through.clone());
        let settings =
            Fetching { hosts: Hosts::default(), http_proxy: proxies.0, https_proxy: proxies.1, ..settings() };
        Revocation::default().fetch(&ca.query_with(&ca.leaf(1, &[], &[url]), settings)).await
    };
    let status = ask("http://crl.example/a.crl?b").await;
    assert!(matches!(status, Status::Good { .. }), "{status:?}");
    let heard = || proxy.heard.lock().unwrap().clone();
    assert!(
        heard().starts_with("GET http://crl.example/a.crl?b HTTP/1.1\r\nhost: crl.example\r\n"),
        "{}",
        heard()
    );
    // It agrees to a tunnel, and what then comes out of it is no TLS.
    why(&ask("https://crl.example/a.crl").await);
    assert!(heard().starts_with("CONNECT crl.example:443 HTTP/1.1\r\n"), "{}", heard());
    assert!(why(&ask("http://10.0.0.1/").await).contains("not a public address"));
}

#[tokio::test]
async fn a_responder_is_asked_before_a_list_and_its_word_is_final() {
    let ca = Ca::new("ca");
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let asked = ca.query(&ca.leaf(7, &[], &[]));
    let answer = |status: Vec<u8>| {
        let times = (now - 60, Some(now + 60));
        Answer { status, this_update: times.0, next_update: times.1, ..Answer::good(&asked, &ca) }.der(&asked)
    };
    let lists = Server::serving(&list(&ca)).await;
    let ask = async |reply: Vec<u8>| {
        let responder = Server::start(reply, Duration::ZERO).await;
        let query = ca.query(&ca.leaf(7, &[&responder.url], &[&lists.url]));
        let revocation = Revocation::default();
        let status = revocation.fetch(&query).await;
        assert!(responder.heard.lock().unwrap().contains("content-type: application/ocsp-request"));
        assert!(revocation.status(&query, UnixTime::now()).is_some());
        status
    };
    let good = der::element(der::primitive(0), &[]);
    assert!(matches!(ask(ok(&answer(good))).await, Status::Good { .. }));
    let not_known = der::element(der::primitive(2), &[]);
    let status = ask(ok(&answer(not_known))).await;
    assert!(matches!(status, Status::Unknown { why: Doubt::NotKnown, .. }), "{status:?}");
    assert_eq!(lists.calls(), 0);
    // The responder is down, or talks nonsense: then the list counts, which takes this one back.
    for reply in
        [b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec(), ok(b"nonsense"), ok(&[0x30, 3, 10, 1, 3])]
    {
        assert!(matches!(ask(reply).await, Status::Revoked { .. }));
    }
    assert_eq!(lists.calls(), 3);
}

#[tokio::test]
async fn files_are_asked_first_and_who_names_no_place_costs_nothing() {
    let ca = Ca::new("ca");
    let server = Server::serving(&list(&ca)).await;
    let mut crl_files = CrlFiles::of(std::slice::from_ref(&ca.der));
    crl_files.add(&list(&ca), UnixTime::now()).unwrap();
    let revocation = Revocation::default();
    let query = ca.query_with(
        &ca.leaf(7, &[], &[&server.url]),
        Fetching { crl_files: Arc::new(crl_files), ..settings() },
    );
    assert!(matches!(revocation.status(&query, UnixTime::now()), Some(Status::Revoked { .. })));
    let silent = ca.query(&ca.leaf(1, &[], &[]));
    let status = revocation.status(&silent, UnixTime::now());
    assert!(matches!(status, Some(Status::Unknown { why: Doubt::NowhereToAsk, .. })));
    assert_eq!(server.calls(), 0);
    assert!(size_of_val(&revocation.fetch(&silent)) <= 128);
}
