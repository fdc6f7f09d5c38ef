//! One request and what it came to, recorded exactly once: when the last part that works
//! on it is dropped, however it ended.
//!
//! The bodies of both directions and the pipeline share it; it becomes one access line.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderMap, Method, Request, Uri, Version};

use super::balancer::Turn;
use super::client::Client;
use super::error::UpstreamError;
use crate::config::Terms;
use crate::lifecycle::deadline::{Deadline, Sweep};
use crate::message::identity_headers::Reserved;
use crate::message::request_id::RequestId;
use crate::message::trailers;
use crate::policy::Permit;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::counters::Counters;
use crate::telemetry::line::Line;

/// Where exchanges of one worker are recorded.
#[derive(Debug)]
pub struct Record {
    /// Takes the access lines.
    pub log: AccessLog,
    counters: Arc<Counters>,
    cut: Cell<bool>,
}

impl Record {
    /// Of one worker: where lines go, and where requests are counted.
    #[must_use]
    pub fn new(log: AccessLog, counters: Arc<Counters>) -> Self {
        Self { log, counters, cut: Cell::new(false) }
    }

    /// What is dropped from here on was cut by us: the time to drain is over.
    pub fn cut(&self) {
        self.cut.set(true);
    }
}

/// A request in flight.
#[derive(Debug)]
pub struct Exchange {
    record: Rc<Record>,
    client: Rc<Client>,
    id: OnceCell<RequestId>,
    method: Method,
    uri: Uri,
    host: String,
    version: Version,
    started: Instant,
    started_at: SystemTime,
    client_address: Cell<Option<IpAddr>>,
    permit: OnceCell<Arc<Permit>>,
    reserved: OnceCell<Arc<Reserved>>,
    upstream: RefCell<Option<Arc<str>>>,
    turn: RefCell<Option<Turn>>,
    sent: Cell<Option<Instant>>,
    answered: Cell<Option<Instant>>,
    status: Cell<u16>,
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
    complete: Cell<bool>,
    reason: RefCell<Option<Rc<str>>>,
    request_fault: RefCell<Option<UpstreamError>>,
    request_complete: Cell<bool>,
    upstream_wait: OnceCell<Rc<UpstreamWait>>,
}

/// What the upstream is waited for: to take more of the request, or to answer it.
#[derive(Debug)]
pub(super) struct UpstreamWait {
    deadline: Deadline,
    write_timeout: Duration,
    read_timeout: Duration,
}

impl UpstreamWait {
    /// Returns when the upstream was waited for too long, with the name of the wait.
    pub(super) async fn expired(&self) -> &'static str {
        poll_fn(|cx| self.deadline.poll_expired(cx).map_or(Poll::Pending, Poll::Ready)).await
    }
}

impl Exchange {
    /// Opens the record of a request whose head was just read.
    #[must_use]
    pub fn open<B>(record: &Rc<Record>, client: &Rc<Client>, request: &Request<B>) -> Rc<Self> {
        client.enter();
        Rc::new(Self {
            record: Rc::clone(record),
            client: Rc::clone(client),
            id: OnceCell::new(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            host: host(request.uri(), request.headers()),
            version: request.version(),
            started: Instant::now(),
            started_at: SystemTime::now(),
            client_address: Cell::default(),
            permit: OnceCell::new(),
            reserved: OnceCell::new(),
            upstream: RefCell::default(),
            turn: RefCell::default(),
            sent: Cell::default(),
            answered: Cell::default(),
            status: Cell::default(),
            bytes_in: Cell::default(),
            bytes_out: Cell::default(),
            complete: Cell::default(),
            reason: RefCell::default(),
            request_fault: RefCell::default(),
            request_complete: Cell::default(),
            upstream_wait: OnceCell::new(),
        })
    }

    /// `Host` or `:authority` as the client sent it.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The id sent in both directions, made when it is first needed.
    #[must_use]
    pub fn id(&self) -> &RequestId {
        self.id.get_or_init(|| RequestId::new(fastrand::u128(..)))
    }

    /// Takes over the id of a believed peer, unless ours was used already.
    pub fn adopt(&self, id: RequestId) {
        let _ = self.id.set(id);
    }

    /// Notes the believed address of the client, where it is not the peer's.
    pub fn client_address(&self, address: IpAddr) {
        self.client_address.set(Some(address));
    }

    /// Notes who was let in, and which names the caller may not use for trailers.
    pub fn permitted(&self, permit: &Arc<Permit>, reserved: &Arc<Reserved>) {
        // A second permit for one request cannot happen; the first would be the true one.
        let _ = self.permit.set(Arc::clone(permit));
        let _ = self.reserved.set(Arc::clone(reserved));
    }

    /// Nobody may say in a trailer what he may not say in a header.
    pub(super) fn strip_trailers(&self, fields: &mut HeaderMap) {
        match self.reserved.get() {
            Some(reserved) => trailers::strip(fields, reserved),
            None => trailers::strip(fields, &Reserved::default()),
        }
    }

    /// Notes that the request goes to `upstream` now.
    pub fn sent_to(&self, upstream: &Arc<str>) {
        self.sent.set(Some(Instant::now()));
        *self.upstream.borrow_mut() = Some(Arc::clone(upstream));
    }

    /// Counts with the target it was given to, in place of the one before, until it is over.
    pub(super) fn takes(&self, turn: Turn) {
        *self.turn.borrow_mut() = Some(turn);
    }

    /// Notes that the upstream's head arrived.
    pub fn answered(&self) {
        self.answered.set(Some(Instant::now()));
    }

    /// Notes the status the caller gets.
    pub fn status(&self, status: http::StatusCode) {
        self.status.set(status.as_u16());
    }

    /// Counts bytes of the request's body.
    pub fn add_in(&self, bytes: usize) {
        self.bytes_in.set(self.bytes_in.get() + bytes as u64);
    }

    /// Counts bytes of the response's body.
    pub fn add_out(&self, bytes: usize) {
        self.bytes_out.set(self.bytes_out.get() + bytes as u64);
    }

    /// Notes that the whole response was given to the connection.
    pub fn complete(&self) {
        self.complete.set(true);
    }

    /// Why it was denied, failed or was cut short; the first reason is the cause of the others.
    pub fn because(&self, reason: impl Into<Rc<str>>) {
        self.reason.borrow_mut().get_or_insert_with(|| reason.into());
    }

    /// The request's body was at fault; the upstream's failure that follows is its consequence.
    pub fn request_failed(&self, fault: UpstreamError) {
        self.because(fault.to_string());
        self.request_fault.borrow_mut().get_or_insert(fault);
    }

    /// The upstream took none of the request's body for too long.
    pub(super) fn request_not_taken(&self, name: &'static str) {
        let upstream = self.upstream.borrow().as_deref().unwrap_or_default().into();
        self.request_failed(UpstreamError::TimedOut { name, upstream });
    }

    /// The fault of the request's body, if there was one.
    #[must_use]
    pub fn request_fault(&self) -> Option<UpstreamError> {
        self.request_fault.borrow().clone()
    }

    /// Whether the whole request was read and passed on, so that its connection is free after
    /// the answer.
    #[must_use]
    pub fn is_request_complete(&self) -> bool {
        self.request_complete.get()
    }

    /// The upstream has a piece of the request and is to take it within `write_timeout`.
    pub(super) fn request_piece_passed(&self) {
        if let Some(wait) = self.upstream_wait.get() {
            wait.deadline.arm("write_timeout", wait.write_timeout);
        }
    }

    /// The client is waited for, not the upstream.
    pub(super) fn request_piece_awaited(&self) {
        if let Some(wait) = self.upstream_wait.get() {
            wait.deadline.disarm();
        }
    }

    /// The upstream has the whole request and is to answer within `read_timeout`.
    pub(super) fn request_passed(&self) {
        self.request_complete.set(true);
        if let Some(wait) = self.upstream_wait.get() {
            wait.deadline.arm("read_timeout", wait.read_timeout);
        }
    }

    /// The request has a connection and is being sent. What came before had deadlines of its own.
    pub(super) fn handed_over(&self, bodyless: bool) {
        if bodyless {
            self.request_passed();
        } else {
            self.request_piece_passed();
        }
    }

    /// The wait for the upstream, when there is one.
    pub(super) fn upstream_wait(&self) -> Option<Rc<UpstreamWait>> {
        self.upstream_wait.get().cloned()
    }

    /// Runs `work`, which finds a connection, sends the request and reads the head of the answer.
    ///
    /// # Errors
    /// The name of the deadline that the upstream let pass.
    pub(super) async fn limit_upstream<T>(
        &self,
        sweep: &Rc<Sweep>,
        terms: &Terms,
        mut work: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, &'static str> {
        let (write_timeout, read_timeout) = (terms.write_timeout, terms.read_timeout);
        let wait = self.upstream_wait.get_or_init(|| {
            Rc::new(UpstreamWait { deadline: sweep.deadline(), write_timeout, read_timeout })
        });
        let result = poll_fn(|cx| {
            // First, because a body that is not taken ends by the same deadline in its own task,
            // and what that does to `work` is only its consequence.
            if let Some(name) = wait.deadline.poll_expired(cx) {
                return Poll::Ready(Err(name));
            }
            work.as_mut().poll(cx).map(Ok)
        })
        .await;
        wait.deadline.disarm();
        result
    }

    /// Ms from the head to sending it upstream (`X-Kong-Proxy-Latency`), or until now.
    #[must_use]
    pub fn proxy_latency_ms(&self) -> u64 {
        let until = self.sent.get().unwrap_or_else(Instant::now);
        whole_milliseconds(until - self.started)
    }

    /// Ms from sending to the upstream's head (`X-Kong-Upstream-Latency`).
    #[must_use]
    pub fn upstream_latency_ms(&self) -> u64 {
        self.upstream_time().map_or(0, whole_milliseconds)
    }

    /// Since it was sent upstream the last time.
    pub(super) fn since_sent(&self) -> Duration {
        self.sent.get().map(|sent| sent.elapsed()).unwrap_or_default()
    }

    /// As the client sent it.
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Where the client is, as far as we believe it.
    pub(super) fn client(&self) -> IpAddr {
        self.client_address.get().unwrap_or_else(|| self.client.hop.peer())
    }

    fn upstream_time(&self) -> Option<Duration> {
        Some(self.answered.get()? - self.sent.get()?)
    }

    fn write_line(&self) {
        let peer = &self.client.peer;
        let certificate = peer.certificate();
        let reason = self.reason.borrow();
        let gone = (!self.complete.get()).then(|| self.why_incomplete());
        let client_address = self.client_address.get().map(|address| address.to_string());
        let upstream = self.upstream.borrow();
        self.record.log.record(&Line {
            time: self.started_at,
            request_id: self.id().as_str(),
            client: client_address.as_deref().unwrap_or(&self.client.ip),
            peer: &self.client.address,
            certificate: certificate.map(|certificate| certificate.leaf.subject().as_str()),
            fingerprint: self.client.fingerprint.as_deref(),
            consumer: self.permit.get().and_then(|permit| permit.consumer()?.name()),
            group: self.permit.get().and_then(|permit| permit.caller()?.group.as_deref()),
            method: self.method.as_str(),
            host: &self.host,
            path: self.uri.path(),
            protocol: protocol(self.version),
            status: self.status.get(),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            duration: self.started.elapsed(),
            upstream_took: self.upstream_time(),
            upstream: upstream.as_deref(),
            reason: reason.as_deref().or(gone),
        });
    }

    fn why_incomplete(&self) -> &'static str {
        match self.client.closed_because() {
            Some(reason) => reason,
            None if self.record.cut.get() => "drain_timeout passed before the answer was complete",
            None => "the client ended the connection before the answer was complete",
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.client.leave();
        self.record.counters.request_finished();
        if self.record.log.is_on() {
            self.write_line();
        }
    }
}

fn host(uri: &Uri, headers: &HeaderMap) -> String {
    let from_header = || headers.get(http::header::HOST).and_then(|value| value.to_str().ok());
    uri.authority().map(http::uri::Authority::as_str).or_else(from_header).unwrap_or_default().to_owned()
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

fn whole_milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
