//! `mtls-bridge pause`: does nothing until a signal.
//!
//! What a container needs that owns a network namespace for others: an application and its bridge which join it
//! can then each be restarted alone, as the containers of a Kubernetes pod can beside its `pause` container.

use anyhow::Context;

use crate::app;
use crate::lifecycle::signal::Signals;

/// Waits for SIGTERM, SIGINT or SIGQUIT. As a container's first process it would not be ended by any of them
/// without this.
///
/// # Errors
/// When the operating system gives no event queue or no handler.
pub fn run() -> anyhow::Result<()> {
    app::runtime().context("starting the runtime")?.block_on(async {
        Signals::listen().context("listening to signals")?.stop().await;
        Ok(())
    })
}
