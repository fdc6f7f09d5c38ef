//! Chains that were accepted before: a returning client's signatures are not checked twice.
//!
//! Used by [`super::trust`], one set per verifier, so it ends with the snapshot. It remembers what
//! was accepted and nothing else, under a digest of every byte the client sent.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use rustls::pki_types::UnixTime;

use super::trust::Accepted;
use crate::identity::PeerCertificate;

/// Chains remembered; beyond it all are forgotten, which costs a signature check each. 1 MiB.
const MAX: usize = 10_000;

/// SHA-256 over the certificates as they were sent, each after its length.
type Key = [u8; 32];

/// What a verifier has accepted; shared by all workers.
#[derive(Debug, Default)]
pub(super) struct Verdicts(Mutex<HashMap<Key, Verdict>>);

#[derive(Debug, Clone, Copy)]
struct Verdict {
    accepted: Accepted,
    /// A clock set back to before this moment makes the verdict worthless.
    at: UnixTime,
}

/// The name under which a chain is remembered.
pub(super) fn key(peer: &PeerCertificate) -> Key {
    let mut digest = Context::new(&SHA256);
    for certificate in std::iter::once(peer.leaf.der()).chain(&peer.chain) {
        digest.update(&(certificate.len() as u64).to_be_bytes());
        digest.update(certificate);
    }
    let mut key = [0; 32];
    key.copy_from_slice(digest.finish().as_ref());
    key
}

impl Verdicts {
    /// What was decided about this chain, if it is still true at the time `now`.
    pub(super) fn find(&self, key: &Key, now: UnixTime) -> Option<Accepted> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = known.get(key)?;
        (verdict.at <= now && now <= verdict.accepted.until).then_some(verdict.accepted)
    }

    /// Remembers a chain that was accepted at the time `now`.
    pub(super) fn remember(&self, key: Key, accepted: Accepted, now: UnixTime) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX {
            known.clear();
        }
        known.insert(key, Verdict { accepted, at: now });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(second: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(second))
    }

    #[test]
    fn a_verdict_holds_from_its_making_to_the_end_of_the_chain_and_no_second_longer() {
        let verdicts = Verdicts::default();
        verdicts.remember([1; 32], Accepted { until: at(200) }, at(100));
        let holds = |second| verdicts.find(&[1; 32], at(second)).is_some();
        assert_eq!([99, 100, 200, 201].map(holds), [false, true, true, false]);
        assert!(verdicts.find(&[2; 32], at(150)).is_none());
    }

    #[test]
    fn their_number_is_bounded() {
        let verdicts = Verdicts::default();
        for number in 0..=MAX as u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_be_bytes());
            verdicts.remember(key, Accepted { until: at(200) }, at(100));
        }
        assert_eq!(verdicts.0.lock().unwrap().len(), 1);
    }
}
