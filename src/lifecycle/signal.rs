//! The signals that mean something to the program; used by `app` and the small commands.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// To drain; the second time to end at once. SIGTERM, SIGINT, and SIGQUIT, which nginx and the images
    /// made from it stop by.
    Stop,
    /// To look at all files now: SIGHUP, which reloads nginx and HAProxy, and SIGUSR1, at which nginx opens
    /// its logs anew. Ours are standard output and error, so whoever rotates files has nothing else to ask.
    Look,
    /// Nothing that is known here: SIGUSR2, which replaces nginx's binary.
    Nothing,
}

/// A signal's name and what it asks for.
pub type Asked = (&'static str, Wish);

/// All of them, as one stream.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
}

impl Signals {
    /// Installs the handlers: from here on these signals no longer end the process by themselves, and are
    /// heard even by process 1, for which Linux ignores what has no handler. Call within a runtime.
    ///
    /// # Errors
    /// When the operating system refuses a handler.
    pub fn listen() -> io::Result<Self> {
        // A handler stays when its stream is gone: a log that has reached its `ulimit -f` is an error of
        // the write then, not the end of the process.
        drop(signal(FILE_SIZE_EXCEEDED)?);
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", Wish::Stop),
            _ = self.interrupt.recv() => ("SIGINT", Wish::Stop),
            _ = self.quit.recv() => ("SIGQUIT", Wish::Stop),
            _ = self.hangup.recv() => ("SIGHUP", Wish::Look),
            _ = self.user1.recv() => ("SIGUSR1", Wish::Look),
            _ = self.user2.recv() => ("SIGUSR2", Wish::Nothing),
        }
    }

    /// Waits for the next one that asks for the end, and gives its name.
    pub async fn stop(&mut self) -> &'static str {
        loop {
            if let (name, Wish::Stop) = self.next().await {
                return name;
            }
        }
    }
}

/// SIGXFSZ, which has this number on every architecture but MIPS.
const FILE_SIZE_EXCEEDED: SignalKind = SignalKind::from_raw(25);
