//! The program log: what `tracing` is told, on standard error, without anybody waiting for it.
//!
//! A line is formatted where it arises and goes into a bounded queue; a thread of its own writes it. Lines
//! that strangers cause are bounded (`flood`), and panics become lines like all others.

use std::fmt;
use std::io;
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::Metadata;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::MakeWriterExt;

use super::flood::{Flood, Rest};
use super::output::{self, Bounds, Output, Queue};
use super::panics::PanicReport;
use crate::lifecycle::vital::Vital;

/// What may wait for standard error: 4 MiB, about 16,000 lines.
const BOUNDS: Bounds = Bounds { pieces: 32_768, bytes: 4 * 1024 * 1024 };

/// How often the lines that were left out are counted.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// The shape of the log.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// Directives that `tracing_subscriber`'s filters understand, such as `info,h2=warn`.
    pub level: &'a str,
    /// One JSON object a line; otherwise text.
    pub json: bool,
    /// Colours, for a terminal.
    pub ansi: bool,
}

/// The running log.
pub struct ProgramLog {
    output: Output,
    flood: Arc<Flood>,
}

impl fmt::Debug for ProgramLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgramLog").field("output", &self.output).finish_non_exhaustive()
    }
}

impl ProgramLog {
    /// Starts it for the whole process, on standard error; `vital` is told if its thread ends. A log that
    /// is there already, as in tests, stays.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub fn start(shape: Shape<'_>, vital: Vital) -> io::Result<Self> {
        let to = output::unbuffered(io::stderr())?;
        let output = Output::start("program log", "program-log", BOUNDS, to, vital)?;
        let flood = Arc::new(Flood::default());
        let (queue, bound) = (output.queue(), Arc::clone(&flood));
        let lines = move || Line(queue.clone());
        let lines = lines.with_filter(move |line: &Metadata<'_>| bound.admits(line, Instant::now()));
        let log = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(shape.level))
            .with_writer(lines)
            // It would print them to standard error, and panic where that fails.
            .log_internal_errors(false)
            .with_ansi(shape.ansi);
        let _ = if shape.json { log.json().flatten_event(true).try_init() } else { log.try_init() };
        panic::set_hook(Box::new(tell_panic));
        Ok(Self { output, flood })
    }

    /// Lines lost, by themselves.
    #[must_use]
    pub fn queue(&self) -> Queue {
        self.output.queue()
    }

    /// Tells once a second what was left out, for as long as it is polled.
    pub fn tell_rest(&self) -> impl Future<Output = ()> + use<> {
        let flood = Arc::clone(&self.flood);
        async move {
            loop {
                tokio::time::sleep(COUNT_EVERY).await;
                flood.rest(Instant::now()).into_iter().for_each(Rest::tell);
            }
        }
    }

    /// The end: waits until all is written, but no longer than `grace`. There is nobody to be told of
    /// what could not be.
    pub fn finish(&self, grace: Duration) {
        self.flood.last_rest(Instant::now()).into_iter().for_each(Rest::tell);
        let _ = self.output.finish(grace);
    }
}

/// Takes one line, whole: that is how `tracing_subscriber` writes them.
struct Line(Queue);

impl io::Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(line) = self.0.push(line.to_vec()) {
            self.0.lose(&line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// In place of the library's own, which writes to standard error and waits for its reader.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let PanicReport { place, thread, what } = PanicReport::of(panic);
    tracing::error!(panicked_at = place, thread, "{what}; this is a fault of mtls-bridge, please report it");
}
