//! A client with a body of 100 MB that takes, or sends, 100 KB a second.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, ensure};

use super::Exchange;

/// What is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slow {
    /// It takes an answer's body slowly.
    Reader,
    /// It sends a request's body slowly.
    Sender,
}

/// A slow client that is under way in a thread of its own.
pub struct SlowClient {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<anyhow::Result<u64>>,
}

const BODY: u64 = 100_000_000;
const PIECE: usize = 10_000;
const PAUSE: Duration = Duration::from_millis(100);

impl SlowClient {
    /// Begins its request.
    pub fn start(slow: Slow, front: SocketAddr) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ended);
        Self { ended, thread: thread::spawn(move || crawl(slow, front, &told)) }
    }

    /// Breaks off; an error unless bytes were moving until now.
    pub fn stop(self) -> anyhow::Result<()> {
        self.ended.store(true, Ordering::Relaxed);
        let moved = self.thread.join().ok().context("the slow client has panicked")??;
        ensure!(moved > 0, "the slow client moved no bytes");
        Ok(())
    }
}

fn crawl(slow: Slow, front: SocketAddr, ended: &AtomicBool) -> anyhow::Result<u64> {
    let mut stream = TcpStream::connect(front).context("the slow client")?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    let exchange = match slow {
        Slow::Reader => Exchange::download(BODY),
        Slow::Sender => Exchange::upload(BODY),
    };
    stream.write_all(&exchange.head)?;
    let mut piece = [0; PIECE];
    let mut moved = 0;
    while !ended.load(Ordering::Relaxed) {
        let count = match slow {
            Slow::Reader => stream.read(&mut piece),
            Slow::Sender => stream.write(&piece),
        };
        let count = count.context("the slow client was cut off")?;
        ensure!(count > 0, "the slow client was closed after {moved} bytes");
        if moved == 0 && slow == Slow::Reader {
            let head = String::from_utf8_lossy(&piece[..count.min(100)]);
            ensure!(head.starts_with("HTTP/1.1 200 "), "the slow client was answered {head:?}");
        }
        moved += count as u64;
        thread::sleep(PAUSE);
    }
    Ok(moved)
}
