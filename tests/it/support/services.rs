//! Services to stand behind a bridge: the echo, and raw ones that misbehave on purpose.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use mtls_bridge::cli::echo;
use tokio::sync::oneshot;

use super::PATIENCE;

/// The echo service in this process. Dropped, it ends.
#[derive(Debug)]
pub struct Echo {
    /// Where it listens, in plain HTTP/1.1 and HTTP/2.
    pub address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Echo {
    /// Starts it on a free port, on a thread of its own.
    pub fn start() -> Self {
        Self::start_on("127.0.0.1:0")
    }

    /// Starts it on this address, on a thread of its own.
    pub fn start_on(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(echo::serve(listener, None, async { drop(stopped.await) })).unwrap();
        });
        Self { address, _stop: stop }
    }
}

/// A service that does with each connection whatever `serve` does, on a thread per connection.
/// Reads and writes fail after [`PATIENCE`].
pub fn raw(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Reads the head of an HTTP/1 request.
pub fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            break;
        }
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// A service that answers every request on every connection with these bytes, then closes.
pub fn answering(answer: &'static [u8]) -> SocketAddr {
    raw(move |mut stream| {
        if !read_head(&mut stream).is_empty() {
            let _ = stream.write_all(answer);
        }
    })
}

/// A service that answers every request with nothing but 200, except that it never answers one for
/// `/silent`: then it waits until its client hangs up.
pub fn silent_at_times() -> SocketAddr {
    raw(|mut stream| {
        loop {
            let head = read_head(&mut stream);
            if head.contains("/silent") {
                let _ = stream.read(&mut [0]);
                return;
            }
            if head.is_empty() || stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    })
}

/// A port nobody listens on.
pub fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A service that reads requests strictly by the book, notes them, and answers `200 ok`.
#[derive(Debug, Clone)]
pub struct Recorder {
    /// Where it listens, in HTTP/1.1.
    pub address: SocketAddr,
    requests: Arc<Mutex<Vec<Received>>>,
}

/// A request as it stood on the wire.
#[derive(Debug, Clone)]
pub struct Received {
    /// The connection, counted from 0.
    pub connection: usize,
    /// The head with its last empty line.
    pub head: String,
    /// The body without its chunks.
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub complete: bool,
}

impl Received {
    /// The request line's target.
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// Every value of a header, whose name is given in lower case.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(known, _)| known.to_lowercase() == name).map(|(_, value)| value.trim()).collect()
    }
}

impl Recorder {
    /// Starts it on a free port.
    pub fn start() -> Self {
        Self::answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    }

    /// One that gives this answer to every request.
    pub fn answering(answer: &'static [u8]) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (noted, connections) = (Arc::clone(&requests), Mutex::new(0));
        let address = raw(move |mut stream| {
            let connection = {
                let mut count = connections.lock().unwrap();
                *count += 1;
                *count - 1
            };
            loop {
                let head = read_head(&mut stream);
                if head.is_empty() {
                    return;
                }
                let (body, complete) = read_body(&mut stream, &head);
                noted.lock().unwrap().push(Received { connection, head, body, complete });
                if !complete || stream.write_all(answer).is_err() {
                    return;
                }
            }
        });
        Self { address, requests }
    }

    /// What it received so far.
    pub fn received(&self) -> Vec<Received> {
        self.requests.lock().unwrap().clone()
    }

    /// The targets of what it received so far.
    pub fn targets(&self) -> Vec<String> {
        self.received().iter().map(|received| received.target().to_owned()).collect()
    }
}

/// The body that belongs to a head, and whether it is whole.
fn read_body(stream: &mut TcpStream, head: &str) -> (Vec<u8>, bool) {
    let lower = head.to_lowercase();
    let mut body = Vec::new();
    if lower.contains("\r\ntransfer-encoding: chunked\r\n") {
        loop {
            let line = read_line(stream);
            let Ok(size) = usize::from_str_radix(line.trim_end(), 16) else { return (body, false) };
            let mut chunk = vec![0; size];
            if stream.read_exact(&mut chunk).is_err() {
                return (body, false);
            }
            body.extend_from_slice(&chunk);
            if size == 0 {
                while read_line(stream).len() > 2 {}
                return (body, true);
            }
            read_line(stream);
        }
    }
    let length =
        lower.split("\r\ncontent-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    let complete = stream
        .take(length.unwrap_or(0))
        .read_to_end(&mut body)
        .is_ok_and(|read| read as u64 == length.unwrap_or(0));
    (body, complete)
}

fn read_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        line.push(byte[0]);
    }
    String::from_utf8_lossy(&line).into_owned()
}
