//! Who of a service's targets is next.
//!
//! One per worker and service, used by `backend`: turns and counts are of this worker's requests alone, so
//! nothing here is shared. Decides from what it is told; which targets are healthy is `health`'s to know.

mod hashing;
mod in_turn;
mod key;
mod latency;
mod least_busy;

use std::time::Duration;

use self::hashing::Hashing;
use self::in_turn::InTurn;
use self::latency::Latency;
use self::least_busy::LeastBusy;
use crate::snapshot::balance::{Algorithm, Member};

pub(super) use self::key::{Asked, Key};
pub(super) use self::least_busy::Turn;

/// The memory of one algorithm over the targets of one upstream, which it knows by their position.
#[derive(Debug)]
pub(super) struct Balancer {
    weights: Box<[u16]>,
    method: Method,
}

#[derive(Debug)]
enum Method {
    InTurn(InTurn),
    LeastBusy(LeastBusy),
    /// With what is done for requests that have no value to hash.
    Hashing(Hashing, InTurn),
    Latency(Latency),
}

impl Balancer {
    /// Without a past. `begin` is any number: workers that begin with different ones do not all send their
    /// first request to the same target.
    pub(super) fn new(algorithm: &Algorithm, members: &[Member], begin: usize) -> Self {
        let weights: Box<[u16]> = members.iter().map(|member| member.weight).collect();
        let in_turn = || InTurn::new(&weights, begin);
        let method = match algorithm {
            Algorithm::RoundRobin => Method::InTurn(in_turn()),
            Algorithm::LeastConnections => Method::LeastBusy(LeastBusy::new(weights.len(), begin)),
            Algorithm::ConsistentHashing { .. } => Method::Hashing(Hashing::new(members), in_turn()),
            Algorithm::Latency => Method::Latency(Latency::new(weights.len())),
        };
        Self { weights, method }
    }

    /// The next target among those that `may` be taken; `None` when none may. `key` is the hash of what
    /// the request has of the value to hash, `now` the time since any fixed moment.
    pub(super) fn next(&self, may: impl Fn(usize) -> bool, key: Option<u64>, now: Duration) -> Option<usize> {
        match &self.method {
            Method::InTurn(in_turn) => in_turn.next(&self.weights, may),
            Method::LeastBusy(least_busy) => least_busy.next(&self.weights, may),
            Method::Hashing(hashing, in_turn) => match key {
                Some(key) => hashing.next(&self.weights, may, key),
                None => in_turn.next(&self.weights, may),
            },
            Method::Latency(latency) => latency.next(&self.weights, may, now),
        }
    }

    /// Counts a request at a target until it is dropped, where that decides who is next.
    pub(super) fn turn(&self, target: usize) -> Option<Turn> {
        match &self.method {
            Method::LeastBusy(least_busy) => Some(least_busy.turn(target)),
            _ => None,
        }
    }

    /// A target answered after `took`.
    pub(super) fn answered(&self, target: usize, took: Duration, now: Duration) {
        if let Method::Latency(latency) = &self.method {
            latency.answered(target, took, now);
        }
    }
}

#[cfg(test)]
mod tests;
