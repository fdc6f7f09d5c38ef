//! The process itself: threads, stopping, logs, and how strict it is with weak settings.
//!
//! Said in [`ProcessSettings`]; `compile` puts most of it into the `Config`. [`LogSettings`]
//! are apart, because logging starts before everything else.

use std::thread;

use super::problem::{Problem, Problems, Said};
use super::value;

/// How the process runs and what it writes.
#[derive(Debug, Clone, clap::Args, serde::Deserialize)]
#[command(next_help_heading = "Process")]
pub(super) struct ProcessSettings {
    /// Threads, each with its own connections; `auto`: one for each core the process may use.
    #[arg(long, value_name = "N", default_value = "auto")]
    pub(super) workers: Said,

    /// After SIGTERM: how long work in flight may go on. A bare number is seconds.
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(super) drain_timeout: Said,

    /// What to do with settings that work but weaken security: `warn` or `refuse`.
    #[arg(long, value_name = "warn|refuse", default_value = "warn")]
    pub(super) insecure: Said,

    /// `trace`, `debug`, `info`, `warn`, `error` or `off`; also for a part of the program, as in
    /// `info,mtls_bridge::proxy=debug`. Kong's `notice`, `crit`, `alert` and `emerg` are known.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(super) log_level: Said,

    /// `text`, `json`, or `auto`: text on a terminal, JSON elsewhere. The log goes to stderr.
    #[arg(long, value_name = "text|json|auto", default_value = "auto")]
    pub(super) log_format: Said,

    /// Whether one line for each request goes to stdout.
    #[arg(long, value_name = "on|off", default_value = "on")]
    pub(super) access_log: Said,
}

/// How the program log is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Directives that `tracing_subscriber`'s filters understand, such as `info,h2=warn`.
    pub level: String,
    /// The shape of a line.
    pub format: LogFormat,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
}

/// What to do with settings that weaken security.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Insecure {
    /// Work, and say so.
    Warn,
    /// Do not start.
    Refuse,
}

impl LogSettings {
    pub(super) fn compile(settings: &ProcessSettings, problems: &mut Problems) -> Self {
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json), ("auto", LogFormat::Auto)];
        Self {
            level: problems.value(level(&settings.log_level)),
            format: problems.value(value::word(&settings.log_format, &formats)),
        }
    }
}

impl Insecure {
    pub(super) fn parse(said: &Said) -> Result<Self, Problem> {
        value::word(said, &[("warn", Self::Warn), ("refuse", Self::Refuse)])
    }
}

/// `auto` asks the system, which knows about CPU affinity and cgroups.
pub(super) fn workers(said: &Said) -> Result<usize, Problem> {
    if said.value().eq_ignore_ascii_case("auto") {
        return Ok(thread::available_parallelism().map_or(1, usize::from));
    }
    value::count(said, 1..=WORKERS).map_err(|_| {
        Problem::new(said, "not a number of threads", format!("write auto, or a number from 1 to {WORKERS}"))
    })
}

/// Levels in the words of `tracing`, alone or as `target=level`.
fn level(said: &Said) -> Result<String, Problem> {
    let parts = value::list(said);
    let directives: Option<Vec<_>> = parts.iter().map(|part| directive(part.value())).collect();
    match directives {
        Some(directives) if !directives.is_empty() => Ok(directives.join(",")),
        _ => {
            let advice = "write trace, debug, info, warn, error or off, or for example info,h2=warn";
            Err(Problem::new(said, "not a log level", advice))
        }
    }
}

fn directive(text: &str) -> Option<String> {
    let (target, word) = text.split_once('=').map_or((None, text), |(target, word)| (Some(target), word));
    let level = match word.to_ascii_lowercase().as_str() {
        "trace" => "trace",
        "debug" => "debug",
        "info" | "notice" => "info",
        "warn" => "warn",
        "error" | "crit" | "alert" | "emerg" => "error",
        "off" => "off",
        _ => return None,
    };
    match target {
        None => Some(level.to_owned()),
        Some(target) => {
            let module = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            (!target.is_empty() && target.chars().all(module)).then(|| format!("{target}={level}"))
        }
    }
}

/// Far above any machine's cores; more is a slip of the finger.
const WORKERS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    #[test]
    fn levels() {
        let check = |value: &str, expected: Result<&str, &str>| {
            let said = Said::new("log_level", value, Origin::DEFAULT);
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(level(&said).map_err(|problem| problem.to_string()), expected);
        };
        check("INFO", Ok("info"));
        check("notice", Ok("info"));
        check("info, mtls_bridge::proxy=debug", Ok("info,mtls_bridge::proxy=debug"));
        for value in ["verbose", "info,h2", "=debug", "a b=debug"] {
            let line = "not a log level; \
                        write trace, debug, info, warn, error or off, or for example info,h2=warn";
            check(value, Err(&format!("log_level={value} (default): {line}")));
        }
    }

    #[test]
    fn threads() {
        let of = |value| workers(&Said::new("workers", value, Origin::DEFAULT));
        assert!(of("auto").unwrap() >= 1);
        assert_eq!(of("4"), Ok(4));
        let line = "workers=0 (default): not a number of threads; write auto, or a number from 1 to 1024";
        assert_eq!(of("0").unwrap_err().to_string(), line);
    }
}
