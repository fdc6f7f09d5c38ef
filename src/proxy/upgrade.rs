//! Upgrades (WebSocket and others): a connection of their own to the upstream, and after
//! its 101 bytes in both directions until either side ends it.
//!
//! hyper forgets a connection that was upgraded; here it stays a task of its worker, so a
//! drain waits for it.

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::backend::Way;
use super::body::Body;
use super::error::UpstreamError;
use super::exchange::Exchange;
use super::http1::Http1;
use super::interim::Interim;
use super::pool::Lease;
use crate::lifecycle::deadline::{Deadline, Sweep};
use crate::policy::Permit;
use crate::telemetry::cause::{self, Told};
use crate::tls::stream::Stream;

/// Bytes copied at a time, per direction.
const CHUNK: usize = 16 * 1024;

/// The upstream's half of an upgraded connection, waiting for the client's.
#[derive(Debug)]
pub struct Tunnel {
    upstream: Stream,
    /// What the upstream sent right behind its 101.
    early: Bytes,
    exchange: Rc<Exchange>,
    /// Silence in both directions ends the tunnel, as `proxy_read_timeout` does in nginx.
    idle: Duration,
    /// Either side takes the next bytes within this time.
    write_timeout: Duration,
}

/// What the upstream said to an upgrade.
pub(super) enum Answer {
    /// 101, and the tunnel behind it.
    Switched(Response<Body>, Tunnel),
    /// Anything else is a normal answer, on a connection like any other.
    Refused(Response<Body>, Lease),
}

/// Sends the request on a connection of its own. The permit is the proof that it may be sent.
pub(super) async fn upgrade(
    _proof: &Permit,
    way: &mut Way<'_>,
    request: &mut Request<Body>,
    exchange: &Rc<Exchange>,
    interim: Option<&Interim>,
    sweep: &Rc<Sweep>,
) -> Result<Answer, UpstreamError> {
    let connection = connection(way, exchange).await?;
    way.address(request.headers_mut());
    let target = way.target();
    let work = pin!(negotiate(way, connection, request, exchange, interim));
    let answer = exchange
        .limit_upstream(sweep, &target.terms, work)
        .await
        .unwrap_or_else(|name| Err(UpstreamError::TimedOut { name, upstream: target.label.as_ref().into() }));
    if let Err(error) = &answer {
        way.failed_with(error, exchange);
    }
    answer
}

/// To the first target that takes one: nothing was sent to the others.
async fn connection(way: &mut Way<'_>, exchange: &Exchange) -> Result<Http1, UpstreamError> {
    let mut attempts_left = way.retries();
    loop {
        way.begin(exchange);
        let error = match way.pool().dedicated().await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        way.failed_with(&error, exchange);
        if attempts_left == 0 || !way.turn_to_another() {
            return Err(error);
        }
        attempts_left -= 1;
    }
}

async fn negotiate(
    way: &Way<'_>,
    mut connection: Http1,
    request: &mut Request<Body>,
    exchange: &Rc<Exchange>,
    interim: Option<&Interim>,
) -> Result<Answer, UpstreamError> {
    let (pool, target) = (way.pool(), way.target());
    exchange.handed_over(request.body().is_empty());
    let answer = connection.send(request, interim).await;
    let response = answer.map_err(|failed| failed.error)?;
    way.answered(response.status(), exchange);
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Answer::Refused(response, Lease::Http1(Rc::clone(pool), Box::new(connection))));
    }
    let Some((upstream, early)) = connection.into_stream().await else {
        let text = format!("{} broke the connection right after its 101", target.label);
        return Err(UpstreamError::Protocol(text.into()));
    };
    let (idle, write_timeout) = (target.terms.read_timeout, target.terms.write_timeout);
    let tunnel = Tunnel { upstream, early, exchange: Rc::clone(exchange), idle, write_timeout };
    Ok(Answer::Switched(response.map(|_| Body::empty()), tunnel))
}

impl Tunnel {
    /// Copies in both directions until both have ended, or nothing moved for too long.
    /// `sent` is what the client sent right behind its request.
    pub async fn run(self, client: Stream, sent: Bytes, sweep: &Rc<Sweep>) {
        let Self { upstream, early, exchange, idle, write_timeout } = self;
        let activity = Activity { deadline: sweep.deadline(), idle };
        let [up_takes, down_takes] =
            [(); 2].map(|()| Takes { deadline: sweep.deadline(), after: write_timeout });
        activity.seen();
        let (client_read, client_write) = tokio::io::split(client);
        let (upstream_read, upstream_write) = tokio::io::split(upstream);
        let up =
            copy(sent, client_read, upstream_write, &activity, &up_takes, |bytes| exchange.add_in(bytes));
        let down =
            copy(early, upstream_read, client_write, &activity, &down_takes, |bytes| exchange.add_out(bytes));
        // An end passes from side to side; what breaks, breaks both directions at once.
        let both = async { tokio::try_join!(up, down) };
        match activity.limit(both).await {
            Ok(Ok(_)) => exchange.complete(),
            Ok(Err(error)) => exchange.because(format!("the tunnel broke: {}", cause::io(&error))),
            Err(name) => exchange.because(format!("{name} passed without a byte in either direction")),
        }
    }
}

struct Activity {
    deadline: Deadline,
    idle: Duration,
}

impl Activity {
    fn seen(&self) {
        self.deadline.arm("read_timeout", self.idle);
    }

    async fn limit<T>(&self, work: impl Future<Output = T>) -> Result<T, &'static str> {
        self.deadline.limit("read_timeout", self.idle, work).await
    }
}

/// How long one side may take no bytes, whatever the other direction does.
struct Takes {
    deadline: Deadline,
    after: Duration,
}

impl Takes {
    async fn write(&self, to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
        let work = async {
            to.write_all(bytes).await?;
            to.flush().await
        };
        self.deadline.limit("write_timeout", self.after, work).await.unwrap_or_else(|name| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                Told(format!("{name} passed while one side took no bytes")),
            ))
        })
    }
}

/// One direction: what was read already, then everything that comes; passes on the end.
async fn copy(
    first: Bytes,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    activity: &Activity,
    takes: &Takes,
    count: impl Fn(usize),
) -> io::Result<()> {
    if !first.is_empty() {
        takes.write(&mut to, &first).await?;
        count(first.len());
    }
    let mut chunk = vec![0; CHUNK];
    loop {
        let bytes = from.read(&mut chunk).await?;
        activity.seen();
        if bytes == 0 {
            return to.shutdown().await;
        }
        takes.write(&mut to, &chunk[..bytes]).await?;
        count(bytes);
        activity.seen();
    }
}
