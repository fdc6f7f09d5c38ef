//! The commands, a file each: the arguments as clap reads them, and a `run` that does what they say.
//!
//! [`run`] is what `main` calls. Exit codes are decided here and nowhere else: 0 done,
//! 1 failed while running, or refused for something that time may heal (a certificate that has expired or is
//! not valid yet), 2 configuration refused.

mod arguments;
pub mod check;
mod console;
pub mod demo;
pub mod echo;
pub mod healthcheck;
pub mod pair;
pub mod pause;
pub mod pki;

use std::iter;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::console::{print, say};
use crate::app::{self, App, End, InForce, Process};
use crate::config::{self, Layers, Loaded, Mode, Problem, Problems};
use crate::lifecycle::descriptors;
use crate::lifecycle::signal::Signals;
use crate::snapshot::{self, Snapshot};
use crate::telemetry::panics::PanicReport;

/// A mutual-TLS sidecar: presents a client certificate for an application, and asks for one
/// in front of a service.
///
/// Configured by environment variables (CLIENT_SSL_CERT=…), a TOML file, or flags.
/// Without a command, MODE decides between reverse-proxy and gateway.
#[derive(Debug, Parser)]
#[command(name = "mtls-bridge", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take plain HTTP from an application and send it on over TLS with a client certificate
    ReverseProxy(Running),
    /// Stand in front of a service, ask callers for certificates, decide who may pass
    Gateway(Running),
    /// Run the whole chain on loopback and print what to try with curl
    Demo(demo::Demo),
    /// Make a private CA and certificates for trying things
    #[command(subcommand)]
    Pki(pki::Pki),
    Pair(pair::Pair),
    /// Print the effective configuration with the origin of each value, or every problem
    Check(Checking),
    /// Answer any request with what it received, as JSON
    Echo(echo::Echo),
    /// Ask the own status listener; exit 0 when healthy
    Healthcheck(Running),
    /// Do nothing until a signal: owns a network namespace that an application and its bridge share
    Pause,
}

/// Every setting as a flag.
#[derive(Debug, Args)]
struct Running {
    #[command(flatten)]
    _sources: config::Sources,
    #[command(flatten)]
    _settings: config::Settings,
}

#[derive(Debug, Args)]
struct Checking {
    /// The mode to check; without it, MODE decides
    #[arg(value_parser = ["reverse-proxy", "gateway"])]
    mode_to_check: Option<String>,
    /// Read the folders of both hosts instead, as `mtls-bridge pair` writes them, and report everything
    /// in which the two do not fit together; in any order
    #[arg(long, num_args = 2, value_names = ["DIR_A", "DIR_B"], conflicts_with = "mode_to_check")]
    pair: Option<Vec<PathBuf>>,
    #[command(flatten)]
    _running: Running,
}

/// Why a command failed; each has its exit code.
enum Failure {
    Refused(Problems),
    Drifted(Vec<String>),
    Failed(anyhow::Error),
    /// A part of the program ended, and the log has said so.
    Ended,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Refused(problems)
    }
}

/// Runs the command of this process's command line.
#[must_use]
pub fn run() -> ExitCode {
    // Until there is a log, which has a hook of its own.
    panic::set_hook(Box::new(tell_panic));
    let matches = arguments::command(Cli::command()).try_get_matches();
    let matches = matches.unwrap_or_else(|error| arguments::covered(error).exit());
    descriptors::raise();
    // A panic of this thread was told by the hook, and fails like everything else.
    match catch_unwind(AssertUnwindSafe(|| dispatch(&matches))).unwrap_or(Err(Failure::Ended)) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Ended) => {}
        Err(Failure::Failed(error)) => say(&format!("mtls-bridge: {error:#}")),
        Err(Failure::Refused(problems)) => {
            say(&problems.to_string());
            return ExitCode::from(if problems.may_heal() { 1 } else { 2 });
        }
        Err(Failure::Drifted(findings)) => {
            say(&findings.join("\n"));
            return ExitCode::from(2);
        }
    }
    ExitCode::from(1)
}

fn tell_panic(panic: &PanicHookInfo<'_>) {
    let PanicReport { place, what, .. } = PanicReport::of(panic);
    say(&format!("mtls-bridge: {what} at {place}; this is a fault of mtls-bridge, please report it"));
}

fn dispatch(matches: &ArgMatches) -> Result<(), Failure> {
    let Some((_, given)) = matches.subcommand() else {
        return bridge(&Layers::of_process(None, Vec::new()));
    };
    let layers = |mode| Layers::of_process(mode, config::flags(given));
    let cli = Cli::from_arg_matches(matches).map_err(|error| Failure::Failed(error.into()))?;
    match cli.command {
        None => bridge(&layers(None)),
        Some(Command::ReverseProxy(_)) => bridge(&layers(Some(Mode::ReverseProxy))),
        Some(Command::Gateway(_)) => bridge(&layers(Some(Mode::Gateway))),
        Some(Command::Check(Checking { pair: Some(halves), .. })) => {
            check_pair(&halves, &config::flags(given))
        }
        Some(Command::Check(checking)) => check(&layers(mode_named(checking.mode_to_check.as_deref()))),
        Some(Command::Healthcheck(_)) => healthcheck(&layers(None)),
        Some(Command::Demo(demo)) => Ok(demo::run(&demo)?),
        Some(Command::Pair(pair)) => pair::run(&pair),
        Some(Command::Pki(pki)) => Ok(pki::run(&pki)?),
        Some(Command::Echo(echo)) => Ok(echo::run(&echo)?),
        Some(Command::Pause) => Ok(pause::run()?),
    }
}

/// Runs in the mode the layers say, until a signal.
fn bridge(layers: &Layers) -> Result<(), Failure> {
    let runtime = app::runtime().map_err(anyhow::Error::from)?;
    let ended: Result<(), Failure> = runtime.block_on(async {
        // First, so that none is missed, or ends the process without a word, while files are read.
        let mut signals = Signals::listen().context("listening to signals")?;
        let given = layers.clone();
        let loading = tokio::task::spawn_blocking(move || app::load(&given));
        let (loaded, snapshot) = tokio::select! {
            loaded = loading => loaded.map_err(|_| Failure::Ended)??,
            signal = signals.stop() => {
                say(&format!("mtls-bridge: {signal} before the start was complete"));
                return Ok(());
            }
        };
        let process = Process::start(&loaded.log)?;
        let cautions = loaded.config.cautions.iter().chain(&snapshot.cautions).map(ToString::to_string);
        for remark in cautions.chain(loaded.warnings.iter().cloned()) {
            tracing::warn!("{remark}");
        }
        let settings = Arc::new(InForce::new(layers, &loaded));
        match serve(&loaded, snapshot, &process, signals, &settings).await? {
            End::Asked => Ok(()),
            End::Failed => Err(Failure::Ended),
        }
    });
    // Not waiting for a file that is just being read.
    runtime.shutdown_background();
    ended
}

async fn serve(
    loaded: &Loaded,
    snapshot: Snapshot,
    process: &Process,
    signals: Signals,
    settings: &Arc<InForce>,
) -> anyhow::Result<End> {
    let app = App::start(&loaded.config, snapshot, process)?;
    for address in &app.addresses {
        tracing::info!(%address, "listening");
    }
    if let Some(address) = app.status_address {
        tracing::info!(%address, "status");
    }
    let config::Limits { max_connections, max_connections_bound, .. } = &loaded.config.limits;
    tracing::info!("max_connections is {max_connections}: {max_connections_bound}");
    Ok(app.run(signals, settings).await)
}

fn check(layers: &Layers) -> Result<(), Failure> {
    let (loaded, snapshot) = app::load(layers)?;
    let outline = snapshot::outline(&loaded.config)?;
    Ok(print(&check::render(&loaded, &outline, &snapshot.cautions))?)
}

/// The halves say everything themselves: a flag or a variable of this process is neither's.
fn check_pair(halves: &[PathBuf], flags: &[(String, String)]) -> Result<(), Failure> {
    if let Some((key, _)) = flags.first() {
        let what = "with --pair the settings are read from the two folders";
        return Err(Problems::from(Problem::missing(key, what, "leave the flag out")).into());
    }
    let pair::Verdict { fits, cautions } = pair::check(halves);
    let good = fits.as_ref().ok().into_iter().cloned();
    let lines: Vec<_> = good.chain(cautions.iter().map(|caution| format!("caution: {caution}"))).collect();
    if !lines.is_empty() {
        print(&format!("{}\n", lines.join("\n")))?;
    }
    fits.map(drop).map_err(Failure::Drifted)
}

/// A mode, and settings by their keys.
type CommandLine = (Option<Mode>, Vec<(String, String)>);

/// What a command line says after the program's name, for who reads that of another container: the mode, and the
/// settings that are flags.
fn said_on(words: &[String]) -> Result<CommandLine, String> {
    let line = iter::once("mtls-bridge").chain(words.iter().map(String::as_str));
    // The parser's own words would quote the line, and a key may be on it.
    let matches = Cli::command().try_get_matches_from(line);
    let matches =
        matches.map_err(|_| "its command is none of this program's; see `mtls-bridge --help`".to_owned())?;
    let Some((name, given)) = matches.subcommand() else { return Ok((None, Vec::new())) };
    let what = || format!("its command is `{name}`, and neither reverse-proxy nor gateway");
    Ok((Some(mode_named(Some(name)).ok_or_else(what)?), config::flags(given)))
}

fn mode_named(name: Option<&str>) -> Option<Mode> {
    Mode::ALL.into_iter().find(|mode| Some(mode.name()) == name)
}

/// Asks where this container's configuration says that status is told. The rest of it, even the
/// mode, may be on the command line of the bridge, which is not seen from here.
fn healthcheck(layers: &Layers) -> Result<(), Failure> {
    let addresses = config::status_listen(layers)?;
    let nobody = || anyhow::anyhow!("status_listen is off, so there is nobody to ask");
    let first = *addresses.first().ok_or_else(nobody)?;
    // Where the mode is not known, either may be there, or both: then both must be well.
    let there: Vec<_> =
        addresses.into_iter().filter(|address| healthcheck::is_anybody_at(*address)).collect();
    let asked = if there.is_empty() { vec![first] } else { there };
    Ok(asked.into_iter().try_for_each(healthcheck::run)?)
}
