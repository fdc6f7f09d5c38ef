//! Bodies of 1 MB and 100 MB, down and up: bytes per second, and CPU per megabyte.

use crate::load::{Clients, Exchange, Pace};
use crate::peers::{Chain, Contender};
use crate::report::Row;

use super::Session;

const WHO: &[Contender] = &[
    Contender::OursH2,
    Contender::OursH1,
    Contender::Nginx,
    Contender::HaproxyH1,
    Contender::HaproxyH2,
    Contender::Stunnel,
];
const GROUP: &str = "bytes";
const MEGABYTE: u64 = 1_000_000;

struct Case {
    name: &'static str,
    exchange: Exchange,
    clients: usize,
    megabytes: u64,
}

pub(super) fn run(session: &mut Session<'_>) -> anyhow::Result<()> {
    let cases = [
        case("1 MB down", Exchange::download, 4, 1),
        case("1 MB up", Exchange::upload, 4, 1),
        case("100 MB down", Exchange::download, 2, 100),
        case("100 MB up", Exchange::upload, 2, 100),
    ];
    for round in 0..session.rounds {
        for contender in session.turn(WHO, round) {
            let chain = Chain::start(session.site, contender)?;
            for case in &cases {
                measure(session, &chain, contender, case)?;
            }
        }
    }
    Ok(())
}

fn case(name: &'static str, exchange: fn(u64) -> Exchange, clients: usize, megabytes: u64) -> Case {
    Case { name, exchange: exchange(megabytes * MEGABYTE), clients, megabytes }
}

fn measure(
    session: &mut Session<'_>,
    chain: &Chain<'_>,
    contender: Contender,
    case: &Case,
) -> anyhow::Result<()> {
    let mut clients = Clients::connect(chain.front, case.clients)?;
    let time = session.window(1.5);
    // At least one body a client, however short the window: connections open and windows grow.
    clients.run(&case.exchange, Pace::Closed, time / 10)?;
    let before = chain.cpu()?;
    let outcome = clients.run(&case.exchange, Pace::Closed, time)?;
    let cpu = chain.cpu()? - before;
    session.check(contender, case.name, &outcome)?;
    let megabytes = (outcome.answered * case.megabytes) as f64;
    let rate = Row::higher(GROUP, case.name, "throughput", "MB/s");
    session.report.add(&rate, contender, megabytes / outcome.elapsed.as_secs_f64());
    session.add_cpu(&Row::lower(GROUP, case.name, "CPU", "µs/MB"), contender, cpu, megabytes);
    Ok(())
}
