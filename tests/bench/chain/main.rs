//! The side-by-side benchmark: this program, nginx, HAProxy and stunnel, each as both nodes of a chain.
//!
//! `cargo bench --bench chain` measures every group, prints tables with ratios and targets, and writes the
//! figures as JSON with plots drawn from it. `tests/bench/chain/install-peers.sh` installs the others;
//! docs/performance.md says how it is measured.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a benchmark reports
#![allow(missing_docs, unreachable_pub)] // a program of its own: nobody links to it
#![allow(clippy::cast_precision_loss)] // figures for people

mod groups;
mod load;
mod machine;
mod peers;
mod pki;
mod process;
mod report;
mod upstream;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};

use crate::groups::{Group, Session};
use crate::peers::{Contender, Site};
use crate::pki::Pki;
use crate::report::{Report, plot, table};

/// Measures mtls-bridge beside nginx, HAProxy and stunnel.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only this group; may be repeated
    #[arg(long, value_enum)]
    group: Vec<Group>,
    /// Only this contender; may be repeated
    #[arg(long, value_enum)]
    only: Vec<Contender>,
    /// How often everything is measured
    #[arg(long)]
    rounds: Option<usize>,
    /// One short round, to see that everything runs: no figures to publish
    #[arg(long)]
    quick: bool,
    /// Length of each measured window, in place of the groups' own
    #[arg(long)]
    seconds: Option<f64>,
    /// Where the figures go; by default bench/chain.json in cargo's target folder
    #[arg(long)]
    json: Option<PathBuf>,
    /// Folder of the plots; by default beside the JSON
    #[arg(long)]
    plots: Option<PathBuf>,
    /// Another build of mtls-bridge to be measured, in place of the one that cargo has just made
    #[arg(long)]
    program: Option<PathBuf>,
    /// Measures nothing: tables and plots of an earlier run's JSON
    #[arg(long)]
    from: Option<PathBuf>,
    /// The benchmark starts itself with this, as the service behind the gateways
    #[arg(long, hide = true)]
    serve_upstream: Option<SocketAddr>,
    /// Said by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let open_files = machine::raise_open_files()?;
    if let Some(address) = arguments.serve_upstream {
        return upstream::serve(address);
    }
    let json = arguments.from.clone().map_or_else(|| json_path(&arguments), Ok)?;
    if arguments.from.is_none() {
        measure(&arguments, open_files, &json)?;
    }
    let report = Report::read(&json)?;
    println!("{}", table::markdown(&report));
    let plots = arguments.plots.as_deref().or_else(|| json.parent()).unwrap_or_else(|| Path::new("."));
    println!("\nfigures: {}", json.display());
    for file in plot::draw(&report, plots)? {
        println!("plot: {}", file.display());
    }
    ensure!(report.failed == 0, "{} requests failed; the remarks below the tables say where", report.failed);
    Ok(())
}

fn measure(arguments: &Arguments, open_files: u64, json: &Path) -> anyhow::Result<()> {
    let every = |chosen: &[Contender]| match chosen {
        [] => Contender::value_variants().to_vec(),
        some => some.to_vec(),
    };
    let contenders = every(&arguments.only);
    peers::all_installed(&contenders)?;
    let program = arguments.program.clone().unwrap_or_else(|| env!("CARGO_BIN_EXE_mtls-bridge").into());
    let program = fs::canonicalize(&program).with_context(|| program.display().to_string())?;
    let folder = tempfile::Builder::new().prefix("mtls-bridge-bench-").tempdir()?;
    let (_service, upstream) = upstream::start(folder.path())?;
    let site = Site {
        pki: Pki::new(folder.path())?,
        folder: folder.path().to_owned(),
        program: program.clone(),
        upstream,
    };
    let rounds = arguments.rounds.unwrap_or(if arguments.quick { 1 } else { 5 });
    ensure!(rounds > 0, "--rounds has to be at least 1");
    let mut session = Session {
        site: &site,
        contenders,
        rounds,
        quick: arguments.quick,
        seconds: arguments.seconds,
        open_files,
        report: Report::new(machine::look(&program)?, rounds, arguments.quick),
    };
    let groups = match &arguments.group[..] {
        [] => Group::value_variants(),
        some => some,
    };
    let watch = machine::OtherWork::watch()?;
    for group in groups {
        eprintln!("measuring: {group:?}");
        group.run(&mut session).with_context(|| format!("{group:?}"))?;
        session.report.other_work = watch.cores()?;
        session.report.write(json)?;
    }
    Ok(())
}

/// `bench/chain.json` in the target folder that this program was built into.
fn json_path(arguments: &Arguments) -> anyhow::Result<PathBuf> {
    if let Some(path) = &arguments.json {
        return Ok(path.clone());
    }
    // TARGET/PROFILE/deps/chain-HASH
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(3).context("the target folder")?;
    Ok(target.join("bench").join("chain.json"))
}
