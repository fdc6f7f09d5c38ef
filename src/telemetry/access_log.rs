//! One JSON line per request on standard output, written in batches off the request's path.
//!
//! A worker fills a buffer of its own; full or at the next tick it goes through a bounded
//! queue to one writer thread. When the reader of our output is too slow the queue fills,
//! and lines are dropped and counted rather than requests delayed.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// A batch is passed on when it is this large; about 150 lines. Each wakes the writer.
const BATCH_BYTES: usize = 64 * 1024;

/// Batches that may wait for the writer: 4 MiB at the most.
const QUEUE: usize = 64;

/// How long a line may wait for its batch.
pub const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// What one request was and came to. Times in ms, sizes in bytes of bodies.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    /// When the request's head was read; RFC 3339, UTC, ms.
    pub time: &'a str,
    /// `X-Kong-Request-Id`.
    pub request_id: &'a str,
    /// The believed address of the client.
    pub client: &'a str,
    /// Address and port at the other end of the connection.
    pub peer: &'a str,
    /// RFC 4514 subject of the certificate, accepted or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<&'a str>,
    /// SHA-256 of the certificate, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<&'a str>,
    /// The authenticated group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<&'a str>,
    /// HTTP method.
    pub method: &'a str,
    /// `Host` or `:authority`.
    pub host: &'a str,
    /// Path without query, which may hold secrets.
    pub path: &'a str,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: &'a str,
    /// Status sent to the caller; 0 when the connection ended before there was one.
    pub status: u16,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// From head read to the last byte given to the connection.
    pub duration_ms: f64,
    /// From sending upstream to the response's head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_ms: Option<f64>,
    /// Where it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<&'a str>,
    /// Why it was denied, failed or was cut short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
}

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

    /// A [`Line`]'s time: RFC 3339 in UTC with milliseconds, `2026-11-21T19:10:05.123Z`.
    #[must_use]
    pub fn timestamp(&self, at: SystemTime) -> String {
        self.clock.borrow_mut().timestamp(at)
    }

    /// Adds a line.
    pub fn record(&self, line: &Line<'_>) {
        let mut batch = self.batch.borrow_mut();
        let start = batch.len();
        match line.serialize(&mut Serializer::with_formatter(&mut *batch, Ascii)) {
            Ok(()) => batch.push(b'\n'),
            // Strings and numbers always serialize; half a line must not stay all the same.
            Err(_) => batch.truncate(start),
        }
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

/// JSON in ASCII: a path may hold what terminals and readers of lines obey, such as U+009B, which
/// begins an ANSI sequence, or U+2028.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.is_ascii() {
            return writer.write_all(fragment.as_bytes());
        }
        for character in fragment.chars() {
            if character.is_ascii() {
                writer.write_all(&[character as u8])?;
                continue;
            }
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

/// Formats a time without calculating the calendar more than once a second.
#[derive(Debug, Default)]
struct Clock {
    second: u64,
    /// The text of `second`, up to the point before the milliseconds; empty before the first.
    text: String,
}

impl Clock {
    fn timestamp(&mut self, at: SystemTime) -> String {
        // The clock of a machine without a battery begins in 1970, never before.
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if self.text.is_empty() || self.second != since.as_secs() {
            self.second = since.as_secs();
            self.text = to_the_second(at);
        }
        let millis = since.subsec_millis();
        let mut text = String::with_capacity(self.text.len() + 4);
        text.push_str(&self.text);
        for digit in [millis / 100, millis / 10 % 10, millis % 10] {
            text.extend(char::from_digit(digit, 10));
        }
        text.push('Z');
        text
    }
}

fn to_the_second(at: SystemTime) -> String {
    const FORMAT: &[BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].");
    // A year beyond 9999 cannot be formatted; an empty date is the honest answer then.
    OffsetDateTime::from(at).format(FORMAT).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wait_for_a_batch_and_are_dropped_rather_than_delayed() {
        let (queue, batches) = sync_channel(1);
        let log = AccessLog::new(Some(queue));
        let line = Line {
            time: &log.timestamp(SystemTime::UNIX_EPOCH),
            request_id: "1",
            client: "127.0.0.1",
            peer: "127.0.0.1:1",
            certificate: Some("CN=a\"\n{}"),
            fingerprint: None,
            group: None,
            method: "GET",
            host: "h",
            path: "/",
            protocol: "HTTP/1.1",
            status: 200,
            bytes_in: 0,
            bytes_out: 1,
            duration_ms: 0.5,
            upstream_ms: None,
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

    #[test]
    fn times_are_right_within_a_second_and_beyond_it() {
        let mut clock = Clock::default();
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (7, "1970-01-01T00:00:00.007Z"),
            (1_999, "1970-01-01T00:00:01.999Z"),
            (1_420, "1970-01-01T00:00:01.420Z"),
            (1_795_289_405_123, "2026-11-21T19:30:05.123Z"),
        ] {
            assert_eq!(clock.timestamp(SystemTime::UNIX_EPOCH + Duration::from_millis(millis)), expected);
        }
    }
}
