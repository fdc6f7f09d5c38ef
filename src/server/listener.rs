//! Listening sockets: bound before anything else, accepted from under a connection permit.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::worker::{Accepted, Workers};
use crate::config;
use crate::lifecycle::drain::Watch;

/// After an error of `accept` (no file descriptors left, say) the next try waits so long.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// A full house is told so often at the most.
const FULL_NOTICE_EVERY: Duration = Duration::from_secs(10);

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

impl Listener {
    /// Binds the address. Call within a runtime.
    ///
    /// # Errors
    /// What the operating system says, often that the address is in use.
    pub fn bind(listener: &config::Listener) -> io::Result<Self> {
        let address = listener.address;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            // One address, one family: `[::]` beside `0.0.0.0` would collide otherwise, as in nginx.
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        if listener.reuse_port {
            socket.set_reuse_port(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(listener.backlog).unwrap_or(i32::MAX))?;
        let speaks = Speaks { tls: listener.tls, http2: listener.http2 };
        Ok(Self { socket: TcpListener::from_std(socket.into())?, speaks })
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
        let mut house = House { permits, noticed: None };
        loop {
            let accepted = tokio::select! {
                biased;
                () = drain.asked() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let permit = tokio::select! {
                        biased;
                        () = drain.asked() => return,
                        permit = house.admit() => permit,
                    };
                    // The semaphore is never closed.
                    let Ok(permit) = permit else { return };
                    self.hand_over(&workers, stream, peer, permit);
                }
                Err(error) => {
                    let listener = self.socket.local_addr().map(|address| address.to_string());
                    tracing::error!(
                        listener = listener.unwrap_or_default(),
                        "accepting a connection failed: {error}; the next try is in {ACCEPT_BACKOFF:?}"
                    );
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    fn hand_over(
        &self,
        workers: &Workers,
        stream: TcpStream,
        peer: SocketAddr,
        permit: OwnedSemaphorePermit,
    ) {
        // Without it small answers wait for acknowledgements; failing is no reason to refuse.
        let _ = stream.set_nodelay(true);
        match stream.into_std() {
            Ok(stream) => workers.assign(Accepted { stream, peer, speaks: self.speaks, permit }),
            Err(error) => tracing::error!(%peer, "a connection was lost: {error}"),
        }
    }
}

/// Connections the house may hold. When it is full, one waits at each listener's door and the
/// others outside, in the backlog; a listener to which nobody comes takes no place.
struct House {
    permits: Arc<Semaphore>,
    noticed: Option<Instant>,
}

impl House {
    async fn admit(&mut self) -> Result<OwnedSemaphorePermit, AcquireError> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        self.notice();
        Arc::clone(&self.permits).acquire_owned().await
    }

    fn notice(&mut self) {
        if self.noticed.is_none_or(|at| at.elapsed() >= FULL_NOTICE_EVERY) {
            self.noticed = Some(Instant::now());
            tracing::warn!("max_connections reached: new connections wait until others end");
        }
    }
}
