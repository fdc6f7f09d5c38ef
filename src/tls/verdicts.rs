//! Chains that were judged before, so that a new connection of a known client costs no signature, and a stranger
//! who comes again costs no more than a known one.
//!
//! Used by [`super::trust`], one set per verifier, so it ends with the snapshot. Remembered is the verdict under
//! the digest of every byte the client sent. Revocation is not part of it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::UnixTime;

use super::trust::{Accepted, Untrusted};
use crate::identity::ChainDigest;

/// Accepted chains remembered; beyond it all are forgotten, which costs a signature check each. 2 MiB.
const MAX_ACCEPTED: usize = 10_000;

/// Refused ones, of which strangers can make as many as they like; at most 1 MiB. They have room of their own,
/// so that no flood of them drives out what was accepted.
const MAX_REFUSED: usize = 1_000;

/// How long a refusal is remembered: its sentence counts the time since something expired.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// What a verifier has decided; shared by all workers.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    accepted: Mutex<Kept<Accepted>>,
    refused: Mutex<Kept<Untrusted>>,
}

type Kept<T> = HashMap<ChainDigest, Verdict<T>>;

#[derive(Debug)]
struct Verdict<T> {
    said: T,
    /// A clock set back to before this moment makes the verdict worthless.
    from: UnixTime,
    until: UnixTime,
}

impl Verdicts {
    /// What was decided about this chain, if it is still true at the time `now`.
    pub(super) fn find(&self, chain: &ChainDigest, now: UnixTime) -> Option<Result<Accepted, Untrusted>> {
        let accepted = find(&self.accepted, chain, now).map(Ok);
        accepted.or_else(|| find(&self.refused, chain, now).map(Err))
    }

    /// Remembers a chain that was accepted at the time `now`, until the first certificate on its way ends.
    pub(super) fn accepted(&self, chain: ChainDigest, said: Accepted, now: UnixTime) {
        let until = said.until;
        keep(&self.accepted, MAX_ACCEPTED, chain, Verdict { said, from: now, until });
    }

    /// Remembers a chain that was refused at the time `now`. At the time `begins` a certificate of it begins to
    /// be valid, and it has to be judged again.
    pub(super) fn refused(
        &self,
        chain: ChainDigest,
        said: Untrusted,
        begins: Option<UnixTime>,
        now: UnixTime,
    ) {
        let soon = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + REFUSED_FOR);
        let last = |begins: UnixTime| {
            UnixTime::since_unix_epoch(Duration::from_secs(begins.as_secs().saturating_sub(1)))
        };
        let until = begins.map_or(soon, |begins| soon.min(last(begins)));
        keep(&self.refused, MAX_REFUSED, chain, Verdict { said, from: now, until });
    }
}

fn find<T: Clone>(kept: &Mutex<Kept<T>>, chain: &ChainDigest, now: UnixTime) -> Option<T> {
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let verdict = kept.get(chain)?;
    (verdict.from <= now && now <= verdict.until).then(|| verdict.said.clone())
}

fn keep<T>(kept: &Mutex<Kept<T>>, max: usize, chain: ChainDigest, verdict: Verdict<T>) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= max {
        kept.clear();
    }
    kept.insert(chain, verdict);
}

#[cfg(test)]
mod tests {
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
        verdicts.accepted(chain(1), until(200), at(100));
        let holds = |second| verdicts.find(&chain(1), at(second)).is_some();
        assert_eq!([99, 100, 200, 201].map(holds), [false, true, true, false]);
        assert!(verdicts.find(&chain(2), at(150)).is_none());
    }

    #[test]
    fn a_refusal_holds_for_a_minute_and_never_longer_than_its_cause() {
        let verdicts = Verdicts::default();
        let refused = |begins: Option<u64>| {
            verdicts.refused(chain(1), Untrusted::from("so"), begins.map(at), at(100));
            [99, 100, 109, 110, 160, 161].map(|second| verdicts.find(&chain(1), at(second)).is_some())
        };
        assert_eq!(refused(None), [false, true, true, true, true, false]);
        assert_eq!(refused(Some(110)), [false, true, true, false, false, false]);
        assert_eq!(refused(Some(5000)), [false, true, true, true, true, false]);
    }

    #[test]
    fn their_number_is_bounded_and_refusals_drive_out_nobody_who_was_accepted() {
        let verdicts = Verdicts::default();
        verdicts.accepted(chain(0), until(200), at(100));
        for number in 1..=MAX_REFUSED as u64 + 1 {
            verdicts.refused(chain(number), Untrusted::from("so"), None, at(100));
        }
        assert_eq!(verdicts.refused.lock().unwrap().len(), 1);
        assert!(verdicts.find(&chain(0), at(100)).is_some());
        for number in 0..=MAX_ACCEPTED as u64 {
            verdicts.accepted(chain(number), until(200), at(100));
        }
        assert_eq!(verdicts.accepted.lock().unwrap().len(), 1);
    }
}
