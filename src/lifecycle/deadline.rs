//! Every wait has a deadline with a name, at the price of one coarse timer per worker.
//!
//! A [`Sweep`] looks at all armed deadlines of its worker ten times a second. Arming one
//! writes a number, so a request pays no timer; a deadline fires up to two ticks late and
//! never early. Used by `proxy` and `server`; single-threaded by design.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use slab::Slab;
use tokio::time::Instant;

/// How often the deadlines are looked at: fine enough for the smallest sensible setting
/// (some hundred ms), coarse enough to cost nothing.
const TICK: Duration = Duration::from_millis(100);

/// The deadlines of one worker.
#[derive(Debug)]
pub struct Sweep {
    now: Cell<Instant>,
    waits: RefCell<Slab<Rc<Wait>>>,
}

impl Sweep {
    /// An empty set; `run` must be polled for it to have an effect. Call within a runtime.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::new(Self { now: Cell::new(Instant::now()), waits: RefCell::default() })
    }

    /// A deadline of this worker, not armed yet.
    #[must_use]
    pub fn deadline(self: &Rc<Self>) -> Deadline {
        let wait = Rc::new(Wait::default());
        let key = self.waits.borrow_mut().insert(Rc::clone(&wait));
        Deadline { sweep: Rc::clone(self), wait, key }
    }

    /// The time of the last tick: at most 100 ms old, and free.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now.get()
    }

    /// Ticks for as long as it is polled.
    pub async fn run(&self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let now = tick.tick().await;
            // A worker that was busy ticks late; deadlines count from the true time.
            self.now.set(now.max(Instant::now()));
            self.expire();
        }
    }

    fn expire(&self) {
        let now = self.now.get();
        for (_, wait) in self.waits.borrow().iter() {
            if wait.at.get().is_some_and(|at| at <= now) {
                // Waking only schedules: no task runs while the slab is borrowed.
                wait.expire();
            }
        }
    }
}

/// Ends the wait of a [`Deadline`] from elsewhere in its worker.
#[derive(Debug)]
pub struct Expiry(Rc<Wait>);

impl Expiry {
    /// The deadline has expired under this name, whatever was waited for until now.
    pub fn end(&self, name: &'static str) {
        self.0.name.set(name);
        self.0.expire();
    }
}

/// One wait at a time, by name.
#[derive(Debug)]
pub struct Deadline {
    sweep: Rc<Sweep>,
    wait: Rc<Wait>,
    key: usize,
}

#[derive(Default)]
struct Wait {
    name: Cell<&'static str>,
    at: Cell<Option<Instant>>,
    expired: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Wait {
    fn expire(&self) {
        self.at.set(None);
        self.expired.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("name", &self.name).field("at", &self.at).finish_non_exhaustive()
    }
}

impl Deadline {
    /// Starts a wait called `name` (a setting's name), or starts it anew.
    pub fn arm(&self, name: &'static str, after: Duration) {
        self.wait.name.set(name);
        self.wait.expired.set(false);
        // One tick more, because `now` may be a tick old: never early. A wait that is too long
        // to be added to the clock is no wait.
        self.wait.at.set(self.sweep.now.get().checked_add(after.saturating_add(TICK)));
    }

    /// A handle with which others end it.
    #[must_use]
    pub fn expiry(&self) -> Expiry {
        Expiry(Rc::clone(&self.wait))
    }

    /// Ends the wait: what was waited for came.
    pub fn disarm(&self) {
        self.wait.at.set(None);
        self.wait.expired.set(false);
    }

    /// Whether a wait is running or has expired.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        self.wait.at.get().is_some() || self.wait.expired.get()
    }

    /// The name of the wait when it lasted too long; otherwise the task is woken when it does,
    /// even if the wait is only armed later.
    pub fn poll_expired(&self, cx: &Context<'_>) -> Option<&'static str> {
        if self.wait.expired.get() {
            return Some(self.wait.name.get());
        }
        // Noted whether armed or not: another task may arm it before this one is polled again.
        let known = self.wait.waker.take().filter(|known| known.will_wake(cx.waker()));
        self.wait.waker.set(known.or_else(|| Some(cx.waker().clone())));
        None
    }

    /// Runs `work` under this deadline, called `name`.
    ///
    /// # Errors
    /// The name, when `after` passed first; `work` is dropped then.
    pub async fn limit<T>(
        &self,
        name: &'static str,
        after: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, &'static str> {
        self.arm(name, after);
        let mut work = std::pin::pin!(work);
        let result = std::future::poll_fn(|cx| {
            if let std::task::Poll::Ready(done) = work.as_mut().poll(cx) {
                return std::task::Poll::Ready(Ok(done));
            }
            match self.poll_expired(cx) {
                Some(name) => std::task::Poll::Ready(Err(name)),
                None => std::task::Poll::Pending,
            }
        })
        .await;
        self.disarm();
        result
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.sweep.waits.borrow_mut().remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `work` with a sweep that ticks beside it, on a clock that jumps.
    async fn with_sweep<T>(work: impl AsyncFnOnce(Rc<Sweep>) -> T) -> T {
        let sweep = Sweep::new();
        tokio::select! {
            () = sweep.run() => unreachable!("a sweep ticks for ever"),
            done = work(Rc::clone(&sweep)) => done,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_lasts_too_long_ends_with_its_name_and_not_early() {
        with_sweep(async |sweep| {
            let started = Instant::now();
            let deadline = sweep.deadline();
            let never = std::future::pending::<()>();
            let result = deadline.limit("connect_timeout", Duration::from_secs(5), never).await;
            assert_eq!(result, Err("connect_timeout"));
            let waited = started.elapsed();
            assert!(waited >= Duration::from_secs(5) && waited <= Duration::from_millis(5300), "{waited:?}");
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_armed_later_by_someone_else_wakes_who_had_asked() {
        with_sweep(async |sweep| {
            let deadline = sweep.deadline();
            let asked = std::future::poll_fn(|cx| match deadline.poll_expired(cx) {
                Some(name) => std::task::Poll::Ready(name),
                None => std::task::Poll::Pending,
            });
            let armed = async {
                tokio::task::yield_now().await;
                deadline.arm("write_timeout", Duration::from_secs(1));
            };
            let (name, ()) = tokio::join!(asked, armed);
            assert_eq!(name, "write_timeout");
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_in_time_is_given_and_the_deadline_is_free_again() {
        with_sweep(async |sweep| {
            let deadline = sweep.deadline();
            let soon = tokio::time::sleep(Duration::from_secs(1));
            assert_eq!(deadline.limit("read_timeout", Duration::from_secs(5), soon).await, Ok(()));
            assert!(!deadline.is_armed());
            drop(deadline);
            assert!(sweep.waits.borrow().is_empty());
        })
        .await;
    }
}
