//! The lines a child process writes, collected as they come and waited for.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use super::PATIENCE;

/// All lines so far; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Lines(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Collects what `from` gives, until it ends.
    pub fn collect(from: impl Read + Send + 'static) -> Self {
        let collected = Self::default();
        let lines = collected.clone();
        thread::spawn(move || {
            for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
                lines.state().lines.push(String::from_utf8_lossy(&line).into_owned());
                lines.0.1.notify_all();
            }
            lines.state().ended = true;
            lines.0.1.notify_all();
        });
        collected
    }

    /// Reads nothing, and keeps `from` open for as long as the program runs.
    pub fn hold(from: impl Send + 'static) -> Self {
        thread::spawn(move || {
            loop {
                thread::park();
                let _ = &from;
            }
        });
        Self::default()
    }

    /// The first line that `wanted` takes, waited for; fails with all lines if none comes.
    pub fn wait<T>(&self, what: &str, wanted: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state();
        let mut looked_at = 0;
        loop {
            if let Some(found) = state.lines[looked_at..].iter().find_map(|line| wanted(line)) {
                return found;
            }
            looked_at = state.lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.ended {
                let lines = state.lines.join("\n");
                // Failing with the lock held would make it fail a second time, in the cleaning up.
                drop(state);
                panic!("no line with {what} among:\n{lines}");
            }
            state = self.0.1.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits until `wanted` takes this many lines.
    pub fn wait_times(&self, times: usize, what: &str, wanted: impl Fn(&str) -> Option<()>) {
        let seen = std::cell::Cell::new(0);
        self.wait(what, |line| {
            seen.set(seen.get() + wanted(line).iter().count());
            (seen.get() >= times).then_some(())
        });
    }

    /// The first line that contains `text`.
    pub fn containing(&self, text: &str) -> String {
        self.wait(text, |line| line.contains(text).then(|| line.to_owned()))
    }

    /// The first line of JSON that `wanted` takes.
    pub fn json(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.wait(what, |line| serde_json::from_str(line).ok().filter(|value| wanted(value)))
    }

    /// All lines, after the stream ended.
    pub fn all(&self) -> Vec<String> {
        let state = self.state();
        let (state, late) = self.0.1.wait_timeout_while(state, PATIENCE, |state| !state.ended).unwrap();
        assert!(!late.timed_out(), "the process still writes");
        state.lines.clone()
    }

    /// A test that fails here still shows the lines.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lines so far, without waiting.
    pub fn so_far(&self) -> Vec<String> {
        self.state().lines.clone()
    }
}
