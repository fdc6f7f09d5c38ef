//! Memory per idle connection: 3,000 of them after one request each, then silence.

use std::net::TcpStream;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::load::tls;
use crate::peers::{Chain, Contender, ask};
use crate::report::Row;

use super::Session;

/// One of each program: the link between the nodes has no part in this.
const WHO: &[Contender] = &[Contender::OursH2, Contender::Nginx, Contender::HaproxyH2];
const CONNECTIONS: u32 = 3_000;
/// Connections that come and go before memory is first read.
const FIRST: u32 = 50;
/// From the last request until memory is read: what is given back late, is given back.
const SILENCE: Duration = Duration::from_secs(3);

pub(super) fn run(session: &mut Session<'_>) -> anyhow::Result<()> {
    for round in 0..session.fewer_rounds() {
        for contender in session.turn(WHO, round) {
            encrypted(session, contender)?;
            plain(session, contender)?;
        }
    }
    Ok(())
}

fn encrypted(session: &mut Session<'_>, contender: Contender) -> anyhow::Result<()> {
    let chain = Chain::start(session.site, contender)?;
    let config = &session.site.pki.client;
    // What a node takes once, at its first connections, is not theirs.
    for _ in 0..FIRST {
        tls::one_request(chain.door, config, true)?;
    }
    let before = chain.gateway.memory()?;
    let open = (0..CONNECTIONS)
        .map(|number| {
            tls::one_request(chain.door, config, false)
                .with_context(|| format!("{}, connection {number}", contender.name()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    sleep(SILENCE);
    let after = chain.gateway.memory()?;
    for stream in &open {
        ensure_open(&stream.sock, contender)?;
    }
    add(session, contender, "mTLS to the gateway", before, after);
    Ok(())
}

fn plain(session: &mut Session<'_>, contender: Contender) -> anyhow::Result<()> {
    let chain = Chain::start(session.site, contender)?;
    for _ in 0..FIRST {
        ask(chain.front)?;
    }
    let before = chain.reverse_proxy.memory()?;
    let open = (0..CONNECTIONS)
        .map(|number| ask(chain.front).with_context(|| format!("{}, connection {number}", contender.name())))
        .collect::<Result<Vec<_>, _>>()?;
    sleep(SILENCE);
    let after = chain.reverse_proxy.memory()?;
    for stream in &open {
        ensure_open(stream, contender)?;
    }
    add(session, contender, "plain to the reverse proxy", before, after);
    Ok(())
}

/// A connection that was closed meanwhile would make the others look small.
fn ensure_open(stream: &TcpStream, contender: Contender) -> anyhow::Result<()> {
    stream.set_nonblocking(true)?;
    let closed = matches!(stream.peek(&mut [0; 1]), Ok(0));
    ensure!(!closed, "{} closed an idle connection", contender.name());
    Ok(())
}

fn add(session: &mut Session<'_>, contender: Contender, case: &str, before: u64, after: u64) {
    let row = Row::lower("idle", case, "memory", "KB/connection");
    let kilobytes = after.saturating_sub(before) as f64 / 1024.0;
    session.report.add(&row, contender, kilobytes / f64::from(CONNECTIONS));
}
