//! Readiness is the set of named tasks that are still pending, so that `/status/ready`
//! can say what it waits for.
//!
//! `app` blocks on what must happen first; whoever makes it happen drops the guard.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A handle on the set; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    pending: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

impl Readiness {
    /// Adds a task; not ready until the guard is dropped. The same name may block several times.
    #[must_use = "readiness is given the moment the guard is dropped"]
    pub fn block(&self, task: &'static str) -> BlockReady {
        self.change(|pending| *pending.entry(task).or_default() += 1);
        BlockReady { readiness: self.clone(), task }
    }

    /// The tasks still pending, in alphabetical order; empty when ready.
    #[must_use]
    pub fn pending(&self) -> Vec<&'static str> {
        self.change(|pending| pending.keys().copied().collect())
    }

    /// The lock is held for a map operation only, never across an await.
    fn change<T>(&self, operation: impl FnOnce(&mut BTreeMap<&'static str, usize>) -> T) -> T {
        operation(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Keeps the program from being ready while it lives.
#[derive(Debug)]
pub struct BlockReady {
    readiness: Readiness,
    task: &'static str,
}

impl Drop for BlockReady {
    fn drop(&mut self) {
        self.readiness.change(|pending| {
            if let Some(count) = pending.get_mut(self.task) {
                *count -= 1;
                if *count == 0 {
                    pending.remove(self.task);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_the_last_guard_of_every_task_is_gone() {
        let readiness = Readiness::default();
        let listeners = readiness.block("listeners");
        let upstream = readiness.block("upstream");
        let upstream_too = readiness.block("upstream");
        assert_eq!(readiness.pending(), ["listeners", "upstream"]);
        drop(listeners);
        drop(upstream);
        assert_eq!(readiness.pending(), ["upstream"]);
        drop(upstream_too);
        assert!(readiness.pending().is_empty());
    }
}
