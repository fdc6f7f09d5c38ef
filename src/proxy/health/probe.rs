//! Asking targets how they are, as often as their upstream wants it. Run by `app`, in one task for all
//! workers.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Uri};
use tokio::task::JoinSet;

use super::super::body::Body;
use super::super::dial::{Offer, dial};
use super::super::error::UpstreamError;
use super::super::http1::Http1;
use super::{Board, Event, Health};
use crate::lifecycle::deadline::Sweep;
use crate::lifecycle::vital::pass_on;
use crate::snapshot::balance::{Active, Balance, Question};
use crate::snapshot::{Snapshot, Target};

/// How soon a new snapshot's targets are asked in place of the old one's.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// No answer to a health check has a larger head.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Asks the targets of the snapshot in force, and of those to come, for as long as it is polled.
pub async fn ask_targets(published: Arc<ArcSwap<Snapshot>>, board: Arc<Board>) {
    loop {
        let snapshot = published.load_full();
        board.keep_those_of(&snapshot);
        let mut asking = asking(&snapshot, &board);
        while Arc::ptr_eq(&published.load(), &snapshot) {
            tokio::time::sleep(LOOK_EVERY).await;
            while let Some(ended) = asking.try_join_next() {
                pass_on(ended);
            }
        }
    }
}

/// The tasks that ask the targets of a snapshot; they end when this is dropped.
fn asking(snapshot: &Snapshot, board: &Board) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let mut asked: Vec<&Arc<Balance>> = snapshot
        .services
        .iter()
        .filter_map(|service| service.balance.as_ref())
        .filter(|balance| balance.active().is_some())
        .collect();
    // Services share upstreams.
    asked.sort_by_key(|balance| Arc::as_ptr(balance));
    asked.dedup_by(|one, other| Arc::ptr_eq(one, other));
    if asked.is_empty() {
        return tasks;
    }
    let sweep = Sweep::new();
    for balance in asked {
        tasks.spawn_local(ask_upstream(Rc::new(board.of(balance)), Rc::clone(&sweep)));
    }
    tasks.spawn_local(async move { sweep.run().await });
    tasks
}

/// Healthy and unhealthy targets are asked each in their own rhythm.
async fn ask_upstream(health: Rc<Health>, sweep: Rc<Sweep>) {
    let Some(active) = health.balance.active() else { return };
    let rounds = async |every: Option<Duration>, healthy: bool| {
        let Some(every) = every else { return };
        loop {
            round(&health, active.concurrency, healthy, &sweep).await;
            tokio::time::sleep(every).await;
        }
    };
    tokio::join!(rounds(active.healthy_every, true), rounds(active.unhealthy_every, false));
}

/// Asks all targets that are `healthy`, or not, once; no more than `concurrency` at a time.
async fn round(health: &Rc<Health>, concurrency: usize, healthy: bool, sweep: &Rc<Sweep>) {
    let mut questions = JoinSet::new();
    for index in (0..health.balance.probes.len()).filter(|index| health.is_healthy(*index) == healthy) {
        while questions.len() >= concurrency.max(1) {
            questions.join_next().await;
        }
        let (health, sweep) = (Rc::clone(health), Rc::clone(sweep));
        questions.spawn_local(async move { count(&health, index, &sweep).await });
    }
    while questions.join_next().await.is_some() {}
}

async fn count(health: &Health, index: usize, sweep: &Rc<Sweep>) {
    let Some(active) = health.balance.active() else { return };
    if let Some(event) = probe(&health.balance.probes[index], active, sweep).await {
        health.targets[index].count(event, &active.counting);
    }
}

async fn probe(target: &Arc<Target>, active: &Active, sweep: &Rc<Sweep>) -> Option<Event> {
    match tokio::time::timeout(active.timeout, ask(target, &active.question, sweep)).await {
        Err(_) => Some(Event::Timeout),
        Ok(Ok(Some(status))) => Event::of_status(status, &active.counting),
        Ok(Ok(None)) => Some(Event::Success),
        Ok(Err(error)) => {
            tracing::debug!("a health check failed: {error}");
            Event::of_error(&error)
        }
    }
}

/// The status of the answer; `None` where a connection is all that was asked for.
async fn ask(
    target: &Arc<Target>,
    question: &Question,
    sweep: &Rc<Sweep>,
) -> Result<Option<u16>, UpstreamError> {
    let dialled = dial(target, Offer::Http1, sweep).await?;
    let (path, headers) = match question {
        Question::Tcp => return Ok(None),
        Question::Http { path, headers } | Question::Https { path, headers, .. } => (path, headers),
    };
    let mut connection = Http1::open(target, dialled.stream, MAX_HEAD_BYTES).await?;
    let mut request = request(target, path, headers)?;
    let answer = connection.send(&mut request, None).await.map_err(|failed| failed.error)?;
    Ok(Some(answer.status().as_u16()))
}

fn request(target: &Target, path: &str, headers: &HeaderMap) -> Result<Request<Body>, UpstreamError> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = path
        .parse::<Uri>()
        .map_err(|_| UpstreamError::Protocol("the health check's path cannot be asked for".into()))?;
    *request.headers_mut() = headers.clone();
    let ours = request.headers_mut();
    ours.entry(HOST).or_insert_with(|| target.host_header.clone());
    ours.entry(USER_AGENT).or_insert(OUR_NAME);
    ours.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(request)
}

const OUR_NAME: HeaderValue =
    HeaderValue::from_static(concat!("mtls-bridge/", env!("CARGO_PKG_VERSION"), " (health check)"));
