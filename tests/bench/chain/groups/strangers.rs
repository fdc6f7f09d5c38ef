//! Strangers: what a chain made to cost much costs the gateway beside an ordinary one, and what a client that
//! may come in notices of eight strangers who send nothing else.

use std::sync::Arc;
use std::thread;

use anyhow::Context;
use rustls::ClientConfig;

use crate::load::tls;
use crate::peers::{Chain, Contender};
use crate::process;
use crate::report::Row;

use super::Session;

const WHO: &[Contender] = &[Contender::OursH2, Contender::Nginx];
const GROUP: &str = "strangers";
/// The certificates of one such chain after its leaf, all of one name.
const NAMESAKES: usize = 9;
/// As many different ones, so that remembering a refusal does not help.
const CHAINS: usize = 2000;
const BESIDE: usize = 8;

pub(super) fn run(session: &mut Session<'_>) -> anyhow::Result<()> {
    let pki = &session.site.pki;
    let ordinary: Arc<[_]> = (0..CHAINS).map(|_| pki.stranger()).collect::<Result<Vec<_>, _>>()?.into();
    let namesakes: Arc<[_]> = pki.namesakes(NAMESAKES, CHAINS)?.into();
    let kinds = [("ordinary strangers", &ordinary), ("nine CAs of one name", &namesakes)];
    for round in 0..session.rounds {
        for contender in session.turn(WHO, round) {
            let chain = Chain::start(session.site, contender)?;
            for (case, configs) in kinds {
                cost(session, contender, &chain, case, configs)?;
            }
            beside(session, contender, &chain, "nobody", None)?;
            for (case, configs) in kinds {
                beside(session, contender, &chain, case, Some(configs))?;
            }
        }
    }
    Ok(())
}

/// What one connection costs the gateway.
fn cost(
    session: &mut Session<'_>,
    contender: Contender,
    chain: &Chain<'_>,
    case: &str,
    configs: &Arc<[Arc<ClientConfig>]>,
) -> anyhow::Result<()> {
    let before = process::cpu(chain.gateway.id())?;
    let outcome = tls::strangers(chain.door, configs, 2, session.window(3.0))?;
    let cpu = process::cpu(chain.gateway.id())? - before;
    session.check(contender, case, &outcome)?;
    let row = Row::lower(GROUP, case, "CPU of the gateway", "µs/connection");
    session.report.add(&row, contender, cpu.as_secs_f64() * 1e6 / outcome.answered as f64);
    Ok(())
}

/// New connections of one good client, while strangers come as fast as they are refused.
fn beside(
    session: &mut Session<'_>,
    contender: Contender,
    chain: &Chain<'_>,
    case: &str,
    strangers: Option<&Arc<[Arc<ClientConfig>]>>,
) -> anyhow::Result<()> {
    let (door, time) = (chain.door, session.window(3.0));
    let crowd = strangers.map(|configs| {
        let configs = Arc::clone(configs);
        thread::spawn(move || tls::strangers(door, &configs, BESIDE, time))
    });
    let outcome = tls::new_connections(door, &session.site.pki.client, 1, time)?;
    if let Some(crowd) = crowd {
        crowd.join().ok().context("a thread of the load has panicked")??;
    }
    let case = format!("a good client beside {case}");
    session.check(contender, &case, &outcome)?;
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
        let row = Row::lower(GROUP, &case, name, "µs");
        session.report.add(&row, contender, outcome.microseconds(quantile));
    }
    Ok(())
}
