//! One fetch at a time for one thing: who wants the same waits for it and shares what it gives.
//!
//! Used for statuses and for CRLs, by all workers. A fetch whose asker goes away is taken over by
//! the next one who waits.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::{Instant, timeout_at};

type Slot<T> = Arc<tokio::sync::Mutex<Option<T>>>;

/// What is being fetched now.
#[derive(Debug)]
pub(super) struct Flights<K, T>(Mutex<HashMap<K, Slot<T>>>);

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq + Clone, T: Clone> Flights<K, T> {
    /// The outcome of `work`, or of the same work that is under way already. `work` must have a
    /// deadline of its own; `None` when `deadline` passed while waiting for another's.
    pub(super) async fn share(&self, key: K, deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
        let seat = Seat { flights: self, slot: self.slot(&key), key };
        let mut outcome = timeout_at(deadline, seat.slot.lock()).await.ok()?;
        if let Some(outcome) = outcome.as_ref() {
            return Some(outcome.clone());
        }
        let done = work.await;
        *outcome = Some(done.clone());
        // Who comes from now on asks anew.
        self.forget(&seat.key, &seat.slot);
        Some(done)
    }

    fn slot(&self, key: &K) -> Slot<T> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(flights.entry(key.clone()).or_default())
    }

    fn forget(&self, key: &K, slot: &Slot<T>) {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if flights.get(key).is_some_and(|current| Arc::ptr_eq(current, slot)) {
            flights.remove(key);
        }
    }
}

/// One who waits or works; the last to leave without an outcome removes the slot.
struct Seat<'a, K: Hash + Eq, T> {
    flights: &'a Flights<K, T>,
    slot: Slot<T>,
    key: K,
}

impl<K: Hash + Eq, T> Drop for Seat<'_, K, T> {
    fn drop(&mut self) {
        let mut flights = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        let current = flights.get(&self.key).is_some_and(|current| Arc::ptr_eq(current, &self.slot));
        // The map's and ours: counted under the lock that whoever comes must take.
        if current && Arc::strong_count(&self.slot) <= 2 {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    async fn slow(count: &Cell<u32>) -> u32 {
        count.set(count.get() + 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        count.get()
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_want_the_same_share_one_fetch_and_later_ones_ask_anew() {
        let (flights, count) = (Flights::<_, u32>::default(), Cell::new(0));
        let ask = |key| flights.share(key, soon(), slow(&count));
        let (a, b, other) = tokio::join!(ask(1), ask(1), ask(2));
        assert_eq!((a, b, other, count.get()), (Some(2), Some(2), Some(2), 2));
        assert_eq!(ask(1).await, Some(3));
        assert!(flights.0.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_in_line_takes_over_when_the_asker_goes_away() {
        let (flights, count) = (Flights::<_, u32>::default(), Cell::new(0));
        let gives_up =
            tokio::time::timeout(Duration::from_millis(500), flights.share(1, soon(), slow(&count)));
        let (gone, stays) = tokio::join!(gives_up, flights.share(1, soon(), slow(&count)));
        assert!(gone.is_err());
        assert_eq!((stays, count.get()), (Some(2), 2));
        assert!(flights.0.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_he_may() {
        let (flights, count) = (Flights::<_, u32>::default(), Cell::new(0));
        let hasty = flights.share(1, Instant::now() + Duration::from_millis(100), slow(&count));
        let (first, hasty) = tokio::join!(flights.share(1, soon(), slow(&count)), hasty);
        assert_eq!((first, hasty), (Some(1), None));
        assert!(flights.0.lock().unwrap().is_empty());
    }
}
