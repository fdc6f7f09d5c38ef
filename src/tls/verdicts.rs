//! Chains that were accepted before: a returning client's signatures are not checked twice.
//!
//! Used by [`super::trust`], one set per verifier, so it ends with the snapshot. It remembers what
//! was accepted and nothing else, under the digest of every byte the client sent.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rustls::pki_types::UnixTime;

use super::trust::Accepted;
use crate::identity::ChainDigest;

/// Chains remembered; beyond it all are forgotten, which costs a signature check each. 2 MiB.
const MAX: usize = 10_000;

/// What a verifier has accepted; shared by all workers.
#[derive(Debug, Default)]
pub(super) struct Verdicts(Mutex<HashMap<ChainDigest, Verdict>>);

#[derive(Debug)]
struct Verdict {
    accepted: Accepted,
    /// A clock set back to before this moment makes the verdict worthless.
    at: UnixTime,
}

impl Verdicts {
    /// What was decided about this chain, if it is still true at the time `now`.
    pub(super) fn find(&self, chain: &ChainDigest, now: UnixTime) -> Option<Accepted> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = known.get(chain)?;
        (verdict.at <= now && now <= verdict.accepted.until).then(|| verdict.accepted.clone())
    }

    /// Remembers a chain that was accepted at the time `now`.
    pub(super) fn remember(&self, chain: ChainDigest, accepted: Accepted, now: UnixTime) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX {
            known.clear();
        }
        known.insert(chain, Verdict { accepted, at: now });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::CertificateDer;

    use super::*;

    fn at(second: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(second))
    }

    fn chain(number: u64) -> ChainDigest {
        ChainDigest::of(&[CertificateDer::from(number.to_be_bytes().to_vec())])
    }

    fn until(second: u64) -> Accepted {
        Accepted { until: at(second), path: [].into() }
    }

    #[test]
    fn a_verdict_holds_from_its_making_to_the_end_of_the_chain_and_no_second_longer() {
        let verdicts = Verdicts::default();
        verdicts.remember(chain(1), until(200), at(100));
        let holds = |second| verdicts.find(&chain(1), at(second)).is_some();
        assert_eq!([99, 100, 200, 201].map(holds), [false, true, true, false]);
        assert!(verdicts.find(&chain(2), at(150)).is_none());
    }

    #[test]
    fn their_number_is_bounded() {
        let verdicts = Verdicts::default();
        for number in 0..=MAX as u64 {
            verdicts.remember(chain(number), until(200), at(100));
        }
        assert_eq!(verdicts.0.lock().unwrap().len(), 1);
    }
}
