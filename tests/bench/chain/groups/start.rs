//! Start to ready: from the reverse proxy's start to the first good answer, its gateway being up.

use crate::peers::{Chain, Contender};
use crate::report::Row;

use super::Session;

const WHO: &[Contender] =
    &[Contender::OursH2, Contender::OursH1, Contender::Nginx, Contender::HaproxyH1, Contender::HaproxyH2];
const STARTS: usize = 10;

pub(super) fn run(session: &mut Session<'_>) -> anyhow::Result<()> {
    let starts = if session.quick { 3 } else { STARTS };
    for round in 0..session.rounds {
        for contender in session.turn(WHO, round) {
            let mut chain = Chain::start(session.site, contender)?;
            let mut milliseconds = Vec::new();
            for _ in 0..starts {
                milliseconds.push(chain.restart_reverse_proxy()?.as_secs_f64() * 1e3);
            }
            milliseconds.sort_by(f64::total_cmp);
            let row = Row::lower("start", "reverse proxy", "start to ready", "ms");
            session.report.add(&row, contender, milliseconds[starts / 2]);
        }
    }
    Ok(())
}
