//! One slow client among 1,000: what the others notice of it.
//!
//! The others ask at a fixed rate, half of what the slowest chain does with as many clients, so that their
//! latencies are those of a chain that is not full.

use crate::load::slow::{Slow, SlowClient};
use crate::load::{Clients, Exchange, Pace};
use crate::peers::{Chain, Contender};
use crate::report::Row;

use super::Session;

const WHO: &[Contender] = &[Contender::OursH2, Contender::Nginx, Contender::HaproxyH2];
const GROUP: &str = "slow client";
const OTHERS: usize = 999;

pub(super) fn run(session: &mut Session<'_>) -> anyhow::Result<()> {
    let mut slowest = f64::INFINITY;
    for contender in session.turn(WHO, 0) {
        let chain = Chain::start(session.site, contender)?;
        let mut clients = Clients::connect(chain.front, OTHERS)?;
        let small = Exchange::small();
        // The first requests open the link's connections.
        clients.run(&small, Pace::Closed, session.window(2.0))?;
        let outcome = clients.run(&small, Pace::Closed, session.window(2.0))?;
        session.check(contender, "999 clients", &outcome)?;
        slowest = slowest.min(outcome.per_second());
    }
    let rate = (slowest / 2.0).round();
    session.report.remark(format!("beside the slow client there were {rate} requests per second"));
    for round in 0..session.fewer_rounds() {
        for contender in session.turn(WHO, round) {
            for slow in [None, Some(Slow::Reader), Some(Slow::Sender)] {
                measure(session, contender, slow, rate)?;
            }
        }
    }
    Ok(())
}

fn measure(
    session: &mut Session<'_>,
    contender: Contender,
    slow: Option<Slow>,
    rate: f64,
) -> anyhow::Result<()> {
    let case = match slow {
        None => "no slow client",
        Some(Slow::Reader) => "one slow reader",
        Some(Slow::Sender) => "one slow sender",
    };
    let chain = Chain::start(session.site, contender)?;
    let mut others = Clients::connect(chain.front, OTHERS)?;
    let slow = slow.map(|slow| SlowClient::start(slow, chain.front));
    let small = Exchange::small();
    // Long enough for the slow body to fill every buffer on its way.
    others.run(&small, Pace::Fixed(rate), session.window(1.5))?;
    let outcome = others.run(&small, Pace::Fixed(rate), session.window(3.0))?;
    if let Some(slow) = slow {
        slow.stop()?;
    }
    session.check(contender, case, &outcome)?;
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        let row = Row::lower(GROUP, case, &format!("{name} of the others"), "µs");
        session.report.add(&row, contender, outcome.microseconds(quantile));
    }
    Ok(())
}
