//! Builds and runs the whole program; the only file that knows all parts.
//!
//! [`App::start`] binds everything or fails, [`App::run`] waits for a signal and drains.
//! `cli::demo` starts two in one process, so nothing here is global but the program log.

use std::fmt;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;
use arc_swap::ArcSwap;
use rustls::pki_types::UnixTime;
use sd_notify::NotifyState;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tracing_subscriber::EnvFilter;

use crate::admin::status::{Facts, Status};
use crate::config::{self, Config, Files, Layers, Loaded, LogFormat, LogSettings, Problem, Problems};
use crate::lifecycle::drain::{self, Trigger};
use crate::lifecycle::readiness::{BlockReady, Readiness};
use crate::lifecycle::signal::Stop;
use crate::proxy::Common;
use crate::proxy::health::ask_targets;
use crate::server::listener::{self, Listener};
use crate::server::worker::{Shared, Threads, Workers};
use crate::snapshot::{self, Snapshot};
use crate::telemetry::access_log;

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
    log_writer: Option<JoinHandle<()>>,
    tasks: JoinSet<()>,
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
    pub fn start(config: &Config, snapshot: Snapshot) -> anyhow::Result<Self> {
        let readiness = Readiness::default();
        let binding = readiness.block("listeners");
        let listeners = config.listeners.iter().map(bind).collect::<anyhow::Result<Vec<_>>>()?;
        let status_socket = config.status.as_ref().map(bind_status).transpose()?;
        let (trigger, drain) = drain::channel();
        let (access_log, log_writer) = start_access_log(config.access_log)?;
        let published = Arc::new(ArcSwap::from_pointee(snapshot));
        let common = Common::default();
        let shared = Shared {
            snapshot: Arc::clone(&published),
            common: common.clone(),
            access_log,
            readiness: readiness.clone(),
            ready_needs_upstream: config.ready_needs_upstream,
        };
        let (workers, threads) =
            Workers::start(config.workers, &shared, &drain).context("starting the workers")?;
        let workers = Rc::new(workers);
        drop(shared);
        let facts = Facts {
            readiness: readiness.clone(),
            counters: workers.counters(),
            revocation: Arc::clone(&common.revocation),
            started: Instant::now(),
        };
        let status = status_socket.map(|socket| Status::new(socket, facts)).transpose()?;
        let addresses = listeners.iter().map(Listener::address).collect::<io::Result<Vec<_>>>()?;
        let status_address = status.as_ref().map(Status::address).transpose()?;
        let mut tasks = JoinSet::new();
        let permits = Arc::new(Semaphore::new(config.limits.max_connections));
        for listener in listeners {
            tasks.spawn_local(listener.run(Rc::clone(&workers), Arc::clone(&permits), drain.clone()));
        }
        if let Some(status) = status {
            tasks.spawn_local(status.run());
        }
        tasks.spawn_local(ask_targets(Arc::clone(&published), common.health));
        tasks.spawn_local(snapshot::watch::replace_on_change(config.clone(), published));
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
            log_writer,
            tasks,
        })
    }

    /// Runs until a signal asks for the end, then drains. A second signal ends it at once.
    ///
    /// # Errors
    /// When the signals cannot be listened to.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut stop = Stop::listen().context("listening to signals")?;
        tell_systemd(&[NotifyState::Ready]);
        let signal = stop.asked().await;
        tell_systemd(&[NotifyState::Stopping]);
        tracing::info!("{signal}: no new connections; work in flight has {:?} to finish", self.drain_timeout);
        tokio::select! {
            () = self.drain() => {}
            signal = stop.asked() => tracing::warn!("{signal} again: ending at once"),
        }
        Ok(())
    }

    /// Stops accepting, lets work in flight finish within `drain_timeout`, then cuts it.
    pub async fn drain(mut self) {
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
        join(self.threads, self.log_writer).await;
    }
}

/// Waits for the workers' last lines to be written, but not for ever: nobody may be reading.
async fn join(threads: Threads, log_writer: Option<JoinHandle<()>>) {
    let (ended, all_ended) = oneshot::channel::<()>();
    let joiner = thread::Builder::new().name("end".into()).spawn(move || {
        threads.join();
        // It ends when the last worker has let go of the queue.
        let _ = log_writer.map(JoinHandle::join);
        drop(ended);
    });
    if joiner.is_err() || tokio::time::timeout(CUT_GRACE, all_ended).await.is_err() {
        tracing::warn!("ending without the last access lines: they could not be written");
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

/// Sends the program log to standard error, in the shape that was asked for.
pub fn start_log(settings: &LogSettings) {
    let json = match settings.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !io::stderr().is_terminal(),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&settings.level))
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // A log that is there already, as in tests, stays.
    let _ = if json { log.json().flatten_event(true).try_init() } else { log.try_init() };
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

type LogThread = (Option<std::sync::mpsc::SyncSender<Vec<u8>>>, Option<JoinHandle<()>>);

fn start_access_log(on: bool) -> anyhow::Result<LogThread> {
    if !on {
        return Ok((None, None));
    }
    let (queue, batches) = access_log::channel();
    let writer = access_log::write_to_stdout(batches).context("starting the access log's thread")?;
    Ok((Some(queue), Some(writer)))
}
