//! Certificates that are replaced under load: every request is answered all the same.
//!
//! The pairs of both nodes are issued anew and put in place a thousand times, the certificate first and its
//! key a moment later, so that what lies there in between does not fit together. The others do not take over
//! certificates by themselves and are not measured.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};

use crate::load::{Clients, Exchange, Pace};
use crate::peers::{Chain, Contender, Site};
use crate::pki::Pki;
use crate::report::Row;

use super::Session;

const WHO: &[Contender] = &[Contender::OursH2, Contender::OursH1];
const GROUP: &str = "replacement";
const CLIENTS: usize = 64;
/// Between two replacements: a thousand in half a minute.
const PAUSE: Duration = Duration::from_millis(30);
/// What a node says when it has taken one over.
const TAKEN_OVER: &str = "certificates were replaced";

pub(super) fn run(session: &mut Session<'_>) -> anyhow::Result<()> {
    let replacements = if session.quick { 100 } else { 1_000 };
    for contender in session.turn(WHO, 0) {
        measure(session, contender, replacements)?;
    }
    Ok(())
}

fn measure(session: &mut Session<'_>, contender: Contender, replacements: usize) -> anyhow::Result<()> {
    let case = format!("{replacements} replacements, {CLIENTS} clients");
    // Certificates of its own: those of the site are for everybody.
    let folder = session.site.folder.join(format!("replaced-{contender:?}"));
    fs::create_dir(&folder)?;
    let Site { program, upstream, .. } = session.site;
    let site = Site { pki: Pki::new(&folder)?, folder, program: program.clone(), upstream: *upstream };
    let chain = Chain::start(&site, contender)?;
    let mut clients = Clients::connect(chain.front, CLIENTS)?;
    let small = Exchange::small();
    let (mut requests, mut failed, begun) = (0, 0, Instant::now());
    thread::scope(|scope| {
        let replacing = scope.spawn(|| replace(&site.pki, replacements));
        while !replacing.is_finished() {
            let outcome = clients.run(&small, Pace::Closed, Duration::from_secs(1))?;
            session.check(contender, &case, &outcome)?;
            requests += outcome.answered;
            failed += outcome.failed;
        }
        replacing.join().map_err(|_| anyhow!("the replacing thread panicked"))?
    })?;
    let row = Row::higher(GROUP, &case, "requests", "1/s");
    session.report.add(&row, contender, requests as f64 / begun.elapsed().as_secs_f64());
    let row = Row::lower(GROUP, &case, "failed", "requests");
    session.report.add(&row, contender, failed as f64);
    for (name, node) in [("reverse proxy", &chain.reverse_proxy), ("gateway", &chain.gateway)] {
        let taken_over = node.log()?.lines().filter(|line| line.contains(TAKEN_OVER)).count();
        ensure!(taken_over > 0, "{name}: nothing was taken over; {}", node.account());
        session.report.remark(format!(
            "{}, {name}: took over {taken_over} of {replacements} replacements: what never rests is taken over every few seconds",
            contender.name()
        ));
    }
    Ok(())
}

fn replace(pki: &Pki, replacements: usize) -> anyhow::Result<()> {
    for _ in 0..replacements {
        pki.replace("server")?;
        pki.replace("client")?;
        thread::sleep(PAUSE);
    }
    Ok(())
}
