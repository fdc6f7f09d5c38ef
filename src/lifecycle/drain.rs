//! The orderly end: everyone is told, and whoever still works holds a [`Watch`].
//!
//! `app` owns the [`Trigger`]; listeners and workers hold a watch each. Threads
//! are crossed, so the parts are tokio's own channels.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

/// Makes a connected pair.
#[must_use]
pub fn channel() -> (Trigger, Watch) {
    let (stage, watched) = watch::channel(Stage::Running);
    // Nothing is ever sent: the receiver only learns when the last sender is gone.
    let (held, watches) = mpsc::channel(1);
    (Trigger { stage, watches }, Watch { stage: watched, _held: held })
}

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    Draining,
    Cut,
}

/// Starts the drain and learns when it is complete.
#[derive(Debug)]
pub struct Trigger {
    stage: watch::Sender<Stage>,
    watches: mpsc::Receiver<Infallible>,
}

impl Trigger {
    /// Tells everyone to finish.
    pub fn start(&self) {
        self.stage.send_replace(Stage::Draining);
    }

    /// Tells everyone to stop at once: the time to finish is over.
    pub fn cut(&self) {
        self.stage.send_replace(Stage::Cut);
    }

    /// Waits until every watch is dropped; `false` when `deadline` passed first.
    pub async fn complete(&mut self, deadline: Duration) -> bool {
        tokio::time::timeout(deadline, self.watches.recv()).await.is_ok()
    }
}

/// Learns of the drain, and holds it open while it lives.
#[derive(Debug, Clone)]
pub struct Watch {
    stage: watch::Receiver<Stage>,
    _held: mpsc::Sender<Infallible>,
}

impl Watch {
    /// Waits until the drain starts; returns at once when it has.
    pub async fn asked(&mut self) {
        self.reached(Stage::Draining).await;
    }

    /// Waits until the time to finish is over.
    pub async fn cut(&mut self) {
        self.reached(Stage::Cut).await;
    }

    async fn reached(&mut self, stage: Stage) {
        // An error means the trigger is gone: the program ends, which is the same message.
        let _ = self.stage.wait_for(|now| *now >= stage).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_drain_is_complete_when_the_last_watch_is_gone() {
        let (mut trigger, mut worker) = channel();
        let mut tunnel = worker.clone();
        trigger.start();
        worker.asked().await;
        drop(worker);
        assert!(!trigger.complete(Duration::from_secs(1)).await, "a tunnel is still open");
        trigger.cut();
        tunnel.cut().await;
        drop(tunnel);
        assert!(trigger.complete(Duration::from_secs(1)).await);
    }
}
