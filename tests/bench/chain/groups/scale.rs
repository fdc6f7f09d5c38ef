//! Scale: 1 to 10,000 client connections through the whole chain, and 1 to 8 workers under 64 clients.
//!
//! More workers than the machine has cores show what they cost, not what they gain; the report names the
//! cores.

use crate::load::{Clients, Exchange, Pace};
use crate::peers::{Chain, Contender};
use crate::report::Row;

use super::Session;

const WHO: &[Contender] = &[Contender::OursH2, Contender::Nginx, Contender::HaproxyH2];
const CONNECTIONS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
const WORKERS: [usize; 4] = [1, 2, 4, 8];
/// Open files of this program beside the connections: standard streams, epoll, /proc.
const OTHER_FILES: u64 = 100;

pub(super) fn run(session: &mut Session<'_>) -> anyhow::Result<()> {
    for round in 0..session.fewer_rounds() {
        for connections in CONNECTIONS {
            if connections as u64 + OTHER_FILES > session.open_files {
                session.report.remark(format!(
                    "{connections} connections were left out: a process may have {} open files here (ulimit -n)",
                    session.open_files
                ));
                continue;
            }
            for contender in session.turn(WHO, round) {
                with_connections(session, contender, connections)?;
            }
        }
        for workers in WORKERS {
            for contender in session.turn(WHO, round) {
                with_workers(session, contender, workers)?;
            }
        }
    }
    Ok(())
}

fn with_connections(
    session: &mut Session<'_>,
    contender: Contender,
    connections: usize,
) -> anyhow::Result<()> {
    let group = "scale: connections";
    let case = if connections == 1 { "1 client".to_owned() } else { format!("{connections} clients") };
    let chain = Chain::start(session.site, contender)?;
    let mut clients = Clients::connect(chain.front, connections)?;
    let small = Exchange::small();
    clients.run(&small, Pace::Closed, session.window(1.0))?;
    let outcome = clients.run(&small, Pace::Closed, session.window(2.0))?;
    session.check(contender, &case, &outcome)?;
    let megabytes = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
    let rate = Row::higher(group, &case, "requests", "1/s");
    session.report.add(&rate, contender, outcome.per_second());
    let p99 = Row::lower(group, &case, "p99", "µs");
    session.report.add(&p99, contender, outcome.microseconds(0.99));
    for (name, node) in [("reverse proxy", &chain.reverse_proxy), ("gateway", &chain.gateway)] {
        let row = Row::lower(group, &case, &format!("memory, {name}"), "MB");
        session.report.add(&row, contender, megabytes(node.memory()?));
    }
    Ok(())
}

fn with_workers(session: &mut Session<'_>, contender: Contender, workers: usize) -> anyhow::Result<()> {
    let group = "scale: workers";
    let case = if workers == 1 { "1 worker".to_owned() } else { format!("{workers} workers") };
    let chain = Chain::start_with(session.site, contender, workers)?;
    let mut clients = Clients::connect(chain.front, 64)?;
    let small = Exchange::small();
    clients.run(&small, Pace::Closed, session.window(0.5))?;
    let before = chain.cpu()?;
    let outcome = clients.run(&small, Pace::Closed, session.window(1.5))?;
    let cpu = chain.cpu()? - before;
    session.check(contender, &case, &outcome)?;
    let rate = Row::higher(group, &case, "requests", "1/s");
    session.report.add(&rate, contender, outcome.per_second());
    let row = Row::lower(group, &case, "CPU", "µs/request");
    session.add_cpu(&row, contender, cpu, outcome.answered as f64);
    Ok(())
}
