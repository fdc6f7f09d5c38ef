//! One worker's way to a service: a pool per target, made when it is first needed, and who is next.
//!
//! Used by `proxy`, `forward` and `upgrade`. A service with one target of its own pays nothing for those
//! with many.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use http::header::HOST;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::Instant;

use super::attempt::Failed;
use super::balancer::{Asked, Balancer, Key};
use super::error::UpstreamError;
use super::exchange::Exchange;
use super::health::{Board, Event, Health};
use super::pool::Pool;
use crate::lifecycle::deadline::Sweep;
use crate::snapshot::balance::{Algorithm, Balance};
use crate::snapshot::{Service, Target};

/// All pools of one worker under one snapshot.
#[derive(Debug)]
pub(super) struct Pools {
    made: RefCell<Vec<Rc<Pool>>>,
    retired: Cell<bool>,
    max_header_bytes: usize,
    sweep: Rc<Sweep>,
    board: Arc<Board>,
}

impl Pools {
    pub(super) fn new(max_header_bytes: usize, sweep: &Rc<Sweep>, board: &Arc<Board>) -> Rc<Self> {
        let (sweep, board) = (Rc::clone(sweep), Arc::clone(board));
        Rc::new(Self { made: RefCell::default(), retired: Cell::new(false), max_header_bytes, sweep, board })
    }

    /// Those that were needed until now.
    pub(super) fn made(&self) -> Vec<Rc<Pool>> {
        self.made.borrow().clone()
    }

    /// Another snapshot is in force: [`Pool::retire`] for all, and for those that are still to be made by
    /// requests under the old one.
    pub(super) fn retire(&self) {
        self.retired.set(true);
        self.made.borrow().iter().for_each(|pool| pool.retire());
    }

    /// Closes every idle connection, for the sake of one that cannot be opened; says whether there was any.
    fn give_way(&self) -> bool {
        self.made.borrow().iter().map(|pool| pool.close_all_idle()).sum::<usize>() > 0
    }

    fn make(&self, target: &Arc<Target>) -> Rc<Pool> {
        let pool = Pool::new(target, self.max_header_bytes, &self.sweep);
        if self.retired.get() {
            pool.retire();
        }
        self.made.borrow_mut().push(Rc::clone(&pool));
        pool
    }
}

/// A service as one worker sees it.
#[derive(Debug)]
pub(super) struct Backend {
    service: Arc<Service>,
    /// One per target, in their order.
    pools: Box<[OnceCell<Rc<Pool>>]>,
    made: Rc<Pools>,
    /// Boxed: there may be thousands of services without.
    balanced: Option<Box<Balanced>>,
}

#[derive(Debug)]
struct Balanced {
    balance: Arc<Balance>,
    balancer: Balancer,
    health: Option<Health>,
    since: Instant,
}

impl Backend {
    pub(super) fn new(service: &Arc<Service>, made: &Rc<Pools>) -> Self {
        let balanced = service.balance.as_ref().map(|balance| Box::new(Balanced::new(balance, made)));
        let pools = service.targets.iter().map(|_| OnceCell::new()).collect();
        Self { service: Arc::clone(service), pools, made: Rc::clone(made), balanced }
    }

    pub(super) fn service(&self) -> &Service {
        &self.service
    }

    /// The pool of one target.
    pub(super) fn pool(&self, target: usize) -> &Rc<Pool> {
        self.pools[target].get_or_init(|| self.made.make(&self.service.targets[target]))
    }

    /// Chooses a target for a request. `keeps_host`: it goes with the client's own `Host`.
    ///
    /// # Errors
    /// When there is none, or none that is healthy.
    pub(super) fn way<'a>(
        &self,
        keeps_host: bool,
        asked: impl FnOnce() -> Asked<'a>,
    ) -> Result<Way<'_>, UpstreamError> {
        let mut way = Way { backend: self, target: 0, keeps_host, key: Key::default(), tried: Vec::new() };
        if let Some(balanced) = &self.balanced {
            way.key = balanced.key(asked);
            let next = balanced.next(self.made.sweep.now(), way.key.hash, &[]);
            way.target = next.ok_or_else(|| balanced.nobody())?;
        }
        Ok(way)
    }
}

impl Balanced {
    fn new(balance: &Arc<Balance>, made: &Pools) -> Self {
        let plan = &balance.plan;
        Self {
            balancer: Balancer::new(&plan.algorithm, &plan.members, fastrand::usize(..)),
            health: plan.health.is_some().then(|| made.board.of(balance)),
            balance: Arc::clone(balance),
            since: made.sweep.now(),
        }
    }

    fn key<'a>(&self, asked: impl FnOnce() -> Asked<'a>) -> Key {
        match &self.balance.plan.algorithm {
            Algorithm::ConsistentHashing { on, fallback } => {
                Key::of(&asked(), on, fallback, || fastrand::u128(..))
            }
            _ => Key::default(),
        }
    }

    fn next(&self, now: Instant, key: Option<u64>, tried: &[usize]) -> Option<usize> {
        if self.health.as_ref().is_some_and(|health| !health.suffices()) {
            return None;
        }
        let healthy = |target| self.health.as_ref().is_none_or(|health| health.is_healthy(target));
        self.balancer.next(|target| !tried.contains(&target) && healthy(target), key, now - self.since)
    }

    fn nobody(&self) -> UpstreamError {
        let what =
            if self.balance.plan.members.is_empty() { "has no targets" } else { "has no healthy target" };
        UpstreamError::NoTarget(format!("the upstream {} {what}", self.balance.plan.name).into())
    }
}

/// Where one request goes, and where it may go next.
#[derive(Debug)]
pub(super) struct Way<'a> {
    backend: &'a Backend,
    target: usize,
    keeps_host: bool,
    key: Key,
    /// Targets that failed this request.
    tried: Vec<usize>,
}

impl<'a> Way<'a> {
    pub(super) fn pool(&self) -> &'a Rc<Pool> {
        self.backend.pool(self.target)
    }

    pub(super) fn target(&self) -> &'a Arc<Target> {
        &self.backend.service.targets[self.target]
    }

    /// Further tries of one request.
    pub(super) fn retries(&self) -> u32 {
        self.backend.service.retries
    }

    /// Sets the target's `Host`, where targets have one each and the client's is not kept.
    pub(super) fn address(&self, headers: &mut HeaderMap) {
        if self.backend.balanced.is_some() && !self.keeps_host {
            headers.insert(HOST, self.target().host_header.clone());
        }
    }

    /// The cookie that leads to this target again, if the client is to have one.
    pub(super) fn cookie(&mut self) -> Option<HeaderValue> {
        self.key.cookie.take()
    }

    /// A request is sent to the target now.
    pub(super) fn begin(&self, exchange: &Exchange) {
        exchange.sent_to(&self.target().label);
        let turn = self.backend.balanced.as_ref().and_then(|balanced| balanced.balancer.turn(self.target));
        if let Some(turn) = turn {
            exchange.takes(turn);
        }
    }

    /// Where this host has run out of something: whether idle connections were closed, which gives some of it back.
    pub(super) fn gives_way(&self, error: &UpstreamError) -> bool {
        matches!(error, UpstreamError::Shortage { .. }) && self.backend.made.give_way()
    }

    /// Goes on to a target that did not fail this request yet; `false` where there is none.
    pub(super) fn turn_to_another(&mut self) -> bool {
        let Some(balanced) = &self.backend.balanced else { return false };
        self.tried.push(self.target);
        let next = balanced.next(self.backend.made.sweep.now(), self.key.hash, &self.tried);
        next.inspect(|next| self.target = *next).is_some()
    }

    /// The target answered what it was just sent.
    pub(super) fn answered(&self, status: StatusCode, exchange: &Exchange) {
        let Some(balanced) = &self.backend.balanced else { return };
        let now = self.backend.made.sweep.now() - balanced.since;
        balanced.balancer.answered(self.target, exchange.since_sent(), now);
        if let Some(health) = &balanced.health {
            health.answered(self.target, status.as_u16());
        }
    }

    /// The target did not answer. What may happen to any request in passing is not counted.
    pub(super) fn failed(&self, failed: &Failed, exchange: &Exchange) {
        if !failed.broke_idle() && !failed.unprocessed {
            self.failed_with(&failed.error, exchange);
        }
    }

    /// The same, without the circumstances.
    pub(super) fn failed_with(&self, error: &UpstreamError, exchange: &Exchange) {
        let health = self.backend.balanced.as_ref().and_then(|balanced| balanced.health.as_ref());
        let Some(health) = health else { return };
        // Where the request's body was at fault, the failure is only its consequence: no client can make
        // a target unhealthy by breaking off.
        let fault = exchange.request_fault();
        if let Some(event) = Event::of_error(fault.as_ref().unwrap_or(error)) {
            health.passed(self.target, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{self, Link, Scheme, Terms};
    use crate::pki::{Authority, Leaf};
    use crate::snapshot::balance::{Member, UpstreamPlan};
    use crate::snapshot::{ServicePlan, TlsDefaults};
    use crate::tls::credentials::{Credentials, Side};
    use crate::tls::trust::Anchors;
    use rustls::pki_types::UnixTime;

    const WAIT: Duration = Duration::from_secs(1);

    fn terms() -> Terms {
        Terms {
            link: Link::Auto,
            connect_timeout: WAIT,
            read_timeout: WAIT,
            write_timeout: WAIT,
            link_timeout: WAIT,
            keepalive_pool_size: 1,
            keepalive_max_requests: 0,
            keepalive_idle_timeout: WAIT,
        }
    }

    /// `https://gateway.example`, and what it is shown.
    fn service(shown: &Credentials, balance: Option<Arc<Balance>>) -> Arc<Service> {
        let address = config::Target {
            scheme: Scheme::Https,
            host: "gateway.example".into(),
            port: 443,
            path: String::new(),
        };
        let plan = ServicePlan {
            address,
            terms: terms(),
            retries: 1,
            client_certificate: Some(shown.clone()),
            tls_verify: Some(false),
            ca_certificates: None,
            tls_verify_depth: None,
            balance,
        };
        let defaults =
            TlsDefaults { verify: true, ca_certificates: Arc::new(Anchors::default()), credentials: None };
        Arc::new(Service::new(plan, &defaults).unwrap())
    }

    fn credentials(name: &str) -> Credentials {
        let issued = Authority::new("ca").unwrap().issue(&Leaf::client(name)).unwrap();
        Credentials::new(issued.chain(), issued.key(), Side::Client, UnixTime::now()).unwrap()
    }

    fn balance(ports: &[u16]) -> Arc<Balance> {
        let member = |port: &u16| Member { host: "10.0.0.1".into(), port: *port, weight: 1 };
        let plan = UpstreamPlan {
            name: "gateway.example".into(),
            members: ports.iter().map(member).collect(),
            algorithm: Algorithm::RoundRobin,
            host_header: None,
            client_certificate: None,
            health: None,
        };
        let defaults =
            TlsDefaults { verify: true, ca_certificates: Arc::new(Anchors::default()), credentials: None };
        Arc::new(Balance::new(plan, &defaults).unwrap())
    }

    fn pools() -> Rc<Pools> {
        Pools::new(1024, &Sweep::new(), &Arc::default())
    }

    fn nothing<'a>() -> Asked<'a> {
        unreachable!("nothing is hashed")
    }

    #[test]
    fn services_at_the_same_address_never_share_a_connection() {
        let pools = pools();
        let [one, other] = ["one", "other"].map(|name| {
            let shown = credentials(name);
            let alone = Backend::new(&service(&shown, None), &pools);
            let balanced = Backend::new(&service(&shown, Some(balance(&[443]))), &pools);
            (shown, alone, balanced)
        });
        let mut seen: Vec<Rc<Pool>> = Vec::new();
        for (shown, alone, balanced) in [&one, &other] {
            for pool in [alone.pool(0), balanced.pool(0)] {
                let presented = pool.target().dialer.as_ref().unwrap().credentials().unwrap();
                assert!(Arc::ptr_eq(presented.certified(), shown.certified()));
                assert!(seen.iter().all(|other| !Rc::ptr_eq(other, pool)));
                seen.push(Rc::clone(pool));
            }
        }
    }

    #[test]
    fn a_pool_is_made_when_it_is_needed_and_kept() {
        let pools = pools();
        let backend = Backend::new(&service(&credentials("app"), Some(balance(&[1, 2, 3]))), &pools);
        assert!(pools.made().is_empty());
        assert!(Rc::ptr_eq(backend.pool(1), backend.pool(1)));
        assert_eq!(pools.made().len(), 1);
        pools.retire();
        assert!(backend.pool(1).is_retired() && backend.pool(2).is_retired());
    }

    #[test]
    fn a_request_goes_to_each_target_once_at_the_most() {
        let pools = pools();
        let backend = Backend::new(&service(&credentials("app"), Some(balance(&[1, 2, 3]))), &pools);
        let mut way = backend.way(false, nothing).unwrap();
        let mut seen = vec![way.target().port];
        while way.turn_to_another() {
            seen.push(way.target().port);
        }
        seen.sort_unstable();
        assert_eq!(seen, [1, 2, 3]);
        let alone = Backend::new(&service(&credentials("app"), None), &pools);
        assert!(!alone.way(false, nothing).unwrap().turn_to_another());
    }
}
