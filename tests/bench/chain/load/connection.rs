//! One keep-alive connection of the load, and the exchange that is on it.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;

use super::Exchange;

/// What an event led to.
pub(super) enum Step {
    Pending,
    /// The whole answer has come, as it should be.
    Answered {
        due: Instant,
    },
    /// The connection is of no more use.
    Failed(String),
    /// Closed by the other side between two requests.
    ClosedIdle,
}

/// A connection and where its exchange stands.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// When the request that is on its way was due; `None` between requests.
    due: Option<Instant>,
    head_sent: usize,
    upload_left: u64,
    /// An answer's head that has not come whole.
    head: Vec<u8>,
    /// Bytes of the answer's body still to come, once its head is known.
    download_left: Option<u64>,
}

const PIECE: usize = 256 * 1024;
static ZEROS: [u8; PIECE] = [0; PIECE];

impl Connection {
    pub(super) fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            due: None,
            head_sent: 0,
            upload_left: 0,
            head: Vec::new(),
            download_left: None,
        })
    }

    /// Whether a request is on its way.
    pub(super) fn is_busy(&self) -> bool {
        self.due.is_some()
    }

    /// Begins a request that was due then.
    pub(super) fn send(&mut self, exchange: &Exchange, due: Instant) -> Step {
        self.due = Some(due);
        self.head_sent = 0;
        self.upload_left = exchange.upload;
        self.head.clear();
        self.download_left = None;
        self.write(exchange).err().map_or(Step::Pending, Step::Failed)
    }

    /// Writes and reads what can be, with `scratch` to read into.
    pub(super) fn progress(&mut self, exchange: &Exchange, scratch: &mut [u8]) -> Step {
        let Some(due) = self.due else { return self.between_requests() };
        if let Err(reason) = self.write(exchange) {
            return Step::Failed(reason);
        }
        match self.read(exchange, scratch) {
            Ok(true) => {
                self.due = None;
                Step::Answered { due }
            }
            Ok(false) => Step::Pending,
            Err(reason) => Step::Failed(reason),
        }
    }

    fn between_requests(&mut self) -> Step {
        match self.stream.read(&mut [0; 16]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Step::Pending,
            // Bytes nobody asked for would be taken for the next answer.
            Ok(_) | Err(_) => Step::ClosedIdle,
        }
    }

    fn write(&mut self, exchange: &Exchange) -> Result<(), String> {
        while self.head_sent < exchange.head.len() || self.upload_left > 0 {
            let in_head = self.head_sent < exchange.head.len();
            let piece = if in_head {
                &exchange.head[self.head_sent..]
            } else {
                let length = usize::try_from(self.upload_left).map_or(PIECE, |left| left.min(PIECE));
                &ZEROS[..length]
            };
            match self.stream.write(piece) {
                Ok(written) if in_head => self.head_sent += written,
                Ok(written) => self.upload_left -= written as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("sending: {error}")),
            }
        }
        Ok(())
    }

    /// Whether the answer is complete.
    fn read(&mut self, exchange: &Exchange, scratch: &mut [u8]) -> Result<bool, String> {
        loop {
            let read = match self.stream.read(scratch) {
                Ok(0) => return Err("the connection was closed before the answer's end".to_owned()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(format!("receiving: {error}")),
            };
            if self.take(exchange, &scratch[..read])? {
                return Ok(true);
            }
            // A short read has emptied the socket, and what comes later is a new event.
            if read < scratch.len() {
                return Ok(false);
            }
        }
    }

    fn take(&mut self, exchange: &Exchange, bytes: &[u8]) -> Result<bool, String> {
        let body = match self.download_left {
            Some(left) => Some((left, bytes.len())),
            None if self.head.is_empty() => {
                let head = parse(bytes, exchange.download)?;
                if head.is_none() {
                    self.head.extend_from_slice(bytes);
                }
                head.map(|head| (exchange.download, bytes.len() - head))
            }
            None => {
                self.head.extend_from_slice(bytes);
                let head = parse(&self.head, exchange.download)?;
                head.map(|head| (exchange.download, self.head.len() - head))
            }
        };
        let Some((left, came)) = body else { return Ok(false) };
        let left = left.checked_sub(came as u64).ok_or("the answer is longer than it said")?;
        self.download_left = Some(left);
        Ok(left == 0)
    }
}

/// The length of the head, once it is complete and says what it should: 200, and `expected` bytes.
fn parse(bytes: &[u8], expected: u64) -> Result<Option<usize>, String> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes).map_err(|error| format!("the answer's head: {error}"))?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    if response.code != Some(200) {
        return Err(format!("status {:?}", response.code.unwrap_or_default()));
    }
    let stated = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse::<u64>().ok());
    if stated != Some(expected) {
        return Err(format!("content-length {stated:?} where {expected} was asked for"));
    }
    Ok(Some(length))
}
