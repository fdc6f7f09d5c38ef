//! Clients that speak TLS to the gateway themselves: for handshakes, and for connections that stay idle.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::Outcome;
use crate::pki::GATEWAY_NAME;

/// A connection after its handshake.
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// Connects to a gateway, with our certificate, and gets one good answer. With `close` both sides then
/// part, otherwise the connection may stay.
pub fn one_request(door: SocketAddr, config: &Arc<ClientConfig>, close: bool) -> anyhow::Result<TlsStream> {
    let mut stream = connect(door, config)?;
    let wish = if close { "Connection: close\r\n" } else { "" };
    write!(stream, "GET / HTTP/1.1\r\nHost: {GATEWAY_NAME}\r\n{wish}\r\n")?;
    let mut answer = [0; 4096];
    let mut filled = 0;
    while !answer[..filled].ends_with(b"\r\n\r\nhello, world") {
        let read = stream.read(&mut answer[filled..]).context("the answer")?;
        filled += read;
        ensure!(read > 0, "the answer ends early: {:?}", String::from_utf8_lossy(&answer[..filled]));
    }
    ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&answer[..filled]));
    if close {
        stream.conn.send_close_notify();
        stream.flush()?;
    }
    Ok(stream)
}

fn connect(door: SocketAddr, config: &Arc<ClientConfig>) -> anyhow::Result<TlsStream> {
    let socket = TcpStream::connect(door)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let connection = ClientConnection::new(Arc::clone(config), GATEWAY_NAME.try_into()?)?;
    Ok(StreamOwned::new(connection, socket))
}

/// Connects with a certificate that the gateway does not accept, and gets the answer that says so.
fn one_refusal(door: SocketAddr, config: &Arc<ClientConfig>) -> anyhow::Result<TlsStream> {
    let mut stream = connect(door, config)?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {GATEWAY_NAME}\r\nConnection: close\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).context("the answer")?;
    // nginx says 400.
    let refused = [&b"HTTP/1.1 401"[..], b"HTTP/1.1 400"].contains(&&status[..]);
    ensure!(refused, "{:?}", String::from_utf8_lossy(&status));
    Ok(stream)
}

/// Opens connections one after the other in each of `loops` threads for `time`: each a full handshake, one
/// request, and the end. Latency is that of the whole.
pub fn new_connections(
    door: SocketAddr,
    config: &Arc<ClientConfig>,
    loops: usize,
    time: Duration,
) -> anyhow::Result<Outcome> {
    all(loops, time, |end| {
        let config = Arc::clone(config);
        move || one_loop(end, || one_request(door, &config, true))
    })
}

/// The same of strangers, who are refused, each connection as the next of these.
pub fn strangers(
    door: SocketAddr,
    configs: &Arc<[Arc<ClientConfig>]>,
    loops: usize,
    time: Duration,
) -> anyhow::Result<Outcome> {
    let next = Arc::new(AtomicUsize::new(0));
    all(loops, time, |end| {
        let (configs, next) = (Arc::clone(configs), Arc::clone(&next));
        let config = move || Arc::clone(&configs[next.fetch_add(1, Ordering::Relaxed) % configs.len()]);
        move || one_loop(end, || one_refusal(door, &config()))
    })
}

fn all<W: FnOnce() -> anyhow::Result<Outcome> + Send + 'static>(
    loops: usize,
    time: Duration,
    work: impl Fn(Instant) -> W,
) -> anyhow::Result<Outcome> {
    let begun = Instant::now();
    let threads: Vec<_> = (0..loops).map(|_| thread::spawn(work(begun + time))).collect();
    let mut sum = empty()?;
    for thread in threads {
        let one = thread.join().ok().context("a thread of the load has panicked")??;
        sum.answered += one.answered;
        sum.failed += one.failed;
        sum.first_failure = sum.first_failure.or(one.first_failure);
        sum.latency.add(one.latency)?;
    }
    sum.elapsed = begun.elapsed();
    Ok(sum)
}

fn one_loop(end: Instant, one: impl Fn() -> anyhow::Result<TlsStream>) -> anyhow::Result<Outcome> {
    let mut outcome = empty()?;
    while Instant::now() < end {
        let begun = Instant::now();
        match one() {
            Ok(_) => {
                outcome.answered += 1;
                outcome.latency.record(u64::try_from(begun.elapsed().as_nanos())?)?;
            }
            Err(error) => {
                outcome.failed += 1;
                outcome.first_failure.get_or_insert_with(|| format!("{error:#}"));
            }
        }
    }
    Ok(outcome)
}

fn empty() -> anyhow::Result<Outcome> {
    Ok(Outcome {
        answered: 0,
        failed: 0,
        first_failure: None,
        elapsed: Duration::ZERO,
        latency: Histogram::new_with_bounds(1, 600_000_000_000, 3)?,
    })
}
