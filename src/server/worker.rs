//! Workers: one thread per core, each with a runtime, connections and upstream pools of its
//! own. They share the snapshot, what is known of
//! targets' health, and nothing else (docs/decisions/0001-share-nothing-workers.md).

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;

use super::connection;
use super::listener::Speaks;
use crate::identity::KnownCertificates;
use crate::lifecycle::deadline::Sweep;
use crate::lifecycle::drain::Watch;
use crate::lifecycle::readiness::{BlockReady, Readiness};
use crate::proxy::exchange::Record;
use crate::proxy::pool::Pool;
use crate::proxy::{Common, Proxy};
use crate::snapshot::Snapshot;
use crate::telemetry::access_log::{AccessLog, FLUSH_EVERY};
use crate::telemetry::counters::Counters;

/// Accepted connections that may wait for one worker; it takes them in bursts.
const QUEUE: usize = 1024;

/// Tasks polled before the runtime looks at the sockets again: measured, 6 % less CPU at 64
/// clients than tokio's own 61.
const EVENT_INTERVAL: u32 = 16;

/// An upstream that could not be reached at start is tried again after this, then twice, …
const OPEN_AGAIN: Duration = Duration::from_millis(200);
/// … but at least so often.
const OPEN_AGAIN_MAX: Duration = Duration::from_secs(5);

/// A connection on its way to a worker. The permit is released when it ends.
#[derive(Debug)]
pub struct Accepted {
    /// The socket, not bound to any runtime.
    pub stream: TcpStream,
    /// The other end.
    pub peer: SocketAddr,
    /// What is spoken on it.
    pub speaks: Speaks,
    /// Its place among `max_connections`.
    pub permit: OwnedSemaphorePermit,
}

/// What every worker is started with.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The snapshot in force, and those to come.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// What they share beside it.
    pub common: Common,
    /// Where batches of access lines go; `None` when the access log is off.
    pub access_log: Option<SyncSender<Vec<u8>>>,
    /// Told when the upstreams that open at start were reached.
    pub readiness: Readiness,
    /// Whether readiness waits for them.
    pub ready_needs_upstream: bool,
}

/// Where accepted connections go. The listeners hold it: once it is dropped no more can come,
/// and the workers finish.
#[derive(Debug)]
pub struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    queue: mpsc::Sender<(Accepted, Counted)>,
    counters: Arc<Counters>,
}

/// The threads of all workers.
#[derive(Debug)]
pub struct Threads(Vec<JoinHandle<()>>);

/// Counts a connection while it lives, however it ends.
#[derive(Debug)]
struct Counted(Arc<Counters>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}

impl Workers {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be made.
    pub fn start(count: usize, shared: &Shared, drain: &Watch) -> io::Result<(Self, Threads)> {
        let started = (0..count).map(|index| Worker::start(index, shared, drain));
        let (workers, threads) = started.collect::<io::Result<Vec<_>>>()?.into_iter().unzip();
        Ok((Self(workers), Threads(threads)))
    }

    /// Gives a connection to the worker with the fewest.
    pub(super) fn assign(&self, accepted: Accepted) {
        let Some(worker) = self.0.iter().min_by_key(|worker| worker.counters.connections()) else { return };
        worker.counters.connection_opened();
        let counted = Counted(Arc::clone(&worker.counters));
        if let Err(refused) = worker.queue.try_send((accepted, counted)) {
            let peer = refused.into_inner().0.peer;
            tracing::warn!("a connection from {peer} was refused: its worker has {QUEUE} others waiting");
        }
    }

    /// The counts of every worker.
    #[must_use]
    pub fn counters(&self) -> Vec<Arc<Counters>> {
        self.0.iter().map(|worker| Arc::clone(&worker.counters)).collect()
    }
}

impl Threads {
    /// Waits for the threads to end, which they do after the drain.
    pub fn join(self) {
        for thread in self.0 {
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }
}

impl Worker {
    fn start(index: usize, shared: &Shared, drain: &Watch) -> io::Result<(Self, JoinHandle<()>)> {
        let (queue, accepted) = mpsc::channel(QUEUE);
        let counters = Arc::new(Counters::default());
        let (shared, drain, counted) = (shared.clone(), drain.clone(), Arc::clone(&counters));
        let runtime = move || {
            Builder::new_current_thread()
                .enable_all()
                .event_interval(EVENT_INTERVAL)
                .build_local(LocalOptions::default())
        };
        let thread =
            thread::Builder::new().name(format!("worker-{index}")).spawn(move || match runtime() {
                Ok(runtime) => {
                    runtime.block_on(run(shared, counted, accepted, drain));
                    // Not waiting for a name that is just being resolved.
                    runtime.shutdown_background();
                }
                Err(error) => tracing::error!("worker {index} has no runtime: {error}"),
            })?;
        Ok((Self { queue, counters }, thread))
    }
}

/// What a worker's connections share.
#[derive(Debug)]
pub struct Context {
    /// Answers requests.
    pub proxy: Rc<Proxy>,
    /// The certificates its clients present.
    pub known: KnownCertificates,
    /// Tells connections to finish.
    pub finish: Finish,
}

/// A flag that can be waited for, within one thread.
#[derive(Debug, Default)]
pub struct Finish {
    asked: Cell<bool>,
    notify: Notify,
}

impl Finish {
    fn ask(&self) {
        self.asked.set(true);
        self.notify.notify_waiters();
    }

    /// Whether connections are to finish.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.asked.get()
    }

    /// Waits until connections are to finish; returns at once when they are.
    pub async fn asked(&self) {
        let notified = self.notify.notified();
        if !self.asked.get() {
            notified.await;
        }
    }
}

async fn run(
    shared: Shared,
    counters: Arc<Counters>,
    mut accepted: mpsc::Receiver<(Accepted, Counted)>,
    mut drain: Watch,
) {
    let sweep = Sweep::new();
    let record = Record::new(AccessLog::new(shared.access_log.clone()), counters);
    let proxy = Proxy::new(Arc::clone(&shared.snapshot), record, &sweep, shared.common.clone());
    let pending = shared.ready_needs_upstream.then(|| shared.readiness.block("upstream"));
    let pending = Rc::new(Cell::new(pending));
    let context = Rc::new(Context { proxy, known: KnownCertificates::default(), finish: Finish::default() });
    let mut connections = JoinSet::new();
    let background = async { tokio::join!(sweep.run(), housekeeping(&context.proxy, &pending)) };
    tokio::select! {
        _ = background => {}
        () = serve(&context, &mut accepted, &mut connections, &mut drain) => {}
    }
    // What is still in flight is recorded as it is dropped, here and with the runtime: the log goes
    // out with its last user.
    context.proxy.record().cut();
}

/// Serves connections until the drain is over: finished, or cut.
async fn serve(
    context: &Rc<Context>,
    accepted: &mut mpsc::Receiver<(Accepted, Counted)>,
    connections: &mut JoinSet<()>,
    drain: &mut Watch,
) {
    loop {
        tokio::select! {
            connection = accepted.recv() => {
                // The listeners are gone, and all they accepted is here: the drain begins.
                let Some((connection, counted)) = connection else { break };
                let context = Rc::clone(context);
                connections.spawn_local(async move {
                    connection::serve(connection, &context).await;
                    drop(counted);
                });
            }
            Some(ended) = connections.join_next() => report(ended),
        }
    }
    context.finish.ask();
    loop {
        tokio::select! {
            () = drain.cut() => return,
            ended = connections.join_next() => match ended {
                Some(ended) => report(ended),
                None => return,
            },
        }
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(
            "a connection's task {}",
            if error.is_panic() { "panicked" } else { "was cancelled" }
        );
    }
}

/// What is done now and then: passing on access lines, closing what was idle for too long, opening
/// the pools of a new snapshot.
async fn housekeeping(proxy: &Rc<Proxy>, pending: &Pending) {
    loop {
        for pool in proxy.pools_to_open() {
            let pending = Rc::clone(pending);
            tokio::task::spawn_local(async move { keep_open(&pool, &pending).await });
        }
        tokio::time::sleep(FLUSH_EVERY).await;
        proxy.record().log.flush();
        proxy.pools().iter().for_each(|pool| pool.close_idle());
        give_memory_back();
    }
}

/// Makes the allocator look for free memory to give back to the system, which it does only while it is
/// used: thousands of connections that have come to rest would otherwise hold on to theirs.
fn give_memory_back() {
    const LARGE: usize = 1024 * 1024;
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE)));
}

/// What keeps this worker from being ready until an upstream was reached, under whichever snapshot.
type Pending = Rc<Cell<Option<BlockReady>>>;

/// Opens a connection, so that no request pays a handshake, and again whenever the link ends, until
/// another snapshot is in force.
async fn keep_open(pool: &Rc<Pool>, pending: &Pending) {
    while open(pool).await {
        pending.take();
        tracing::info!("{} is reached", pool.target().label);
        let Some(reason) = pool.link_ended().await else { return };
        tracing::warn!("the link ended: {reason}");
        // A gateway that ends links as fast as it takes them is not asked in a circle.
        tokio::time::sleep(OPEN_AGAIN).await;
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
