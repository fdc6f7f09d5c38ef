//! The same target for the same value: weighted rendezvous hashing.
//!
//! Every target draws a number from the value and its own address, and the best draw wins. So a target that
//! goes takes nothing with it but its own values, which spread over the others by weight, and gets the same
//! ones back when it returns. Kong's ring of `slots` does that approximately, and needs memory for it.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::snapshot::balance::Member;

#[derive(Debug)]
pub(super) struct Hashing {
    /// Of each target's address, so that their order does not matter.
    addresses: Box<[u64]>,
}

impl Hashing {
    pub(super) fn new(members: &[Member]) -> Self {
        Self { addresses: members.iter().map(|member| hash(&(&member.host, member.port))).collect() }
    }

    pub(super) fn next(&self, weights: &[u16], may: impl Fn(usize) -> bool, key: u64) -> Option<usize> {
        let targets = self.addresses.iter().zip(weights).enumerate();
        let draws = targets
            .filter(|(index, _)| may(*index))
            .map(|(index, (address, weight))| (draw(hash(&(key, address)), *weight), index));
        draws.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, index)| index)
    }
}

/// Not random: the same in every worker, and after a restart.
pub(super) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Wins against other draws as often as its weight is a part of all weights: the logarithm of a uniform
/// number over (0, 1) is exponentially distributed.
fn draw(hash: u64, weight: u16) -> f64 {
    // A double holds 53 bits; the half keeps 0 out.
    let uniform = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(weight) / uniform.ln()
}
