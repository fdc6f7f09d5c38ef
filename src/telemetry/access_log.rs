//! One JSON line per request on standard output, written in batches off the request's path.
//!
//! A worker fills a buffer of its own; full or at the next tick it goes through a bounded
//! queue to one writer thread. When the reader of our output is too slow the queue fills,
//! and lines are dropped and counted rather than requests delayed.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use super::line::{Clock, Line};

/// A batch is passed on when it is this large; about 150 lines. Each wakes the writer.
const BATCH_BYTES: usize = 64 * 1024;

/// Batches that may wait for the writer: 4 MiB at the most.
const QUEUE: usize = 64;

/// How long a line may wait for its batch.
pub const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// The queue's two ends: one for every worker's [`AccessLog`], one for [`write_to_stdout`].
#[must_use]
pub fn channel() -> (SyncSender<Vec<u8>>, Receiver<Vec<u8>>) {
    sync_channel(QUEUE)
}

/// Starts the thread that writes batches until every worker's log is gone; join it at the end.
///
/// # Errors
/// When the thread cannot be started.
pub fn write_to_stdout(batches: Receiver<Vec<u8>>) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("access-log".into()).spawn(move || {
        let mut broken = false;
        for batch in batches {
            if broken {
                continue;
            }
            if let Err(error) = io::stdout().lock().write_all(&batch) {
                tracing::error!("the access log cannot be written to standard output any more: {error}");
                broken = true;
            }
        }
    })
}

/// One worker's end.
#[derive(Debug)]
pub struct AccessLog {
    queue: Option<SyncSender<Vec<u8>>>,
    batch: RefCell<Vec<u8>>,
    dropped: Cell<u64>,
    clock: RefCell<Clock>,
}

impl AccessLog {
    /// Writes to `queue`; `None` writes nothing.
    #[must_use]
    pub fn new(queue: Option<SyncSender<Vec<u8>>>) -> Self {
        Self { queue, batch: RefCell::default(), dropped: Cell::new(0), clock: RefCell::default() }
    }

    /// Whether lines are wanted at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Adds a line.
    pub fn record(&self, line: &Line<'_>) {
        let mut batch = self.batch.borrow_mut();
        line.write(&mut batch, &mut self.clock.borrow_mut());
        let full = batch.len() >= BATCH_BYTES;
        drop(batch);
        if full {
            self.flush();
        }
    }

    /// Passes on what there is.
    pub fn flush(&self) {
        let Some(queue) = &self.queue else { return };
        if self.batch.borrow().is_empty() {
            return;
        }
        let batch = self.batch.replace(Vec::with_capacity(BATCH_BYTES));
        match queue.try_send(batch) {
            Ok(()) => self.report_dropped(),
            // Not full yet: it can wait for the writer.
            Err(TrySendError::Full(batch)) if batch.len() < BATCH_BYTES => *self.batch.borrow_mut() = batch,
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => {
                let lines = batch.iter().filter(|byte| **byte == b'\n').count() as u64;
                self.dropped.set(self.dropped.get() + lines);
            }
        }
    }

    /// Passes on what there is and waits until there is room, unless the writer is gone.
    fn flush_last(&self) {
        let batch = self.batch.take();
        if let Some(queue) = self.queue.as_ref().filter(|_| !batch.is_empty()) {
            // Without a writer there is nobody to tell.
            let _ = queue.send(batch);
        }
    }

    fn report_dropped(&self) {
        let dropped = self.dropped.take();
        if dropped > 0 {
            tracing::warn!(
                "access log: {dropped} lines were dropped because the reader of standard output was too slow"
            );
        }
    }
}

impl Drop for AccessLog {
    /// Whoever records last, at the end of a drain or after it was cut: the line goes out.
    fn drop(&mut self) {
        self.flush_last();
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn lines_wait_for_a_batch_and_are_dropped_rather_than_delayed() {
        let (queue, batches) = sync_channel(1);
        let log = AccessLog::new(Some(queue));
        let line = Line {
            time: SystemTime::UNIX_EPOCH,
            request_id: "1",
            client: "127.0.0.1",
            peer: "127.0.0.1:1",
            certificate: Some("CN=a\"\n{}"),
            fingerprint: None,
            consumer: None,
            group: None,
            method: "GET",
            host: "h",
            path: "/",
            protocol: "HTTP/1.1",
            status: 200,
            bytes_in: 0,
            bytes_out: 1,
            duration: Duration::from_micros(500),
            upstream_took: None,
            upstream: None,
            reason: None,
        };
        log.record(&line);
        assert!(batches.try_recv().is_err(), "one line is no batch");
        log.flush();
        log.record(&line);
        log.flush();
        assert_eq!(log.dropped.get(), 0, "a batch that is not full waits for the queue");
        while log.dropped.get() == 0 {
            log.record(&line);
        }
        assert!(log.batch.borrow().is_empty(), "the full batch was dropped");
        let batch = String::from_utf8(batches.recv().unwrap()).unwrap();
        drop(log);
        assert!(batches.recv().is_err(), "the dropped line is gone, and nothing else was waiting");
        let parsed: serde_json::Value = serde_json::from_str(batch.trim_end()).unwrap();
        assert_eq!(batch.lines().count(), 1);
        assert_eq!(
            (&parsed["time"], &parsed["certificate"]),
            (&"1970-01-01T00:00:00.000Z".into(), &"CN=a\"\n{}".into())
        );
    }
}
