//! What was told before: statuses and CRLs, as long as they may be believed, and no more than fit.
//!
//! Only what was told is remembered; that nobody answered is not (Kong 3.5: network failures must
//! not be cached).

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::UnixTime;

use super::crl::Crl;
use super::{Told, later};

/// Things that were told, each until its end.
#[derive(Debug)]
pub(super) struct Remembered<K, T> {
    known: Mutex<Known<K, T>>,
    /// The sum of weights that is kept.
    room: usize,
}

#[derive(Debug)]
struct Known<K, T> {
    entries: HashMap<K, Entry<T>>,
    weight: usize,
}

#[derive(Debug)]
struct Entry<T> {
    value: T,
    /// A clock set back to before this moment makes it worthless.
    at: UnixTime,
}

/// What ends, and takes room.
pub(super) trait Perishable: Clone {
    /// `nextUpdate`.
    fn ends(&self) -> UnixTime;
    /// In the unit of the room it is kept in.
    fn weight(&self) -> usize;
}

impl Perishable for Told {
    fn ends(&self) -> UnixTime {
        self.next_update
    }

    fn weight(&self) -> usize {
        1
    }
}

impl Perishable for Arc<Crl> {
    fn ends(&self) -> UnixTime {
        self.next_update
    }

    fn weight(&self) -> usize {
        Crl::weight(self)
    }
}

impl<K: Hash + Eq + Clone, T: Perishable> Remembered<K, T> {
    pub(super) fn new(room: usize) -> Self {
        Self { known: Mutex::new(Known { entries: HashMap::new(), weight: 0 }), room }
    }

    /// What was told at most `ttl` before `now` and has not ended, with the moment from which it
    /// does not count any more.
    pub(super) fn find(&self, key: &K, ttl: Duration, now: UnixTime) -> Option<(T, UnixTime)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = known.entries.get(key)?;
        let until = later(entry.at, ttl).min(entry.value.ends());
        (entry.at <= now && now <= until).then(|| (entry.value.clone(), until))
    }

    /// Remembers what was told at the time `now`; what is too heavy for the room is not.
    pub(super) fn remember(&self, key: K, value: T, now: UnixTime) {
        let weight = value.weight();
        if weight > self.room {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.weight + weight > self.room {
            known.retain(|entry| now <= entry.value.ends());
        }
        while known.weight + weight > self.room {
            known.forget_half();
        }
        known.weight += weight;
        if let Some(old) = known.entries.insert(key, Entry { value, at: now }) {
            known.weight -= old.value.weight();
        }
    }
}

impl<K: Hash + Eq + Clone, T: Perishable> Known<K, T> {
    fn retain(&mut self, keep: impl Fn(&Entry<T>) -> bool) {
        self.entries.retain(|_, entry| keep(entry));
        self.weight = self.entries.values().map(|entry| entry.value.weight()).sum();
    }

    /// Whichever: each comes back with one question. All at once would ask for everyone at once.
    fn forget_half(&mut self) {
        let mut leave = self.entries.len() / 2;
        self.entries.retain(|_, _| {
            let stays = leave > 0;
            leave = leave.saturating_sub(1);
            stays
        });
        self.weight = self.entries.values().map(|entry| entry.value.weight()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn at(second: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(second))
    }

    fn told(end: u64) -> Told {
        Told { verdict: Verdict::Good, next_update: at(end) }
    }

    #[test]
    fn it_counts_for_the_ttl_and_not_beyond_its_own_end_nor_before_it_was_told() {
        let remembered = Remembered::new(10);
        remembered.remember("long", told(1000), at(100));
        remembered.remember("short", told(130), at(100));
        let until = |key, now| remembered.find(&key, Duration::from_secs(60), at(now)).map(|found| found.1);
        assert_eq!(until("long", 160), Some(at(160)));
        assert_eq!(until("long", 161), None);
        assert_eq!(until("short", 130), Some(at(130)));
        assert_eq!(until("short", 131), None);
        assert_eq!(until("long", 99), None);
        assert_eq!(until("other", 100), None);
    }

    #[test]
    fn the_room_is_bounded_and_what_has_ended_goes_first() {
        let remembered = Remembered::new(4);
        for (key, end) in [(1, 110), (2, 110), (3, 1000), (4, 1000)] {
            remembered.remember(key, told(end), at(100));
        }
        let has = |key| remembered.find(&key, Duration::from_secs(60), at(120)).is_some();
        remembered.remember(5, told(1000), at(120));
        assert_eq!([1, 2, 3, 4, 5].map(has), [false, false, true, true, true]);
        for key in 6..100 {
            remembered.remember(key, told(1000), at(120));
        }
        assert!(has(99));
        let known = remembered.known.lock().unwrap();
        assert!(known.entries.len() <= 4 && known.weight == known.entries.len());
    }
}
