//! Attacks on connections and on HTTP/2: a good client is served meanwhile, and afterwards
//! nothing is left of them. The classes are V9 and V10 of the threats this project tests against.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::bridge::{Bridge, gateway, plain_proxy};
use crate::support::client::{connect, curl_as, get, is_closed};
use crate::support::h2_client::{
    self, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, frame, get_block, kind, next_frame,
};
use crate::support::pki::Pki;
use crate::support::services::Echo;

/// Attacks take all the cores there are: one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A good client that asks again and again until it is told to stop.
struct GoodClient {
    stop: Arc<AtomicBool>,
    asks: JoinHandle<(usize, Duration)>,
}

impl GoodClient {
    fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let asks = thread::spawn(move || {
            let mut client = connect(address);
            let (mut answers, mut slowest) = (0, Duration::ZERO);
            while answers == 0 || !stopped.load(Ordering::Relaxed) {
                let asked = Instant::now();
                assert!(get(&mut client, "/good").0.starts_with("HTTP/1.1 200"));
                slowest = slowest.max(asked.elapsed());
                answers += 1;
            }
            (answers, slowest)
        });
        Self { stop, asks }
    }

    /// Ends it; it was served all the time, and never waited long.
    fn was_served(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (answers, slowest) = self.asks.join().expect("it was served");
        assert!(
            answers > 0 && slowest < Duration::from_secs(5),
            "{answers} answers, the slowest {slowest:?}"
        );
    }
}

/// What a node holds.
struct Holdings {
    descriptors: usize,
    kib: u64,
}

impl Holdings {
    /// After a first request, so that everything is there.
    fn of(node: &Bridge) -> Self {
        assert!(get(&mut connect(node.address), "/first").0.starts_with("HTTP/1.1 200"));
        Self::after_first_request(node)
    }

    fn after_first_request(node: &Bridge) -> Self {
        node.wait_for_connections(0);
        Self { descriptors: node.descriptors(), kib: node.resident_kib() }
    }

    /// Connections and descriptors are as before, and memory has grown by no more than this.
    fn are_back(&self, node: &Bridge, growth_mib: u64) {
        node.wait_for_connections(0);
        let deadline = Instant::now() + PATIENCE;
        // The pool may have kept some connections to the service.
        while node.descriptors() > self.descriptors + 2 {
            assert!(
                Instant::now() < deadline,
                "{} descriptors, not {}",
                node.descriptors(),
                self.descriptors
            );
            thread::park_timeout(Duration::from_millis(20));
        }
        let kib = node.resident_kib();
        assert!(kib < self.kib + growth_mib * 1024, "{} KiB became {kib}", self.kib);
    }
}

/// Reads whatever comes, so that nothing waits for this client.
fn read_on(stream: &TcpStream) -> JoinHandle<()> {
    let mut stream = stream.try_clone().unwrap();
    thread::spawn(move || {
        let mut chunk = [0; 65_536];
        while matches!(stream.read(&mut chunk), Ok(1..)) {}
    })
}

fn head(stream: u32, path: &str) -> Vec<u8> {
    frame(kind::HEADERS, END_STREAM | END_HEADERS, stream, &get_block(path))
}

#[test]
fn a_storm_of_requests_that_are_reset_at_once_does_not_keep_others_from_being_served() {
    let _alone = alone();
    let echo = Echo::start();
    let node = plain_proxy(echo.address).start();
    let before = Holdings::of(&node);
    let good = GoodClient::start(node.address);
    for _ in 0..5 {
        let mut attacker = h2_client::raw(node.address);
        let reader = read_on(&attacker);
        for batch in 0..50 {
            let frames: Vec<u8> = (0..100)
                .flat_map(|index| {
                    let stream = (batch * 100 + index) * 2 + 1;
                    [head(stream, "/bytes/1000000"), frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8])]
                        .concat()
                })
                .collect();
            // It may be closed in the middle of it, which is what it deserves.
            if attacker.write_all(&frames).is_err() {
                break;
            }
        }
        let _ = attacker.shutdown(std::net::Shutdown::Both);
        reader.join().unwrap();
    }
    good.was_served();
    before.are_back(&node, 32);
}

#[test]
fn resets_too_slow_to_be_a_storm_release_what_they_began() {
    let _alone = alone();
    let echo = Echo::start();
    let node = plain_proxy(echo.address).start();
    let before = Holdings::of(&node);
    let mut attacker = h2_client::raw(node.address);
    for batch in 0..100 {
        for index in 0..20 {
            attacker.write_all(&head((batch * 20 + index) * 2 + 1, "/bytes/1000000")).unwrap();
        }
        // Answered when the requests have been read.
        attacker.write_all(&frame(kind::PING, 0, 0, &[7; 8])).unwrap();
        assert!(next_frame(&mut attacker, kind::PING).is_some(), "it was closed");
        for index in 0..20 {
            let stream = (batch * 20 + index) * 2 + 1;
            attacker.write_all(&frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8])).unwrap();
        }
    }
    attacker.shutdown(std::net::Shutdown::Both).unwrap();
    before.are_back(&node, 32);
    let requests = || node.ask_status("/status").1["requests_total"].as_u64().unwrap();
    assert_eq!(requests(), 2001, "each has ended, and has its line");
}

#[test]
fn streams_made_to_be_reset_by_us_end_in_goaway() {
    let _alone = alone();
    let echo = Echo::start();
    let node = plain_proxy(echo.address).start();
    let before = Holdings::of(&node);
    let good = GoodClient::start(node.address);
    let mut attacker = h2_client::raw(node.address);
    let mut writer = attacker.try_clone().unwrap();
    let storm = thread::spawn(move || {
        for index in 0..20_000 {
            let stream = index * 2 + 1;
            // A window beyond 2^31 - 1 is a stream error (RFC 9113 6.9.1).
            let bad = frame(kind::WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]);
            if writer.write_all(&[head(stream, "/bytes/1000000"), bad].concat()).is_err() {
                return;
            }
        }
    });
    let goaway = next_frame(&mut attacker, kind::GOAWAY).expect("GOAWAY");
    assert_eq!(goaway.error_code(), ENHANCE_YOUR_CALM);
    let _ = attacker.shutdown(std::net::Shutdown::Both);
    storm.join().unwrap();
    good.was_served();
    before.are_back(&node, 32);
}

#[test]
fn a_head_that_never_ends_in_continuation_frames_is_closed() {
    let _alone = alone();
    let echo = Echo::start();
    let node = plain_proxy(echo.address).start();
    let before = Holdings::of(&node);
    let good = GoodClient::start(node.address);
    let mut attacker = h2_client::raw(node.address);
    let reader = read_on(&attacker);
    attacker.write_all(&frame(kind::HEADERS, END_STREAM, 1, &get_block("/"))).unwrap();
    // A field of 100 bytes that enters no table, 100 times a frame, for ever.
    let field = [&[0x00, 0x04][..], b"x-aa", &[100], &[b'y'; 100]].concat();
    let more = frame(kind::CONTINUATION, 0, 1, &field.repeat(100));
    let started = Instant::now();
    while attacker.write_all(&more).is_ok() {
        assert!(started.elapsed() < PATIENCE, "it takes all there is");
    }
    reader.join().unwrap();
    node.log.containing("a connection was closed");
    good.was_served();
    before.are_back(&node, 16);
}

#[test]
fn a_small_head_that_unpacks_to_a_huge_one_is_closed_and_costs_no_memory() {
    let _alone = alone();
    let echo = Echo::start();
    let node = plain_proxy(echo.address).start();
    let before = Holdings::of(&node);
    let mut attacker = h2_client::raw(node.address);
    // One field of 4000 bytes enters the table; every further byte repeats it.
    let field = [&[0x40, 0x04][..], b"x-aa", &[0x7f, 0xa1, 0x1e], &[b'y'; 4000]].concat();
    let block = [get_block("/bomb"), field, vec![0xbe; 10_000]].concat();
    attacker.write_all(&frame(kind::HEADERS, END_STREAM | END_HEADERS, 1, &block)).unwrap();
    let goaway = next_frame(&mut attacker, kind::GOAWAY).expect("GOAWAY");
    assert_eq!(goaway.error_code(), ENHANCE_YOUR_CALM);
    let _ = attacker.shutdown(std::net::Shutdown::Both);
    before.are_back(&node, 16);
    assert!(get(&mut connect(node.address), "/").0.starts_with("HTTP/1.1 200"));
}

#[test]
fn a_flood_of_pings_from_a_client_that_reads_nothing_is_held_up_and_closed() {
    let _alone = alone();
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("KEEPALIVE_TIMEOUT", "1s").env("WRITE_TIMEOUT", "500ms").start();
    let before = Holdings::of(&node);
    let good = GoodClient::start(node.address);
    let mut attacker = h2_client::raw(node.address);
    let pings = frame(kind::PING, 0, 0, &[7; 8]).repeat(4096);
    let started = Instant::now();
    while attacker.write_all(&pings).is_ok() {
        assert!(started.elapsed() < PATIENCE, "it takes all there is");
    }
    good.was_served();
    before.are_back(&node, 16);
}

#[test]
fn a_client_that_opens_streams_and_reads_nothing_costs_bounded_memory() {
    let _alone = alone();
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("KEEPALIVE_TIMEOUT", "1s").env("WRITE_TIMEOUT", "500ms").start();
    let before = Holdings::of(&node);
    let mut attacker = h2_client::raw(node.address);
    attacker.write_all(&frame(kind::SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff])).unwrap();
    attacker.write_all(&frame(kind::WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0])).unwrap();
    for index in 0..256 {
        attacker.write_all(&head(index * 2 + 1, "/bytes/1000000000")).unwrap();
    }
    node.access_line("/bytes/1000000000");
    let kib = node.resident_kib();
    assert!(kib < before.kib + 192 * 1024, "{} KiB became {kib}", before.kib);
    node.wait_for_connections(0);
    assert!(get(&mut connect(node.address), "/").0.starts_with("HTTP/1.1 200"));
}

#[test]
fn five_hundred_silent_connections_keep_nobody_out_and_are_closed_by_their_deadline() {
    let _alone = alone();
    let (pki, echo) = (Pki::new(), Echo::start());
    let node = gateway(&pki, echo.address).env("HANDSHAKE_TIMEOUT", "2s").start();
    let url = format!("{}/good", node.https());
    assert_eq!(curl_as(&pki, "client", &[&url]).status, 200);
    let before = Holdings::after_first_request(&node);
    let mut silent: Vec<TcpStream> = (0..500).map(|_| connect(node.address)).collect();
    // Half of them begin a handshake and stop within the ClientHello.
    for client in silent.iter_mut().step_by(2) {
        client.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]).unwrap();
    }
    assert_eq!(curl_as(&pki, "client", &[&url]).status, 200);
    for client in &mut silent {
        assert!(is_closed(client));
    }
    before.are_back(&node, 32);
    assert_eq!(curl_as(&pki, "client", &[&url]).status, 200);
}
