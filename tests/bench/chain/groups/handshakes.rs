//! New mTLS connections to the gateway: full handshakes, one request each, 16 at a time.

use crate::load::tls;
use crate::peers::{Chain, Contender};
use crate::process;
use crate::report::Row;

use super::Session;

/// One of each program: the link between the nodes has no part in this.
const WHO: &[Contender] = &[Contender::OursH2, Contender::Nginx, Contender::HaproxyH2];
const GROUP: &str = "handshakes";
const CASE: &str = "16 at a time";
const LOOPS: usize = 16;

pub(super) fn run(session: &mut Session<'_>) -> anyhow::Result<()> {
    for round in 0..session.rounds {
        for contender in session.turn(WHO, round) {
            let chain = Chain::start(session.site, contender)?;
            let config = &session.site.pki.client;
            let time = session.window(3.0);
            tls::new_connections(chain.door, config, LOOPS, time / 10)?;
            let before = process::cpu(chain.gateway.id())?;
            let outcome = tls::new_connections(chain.door, config, LOOPS, time)?;
            let cpu = process::cpu(chain.gateway.id())? - before;
            session.check(contender, CASE, &outcome)?;
            let report = &mut session.report;
            let rate = Row::higher(GROUP, CASE, "new connections", "1/s");
            report.add(&rate, contender, outcome.per_second());
            let p99 = Row::lower(GROUP, CASE, "p99", "µs");
            report.add(&p99, contender, outcome.microseconds(0.99));
            let cost = Row::lower(GROUP, CASE, "CPU of the gateway", "µs/connection");
            report.add(&cost, contender, cpu.as_secs_f64() * 1e6 / outcome.answered as f64);
        }
    }
    Ok(())
}
