//! What is measured, a file per group. Each runs its contenders in turn, round by round, in rotating order.

mod bytes;
mod handshakes;
mod idle;
mod latency;
mod replacement;
mod scale;
mod slow_client;
mod start;
mod strangers;

use std::time::Duration;

use anyhow::ensure;
use clap::ValueEnum;

use crate::load::Outcome;
use crate::peers::{Contender, Site};
use crate::process::Cpu;
use crate::report::{Report, Row};

/// A part of the benchmark that can be run by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// Requests per second, latencies and CPU per request: one client, 64 clients, half load.
    Latency,
    /// Throughput and CPU per megabyte, 1 MB and 100 MB bodies, both ways.
    Bytes,
    /// New mTLS connections per second, and what each costs the gateway.
    Handshakes,
    /// Memory per idle connection, of 3,000.
    Idle,
    /// From a start to the first good answer.
    Start,
    /// 1 to 10,000 client connections, and 1 to 8 workers.
    Scale,
    /// What strangers' chains cost the gateway, and what a good client notices of eight such strangers.
    Strangers,
    /// What 999 clients notice of one slow client.
    SlowClient,
    /// Requests that fail while certificates are replaced.
    Replacement,
}

impl Group {
    /// Measures it into the session's report.
    pub fn run(self, session: &mut Session<'_>) -> anyhow::Result<()> {
        match self {
            Self::Latency => latency::run(session),
            Self::Bytes => bytes::run(session),
            Self::Handshakes => handshakes::run(session),
            Self::Idle => idle::run(session),
            Self::Start => start::run(session),
            Self::Scale => scale::run(session),
            Self::Strangers => strangers::run(session),
            Self::SlowClient => slow_client::run(session),
            Self::Replacement => replacement::run(session),
        }
    }
}

/// A run of the benchmark: what the groups have in common.
pub struct Session<'a> {
    pub site: &'a Site,
    /// Who takes part.
    pub contenders: Vec<Contender>,
    pub rounds: usize,
    pub quick: bool,
    /// In place of the groups' own durations of a window, in seconds.
    pub seconds: Option<f64>,
    /// How many files a process may have open.
    pub open_files: u64,
    pub report: Report,
}

impl Session<'_> {
    /// For groups that take long: half the rounds.
    fn fewer_rounds(&self) -> usize {
        self.rounds.div_ceil(2)
    }

    /// The participants among `wanted`, in this round's order.
    fn turn(&self, wanted: &[Contender], round: usize) -> Vec<Contender> {
        let mut turn: Vec<_> = self.contenders.iter().copied().filter(|one| wanted.contains(one)).collect();
        if !turn.is_empty() {
            let by = round % turn.len();
            turn.rotate_left(by);
        }
        turn
    }

    /// The length of a window that is usually so many seconds long.
    fn window(&self, seconds: f64) -> Duration {
        let usual = if self.quick { (seconds / 5.0).max(0.3) } else { seconds };
        Duration::from_secs_f64(self.seconds.unwrap_or(usual))
    }

    /// Notes failures where they can be read, and refuses a window in which nothing succeeded.
    fn check(&mut self, contender: Contender, case: &str, outcome: &Outcome) -> anyhow::Result<()> {
        let name = contender.name();
        let first = outcome.first_failure.as_deref().unwrap_or("no reason known");
        ensure!(outcome.answered > 0, "{name}, {case}: no request succeeded; the first failure: {first}");
        if outcome.failed > 0 {
            let all = outcome.answered + outcome.failed;
            let failed = outcome.failed;
            self.report
                .remark(format!("{name}, {case}: {failed} of {all} requests failed, the first: {first}"));
            self.report.failed += failed;
        }
        Ok(())
    }

    /// CPU time per `unit` of work, for each node and both.
    fn add_cpu(&mut self, row: &Row, contender: Contender, cpu: Cpu, work: f64) {
        for (node, time) in
            [("reverse proxy", cpu.reverse_proxy), ("gateway", cpu.gateway), ("both nodes", cpu.both())]
        {
            let row = Row { metric: format!("CPU, {node}"), ..row.clone() };
            self.report.add(&row, contender, time.as_secs_f64() * 1e6 / work);
        }
    }
}
