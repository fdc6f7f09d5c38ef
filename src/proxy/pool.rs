//! The connections of one worker to one target of a service: links shared by many requests, and
//! HTTP/1 connections used by one at a time.
//!
//! Shared with no other worker, so nothing here is locked. A pool belongs to one loaded target of one
//! service, and with it to one TLS identity: no request ever travels under another's.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use http::{Request, Response};
use tokio::sync::watch;
use tokio::time::Instant;

use super::attempt::Failed;
use super::body::Body;
use super::dial::{Dialled, Offer, dial};
use super::error::UpstreamError;
use super::exchange::Exchange;
use super::flow_control::OpenStream;
use super::http1::Http1;
use super::interim::Interim;
use super::link::{Ended, Link};
use crate::config;
use crate::lifecycle::deadline::Sweep;
use crate::snapshot::Target;

/// Links one worker opens at the most; each carries what the other side allows, often 100
/// requests or more, and up to 256: `max_connections` callers that do not read leave room for others.
const MAX_LINKS: usize = 128;

/// Dials that may succeed and yet give a request no connection, because the other side ends it
/// at once or other requests were faster: in a burst, each link is filled by those before it.
const MAX_DIALS: usize = MAX_LINKS + 4;

/// One worker's connections to one target.
#[derive(Debug)]
pub struct Pool {
    target: Arc<Target>,
    max_header_bytes: usize,
    sweep: Rc<Sweep>,
    links: RefCell<Vec<Link>>,
    ended: Rc<Ended>,
    /// Another snapshot is in force: nothing is kept for the next request.
    retired: Cell<bool>,
    idle: RefCell<Vec<Idle>>,
    /// What ALPN said last; `None` before the first dial.
    speaks_http2: Cell<Option<bool>>,
    /// The dial of a link under way, whose outcome all who wait share.
    dialling: RefCell<Option<Outcome>>,
}

/// Of a dial under way: `None` until it is known. All who wait share it.
type Outcome = watch::Receiver<Option<Result<(), UpstreamError>>>;

#[derive(Debug)]
struct Idle {
    connection: Box<Http1>,
    since: Instant,
}

/// A connection in use; dropped, it is not used again.
#[derive(Debug)]
pub enum Lease {
    /// Goes back to the idle ones.
    Http1(Rc<Pool>, Box<Http1>),
    /// Counts on its link.
    Link(OpenStream),
}

impl Lease {
    /// The exchange is over, and the connection fit for the next.
    pub fn give_back(self) {
        match self {
            Self::Http1(pool, connection) => pool.put(connection),
            Self::Link(stream) => drop(stream),
        }
    }

    /// The answer is complete, but the request is still being sent: that may go on for as long as
    /// the upstream takes bytes.
    pub(super) fn linger(self, exchange: &Exchange) {
        if let (Self::Http1(_, connection), Some(wait)) = (self, exchange.upstream_wait()) {
            // The wait ended with the answer; an upstream that took its last bytes before it is waited for anew.
            exchange.request_piece_passed();
            tokio::task::spawn_local(async move { connection.linger(&wait).await });
        }
    }
}

enum Connection {
    Http1(Box<Http1>),
    Link(Link),
}

impl Pool {
    /// An empty pool.
    #[must_use]
    pub fn new(target: &Arc<Target>, max_header_bytes: usize, sweep: &Rc<Sweep>) -> Rc<Self> {
        Rc::new(Self {
            target: Arc::clone(target),
            max_header_bytes,
            sweep: Rc::clone(sweep),
            links: RefCell::default(),
            ended: Rc::default(),
            retired: Cell::new(false),
            idle: RefCell::default(),
            speaks_http2: Cell::new(None),
            dialling: RefCell::default(),
        })
    }

    /// Where this pool's connections go.
    #[must_use]
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Opens the first connection before a request needs it.
    ///
    /// # Errors
    /// Why it could not be opened.
    pub async fn open(self: &Rc<Self>) -> Result<(), UpstreamError> {
        match self.connection(self.offer(false)).await? {
            Connection::Http1(connection) => self.put(connection),
            Connection::Link(_) => {}
        }
        Ok(())
    }

    /// Waits until a link of this pool ends, and tells why; `None` when it is not to be opened again.
    /// HTTP/1 connections come and go untold.
    pub async fn link_ended(&self) -> Option<UpstreamError> {
        let reason = self.ended.next().await;
        (!self.is_retired()).then_some(reason)
    }

    /// Whether the upstream speaks HTTP/2, so that a link tells when it goes away.
    pub fn holds_link(&self) -> bool {
        self.speaks_http2.get() == Some(true)
    }

    /// Whether a connection can be made now; it is not used. If not, the idle ones are not trusted either.
    ///
    /// # Errors
    /// Why it could not be made.
    pub async fn reach(&self) -> Result<(), UpstreamError> {
        let reached = dial(&self.target, self.offer(false), &self.sweep).await;
        if reached.is_err() {
            self.idle.borrow_mut().clear();
        }
        reached.map(drop)
    }

    /// Keeps nothing any more: links end with their last request, with the credentials they were
    /// opened with.
    pub fn retire(&self) {
        self.retired.set(true);
        self.links.borrow_mut().clear();
        self.idle.borrow_mut().clear();
        // Who waits for the end of a link is not kept waiting where there was none.
        self.ended.tell(UpstreamError::Protocol("another configuration is in force".into()));
    }

    /// Whether another snapshot is in force.
    pub fn is_retired(&self) -> bool {
        self.retired.get()
    }

    /// Sends a request on a connection of this pool and waits for the head of the answer. The request
    /// stays in its place as long as no byte of it was sent.
    pub(super) async fn send(
        self: &Rc<Self>,
        request: &mut Request<Body>,
        is_grpc: bool,
        exchange: &Exchange,
        interim: Option<&Interim>,
    ) -> Result<(Response<Body>, Lease), Failed> {
        let connection = match self.connection(self.offer(is_grpc)).await {
            Ok(connection) => connection,
            Err(error) => return Err(Failed::unreached(error)),
        };
        exchange.handed_over(request.body().is_empty());
        match connection {
            Connection::Link(link) => {
                let (response, stream) = link.send(request, interim).await?;
                Ok((response, Lease::Link(stream)))
            }
            Connection::Http1(mut connection) => {
                let response = connection.send(request, interim).await?;
                Ok((response, Lease::Http1(Rc::clone(self), connection)))
            }
        }
    }

    /// A connection of its own, for an upgrade.
    pub(super) async fn dedicated(&self) -> Result<Http1, UpstreamError> {
        let dialled = dial(&self.target, Offer::Http1, &self.sweep).await?;
        Http1::open(&self.target, dialled.stream, self.max_header_bytes).await
    }

    fn offer(&self, is_grpc: bool) -> Offer {
        match self.target.terms.link {
            config::Link::Http1 => Offer::Http1,
            config::Link::Http2 => Offer::Http2,
            // Without ALPN nobody can ask; gRPC needs HTTP/2, everything else speaks HTTP/1.1.
            config::Link::Auto if self.target.dialer.is_none() => {
                if is_grpc {
                    Offer::Http2
                } else {
                    Offer::Http1
                }
            }
            config::Link::Auto => Offer::Both,
        }
    }

    async fn connection(self: &Rc<Self>, offer: Offer) -> Result<Connection, UpstreamError> {
        for _ in 0..MAX_DIALS {
            let http2 =
                offer == Offer::Http2 || (offer == Offer::Both && self.speaks_http2.get() != Some(false));
            if http2 && let Some(link) = self.live_link() {
                // When all are full one more is dialled; if that fails, a full one has to do.
                if link.has_room() || !self.may_grow() || Box::pin(self.dialled_link(offer)).await.is_err() {
                    return Ok(Connection::Link(link));
                }
                continue;
            }
            if offer != Offer::Http2
                && let Some(connection) = self.idle_connection()
            {
                return Ok(Connection::Http1(connection));
            }
            if !http2 {
                // Dials are boxed: seldom, and large, they would otherwise make every request's task so.
                return Box::pin(self.fresh(offer)).await;
            }
            Box::pin(self.dialled_link(offer)).await?;
        }
        let text = format!("{} ends its connections as soon as they are open", self.target.label);
        Err(UpstreamError::Protocol(text.into()))
    }

    /// The least busy link.
    fn live_link(&self) -> Option<Link> {
        let mut links = self.links.borrow_mut();
        links.retain_mut(Link::is_open);
        links.iter().min_by_key(|link| link.in_flight()).cloned()
    }

    fn may_grow(&self) -> bool {
        self.links.borrow().len() < MAX_LINKS
    }

    fn idle_connection(&self) -> Option<Box<Http1>> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { mut connection, .. }) = idle.pop() {
            if connection.is_usable() {
                connection.reuse();
                return Some(connection);
            }
        }
        None
    }

    /// Closes what was idle for longer than `upstream_keepalive_idle_timeout`.
    pub fn close_idle(&self) {
        let Some(oldest) = self.sweep.now().checked_sub(self.target.terms.keepalive_idle_timeout) else {
            return;
        };
        let mut idle = self.idle.borrow_mut();
        // The last one in is the youngest.
        let too_old = idle.partition_point(|idle| idle.since < oldest);
        idle.drain(..too_old);
    }

    /// Closes what is idle, however shortly; says how many there were.
    pub(super) fn close_all_idle(&self) -> usize {
        std::mem::take(&mut *self.idle.borrow_mut()).len()
    }

    fn put(&self, connection: Box<Http1>) {
        let terms = &self.target.terms;
        let mut idle = self.idle.borrow_mut();
        let max_requests = terms.keepalive_max_requests;
        let may_be_used = max_requests == 0 || connection.uses() < max_requests;
        if may_be_used && !self.is_retired() && idle.len() < terms.keepalive_pool_size {
            idle.push(Idle { connection, since: self.sweep.now() });
        }
    }

    async fn fresh(self: &Rc<Self>, offer: Offer) -> Result<Connection, UpstreamError> {
        let dialled = dial(&self.target, offer, &self.sweep).await?;
        self.speak(dialled).await
    }

    async fn speak(self: &Rc<Self>, dialled: Dialled) -> Result<Connection, UpstreamError> {
        self.speaks_http2.set(Some(dialled.http2));
        if dialled.http2 {
            let link =
                Link::open(&self.target, dialled.stream, self.max_header_bytes, &self.sweep, &self.ended)
                    .await?;
            if !self.is_retired() {
                self.links.borrow_mut().push(link.clone());
            }
            return Ok(Connection::Link(link));
        }
        let connection = Http1::open(&self.target, dialled.stream, self.max_header_bytes).await?;
        Ok(Connection::Http1(Box::new(connection)))
    }

    /// Waits for the dial under way, or starts one: a thousand requests for a gateway that is
    /// down share one failure instead of failing one after the other.
    async fn dialled_link(self: &Rc<Self>, offer: Offer) -> Result<(), UpstreamError> {
        let mut outcome = self.start_dial(offer);
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Ok(())),
            Err(_) => Err(UpstreamError::Protocol("the dial was given up".into())),
        }
    }

    fn start_dial(self: &Rc<Self>, offer: Offer) -> Outcome {
        // A dial that ended without an outcome, because it panicked, is none that could be waited for.
        let running = self.dialling.borrow().clone();
        if let Some(running) = running.filter(|running| running.has_changed().is_ok()) {
            return running;
        }
        let (done, outcome) = watch::channel(None);
        *self.dialling.borrow_mut() = Some(outcome.clone());
        let pool = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let result = match pool.fresh(offer).await {
                Ok(Connection::Http1(connection)) => {
                    pool.put(connection);
                    Ok(())
                }
                Ok(Connection::Link(_)) => Ok(()),
                Err(error) => Err(error),
            };
            *pool.dialling.borrow_mut() = None;
            done.send_replace(Some(result));
        });
        outcome
    }
}
