//! Which targets of an upstream are healthy: told by real traffic (`backend`) and by questions of our own
//! (`probe`), with the counts and limits of Kong's `healthchecks` (lua-resty-healthcheck 3).
//!
//! The one thing that workers share besides the snapshot: a number per target, read without a lock. What
//! is known of a target outlives the snapshot it was learned under.

mod counts;
mod probe;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use self::counts::{Change, Counts};
use crate::snapshot::Snapshot;
use crate::snapshot::balance::{Balance, Counting};

pub(super) use self::counts::Event;
pub use self::probe::ask_targets;

/// What is known of the targets of all upstreams.
#[derive(Debug, Default)]
pub struct Board(Mutex<HashMap<Address, Arc<TargetHealth>>>);

/// A target by the name of its upstream, its host and its port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Address(Arc<str>, String, u16);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(upstream, host, port) = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        write!(f, "target {host}:{port} of upstream {upstream}")
    }
}

#[derive(Debug)]
struct TargetHealth {
    address: Address,
    counts: AtomicU64,
}

/// The health of one upstream's targets, which it knows by their position.
#[derive(Debug)]
pub(super) struct Health {
    balance: Arc<Balance>,
    targets: Box<[Arc<TargetHealth>]>,
}

impl Board {
    /// Of an upstream with health checks; targets nobody knows yet are healthy.
    pub(super) fn of(&self, balance: &Arc<Balance>) -> Health {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let targets = addresses(balance).map(|address| {
            let new = || Arc::new(TargetHealth { address: address.clone(), counts: AtomicU64::default() });
            Arc::clone(known.entry(address.clone()).or_insert_with(new))
        });
        Health { targets: targets.collect(), balance: Arc::clone(balance) }
    }

    /// Forgets the targets that are not checked any more.
    fn keep_those_of(&self, snapshot: &Snapshot) {
        let balances = snapshot.services.iter().filter_map(|service| service.balance.as_ref());
        let checked = balances.filter(|balance| balance.plan.health.is_some());
        let kept: HashSet<_> = checked.flat_map(|balance| addresses(balance)).collect();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|address, _| kept.contains(address));
    }
}

fn addresses(balance: &Balance) -> impl Iterator<Item = Address> {
    let members = balance.plan.members.iter();
    members.map(|member| Address(Arc::clone(&balance.plan.name), member.host.clone(), member.port))
}

impl Health {
    /// Whether requests may go to this target.
    pub(super) fn is_healthy(&self, target: usize) -> bool {
        self.targets[target].is_healthy()
    }

    /// Whether `threshold` percent of all weight are healthy.
    pub(super) fn suffices(&self) -> bool {
        let threshold = self.balance.plan.health.as_ref().map_or(0, |health| u64::from(health.threshold));
        if threshold == 0 {
            return true;
        }
        let weights = || self.balance.plan.members.iter().map(|member| u64::from(member.weight));
        let healthy = weights().zip(&self.targets).filter(|(_, target)| target.is_healthy());
        let healthy: u64 = healthy.map(|(weight, _)| weight).sum();
        healthy * 100 >= threshold * weights().sum::<u64>()
    }

    /// Counts what a request came to.
    pub(super) fn passed(&self, target: usize, event: Event) {
        let Some(health) = &self.balance.plan.health else { return };
        // Who is unhealthy gets no traffic, so what still comes tells of the past.
        if self.is_healthy(target) {
            self.targets[target].count(event, &health.passive);
        }
    }

    /// Counts the status of an answer to a request.
    pub(super) fn answered(&self, target: usize, status: u16) {
        let passive = self.balance.plan.health.as_ref().map(|health| &health.passive);
        if let Some(event) = passive.and_then(|passive| Event::of_status(status, passive)) {
            self.passed(target, event);
        }
    }
}

impl TargetHealth {
    fn is_healthy(&self) -> bool {
        Counts::from(self.counts.load(Ordering::Relaxed)).is_healthy()
    }

    /// Counts, and tells the log of a change, once: it is one number, so only one thread makes the change.
    fn count(&self, event: Event, limits: &Counting) {
        let limit = event.limit(limits);
        let after = |now: u64| {
            let now = Counts::from(now);
            Some(now.after(event, limit)).filter(|after| *after != now).map(u64::from)
        };
        let Ok(before) = self.counts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after) else {
            return;
        };
        match Counts::from(before).change(event, limit) {
            Some(Change::Fell) => tracing::warn!("{} is unhealthy: {limit} {event}", self.address),
            Some(Change::Rose) => tracing::info!("{} is healthy again: {limit} {event}", self.address),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::balance::{Algorithm, HealthChecks, Member, UpstreamPlan};

    fn upstream(ports: &[u16], threshold: u8) -> Arc<Balance> {
        let member = |port: &u16| Member { host: "10.0.0.1".into(), port: *port, weight: 100 };
        let passive = Counting {
            healthy_statuses: vec![200],
            successes: 1,
            unhealthy_statuses: vec![500],
            http_failures: 2,
            tcp_failures: 1,
            timeouts: 0,
        };
        let plan = UpstreamPlan {
            name: "orders".into(),
            members: ports.iter().map(member).collect(),
            algorithm: Algorithm::RoundRobin,
            host_header: None,
            client_certificate: None,
            health: Some(HealthChecks { threshold, passive, active: None }),
        };
        Arc::new(Balance { plan, probes: Vec::new() })
    }

    #[test]
    fn all_workers_see_the_same_and_what_is_known_outlives_a_reload() {
        let board = Board::default();
        let [one, other] = [(); 2].map(|()| board.of(&upstream(&[1, 2], 0)));
        one.passed(0, Event::TcpFailure);
        assert!(!other.is_healthy(0) && other.is_healthy(1));
        drop((one, other));
        let reloaded = board.of(&upstream(&[2, 1, 3], 0));
        assert_eq!([0, 1, 2].map(|target| reloaded.is_healthy(target)), [true, false, true]);
    }

    #[test]
    fn traffic_makes_a_target_unhealthy_and_never_healthy_again() {
        let health = Board::default().of(&upstream(&[1], 0));
        for status in [500, 200, 500, 404, 500] {
            assert!(health.is_healthy(0));
            health.answered(0, status);
        }
        assert!(!health.is_healthy(0), "the 404 is no success, so the last two 500 count");
        health.answered(0, 200);
        health.answered(0, 200);
        assert!(!health.is_healthy(0));
        let never = Board::default().of(&upstream(&[1], 0));
        never.passed(0, Event::Timeout);
        assert!(never.is_healthy(0), "a limit of 0 counts nothing");
    }

    #[test]
    fn below_the_threshold_the_whole_upstream_is_unhealthy() {
        let health = Board::default().of(&upstream(&[1, 2, 3, 4], 50));
        let mut suffices = Vec::new();
        for target in 0..3 {
            health.passed(target, Event::TcpFailure);
            suffices.push(health.suffices());
        }
        assert_eq!(suffices, [true, true, false]);
    }
}
