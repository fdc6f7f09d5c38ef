//! Listening sockets: bound before anything else, accepted from under a connection permit.

use std::io;
use std::net::{self, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::worker::{Accepted, Workers};
use crate::config;
use crate::lifecycle::descriptors::Purpose;
use crate::lifecycle::drain::Watch;
use crate::proxy::shortage::Shortage;
use crate::proxy::socket;

/// After an error of `accept` (no file descriptors left, say) the next try waits so long.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// A full house is told so often at the most, and so is an `accept` that fails.
const NOTICE_EVERY: Duration = Duration::from_secs(10);

/// Whoever was asked to make room does so within this time, or another one is asked.
const MAKES_ROOM: Duration = Duration::from_secs(1);

/// Where all are busy, or descriptors are short, it is looked again so soon.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A bound socket and what is spoken on it.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    /// What is spoken on accepted connections.
    pub speaks: Speaks,
}

/// What is spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speaks {
    /// TLS, or plaintext.
    pub tls: bool,
    /// With TLS: whether ALPN offers h2. Plain HTTP/2 is recognised by its preface everywhere.
    pub http2: bool,
}

/// A socket with the flags of a listen entry; non-blocking.
///
/// # Errors
/// What the operating system says, often that the address is in use.
pub fn bind(listener: &config::Listener) -> io::Result<net::TcpListener> {
    let address = listener.address;
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // By default one address is one family, as in nginx: `[::]` beside `0.0.0.0` would collide otherwise.
        socket.set_only_v6(listener.ipv6_only)?;
    }
    socket.set_reuse_address(true)?;
    if listener.reuse_port {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(listener.backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

impl Listener {
    /// Binds the address. Call within a runtime.
    ///
    /// # Errors
    /// What the operating system says, often that the address is in use.
    pub fn bind(listener: &config::Listener) -> io::Result<Self> {
        let speaks = Speaks { tls: listener.tls, http2: listener.http2 };
        Ok(Self { socket: TcpListener::from_std(bind(listener)?)?, speaks })
    }

    /// The bound address, with the real port where 0 was asked for.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until the drain starts, then closes the socket.
    pub async fn run(self, workers: Rc<Workers>, permits: Arc<Semaphore>, mut drain: Watch) {
        let mut house = House { permits, workers, noticed: Notice::default() };
        let mut failed = Notice::default();
        loop {
            let accepted = tokio::select! {
                biased;
                () = drain.asked() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // A listener for both families sees IPv4 clients as `::ffff:10.0.0.1`: nobody else is to.
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    let admitted = tokio::select! {
                        biased;
                        () = drain.asked() => return,
                        admitted = house.admit(stream) => admitted,
                    };
                    self.hand_over(&house.workers, admitted, peer);
                }
                Err(error) => {
                    // Who is idle gives back what a newcomer needs.
                    if Shortage::of(&error).is_some() {
                        house.workers.make_room();
                    }
                    if failed.is_due() {
                        let listener = self.socket.local_addr().map(|address| address.to_string());
                        tracing::error!(
                            listener = listener.unwrap_or_default(),
                            "accepting a connection failed: {error}; it is tried again every {ACCEPT_BACKOFF:?}"
                        );
                    }
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    fn hand_over(
        &self,
        workers: &Workers,
        admitted: io::Result<(net::TcpStream, OwnedSemaphorePermit)>,
        peer: SocketAddr,
    ) {
        match admitted {
            Ok((stream, permit)) => {
                socket::set_up(SockRef::from(&stream));
                workers.assign(Accepted { stream, peer, speaks: self.speaks, permit });
            }
            Err(error) => tracing::error!(%peer, "a connection was lost: {error}"),
        }
    }
}

/// Connections the house may hold. When it is full, the longest idle connection makes room; where all are busy, one
/// waits at each listener's door and the others outside, in the backlog. A listener to which nobody comes takes no
/// place.
struct House {
    permits: Arc<Semaphore>,
    workers: Rc<Workers>,
    noticed: Notice,
}

impl House {
    /// Waits for a place, and for a descriptor that is not among those kept back.
    async fn admit(&mut self, stream: TcpStream) -> io::Result<(net::TcpStream, OwnedSemaphorePermit)> {
        let permit = match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.next_place().await.map_err(io::Error::other)?,
        };
        let mut stream = stream.into_std()?;
        while !Purpose::Client.may_use(&stream) {
            self.notice("this process has used up its file descriptors (ulimit -n)");
            self.workers.make_room();
            tokio::time::sleep(LOOK_AGAIN).await;
            // A copy has the lowest number that has become free; where none has, the one at hand stays.
            stream = stream.try_clone().unwrap_or(stream);
        }
        Ok((stream, permit))
    }

    async fn next_place(&mut self) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.notice("max_connections reached");
        let mut next = pin!(Arc::clone(&self.permits).acquire_owned());
        loop {
            let patience = if self.workers.make_room() { MAKES_ROOM } else { LOOK_AGAIN };
            if let Ok(permit) = timeout(patience, next.as_mut()).await {
                return permit;
            }
        }
    }

    fn notice(&mut self, what: &str) {
        if self.noticed.is_due() {
            tracing::warn!(
                "{what}: for each new connection the longest idle one is closed; where none is idle, it waits"
            );
        }
    }
}

/// Something that is told now and then, however often it happens.
#[derive(Debug, Default)]
struct Notice(Option<Instant>);

impl Notice {
    fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|at| at.elapsed() >= NOTICE_EVERY);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}
