//! What must not end while the program serves: workers, listeners, the threads of the logs and the tasks
//! beside them. Whatever of it ends, by a panic or by returning, is noticed at once.
//!
//! Each holds a [`Vital`], which tells its [`Vitals`] when it is dropped. `app` then drains and ends the
//! program, and the status listener says until then that it is neither ready nor alive.

use std::borrow::Cow;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::Notify;
use tokio::task::JoinError;

/// Knows what ended too early; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Vitals(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The end was asked for: what returns now does as it was told.
    ending: bool,
    ended: Vec<Ended>,
}

/// Something that ended too early. Displays as `worker-0 panicked`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// What it was.
    pub name: Cow<'static, str>,
    /// Whether it panicked; otherwise it returned.
    pub panicked: bool,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        f.write_str(if self.panicked { " panicked" } else { " ended by itself" })
    }
}

/// Held by what must not end. Dropped, it tells.
#[derive(Debug)]
#[must_use = "what it stands for has ended when it is dropped"]
pub struct Vital {
    vitals: Vitals,
    name: Cow<'static, str>,
}

impl Vitals {
    /// For something called `name` (of a thread, or what a task does), to be held until its end.
    pub fn hold(&self, name: impl Into<Cow<'static, str>>) -> Vital {
        Vital { vitals: self.clone(), name: name.into() }
    }

    /// From here on whatever returns has been told to. A panic still counts.
    pub fn end_is_due(&self) {
        self.change(|state| state.ending = true);
    }

    /// What ended too early so far, in that order.
    #[must_use]
    pub fn ended(&self) -> Vec<Ended> {
        self.change(|state| state.ended.clone())
    }

    /// Waits until something ends too early.
    pub async fn first_ended(&self) -> Ended {
        loop {
            let notified = self.0.ended.notified();
            if let Some(first) = self.change(|state| state.ended.first().cloned()) {
                return first;
            }
            notified.await;
        }
    }

    fn change<T>(&self, operation: impl FnOnce(&mut State) -> T) -> T {
        operation(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Vital {
    /// Does `work`, which must not end; dropped with it, whether it panics, returns or is aborted.
    pub async fn during(self, work: impl Future<Output = ()>) {
        work.await;
    }
}

impl Drop for Vital {
    fn drop(&mut self) {
        let ended = Ended { name: std::mem::take(&mut self.name), panicked: thread::panicking() };
        let noted = self.vitals.change(|state| {
            let early = ended.panicked || !state.ending;
            if early {
                state.ended.push(ended);
            }
            early
        });
        if noted {
            self.vitals.0.ended.notify_waiters();
        }
    }
}

/// Panics as a task of the caller's own did that was vital to it. The panic was told when it happened.
pub fn pass_on(ended: Result<(), JoinError>) {
    if let Err(Ok(panic)) = ended.map_err(JoinError::try_into_panic) {
        resume_unwind(panic);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use tokio::task::JoinSet;

    use super::*;

    fn told(vitals: &Vitals) -> Vec<String> {
        vitals.ended().iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn whatever_ends_before_the_end_is_due_is_told() {
        let vitals = Vitals::default();
        let (first, second) = (vitals.hold("worker-0"), vitals.hold("worker-1"));
        assert_eq!(told(&vitals), Vec::<String>::new());
        let (ended, ()) = tokio::join!(vitals.first_ended(), first.during(async {}));
        assert_eq!(ended.to_string(), "worker-0 ended by itself");
        assert_eq!(vitals.first_ended().await, ended, "it is remembered");
        vitals.end_is_due();
        drop(second);
        assert_eq!(told(&vitals), ["worker-0 ended by itself"]);
    }

    #[tokio::test]
    async fn a_panic_is_told_even_when_the_end_is_due() {
        let vitals = Vitals::default();
        vitals.end_is_due();
        let (task, thread) = (vitals.hold("listener"), vitals.hold("worker-0"));
        let mut tasks = JoinSet::new();
        tasks.spawn(task.during(async { panic!("of a task") }));
        assert!(tasks.join_next().await.unwrap().is_err());
        let caught = catch_unwind(AssertUnwindSafe(move || {
            let _vital = thread;
            panic!("of a thread");
        }));
        assert!(caught.is_err());
        assert_eq!(told(&vitals), ["listener panicked", "worker-0 panicked"]);
    }
}
