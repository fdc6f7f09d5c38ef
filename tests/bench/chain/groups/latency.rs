//! Small requests: one client, 64 clients, and a fixed rate of half of what the slowest chain can do.

use crate::load::{Clients, Exchange, Outcome, Pace};
use crate::peers::{Chain, Contender};
use crate::process::Cpu;
use crate::report::Row;

use super::Session;

const WHO: &[Contender] =
    &[Contender::OursH2, Contender::OursH1, Contender::Nginx, Contender::HaproxyH1, Contender::HaproxyH2];
const GROUP: &str = "latency";

pub(super) fn run(session: &mut Session<'_>) -> anyhow::Result<()> {
    let mut half = None;
    for round in 0..session.rounds {
        let mut slowest = f64::INFINITY;
        for contender in session.turn(WHO, round) {
            slowest = slowest.min(closed(session, contender)?);
        }
        // The first round fixes it: one rate for everybody and all rounds.
        let rate = *half.get_or_insert_with(|| (slowest / 2.0).round());
        for contender in session.turn(WHO, round) {
            at_rate(session, contender, rate)?;
        }
    }
    if let Some(rate) = half {
        session.report.remark(format!("half load was {rate} requests per second over 64 clients"));
    }
    Ok(())
}

/// One client, then 64; the requests per second of the latter.
fn closed(session: &mut Session<'_>, contender: Contender) -> anyhow::Result<f64> {
    let chain = Chain::start(session.site, contender)?;
    let one = measure(session, &chain, 1, Pace::Closed, 2.0)?;
    add(session, contender, "1 client", &one)?;
    let many = measure(session, &chain, 64, Pace::Closed, 4.0)?;
    add(session, contender, "64 clients", &many)?;
    Ok(many.0.per_second())
}

fn at_rate(session: &mut Session<'_>, contender: Contender, rate: f64) -> anyhow::Result<()> {
    let chain = Chain::start(session.site, contender)?;
    let measured = measure(session, &chain, 64, Pace::Fixed(rate), 4.0)?;
    add(session, contender, "half load", &measured)
}

fn measure(
    session: &Session<'_>,
    chain: &Chain<'_>,
    clients: usize,
    pace: Pace,
    seconds: f64,
) -> anyhow::Result<(Outcome, Cpu)> {
    let small = Exchange::small();
    let mut clients = Clients::connect(chain.front, clients)?;
    clients.run(&small, pace, session.window(seconds) / 4)?;
    let before = chain.cpu()?;
    let outcome = clients.run(&small, pace, session.window(seconds))?;
    Ok((outcome, chain.cpu()? - before))
}

fn add(
    session: &mut Session<'_>,
    contender: Contender,
    case: &str,
    (outcome, cpu): &(Outcome, Cpu),
) -> anyhow::Result<()> {
    session.check(contender, case, outcome)?;
    let rate = Row::higher(GROUP, case, "requests", "1/s");
    session.report.add(&rate, contender, outcome.per_second());
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        let row = Row::lower(GROUP, case, name, "µs");
        session.report.add(&row, contender, outcome.microseconds(quantile));
    }
    let row = Row::lower(GROUP, case, "CPU", "µs/request");
    session.add_cpu(&row, contender, *cpu, outcome.answered as f64);
    Ok(())
}
