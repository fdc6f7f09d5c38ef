//! Builds and runs the whole program; the only file that knows all parts.
//!
//! [`App::start`] binds everything or fails, [`App::run`] waits for a signal and drains.
//! `cli::demo` starts two in one process; what they share there is their [`Process`].

mod process;
mod reread;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use arc_swap::ArcSwap;
use rustls::pki_types::UnixTime;
use sd_notify::NotifyState;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::admin::status::{Facts, Status};
use crate::config::{self, Config, Files, Layers, Loaded, Problem, Problems};
use crate::lifecycle::contact::Contact;
use crate::lifecycle::drain::{self, Trigger};
use crate::lifecycle::readiness::{BlockReady, Readiness};
use crate::lifecycle::signal::{Signals, Wish};
use crate::lifecycle::vital::Vitals;
use crate::proxy::Common;
use crate::proxy::health::ask_targets;
use crate::server::listener::{self, Listener};
use crate::server::worker::{Shared, Threads, Workers};
use crate::snapshot::watch::{LookNow, replace_on_change};
use crate::snapshot::{self, Snapshot};
use crate::telemetry::access_log;
use crate::telemetry::output::Output;
use crate::telemetry::program_log::ProgramLog;

pub use self::process::Process;
pub use self::reread::InForce;

/// After the drain was cut, workers have this long to record what they drop, and the writer
/// of the access log to write it.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// A running bridge.
pub struct App {
    /// Where requests are accepted, with real ports.
    pub addresses: Vec<SocketAddr>,
    /// Where status is told.
    pub status_address: Option<SocketAddr>,
    readiness: Readiness,
    trigger: Trigger,
    drain_timeout: Duration,
    workers: Rc<Workers>,
    threads: Threads,
    access_log: Option<Output>,
    tasks: JoinSet<()>,
    vitals: Vitals,
    look_now: LookNow,
}

/// How a running bridge came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A signal asked for it.
    Asked,
    /// A part of it ended that must not; the log says which.
    Failed,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl App {
    /// Binds the listeners and starts the workers. Call within a [`runtime`].
    ///
    /// # Errors
    /// When an address cannot be bound or a thread not be started.
    pub fn start(config: &Config, snapshot: Snapshot, process: &Process) -> anyhow::Result<Self> {
        let vitals = process.vitals.clone();
        let readiness = Readiness::default();
        let binding = readiness.block("listeners");
        let listeners = config.listeners.iter().map(bind).collect::<anyhow::Result<Vec<_>>>()?;
        let status_socket = config.status.as_ref().map(bind_status).transpose()?;
        let (trigger, drain) = drain::channel();
        let access_log = config.access_log.then(|| access_log::start(vitals.hold("access-log")));
        let access_log = access_log.transpose().context("starting the access log's thread")?;
        let published = Arc::new(ArcSwap::from_pointee(snapshot));
        let (common, contact) = (Common::default(), Contact::default());
        let shared = Shared {
            snapshot: Arc::clone(&published),
            common: common.clone(),
            access_log: access_log.as_ref().map(Output::queue),
            readiness: readiness.clone(),
            ready_needs_upstream: config.ready_needs_upstream,
            vitals: vitals.clone(),
            contact: contact.clone(),
            healthcheck_link_timeout: config.healthcheck_link_timeout,
        };
        let (workers, threads) =
            Workers::start(config.workers, &shared, &drain).context("starting the workers")?;
        let workers = Rc::new(workers);
        drop(shared);
        let facts = Facts {
            readiness: readiness.clone(),
            vitals: vitals.clone(),
            contact,
            healthcheck_link_timeout: config.healthcheck_link_timeout,
            counters: workers.counters(),
            revocation: Arc::clone(&common.revocation),
            access_log: access_log.as_ref().map(Output::queue),
            program_log: process.log.as_ref().map(ProgramLog::queue),
            started: Instant::now(),
        };
        let status = status_socket.map(|socket| Status::new(socket, facts)).transpose()?;
        let addresses = listeners.iter().map(Listener::address).collect::<io::Result<Vec<_>>>()?;
        let status_address = status.as_ref().map(Status::address).transpose()?;
        let mut tasks = JoinSet::new();
        let permits = Arc::new(Semaphore::new(config.limits.max_connections));
        for (listener, address) in listeners.into_iter().zip(&addresses) {
            let vital = vitals.hold(format!("the listener {address}"));
            let accepting = listener.run(Rc::clone(&workers), Arc::clone(&permits), drain.clone());
            tasks.spawn_local(vital.during(accepting));
        }
        if let Some(status) = status {
            tasks.spawn_local(vitals.hold("the status listener").during(status.run()));
        }
        let asking = ask_targets(Arc::clone(&published), common.health);
        tasks.spawn_local(vitals.hold("the task of the health checks").during(asking));
        let look_now = LookNow::default();
        let watching = replace_on_change(config.clone(), published, look_now.clone());
        tasks.spawn_local(vitals.hold("the task that looks at the files").during(watching));
        if let Some(log) = &process.log {
            tasks.spawn_local(vitals.hold("the task that counts log lines").during(log.tell_rest()));
        }
        drop((drain, binding));
        let drain_timeout = config.drain_timeout;
        Ok(Self {
            addresses,
            status_address,
            readiness,
            trigger,
            drain_timeout,
            workers,
            threads,
            access_log,
            tasks,
            vitals,
            look_now,
        })
    }

    /// Runs until a signal asks for the end or a part ends by itself, then drains. A second signal ends it
    /// at once.
    pub async fn run(self, mut signals: Signals, settings: &Arc<InForce>) -> End {
        let (vitals, drain_timeout) = (self.vitals.clone(), self.drain_timeout);
        tell_systemd(&[NotifyState::Ready]);
        tokio::select! {
            signal = self.until_stopped(&mut signals, settings) => {
                tracing::info!("{signal}: no new connections; work in flight has {drain_timeout:?} to finish");
            }
            ended = vitals.first_ended() => tracing::error!(
                "{ended}, so the program ends: no new connections; work in flight has {drain_timeout:?} to finish"
            ),
        }
        tell_systemd(&[NotifyState::Stopping]);
        tokio::select! {
            () = self.drain() => {}
            signal = signals.stop() => tracing::warn!("{signal} again: ending at once"),
        }
        if vitals.ended().is_empty() { End::Asked } else { End::Failed }
    }

    /// Does what signals ask for until one asks for the end; gives its name.
    async fn until_stopped(&self, signals: &mut Signals, settings: &Arc<InForce>) -> &'static str {
        loop {
            match signals.next().await {
                (name, Wish::Stop) => return name,
                (name, Wish::Look) => {
                    tracing::info!("{name}: looking at all files");
                    self.look_now.ask();
                    let settings = Arc::clone(settings);
                    // It tells by itself what it finds; a file that is long in coming holds up nobody.
                    drop(tokio::task::spawn_blocking(move || settings.tell_changes()));
                }
                (name, Wish::Nothing) => tracing::info!("{name} was ignored: it means nothing here"),
            }
        }
    }

    /// Waits until a part ends that must not, and says which.
    pub async fn failed(&self) -> String {
        self.vitals.first_ended().await.to_string()
    }

    /// Stops accepting, lets work in flight finish within `drain_timeout`, then cuts it.
    pub async fn drain(mut self) {
        self.vitals.end_is_due();
        let _draining: BlockReady = self.readiness.block("drain");
        self.trigger.start();
        // The listeners let go of the workers when they stop; then no more connections come.
        drop(self.workers);
        if self.trigger.complete(self.drain_timeout).await {
            tracing::info!("drained: everything in flight was finished");
        } else {
            tracing::warn!("drain_timeout passed: what was still in flight is cut");
            self.trigger.cut();
            self.trigger.complete(CUT_GRACE).await;
        }
        self.tasks.shutdown().await;
        join(self.threads).await;
        // Nobody else is waiting for this thread any more.
        let unwritten = self.access_log.map_or(0, |log| log.finish(CUT_GRACE));
        if unwritten > 0 {
            tracing::warn!("ending without the last {unwritten} access lines: standard output takes none");
        }
    }
}

/// Waits for the workers to end, but not for ever.
async fn join(threads: Threads) {
    let (ended, all_ended) = oneshot::channel::<()>();
    let joiner = thread::Builder::new().name("end".into()).spawn(move || {
        threads.join();
        drop(ended);
    });
    if joiner.is_err() || tokio::time::timeout(CUT_GRACE, all_ended).await.is_err() {
        tracing::warn!("ending without the last access lines of workers that have not ended");
    }
}

/// What was said and what it names, loaded at the present time.
///
/// # Errors
/// Every problem of the settings and of the files; those of the files even where the settings are
/// refused, so that nobody mends one only to be told of the next.
pub fn load(layers: &Layers) -> Result<(Loaded, Snapshot), Problems> {
    let now = UnixTime::now();
    let loaded = config::load(layers).map_err(|mut problems| {
        problems.append(snapshot::examine(&Files::named(layers), now));
        problems
    })?;
    match Snapshot::load(&loaded.config, now) {
        Ok(snapshot) => Ok((loaded, snapshot)),
        Err(problems) => Err(problems.with_warnings(loaded.warnings)),
    }
}

/// The runtime of the main thread: accepting, signals and status.
///
/// # Errors
/// When the operating system gives no event queue.
pub fn runtime() -> io::Result<LocalRuntime> {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
}

/// For `Type=notify`; without systemd there is nobody to tell, and nothing happens.
fn tell_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("systemd could not be told {states:?}: {error}");
    }
}

fn bind(listener: &config::Listener) -> anyhow::Result<Listener> {
    Listener::bind(listener).map_err(|error| cannot_listen(listener, &error))
}

fn bind_status(listener: &config::Listener) -> anyhow::Result<std::net::TcpListener> {
    listener::bind(listener).map_err(|error| cannot_listen(listener, &error))
}

fn cannot_listen(listener: &config::Listener, error: &io::Error) -> anyhow::Error {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "another program has this port: end it, or choose another port",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege: choose a higher one",
        io::ErrorKind::AddrNotAvailable => "this host has no such address: choose one it has, or 0.0.0.0",
        _ => "choose another address",
    };
    anyhow::anyhow!("{}", Problem::new(&listener.said, error.to_string(), advice))
}
