//! One caller cannot hold another up: what is not read costs others on the shared link nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::bridge::{Bridge, chain, gateway, reverse_proxy};
use crate::support::client::{connect, curl};
use crate::support::h2_client::{H2, block_on, get, post, tls};
use crate::support::pki::Pki;
use crate::support::services::{raw, read_head};

/// More than every buffer between a service and a client that does not read.
const LARGE: usize = 64 * 1024 * 1024;

/// A service with large answers (`/large`), short ones, and uploads that it does not read (`/unread`).
#[derive(Debug)]
struct Service {
    address: SocketAddr,
    moved: Arc<AtomicU64>,
}

impl Service {
    fn start() -> Self {
        let moved = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&moved);
        let address = raw(move |mut stream| {
            // Hundreds of these with megabytes each, and the kernel resets connections of other tests.
            socket2::SockRef::from(&stream).set_send_buffer_size(64 * 1024).unwrap();
            loop {
                let head = read_head(&mut stream);
                if head.is_empty() {
                    return;
                }
                if head.contains(" /unread ") {
                    counted.fetch_add(1, Ordering::Relaxed);
                    // It reads nothing for as long as the connection is there.
                    while stream.peek(&mut [0]).is_ok_and(|there| there > 0) {
                        std::thread::park_timeout(Duration::from_millis(50));
                    }
                    return;
                }
                if !head.contains(" /large ") {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
                    continue;
                }
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
                stream.write_all(head.as_bytes()).unwrap();
                let piece = [b'x'; 16 * 1024];
                for _ in 0..LARGE / piece.len() {
                    if stream.write_all(&piece).is_err() {
                        return;
                    }
                    counted.fetch_add(piece.len() as u64, Ordering::Relaxed);
                }
            }
        });
        Self { address, moved }
    }

    /// Waits until something has moved, and then nothing does any more: all buffers are full.
    fn wait_until_stuck(&self) {
        let deadline = Instant::now() + PATIENCE;
        let (mut seen, mut still) = (0, 0);
        while seen == 0 || still < 5 {
            assert!(Instant::now() < deadline, "it is still sending");
            std::thread::park_timeout(Duration::from_millis(100));
            let now = self.moved.load(Ordering::Relaxed);
            still = if now == seen { still + 1 } else { 0 };
            seen = now;
        }
    }
}

fn send(bridge: &Bridge, request: &str) -> TcpStream {
    let mut stream = connect(bridge.address);
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// So many clients that ask for a large answer and read its first byte only.
fn downloads_not_read(bridge: &Bridge, count: usize) -> Vec<TcpStream> {
    let unread = |_| {
        let mut stream = send(bridge, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.read_exact(&mut [0]).unwrap();
        stream
    };
    (0..count).map(unread).collect()
}

/// So many clients that send as much as is taken.
fn uploads_not_taken(bridge: &Bridge, count: usize) -> Vec<TcpStream> {
    let upload = |_| {
        let mut stream =
            send(bridge, &format!("POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGE}\r\n\r\n"));
        stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
        while stream.write_all(&[b'x'; 64 * 1024]).is_ok() {}
        stream
    };
    (0..count).map(upload).collect()
}

/// A good caller's answers are all there.
fn is_served(bridge: &Bridge) {
    for _ in 0..20 {
        let answer = curl(&["--max-time", "10", &format!("{}/short", bridge.http())]);
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    }
}

#[test]
fn downloads_that_nobody_reads_cost_other_callers_nothing() {
    let service = Service::start();
    let chain = chain(service.address);
    let unread = downloads_not_read(&chain.reverse_proxy, 40);
    service.wait_until_stuck();
    is_served(&chain.reverse_proxy);
    let upload = curl(&["--data-binary", "@Cargo.lock", &format!("{}/upload", chain.reverse_proxy.http())]);
    assert_eq!(upload.status, 200);
    drop(unread);
}

#[test]
fn uploads_that_the_service_does_not_read_cost_other_callers_nothing() {
    let service = Service::start();
    let chain = chain(service.address);
    let not_taken = uploads_not_taken(&chain.reverse_proxy, 40);
    service.wait_until_stuck();
    is_served(&chain.reverse_proxy);
    let upload = curl(&["--data-binary", "@Cargo.lock", &format!("{}/upload", chain.reverse_proxy.http())]);
    assert_eq!(upload.status, 200);
    drop(not_taken);
}

#[test]
fn more_downloads_that_nobody_reads_than_a_link_has_streams_cost_other_callers_nothing() {
    let service = Service::start();
    let chain = chain(service.address);
    let before = chain.reverse_proxy.resident_kib();
    let unread = downloads_not_read(&chain.reverse_proxy, 300);
    service.wait_until_stuck();
    is_served(&chain.reverse_proxy);
    // 64 KiB on the link, more on those that came first, and as much again towards the client.
    let grown = chain.reverse_proxy.resident_kib().saturating_sub(before) / 1024;
    assert!(grown < 150, "300 callers that do not read hold {grown} MiB");
    drop(unread);
}

#[test]
fn a_caller_over_http2_that_reads_one_stream_only_gets_all_of_it() {
    let pki = Pki::new();
    let service = Service::start();
    let gateway = gateway(&pki, service.address).start();
    block_on(async {
        // The windows of a client that lets every stream hold much: ours must not depend on it.
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(1 << 20).initial_connection_window_size(1 << 30);
        let client = H2::over(tls(&pki, gateway.address).await, &builder).await;
        let mut unread = Vec::new();
        for _ in 0..40 {
            unread.push(client.get("/large").await.unwrap());
        }
        let mut uploads = Vec::new();
        for _ in 0..40 {
            let (answer, mut body) = client.start(post("/unread"), false).await;
            body.send_data(vec![0; 1 << 20].into(), false).unwrap();
            uploads.push((answer, body));
        }
        let answer = client.start(get("/short"), true).await.0.await.unwrap();
        assert_eq!(answer.status(), 200);
    });
}

/// A relay to `to` that passes `first` bytes back, then nothing to `to` any more. Counts what comes back.
fn relay_that_stops(to: SocketAddr, first: u64) -> (SocketAddr, Arc<AtomicU64>) {
    let came_back = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&came_back);
    let address = raw(move |mut near| {
        let mut far = connect(to);
        let (mut from_near, mut to_far) = (near.try_clone().unwrap(), far.try_clone().unwrap());
        let seen = Arc::clone(&counted);
        std::thread::spawn(move || {
            let mut piece = [0; 16 * 1024];
            while let Ok(read @ 1..) = from_near.read(&mut piece) {
                if seen.load(Ordering::Relaxed) < first {
                    to_far.write_all(&piece[..read]).unwrap();
                }
            }
        });
        let mut piece = [0; 16 * 1024];
        while let Ok(read @ 1..) = far.read(&mut piece) {
            counted.fetch_add(read as u64, Ordering::Relaxed);
            if near.write_all(&piece[..read]).is_err() {
                return;
            }
        }
    });
    (address, came_back)
}

#[test]
fn the_window_grows_beyond_a_mebibyte_for_a_reader_that_keeps_up() {
    const FIRST: u64 = 32 * 1024 * 1024;
    let service = Service::start();
    let pki = Pki::new();
    let gateway = gateway(&pki, service.address).start();
    let (relay, came_back) = relay_that_stops(gateway.address, FIRST);
    let reverse_proxy = reverse_proxy(&pki, relay).start_ready();
    let mut reader = send(&reverse_proxy, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    // No window reaches the gateway any more: what comes all the same was in flight.
    let mut read = 0;
    let mut piece = vec![0; 64 * 1024];
    reader.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    while let Ok(more @ 1..) = reader.read(&mut piece) {
        read += more as u64;
    }
    let in_flight = came_back.load(Ordering::Relaxed) - FIRST;
    assert!(in_flight > 1024 * 1024, "{in_flight} bytes in flight; {read} read");
    assert!(in_flight < 9 * 1024 * 1024, "{in_flight} bytes in flight; {read} read");
}

/// Bytes that the kernel holds for this client, at the node: `tx_queue` of /proc/net/tcp.
#[cfg(target_os = "linux")]
fn held_for(client: &TcpStream) -> u64 {
    let port = |address: SocketAddr| format!(":{:04X}", address.port());
    let (node, own) = (port(client.peer_addr().unwrap()), port(client.local_addr().unwrap()));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut sockets = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let socket = sockets.find(|fields| fields[1].ends_with(&node) && fields[2].ends_with(&own));
    let (waiting, _) = socket.as_ref().and_then(|fields| fields[4].split_once(':')).unwrap();
    u64::from_str_radix(waiting, 16).unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_that_does_not_read_holds_little_of_the_kernels_memory() {
    let service = Service::start();
    let chain = chain(service.address);
    let unread = downloads_not_read(&chain.reverse_proxy, 20);
    service.wait_until_stuck();
    // What waits is 128 KiB and the piece that goes beyond; the rest is on the way to a client that has room.
    let most = unread.iter().map(held_for).max().unwrap() / 1024;
    assert!((1..512).contains(&most), "{most} KiB wait for one client");
}
