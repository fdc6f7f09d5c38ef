//! Connections to upstreams that are opened before a request needs one, and again when they end.
//!
//! Run by `worker` for each pool that asks for it; readiness and the health check learn of it here.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::lifecycle::contact::Contact;
use crate::lifecycle::readiness::BlockReady;
use crate::proxy::error::UpstreamError;
use crate::proxy::pool::Pool;

/// An upstream that could not be reached at start is tried again after this, then twice, …
const OPEN_AGAIN: Duration = Duration::from_millis(200);
/// … but at least so often.
const OPEN_AGAIN_MAX: Duration = Duration::from_secs(5);

/// Of an upstream that speaks HTTP/1 nobody tells that it went away: it is looked for so often, by one worker
/// at a time, and twice within `healthcheck_link_timeout`.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What is to be known of the upstreams that this worker keeps open, under whichever snapshot.
pub(super) struct Upstream {
    /// Keeps this worker from being ready until one was reached.
    pending: Cell<Option<BlockReady>>,
    contact: Contact,
    /// How often one is looked for where no link tells; `None` where nobody asks.
    looking: Option<Duration>,
}

/// Opens a connection, so that no request pays a handshake, and again whenever the link ends, until
/// another snapshot is in force.
pub(super) async fn keep_open(pool: &Rc<Pool>, upstream: &Upstream) {
    while open(pool).await {
        upstream.pending.take();
        tracing::info!("{} is reached", pool.target().label);
        let Some(reason) = upstream.ended(pool).await else { return };
        tracing::warn!("the link ended: {reason}");
        // A gateway that ends links as fast as it takes them is not asked in a circle.
        tokio::time::sleep(OPEN_AGAIN).await;
    }
}

impl Upstream {
    /// `pending` goes when an upstream was reached; the health check fails after `most` without one.
    pub(super) fn new(pending: Option<BlockReady>, contact: Contact, most: Option<Duration>) -> Self {
        Self { pending: Cell::new(pending), contact, looking: most.map(|most| (most / 2).min(LOOK_EVERY)) }
    }

    /// Tells that it is there for as long as it is, and then why it is not; `None` when another snapshot is in
    /// force.
    async fn ended(&self, pool: &Rc<Pool>) -> Option<UpstreamError> {
        self.contact.made();
        let Some(every) = self.looking else { return pool.link_ended().await };
        loop {
            tokio::select! {
                ended = pool.link_ended() => {
                    self.contact.made();
                    return ended;
                }
                () = tokio::time::sleep(every) => {}
            }
            if pool.holds_link() {
                self.contact.made();
            } else if self.contact.away().is_none_or(|away| away >= every) {
                match pool.reach().await {
                    Ok(()) => self.contact.made(),
                    Err(gone) => return Some(gone),
                }
            }
        }
    }
}

/// Tries until it is open; `false` when another snapshot is in force before that.
async fn open(pool: &Rc<Pool>) -> bool {
    let mut wait = OPEN_AGAIN;
    let mut told = String::new();
    while !pool.is_retired() {
        let Err(error) = pool.open().await else { return !pool.is_retired() };
        let reason = error.to_string();
        if told != reason {
            tracing::warn!("the upstream is not reached yet: {reason}");
            told = reason;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(OPEN_AGAIN_MAX);
    }
    false
}
