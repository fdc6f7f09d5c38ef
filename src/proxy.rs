//! One request from head to record: route → authorize → headers → forward → answer.
//!
//! [`Proxy`] belongs to one worker and is called by `server` for every request, whatever
//! HTTP it came in. Nothing it touches is shared with other workers but the snapshot.

mod attempt;
mod authorization;
mod backend;
mod balancer;
pub mod body;
pub mod client;
mod dial;
pub mod error;
pub mod exchange;
pub mod flow_control;
mod forward;
pub mod health;
mod http1;
pub mod idle;
pub mod interim;
mod last_words;
pub mod link;
pub mod pool;
pub mod pump;
mod request;
mod response;
pub mod shortage;
pub mod socket;
pub mod upgrade;
mod version;

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue, Request, Response};

use self::authorization::authorize;
use self::backend::{Backend, Pools, Way};
use self::balancer::Asked;
use self::body::Body;
use self::client::Client;
use self::error::UpstreamError;
use self::exchange::{Exchange, Record};
use self::forward::{Outgoing, forward};
use self::health::Board;
use self::interim::Interim;
use self::pool::Pool;
use self::upgrade::{Answer, upgrade};
use crate::lifecycle::deadline::Sweep;
use crate::message::hop_by_hop::{self, Upgrade};
use crate::message::reply::Reply;
use crate::policy::{Denial, Permit};
use crate::snapshot::Snapshot;
use crate::tls::revocation::Revocation;

/// The pipeline of one worker.
#[derive(Debug)]
pub struct Proxy {
    published: Arc<ArcSwap<Snapshot>>,
    current: RefCell<Rc<Current>>,
    record: Rc<Record>,
    sweep: Rc<Sweep>,
    common: Common,
}

/// What the workers share beside the snapshot, and keep when that is replaced.
#[derive(Debug, Clone, Default)]
pub struct Common {
    /// Which targets are healthy.
    pub health: Arc<Board>,
    /// Which certificates were taken back.
    pub revocation: Arc<Revocation>,
}

/// A snapshot with this worker's connections to its services.
#[derive(Debug)]
struct Current {
    snapshot: Arc<Snapshot>,
    /// One per service, made when it is first asked for: there may be thousands.
    backends: Vec<OnceCell<Backend>>,
    pools: Rc<Pools>,
    /// Whether [`Proxy::pools_to_open`] has told of them.
    told: Cell<bool>,
}

/// How a request leaves the pipeline without an upstream's answer.
#[derive(Debug)]
struct Refusal {
    reply: Reply,
    reason: Rc<str>,
}

impl Refusal {
    fn new(reply: Reply, reason: impl Into<Rc<str>>) -> Self {
        Self { reply, reason: reason.into() }
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::new(denial.reply, denial.reason.as_ref())
    }
}

impl From<UpstreamError> for Refusal {
    fn from(error: UpstreamError) -> Self {
        Self::new(error.reply(), error.to_string())
    }
}

impl Proxy {
    /// A pipeline with pools of its own. Call within the worker's runtime.
    #[must_use]
    pub fn new(
        published: Arc<ArcSwap<Snapshot>>,
        record: Record,
        sweep: &Rc<Sweep>,
        common: Common,
    ) -> Rc<Self> {
        let current = Rc::new(Current::of(published.load_full(), sweep, &common.health));
        let (record, sweep) = (Rc::new(record), Rc::clone(sweep));
        Rc::new(Self { published, current: RefCell::new(current), record, sweep, common })
    }

    /// The deadlines of this worker.
    #[must_use]
    pub fn sweep(&self) -> &Rc<Sweep> {
        &self.sweep
    }

    /// Where requests are recorded.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The snapshot in force.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current().snapshot)
    }

    /// This worker's pools that were needed under the snapshot in force.
    #[must_use]
    pub fn pools(&self) -> Vec<Rc<Pool>> {
        self.current().pools.made()
    }

    /// Once per snapshot, the pools that are to be opened before the first request.
    #[must_use]
    pub fn pools_to_open(&self) -> Vec<Rc<Pool>> {
        let current = self.current();
        if current.told.replace(true) {
            return Vec::new();
        }
        let services = current.snapshot.services.iter().enumerate();
        let opened = services.filter(|(_, service)| service.open_at_start);
        let pools = opened.flat_map(|(index, service)| {
            let backend = current.backend(index);
            (0..service.targets.len()).map(|target| Rc::clone(backend.pool(target)))
        });
        pools.collect()
    }

    /// Answers one request. Every way out is recorded, once.
    pub async fn serve(
        &self,
        client: &Rc<Client>,
        mut request: Request<Body>,
        interim: Option<&Interim>,
    ) -> Response<Body> {
        let current = self.current();
        let exchange = Exchange::open(&self.record, client, &request);
        let form = response::Form::asked(&request);
        let incoming = Incoming { client, exchange: &exchange, interim, is_grpc: form.is_grpc() };
        let response = match self.pass(&current, &incoming, &mut request).await {
            Ok(response) => response,
            Err(refusal) => {
                exchange.because(refusal.reason);
                let forwarding = &current.snapshot.forwarding;
                let reply = form.reply(&refusal.reply, &exchange, forwarding.response_headers);
                // Our own body waits for nobody.
                reply.map(|body| body.of_response(&exchange, &self.sweep, Duration::MAX, None))
            }
        };
        exchange.status(response.status());
        response
    }

    /// The order of everything that happens to a request.
    async fn pass(
        &self,
        current: &Current,
        incoming: &Incoming<'_>,
        request: &mut Request<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let Incoming { client, exchange, .. } = *incoming;
        let snapshot = &current.snapshot;
        request::check(request, &snapshot.limits)?;
        let asking = authorization::Request { client, headers: request.headers(), snapshot };
        let (found, policy) = match (request::route(request, incoming, snapshot), &snapshot.gate) {
            (Ok(found), _) => found,
            (Err(refusal), None) => return Err(refusal),
            // A stranger does not learn which routes there are.
            (Err(refusal), Some(gate)) => {
                authorize(gate, asking, &self.common.revocation).await?;
                return Err(refusal);
            }
        };
        let permit = authorize(policy, asking, &self.common.revocation).await?;
        exchange.permitted(&permit, &snapshot.reserved);
        let no_service = || Refusal::new(Reply::NO_SERVICE, "the route has no service");
        let backend = current.backend(found.route.service.ok_or_else(no_service)?);
        let asked = request::rewrite(request, incoming, &permit, snapshot, (&found, backend.service()))?;
        let keeps_host = snapshot.keeps_host(found.route) && !exchange.host().is_empty();
        let mut way = backend.way(keeps_host, || hashable(request.headers(), exchange, &permit))?;
        way.address(request.headers_mut());
        let limits = (snapshot.deadlines.client_body, snapshot.limits.client_max_body_size);
        request.body_mut().watch_request(exchange, &self.sweep, limits.0, limits.1);
        let answer = match asked {
            // Boxed: seldom, and large.
            Some(asked) => Box::pin(self.switch(&permit, &mut way, request, asked, incoming)).await,
            None => self.send(&permit, &mut way, request, incoming).await,
        };
        // When the request's body failed, the upstream's failure is only its consequence.
        let mut response = answer.map_err(|error| exchange.request_fault().unwrap_or(error))?;
        response::rewrite(&mut response, exchange, snapshot.forwarding.response_headers);
        if let Some(cookie) = way.cookie() {
            response::set_cookie(response.headers_mut(), cookie);
        }
        Ok(response)
    }

    async fn send(
        &self,
        permit: &Permit,
        way: &mut Way<'_>,
        request: &mut Request<Body>,
        incoming: &Incoming<'_>,
    ) -> Result<Response<Body>, UpstreamError> {
        let Incoming { exchange, interim, is_grpc, .. } = *incoming;
        let outgoing = Outgoing { request, is_grpc, exchange, interim, sweep: &self.sweep };
        let (response, lease) = forward(permit, way, outgoing).await?;
        exchange.answered();
        let read_timeout = way.target().terms.read_timeout;
        Ok(response.map(|body| body.of_response(exchange, &self.sweep, read_timeout, Some(lease))))
    }

    async fn switch(
        &self,
        permit: &Permit,
        way: &mut Way<'_>,
        request: &mut Request<Body>,
        asked: Upgrade,
        incoming: &Incoming<'_>,
    ) -> Result<Response<Body>, UpstreamError> {
        let Incoming { client, exchange, interim, .. } = *incoming;
        asked.clone().set(request.headers_mut());
        let answer = upgrade(permit, way, request, exchange, interim, &self.sweep).await?;
        exchange.answered();
        match answer {
            Answer::Switched(mut response, tunnel) => {
                let chosen = hop_by_hop::strip_response(response.headers_mut());
                let Some(chosen) = chosen.filter(|chosen| asked.offers(chosen)) else {
                    let text = format!("{} switched to a protocol nobody asked for", way.target().label);
                    return Err(UpstreamError::Protocol(text.into()));
                };
                chosen.set(response.headers_mut());
                *client.tunnel.borrow_mut() = Some(tunnel);
                Ok(response)
            }
            Answer::Refused(response, lease) => {
                let read_timeout = way.target().terms.read_timeout;
                Ok(response.map(|body| body.of_response(exchange, &self.sweep, read_timeout, Some(lease))))
            }
        }
    }

    /// The snapshot in force, a new one taken over. Requests that began under the old one end under it.
    fn current(&self) -> Rc<Current> {
        let published = self.published.load();
        let mut current = self.current.borrow_mut();
        if !Arc::ptr_eq(&current.snapshot, &published) {
            current.pools.retire();
            *current = Rc::new(Current::of(Arc::clone(&published), &self.sweep, &self.common.health));
        }
        Rc::clone(&current)
    }
}

/// A request and where it came from, for the length of the pipeline.
struct Incoming<'a> {
    client: &'a Rc<Client>,
    exchange: &'a Rc<Exchange>,
    interim: Option<&'a Interim>,
    is_grpc: bool,
}

/// What the target can be chosen by.
fn hashable<'a>(headers: &'a HeaderMap, exchange: &'a Exchange, permit: &'a Permit) -> Asked<'a> {
    let certificate = permit.caller().map(|caller| caller.certificate.leaf.der().as_ref());
    let caller = headers.get("x-consumer-id").map(HeaderValue::as_bytes).or(certificate);
    Asked { headers, uri: exchange.uri(), client: exchange.client(), caller }
}

impl Current {
    fn of(snapshot: Arc<Snapshot>, sweep: &Rc<Sweep>, health: &Arc<Board>) -> Self {
        let pools = Pools::new(snapshot.limits.max_header_bytes, sweep, health);
        let backends = snapshot.services.iter().map(|_| OnceCell::new()).collect();
        Self { snapshot, backends, pools, told: Cell::new(false) }
    }

    fn backend(&self, service: usize) -> &Backend {
        self.backends[service].get_or_init(|| Backend::new(&self.snapshot.services[service], &self.pools))
    }
}
