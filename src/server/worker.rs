//! Workers: one thread per core, each with a runtime, connections and upstream pools of its
//! own. They share the snapshot, what is known of
//! targets' health, and nothing else (docs/decisions/0001-share-nothing-workers.md).

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::connection;
use super::keep_open::{Upstream, keep_open};
use super::listener::Speaks;
use crate::identity::KnownCertificates;
use crate::lifecycle::contact::Contact;
use crate::lifecycle::deadline::Sweep;
use crate::lifecycle::drain::Watch;
use crate::lifecycle::readiness::Readiness;
use crate::lifecycle::vital::{Vitals, pass_on};
use crate::proxy::exchange::Record;
use crate::proxy::idle::{IdleClients, Room};
use crate::proxy::{Common, Proxy};
use crate::snapshot::Snapshot;
use crate::telemetry::access_log::{AccessLog, FLUSH_EVERY};
use crate::telemetry::counters::Counters;
use crate::telemetry::output::Queue;

/// Accepted connections that may wait for one worker; it takes them in bursts.
const WAITING: usize = 1024;

/// Tasks polled before the runtime looks at the sockets again: measured, 6 % less CPU at 64
/// clients than tokio's own 61.
const EVENT_INTERVAL: u32 = 16;

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
    pub access_log: Option<Queue>,
    /// Told when the upstreams that open at start were reached.
    pub readiness: Readiness,
    /// Whether readiness waits for them.
    pub ready_needs_upstream: bool,
    /// Told when a worker ends that was not asked to.
    pub vitals: Vitals,
    /// Told of the links there are.
    pub contact: Contact,
    /// How long there may be none before the health check fails; `None` for any time.
    pub healthcheck_link_timeout: Option<Duration>,
}

/// Where accepted connections go. The listeners hold it: once it is dropped no more can come,
/// and the workers finish.
#[derive(Debug)]
pub struct Workers(Vec<Worker>);

#[derive(Debug)]
struct Worker {
    queue: mpsc::Sender<(Accepted, Counted)>,
    counters: Arc<Counters>,
    room: Arc<Room>,
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
        let epoch = Instant::now();
        let started = (0..count).map(|index| Worker::start(index, shared, drain, epoch));
        let (workers, threads) = started.collect::<io::Result<Vec<_>>>()?.into_iter().unzip();
        Ok((Self(workers), Threads(threads)))
    }

    /// Gives a connection to the worker with the fewest, among those that are alive: one that has ended
    /// has none, and would be given all.
    pub(super) fn assign(&self, accepted: Accepted) {
        let peer = accepted.peer;
        let alive = self.0.iter().filter(|worker| !worker.queue.is_closed());
        let Some(worker) = alive.min_by_key(|worker| worker.counters.connections()) else {
            tracing::error!(%peer, "a connection was closed: no worker is left");
            return;
        };
        worker.counters.connection_opened();
        let counted = Counted(Arc::clone(&worker.counters));
        match worker.queue.try_send((accepted, counted)) {
            Ok(()) => {}
            // It ended since it was looked at: there is one less to choose from.
            Err(TrySendError::Closed((accepted, _))) => self.assign(accepted),
            Err(TrySendError::Full(_)) => {
                tracing::warn!(%peer, "a connection was refused: its worker has {WAITING} others waiting");
            }
        }
    }

    /// Has the longest idle connection closed; `false` where all are busy.
    pub(super) fn make_room(&self) -> bool {
        let idle = self.0.iter().filter_map(|worker| Some((worker.room.idle_since()?, &worker.room)));
        let longest = idle.min_by_key(|(since, _)| *since);
        longest.inspect(|(_, room)| room.make()).is_some()
    }

    /// The counts of every worker.
    #[must_use]
    pub fn counters(&self) -> Vec<Arc<Counters>> {
        self.0.iter().map(|worker| Arc::clone(&worker.counters)).collect()
    }
}

impl Threads {
    /// Waits for the threads to end, which they do after the drain. Panics were told when they happened.
    pub fn join(self) {
        for thread in self.0 {
            let _ = thread.join();
        }
    }
}

impl Worker {
    fn start(
        index: usize,
        shared: &Shared,
        drain: &Watch,
        epoch: Instant,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let (queue, accepted) = mpsc::channel(WAITING);
        let (counters, room) = (Arc::new(Counters::default()), Room::new(epoch));
        let (shared, drain) = (shared.clone(), drain.clone());
        let (counted, kept) = (Arc::clone(&counters), Arc::clone(&room));
        let runtime = move || {
            Builder::new_current_thread()
                .enable_all()
                .event_interval(EVENT_INTERVAL)
                .build_local(LocalOptions::default())
        };
        let name = format!("worker-{index}");
        let vital = shared.vitals.hold(name.clone());
        let thread = thread::Builder::new().name(name).spawn(move || {
            // Dropped last, when all that the worker had is gone.
            let _vital = vital;
            match runtime() {
                Ok(runtime) => {
                    let work = run(shared, counted, kept, accepted, drain);
                    let ended = panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(work)));
                    // Not waiting for a name that is just being resolved.
                    runtime.shutdown_background();
                    ended.unwrap_or_else(|panic| panic::resume_unwind(panic));
                }
                Err(error) => tracing::error!("worker {index} has no runtime: {error}"),
            }
        })?;
        Ok((Self { queue, counters, room }, thread))
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
    /// Those that make room for others.
    pub idle: Rc<IdleClients>,
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
    room: Arc<Room>,
    mut accepted: mpsc::Receiver<(Accepted, Counted)>,
    mut drain: Watch,
) {
    let sweep = Sweep::new();
    let record = Record::new(AccessLog::new(shared.access_log.clone()), counters);
    let proxy = Proxy::new(Arc::clone(&shared.snapshot), record, &sweep, shared.common.clone());
    let pending = shared.ready_needs_upstream.then(|| shared.readiness.block("upstream"));
    let upstream = Rc::new(Upstream::new(pending, shared.contact, shared.healthcheck_link_timeout));
    let (known, finish) = (KnownCertificates::default(), Finish::default());
    let context = Rc::new(Context { proxy, known, finish, idle: IdleClients::new(room, &sweep) });
    let mut connections = JoinSet::new();
    let background =
        async { tokio::join!(sweep.run(), housekeeping(&context.proxy, &upstream), context.idle.run()) };
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
                    let Counted(counters) = &counted;
                    connection::serve(connection, &context, counters).await;
                    drop(counted);
                });
            }
            // That one panicked was told, and where; the others go on.
            Some(_) = connections.join_next() => {}
        }
    }
    context.finish.ask();
    loop {
        tokio::select! {
            () = drain.cut() => return,
            ended = connections.join_next() => if ended.is_none() { return },
        }
    }
}

/// What is done now and then: passing on access lines, closing what was idle for too long, opening
/// the pools of a new snapshot.
async fn housekeeping(proxy: &Rc<Proxy>, upstream: &Rc<Upstream>) {
    let mut opening = JoinSet::new();
    loop {
        for pool in proxy.pools_to_open() {
            let upstream = Rc::clone(upstream);
            opening.spawn_local(async move { keep_open(&pool, &upstream).await });
        }
        tokio::time::sleep(FLUSH_EVERY).await;
        while let Some(ended) = opening.try_join_next() {
            pass_on(ended);
        }
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

#[cfg(test)]
mod tests;
