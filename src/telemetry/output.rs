//! A bounded queue, and a thread that writes it to a descriptor: nobody else waits for a disk, a pipe or
//! its reader.
//!
//! The program log and the access log have one each. What does not fit is lost and counted; a descriptor
//! that cannot be written is tried again, and when it works again the log says what was lost.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::lifecycle::vital::Vital;

/// After a write that failed the next try waits so long, then twice, …
const TRY_AGAIN: Duration = Duration::from_millis(20);
/// … but no longer than this: what has room again is written again within it.
const TRY_AGAIN_MAX: Duration = Duration::from_secs(1);

/// Troubles that go on are told so often at the most.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How much may wait to be written; what comes beyond it is lost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Pieces: lines, or batches of lines.
    pub(super) pieces: usize,
    /// Bytes in all of them.
    pub(super) bytes: usize,
}

/// The end that is written to; clones share it. No call waits for the descriptor.
#[derive(Debug, Clone)]
pub struct Queue(Arc<Shared>);

/// The queue and the thread that empties it.
#[derive(Debug)]
pub struct Output(Queue);

#[derive(Debug)]
struct Shared {
    /// What is written, as the log calls it: `program log`.
    name: &'static str,
    bounds: Bounds,
    state: Mutex<State>,
    /// There is something to write, or nothing more will come.
    filled: Condvar,
    /// The thread is gone.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Lines of the piece that is being written.
    writing: u64,
    /// Lost and not told yet, in lines.
    lost: u64,
    lost_total: u64,
    closed: bool,
    ended: bool,
}

impl Queue {
    fn new(name: &'static str, bounds: Bounds) -> Self {
        let (state, filled, ended) = Default::default();
        Self(Arc::new(Shared { name, bounds, state, filled, ended }))
    }

    /// Takes whole lines, or gives them back when there is no room.
    ///
    /// # Errors
    /// The same bytes.
    pub(super) fn push(&self, piece: Vec<u8>) -> Result<(), Vec<u8>> {
        let Bounds { pieces, bytes } = self.0.bounds;
        let mut state = self.state();
        if state.waiting.len() >= pieces || state.bytes + piece.len() > bytes {
            return Err(piece);
        }
        self.add(&mut state, piece);
        Ok(())
    }

    /// Takes the last lines of somebody who ends, beyond the bounds too: once for each worker.
    pub(super) fn push_last(&self, piece: Vec<u8>) {
        self.add(&mut self.state(), piece);
    }

    /// Counts what had no room.
    pub(super) fn lose(&self, piece: &[u8]) {
        let mut state = self.state();
        state.lost += lines(piece);
        state.lost_total += lines(piece);
    }

    /// Lines lost since the start.
    #[must_use]
    pub fn lost_total(&self) -> u64 {
        self.state().lost_total
    }

    fn add(&self, state: &mut State, piece: Vec<u8>) {
        state.bytes += piece.len();
        state.waiting.push_back(piece);
        self.0.filled.notify_one();
    }

    /// Held for a few moves of memory, never while something is written.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Output {
    /// Starts the thread, called `thread`, that writes to `to`. `vital` is told when it ends.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn start(
        name: &'static str,
        thread: &'static str,
        bounds: Bounds,
        to: impl Write + Send + 'static,
        vital: Vital,
    ) -> io::Result<Self> {
        let queue = Queue::new(name, bounds);
        let writer = Writer { queue: queue.clone(), to, cause: None, told: None };
        thread::Builder::new().name(thread.into()).spawn(move || {
            // Dropped last, after it is known that the thread has ended.
            let _vital = vital;
            writer.run();
        })?;
        Ok(Self(queue))
    }

    /// Where lines are given.
    #[must_use]
    pub fn queue(&self) -> Queue {
        self.0.clone()
    }

    /// Nothing more comes: waits until all is written, but no longer than `grace`, since nobody may be
    /// reading. Gives the number of lines that were not written.
    #[must_use]
    pub fn finish(&self, grace: Duration) -> u64 {
        let Queue(shared) = &self.0;
        let mut state = self.0.state();
        state.closed = true;
        shared.filled.notify_one();
        let waited = shared.ended.wait_timeout_while(state, grace, |state| !state.ended);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.writing + state.waiting.iter().map(|piece| lines(piece)).sum::<u64>()
    }
}

/// Standard output or standard error without the buffer and the lock that the library puts before it.
///
/// # Errors
/// When there is no descriptor left.
pub(super) fn unbuffered(standard: impl AsFd) -> io::Result<File> {
    Ok(File::from(standard.as_fd().try_clone_to_owned()?))
}

fn lines(piece: &[u8]) -> u64 {
    piece.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// The thread's side.
struct Writer<W> {
    queue: Queue,
    to: W,
    /// Why it cannot be written, or could not since losses were told the last time.
    cause: Option<io::Error>,
    told: Option<Instant>,
}

impl<W: Write> Writer<W> {
    fn run(mut self) {
        let _ended = Ended(self.queue.clone());
        while let Some(piece) = self.next() {
            if !self.write(&piece) {
                return;
            }
            let is_empty = {
                let mut state = self.queue.state();
                state.writing = 0;
                state.waiting.is_empty()
            };
            if is_empty || self.is_due() {
                self.tell_losses();
            }
        }
    }

    /// The next piece; `None` when no more will come.
    fn next(&self) -> Option<Vec<u8>> {
        let state = self.queue.state();
        let waits = |state: &mut State| state.waiting.is_empty() && !state.closed;
        let waited = self.queue.0.filled.wait_while(state, waits);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let piece = state.waiting.pop_front()?;
        state.bytes -= piece.len();
        state.writing = lines(&piece);
        Some(piece)
    }

    /// Writes all of it, however long that takes; `false` when it fails at the end, when it is not waited for.
    fn write(&mut self, piece: &[u8]) -> bool {
        let mut rest = piece;
        let mut wait = TRY_AGAIN;
        while !rest.is_empty() {
            let error = match self.to.write(rest) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(taken) => {
                    rest = &rest[taken..];
                    wait = TRY_AGAIN;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            if error.kind() == io::ErrorKind::BrokenPipe {
                rest = self.whole_lines(piece, rest);
            }
            // A descriptor that somebody else set to not waiting is full as a pipe is, and not broken.
            let is_full = error.kind() == io::ErrorKind::WouldBlock;
            self.note(error, is_full);
            if self.pause(wait) && !is_full {
                return false;
            }
            wait = (wait * 2).min(TRY_AGAIN_MAX);
        }
        true
    }

    /// What is left of `piece` when its reader went away in the middle of a line: another one is not to
    /// begin with the second half.
    fn whole_lines<'a>(&self, piece: &[u8], rest: &'a [u8]) -> &'a [u8] {
        let written = piece.len() - rest.len();
        if written == 0 || piece[written - 1] == b'\n' {
            return rest;
        }
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        self.queue.lose(&rest[..end]);
        &rest[end..]
    }

    /// Keeps why it cannot be written; the first of a series is told at once.
    fn note(&mut self, error: io::Error, is_full: bool) {
        if self.cause.is_none() && !is_full && self.is_due() {
            self.told = Some(Instant::now());
            tracing::error!("the {} cannot be written: {error}; it is tried again", self.queue.0.name);
        }
        self.cause = Some(error);
    }

    /// Waits before the next try; `true` when nothing more will come, and nobody waits for this.
    fn pause(&self, wait: Duration) -> bool {
        let state = self.queue.state();
        if state.closed {
            drop(state);
            // The last tries, of a descriptor that is full, until whoever closed it has waited enough.
            thread::sleep(TRY_AGAIN);
            return true;
        }
        drop(self.queue.0.filled.wait_timeout_while(state, wait, |state| !state.closed));
        false
    }

    fn is_due(&self) -> bool {
        self.told.is_none_or(|at| at.elapsed() >= TELL_EVERY)
    }

    /// After something was written.
    fn tell_losses(&mut self) {
        let lost = std::mem::take(&mut self.queue.state().lost);
        let name = self.queue.0.name;
        let cause = self.cause.take();
        if lost == 0 && cause.is_none() {
            return;
        }
        self.told = Some(Instant::now());
        match cause {
            Some(error) if lost == 0 => {
                tracing::info!("the {name} is written again, without a loss, after: {error}")
            }
            Some(error) => {
                tracing::error!(lost, "the {name} is written again; {lost} lines of it were lost: {error}")
            }
            None => {
                tracing::error!(lost, "{lost} lines of the {name} were lost, because its reader was too slow")
            }
        }
    }
}

/// Tells whoever waits for the thread's end, however it comes.
struct Ended(Queue);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.0.ended.notify_all();
    }
}

#[cfg(test)]
mod tests;
