//! The client connections of one worker on which nothing is going on, and who of them makes room for a newcomer:
//! the one that has been idle for the longest time, as in nginx (`ngx_drain_connections`).
//!
//! A list in a slab: every request takes a connection out of it and puts it back at the end, in a few steps.
//! Other threads see no more than [`Room`].

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use slab::Slab;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::lifecycle::deadline::{Expiry, Sweep};

/// How idle a worker's connections are, and how many of them are to go.
#[derive(Debug)]
#[repr(align(128))]
pub struct Room {
    epoch: Instant,
    /// Since when the first of them is idle, in ms after `epoch`; [`NOBODY`].
    idle_since: AtomicU64,
    wanted: AtomicUsize,
    asked: Notify,
}

const NOBODY: u64 = u64::MAX;

impl Room {
    /// Nobody is idle. Rooms of the same `epoch` can be compared.
    #[must_use]
    pub fn new(epoch: Instant) -> Arc<Self> {
        let (idle_since, wanted) = (AtomicU64::new(NOBODY), AtomicUsize::default());
        Arc::new(Self { epoch, idle_since, wanted, asked: Notify::new() })
    }

    /// Since when the longest idle connection is idle, as a number to compare; `None` where all are busy.
    #[must_use]
    pub fn idle_since(&self) -> Option<u64> {
        Some(self.idle_since.load(Ordering::Relaxed)).filter(|since| *since != NOBODY)
    }

    /// Asks the worker to close the longest idle connection.
    pub fn make(&self) {
        self.wanted.fetch_add(1, Ordering::Relaxed);
        self.asked.notify_one();
    }
}

/// The idle connections of one worker, the longest idle first.
#[derive(Debug)]
pub struct IdleClients {
    list: RefCell<List>,
    room: Arc<Room>,
    sweep: Rc<Sweep>,
}

#[derive(Debug, Default)]
struct List {
    nodes: Slab<Node>,
    first: Option<usize>,
    last: Option<usize>,
}

/// Of one connection, idle or not.
#[derive(Debug)]
struct Node {
    /// `None` while it is busy, and so not on the list.
    since: Option<Instant>,
    before: Option<usize>,
    after: Option<usize>,
    wait: Expiry,
}

impl IdleClients {
    /// Of a worker whose other threads look at `room`.
    #[must_use]
    pub fn new(room: Arc<Room>, sweep: &Rc<Sweep>) -> Rc<Self> {
        Rc::new(Self { list: RefCell::default(), room, sweep: Rc::clone(sweep) })
    }

    /// Closes connections when it is asked to, for as long as it is polled.
    pub async fn run(&self) {
        loop {
            self.room.asked.notified().await;
            for _ in 0..self.room.wanted.swap(0, Ordering::Relaxed) {
                self.close_longest_idle();
            }
        }
    }

    /// A connection that is busy; `wait` ends its keep-alive.
    pub(super) fn place(self: &Rc<Self>, wait: Expiry) -> Place {
        let node = Node { since: None, before: None, after: None, wait };
        let key = self.list.borrow_mut().nodes.insert(node);
        Place { clients: Rc::clone(self), key }
    }

    fn close_longest_idle(&self) {
        let mut list = self.list.borrow_mut();
        let Some(first) = list.first else { return };
        list.take(first);
        self.publish(&list);
        // Waking only schedules: no task runs while the list is borrowed.
        list.nodes[first].wait.end(NEWCOMER);
    }

    fn publish(&self, list: &List) {
        let since = list.first.and_then(|first| list.nodes[first].since);
        let since = since.map(|since| since.saturating_duration_since(self.room.epoch).as_millis());
        let since = since.map_or(NOBODY, |since| u64::try_from(since).unwrap_or(NOBODY - 1));
        self.room.idle_since.store(since, Ordering::Relaxed);
    }
}

impl List {
    fn append(&mut self, key: usize, now: Instant) {
        let before = self.last.replace(key);
        match before {
            Some(before) => self.nodes[before].after = Some(key),
            None => self.first = Some(key),
        }
        let node = &mut self.nodes[key];
        (node.since, node.before, node.after) = (Some(now), before, None);
    }

    /// Whether it was the first.
    fn take(&mut self, key: usize) -> bool {
        let node = &mut self.nodes[key];
        if node.since.take().is_none() {
            return false;
        }
        let (before, after) = (node.before.take(), node.after.take());
        match before {
            Some(before) => self.nodes[before].after = after,
            None => self.first = after,
        }
        match after {
            Some(after) => self.nodes[after].before = before,
            None => self.last = before,
        }
        before.is_none()
    }
}

/// One connection's place, on the list or beside it; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    clients: Rc<IdleClients>,
    key: usize,
}

impl Place {
    /// Nothing is going on from now on.
    pub(super) fn idle(&self) {
        let mut list = self.clients.list.borrow_mut();
        let was_first = list.take(self.key);
        list.append(self.key, self.clients.sweep.now());
        if was_first || list.first == Some(self.key) {
            self.clients.publish(&list);
        }
    }

    /// Something is going on again.
    pub(super) fn busy(&self) {
        let mut list = self.clients.list.borrow_mut();
        if list.take(self.key) {
            self.clients.publish(&list);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.busy();
        self.clients.list.borrow_mut().nodes.remove(self.key);
    }
}

/// What ends the wait of whoever makes room, instead of `keepalive_timeout`.
pub(super) const NEWCOMER: &str = "max_connections";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::lifecycle::deadline::Deadline;

    struct World {
        sweep: Rc<Sweep>,
        clients: Rc<IdleClients>,
    }

    impl World {
        fn new() -> Self {
            let sweep = Sweep::new();
            let clients = IdleClients::new(Room::new(Instant::now()), &sweep);
            Self { sweep, clients }
        }

        fn client(&self) -> (Deadline, Place) {
            let deadline = self.sweep.deadline();
            let place = self.clients.place(deadline.expiry());
            (deadline, place)
        }
    }

    fn is_closed(client: &(Deadline, Place)) -> bool {
        let cx = std::task::Context::from_waker(std::task::Waker::noop());
        client.0.poll_expired(&cx) == Some(NEWCOMER)
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_goes_first_and_whoever_is_busy_stays() {
        let world = World::new();
        let clients: Vec<_> = (0..4).map(|_| world.client()).collect();
        for client in [2, 0, 1, 3, 2] {
            clients[client].1.idle();
        }
        clients[1].1.busy();
        let closed = || clients.iter().map(is_closed).collect::<Vec<_>>();
        world.clients.close_longest_idle();
        assert_eq!(closed(), [true, false, false, false]);
        world.clients.close_longest_idle();
        world.clients.close_longest_idle();
        world.clients.close_longest_idle();
        assert_eq!(closed(), [true, false, true, true], "a busy one stays");
    }

    #[tokio::test(start_paused = true)]
    async fn other_threads_see_since_when_the_first_is_idle() {
        let world = World::new();
        let room = Arc::clone(&world.clients.room);
        let [one, other] = [world.client(), world.client()];
        assert_eq!(room.idle_since(), None);
        one.1.idle();
        let first = room.idle_since().unwrap();
        tokio::select! {
            () = world.sweep.run() => {}
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        other.1.idle();
        assert_eq!(room.idle_since(), Some(first));
        one.1.busy();
        assert!(room.idle_since().unwrap() >= first + 900);
        drop(other);
        assert_eq!(room.idle_since(), None);
    }

    proptest! {
        /// Against a list that is a list.
        #[test]
        fn the_order_is_that_of_coming_to_rest(steps in prop::collection::vec((0..6_usize, 0..3_u8), 0..60)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _guard = runtime.enter();
            let world = World::new();
            let mut clients: Vec<_> = (0..6).map(|_| world.client()).collect();
            let mut model: Vec<usize> = Vec::new();
            for (client, step) in steps {
                model.retain(|other| *other != client);
                match step {
                    0 => { clients[client].1.idle(); model.push(client); }
                    1 => clients[client].1.busy(),
                    _ => clients[client] = world.client(),
                }
                prop_assert_eq!(world.clients.room.idle_since().is_some(), !model.is_empty());
            }
            for client in model {
                world.clients.close_longest_idle();
                prop_assert!(is_closed(&clients[client]));
            }
            prop_assert_eq!(world.clients.room.idle_since(), None);
        }
    }
}
