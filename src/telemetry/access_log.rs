//! One JSON line per request on standard output, written in batches off the request's path.
//!
//! A worker fills a buffer of its own; full or at the next tick it goes through a bounded queue to one
//! writer thread (`output`). When standard output takes nothing, or too little, the queue fills, and lines
//! are dropped and counted rather than requests delayed.

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use super::line::{Clock, Line};
use super::output::{self, Bounds, Output, Queue};
use crate::lifecycle::vital::Vital;

/// A batch is passed on when it is this large; about 150 lines. Each wakes the writer.
const BATCH_BYTES: usize = 64 * 1024;

/// What may wait for standard output: 4 MiB, and at the end one last batch of each worker.
const BOUNDS: Bounds = Bounds { pieces: 1024, bytes: 4 * 1024 * 1024 };

/// How long a line may wait for its batch.
pub const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// Starts the thread that writes batches to standard output; `vital` is told if it ends.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(vital: Vital) -> io::Result<Output> {
    let to = output::unbuffered(io::stdout())?;
    Output::start("access log", "access-log", BOUNDS, to, vital)
}

/// One worker's end.
#[derive(Debug)]
pub struct AccessLog {
    queue: Option<Queue>,
    batch: RefCell<Vec<u8>>,
    clock: RefCell<Clock>,
}

impl AccessLog {
    /// Writes to `queue`; `None` writes nothing.
    #[must_use]
    pub fn new(queue: Option<Queue>) -> Self {
        Self { queue, batch: RefCell::default(), clock: RefCell::default() }
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
        match queue.push(batch) {
            Ok(()) => {}
            // Not full yet: it can wait for the writer.
            Err(batch) if batch.len() < BATCH_BYTES => *self.batch.borrow_mut() = batch,
            Err(batch) => queue.lose(&batch),
        }
    }
}

impl Drop for AccessLog {
    /// Whoever records last, at the end of a drain or after it was cut: the line goes out.
    fn drop(&mut self) {
        let batch = self.batch.take();
        if let Some(queue) = self.queue.as_ref().filter(|_| !batch.is_empty()) {
            queue.push_last(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::lifecycle::vital::Vitals;

    #[test]
    fn lines_wait_for_a_batch_and_are_dropped_rather_than_delayed() {
        let (reader, to) = io::pipe().unwrap();
        let vitals = Vitals::default();
        let bounds = Bounds { pieces: 1, bytes: BOUNDS.bytes };
        let output =
            Output::start("access log", "access-log", bounds, to, vitals.hold("access-log")).unwrap();
        let log = AccessLog::new(Some(output.queue()));
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
        assert!(!log.batch.borrow().is_empty(), "one line is no batch");
        // Until the pipe is full, then the queue, then one batch of ours.
        let mut recorded = 1;
        while output.queue().lost_total() == 0 {
            log.record(&line);
            recorded += 1;
        }
        assert!(log.batch.borrow().is_empty(), "the full batch was dropped");
        // The writer may just have made room; then the next line finds none, for nobody reads.
        while log.batch.borrow().is_empty() {
            log.record(&line);
            recorded += 1;
            log.flush();
        }
        let lost = output.queue().lost_total();
        drop(log);
        let read = std::thread::spawn(move || io::read_to_string(reader).unwrap());
        vitals.end_is_due();
        assert_eq!(output.finish(Duration::from_secs(20)), 0);
        let text = read.join().unwrap();
        assert_eq!(
            text.lines().count() as u64,
            recorded - lost,
            "a batch that is not full waits for the queue"
        );
        let parsed: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(
            (&parsed["time"], &parsed["certificate"]),
            (&"1970-01-01T00:00:00.000Z".into(), &"CN=a\"\n{}".into())
        );
    }
}
