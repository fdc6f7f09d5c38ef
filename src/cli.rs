//! The commands, a file each: the arguments as clap reads them, and a `run` that does what they say.
//!
//! [`run`] is what `main` calls. Exit codes are decided here and nowhere else: 0 done,
//! 1 failed while running, 2 configuration refused.

mod arguments;
pub mod check;
pub mod demo;
pub mod echo;
pub mod healthcheck;
pub mod pair;
pub mod pki;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use rustls::pki_types::UnixTime;

use crate::app::{self, App};
use crate::config::{self, Layers, Mode, Problem, Problems};
use crate::snapshot;

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
    /// Ask the own status listener; exit 0 when ready
    Healthcheck(Running),
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
    let matches = arguments::command(Cli::command()).try_get_matches();
    let matches = matches.unwrap_or_else(|error| arguments::covered(error).exit());
    match dispatch(&matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(error)) => {
            eprintln!("mtls-bridge: {error:#}");
            ExitCode::from(1)
        }
        Err(Failure::Refused(problems)) => {
            eprintln!("{problems}");
            ExitCode::from(2)
        }
        Err(Failure::Drifted(findings)) => {
            eprintln!("{}", findings.join("\n"));
            ExitCode::from(2)
        }
    }
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
    }
}

/// Runs in the mode the layers say, until a signal.
fn bridge(layers: &Layers) -> Result<(), Failure> {
    let (loaded, snapshot) = app::load(layers)?;
    app::start_log(&loaded.log);
    for remark in loaded
        .config
        .cautions
        .iter()
        .chain(&snapshot.cautions)
        .map(ToString::to_string)
        .chain(loaded.warnings)
    {
        tracing::warn!("{remark}");
    }
    let runtime = app::runtime().map_err(anyhow::Error::from)?;
    runtime.block_on(async {
        let app = App::start(&loaded.config, snapshot)?;
        for address in &app.addresses {
            tracing::info!(%address, "listening");
        }
        if let Some(address) = app.status_address {
            tracing::info!(%address, "status");
        }
        app.run().await
    })?;
    Ok(())
}

fn check(layers: &Layers) -> Result<(), Failure> {
    let (loaded, snapshot) = app::load(layers)?;
    let outline = snapshot::outline(&loaded.config, UnixTime::now())?;
    let page = check::render(&loaded, &outline, &snapshot.cautions);
    Ok(io::stdout().write_all(page.as_bytes()).context("printing the configuration")?)
}

/// The halves say everything themselves: a flag or a variable of this process is neither's.
fn check_pair(halves: &[PathBuf], flags: &[(String, String)]) -> Result<(), Failure> {
    if let Some((key, _)) = flags.first() {
        let what = "with --pair the settings are read from the two folders";
        return Err(Problems::from(Problem::missing(key, what, "leave the flag out")).into());
    }
    println!("{}", pair::check(halves).map_err(Failure::Drifted)?);
    Ok(())
}

fn mode_named(name: Option<&str>) -> Option<Mode> {
    Mode::ALL.into_iter().find(|mode| Some(mode.name()) == name)
}

/// Asks where this container's configuration says that status is told. The rest of it, even the
/// mode, may be on the command line of the bridge, which is not seen from here.
fn healthcheck(layers: &Layers) -> Result<(), Failure> {
    let address = config::status_listen(layers)?;
    let address =
        address.ok_or_else(|| anyhow::anyhow!("status_listen is off, so there is nobody to ask"))?;
    Ok(healthcheck::run(address)?)
}
