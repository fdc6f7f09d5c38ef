//! What a process has once, whatever runs in it: the program log, and the knowledge of what must not end.

use std::io::{self, IsTerminal};
use std::time::Duration;

use anyhow::Context;

use crate::config::{LogFormat, LogSettings};
use crate::lifecycle::vital::Vitals;
use crate::telemetry::program_log::{ProgramLog, Shape};

/// The last lines of the program log have this long to be written.
const LOG_GRACE: Duration = Duration::from_secs(1);

/// Without a log, as in tests, by default. Dropped, at the end of the process, it waits for the last lines
/// to be written, but not for ever: nobody may be reading.
#[derive(Debug, Default)]
pub struct Process {
    /// Knows what ended too early.
    pub vitals: Vitals,
    pub(super) log: Option<ProgramLog>,
}

impl Process {
    /// Sends the program log to standard error, in the shape that was asked for.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub fn start(settings: &LogSettings) -> anyhow::Result<Self> {
        let ansi = io::stderr().is_terminal();
        let json = match settings.format {
            LogFormat::Json => true,
            LogFormat::Text => false,
            LogFormat::Auto => !ansi,
        };
        let vitals = Vitals::default();
        let shape = Shape { level: &settings.level, json, ansi };
        let log = ProgramLog::start(shape, vitals.hold("program-log"))
            .context("starting the program log's thread")?;
        Ok(Self { vitals, log: Some(log) })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.vitals.end_is_due();
        if let Some(log) = &self.log {
            log.finish(LOG_GRACE);
        }
    }
}
