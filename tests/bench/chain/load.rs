//! The load: keep-alive HTTP/1.1 connections on one thread, light enough to leave the cores to the nodes.
//!
//! In a closed loop each client sends its next request when it has its answer. At a fixed rate requests are
//! due at even intervals whatever became of the earlier ones, and latency counts from when a request was
//! due, not from when it could be sent: a stall shows in all that waited for it (no coordinated omission).
//! Every answer is checked, and a run ends only when all its requests are answered, so that CPU time and
//! requests of one window belong together.

mod connection;
pub mod slow;
pub mod tls;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use self::connection::{Connection, Step};

/// What each request of a run asks for, and what its answer has to be.
#[derive(Debug, Clone)]
pub struct Exchange {
    head: Vec<u8>,
    upload: u64,
    download: u64,
}

impl Exchange {
    /// `GET /`, answered with 12 bytes.
    pub fn small() -> Self {
        Self::new("GET / HTTP/1.1", "", 0, 12)
    }

    /// An answer with a body of that many bytes.
    pub fn download(bytes: u64) -> Self {
        Self::new(&format!("GET /bytes/{bytes} HTTP/1.1"), "", 0, bytes)
    }

    /// A request with a body of that many bytes.
    pub fn upload(bytes: u64) -> Self {
        Self::new("POST /upload HTTP/1.1", &format!("Content-Length: {bytes}\r\n"), bytes, 12)
    }

    fn new(line: &str, headers: &str, upload: u64, download: u64) -> Self {
        let head = format!(
            "{line}\r\nHost: orders.example\r\nUser-Agent: orders-app/1.0\r\nAccept: */*\r\n{headers}\r\n"
        );
        Self { head: head.into_bytes(), upload, download }
    }
}

/// When requests are sent.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// Each client's next one after its answer.
    Closed,
    /// So many per second over all clients, due at even intervals.
    Fixed(f64),
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    pub answered: u64,
    pub failed: u64,
    pub first_failure: Option<String>,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Nanoseconds from when a request was due to the last byte of its answer.
    pub latency: Histogram<u64>,
}

impl Outcome {
    /// Answers per second.
    pub fn per_second(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64()
    }

    /// A latency in microseconds; `quantile` between 0 and 1.
    pub fn microseconds(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1000.0
    }
}

/// Connections that stay open from run to run.
pub struct Clients {
    address: SocketAddr,
    poll: Poll,
    connections: Vec<Connection>,
    idle: VecDeque<usize>,
    scratch: Vec<u8>,
}

const TIMER: Token = Token(usize::MAX);
/// With nothing happening for so long, requests on their way are given up.
const SILENCE: Duration = Duration::from_secs(30);

impl Clients {
    /// Opens `count` connections to `address`.
    pub fn connect(address: SocketAddr, count: usize) -> anyhow::Result<Self> {
        let mut clients = Self {
            address,
            poll: Poll::new()?,
            connections: Vec::with_capacity(count),
            idle: (0..count).collect(),
            scratch: vec![0; 256 * 1024],
        };
        for number in 0..count {
            let connection = clients.open(number).with_context(|| format!("connection {number}"))?;
            clients.connections.push(connection);
        }
        Ok(clients)
    }

    fn open(&self, number: usize) -> anyhow::Result<Connection> {
        let mut connection = Connection::open(self.address)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut connection.stream, Token(number), both)?;
        Ok(connection)
    }

    /// Sends requests for `time` and waits for the last answer.
    pub fn run(&mut self, exchange: &Exchange, pace: Pace, time: Duration) -> anyhow::Result<Outcome> {
        let timer = match pace {
            Pace::Closed => None,
            Pace::Fixed(per_second) => Some(self.timer(per_second)?),
        };
        let ran = Run::new(self, exchange, pace, time)?.finish(timer.as_ref());
        if let Some(timer) = &timer {
            self.poll.registry().deregister(&mut SourceFd(&timer.as_fd().as_raw_fd()))?;
        }
        ran
    }

    /// Wakes the loop when a request is due: poll's own time limit counts in milliseconds.
    fn timer(&self, per_second: f64) -> anyhow::Result<TimerFd> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
        let interval = TimeSpec::from(Duration::from_secs_f64(1.0 / per_second));
        timer.set(Expiration::Interval(interval), TimerSetTimeFlags::empty())?;
        self.poll.registry().register(
            &mut SourceFd(&timer.as_fd().as_raw_fd()),
            TIMER,
            Interest::READABLE,
        )?;
        Ok(timer)
    }
}

/// One run while it goes on.
struct Run<'a> {
    clients: &'a mut Clients,
    exchange: &'a Exchange,
    begun: Instant,
    end: Instant,
    /// At a fixed rate: between requests, and how many have been sent.
    interval: Option<Duration>,
    sent: u32,
    in_flight: usize,
    outcome: Outcome,
}

impl<'a> Run<'a> {
    fn new(
        clients: &'a mut Clients,
        exchange: &'a Exchange,
        pace: Pace,
        time: Duration,
    ) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let interval = match pace {
            Pace::Closed => None,
            Pace::Fixed(per_second) => Some(Duration::from_secs_f64(1.0 / per_second)),
        };
        let outcome = Outcome {
            answered: 0,
            failed: 0,
            first_failure: None,
            elapsed: Duration::ZERO,
            latency: Histogram::new_with_bounds(1, 600_000_000_000, 3)?,
        };
        let end = begun + time;
        Ok(Self { clients, exchange, begun, end, interval, sent: 0, in_flight: 0, outcome })
    }

    fn finish(mut self, timer: Option<&TimerFd>) -> anyhow::Result<Outcome> {
        let mut events = Events::with_capacity(1024);
        self.send_due()?;
        while self.in_flight > 0 || self.next_due().is_some() {
            self.clients.poll.poll(&mut events, Some(SILENCE))?;
            if events.is_empty() {
                self.give_up()?;
            }
            for event in &events {
                match (event.token(), timer) {
                    (TIMER, Some(timer)) => timer.wait()?,
                    (Token(number), _) => self.progress(number)?,
                }
            }
            self.send_due()?;
        }
        self.outcome.elapsed = self.begun.elapsed();
        Ok(self.outcome)
    }

    /// What is on its way counts as failed.
    fn give_up(&mut self) -> anyhow::Result<()> {
        for number in 0..self.clients.connections.len() {
            if self.clients.connections[number].is_busy() {
                self.settle(number, Step::Failed(format!("no answer for {SILENCE:?}")))?;
            }
        }
        Ok(())
    }

    /// When the next request is due; `None` when the run sends no more. At a fixed rate the plan decides,
    /// so that a slow chain has to answer as many as a fast one.
    fn next_due(&self) -> Option<Instant> {
        let due = match self.interval {
            None => Instant::now(),
            Some(interval) => self.begun + interval * self.sent,
        };
        (due < self.end).then_some(due)
    }

    fn send_due(&mut self) -> anyhow::Result<()> {
        while !self.clients.idle.is_empty() {
            let Some(due) = self.next_due() else { break };
            if due > Instant::now() {
                break;
            }
            let Some(number) = self.clients.idle.pop_front() else { break };
            self.sent += 1;
            self.in_flight += 1;
            let step = self.clients.connections[number].send(self.exchange, due);
            self.settle(number, step)?;
        }
        Ok(())
    }

    fn progress(&mut self, number: usize) -> anyhow::Result<()> {
        let Clients { connections, scratch, .. } = &mut *self.clients;
        let step = connections[number].progress(self.exchange, scratch);
        self.settle(number, step)
    }

    fn settle(&mut self, number: usize, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Pending => return Ok(()),
            Step::Answered { due } => {
                self.outcome.answered += 1;
                let nanoseconds = u64::try_from(due.elapsed().as_nanos())?;
                self.outcome.latency.record(nanoseconds.max(1))?;
            }
            Step::Failed(reason) => {
                self.outcome.failed += 1;
                self.outcome.first_failure.get_or_insert(reason);
                self.clients.connections[number] = self.clients.open(number)?;
            }
            Step::ClosedIdle => {
                self.clients.connections[number] = self.clients.open(number)?;
                return Ok(());
            }
        }
        self.in_flight -= 1;
        self.clients.idle.push_back(number);
        Ok(())
    }
}
