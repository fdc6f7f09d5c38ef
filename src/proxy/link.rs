//! A link: one HTTP/2 connection to an upstream, shared by all requests of a worker.
//!
//! Held open and proven alive by PING; a link that answers none within `link_timeout` is
//! dead, and everything on it ends with that reason.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Ping, PingPong};
use http::{Request, Response};
use tokio::sync::Notify;

use super::attempt::Failed;
use super::body::Body;
use super::error::UpstreamError;
use super::flow_control::{OpenStream, SMALLEST, STREAMS_PER_LINK, StreamWindow, connection_window};
use super::interim::Interim;
use super::last_words::{LastWords, Listening};
use super::pump::{Patience, pump};
use super::version;
use crate::lifecycle::deadline::Sweep;
use crate::message::compression::Names;
use crate::snapshot::Target;
use crate::telemetry::cause::chain;
use crate::tls::stream::Stream;

/// 64 KiB frames and large windows: measured, 100 MB bodies cost half of what they do with
/// the protocol's defaults (docs/decisions/0001-share-nothing-workers.md). With its head of 9 bytes a
/// frame fills four TLS records; a byte more would make a fifth, and a write of its own.
pub const FRAME: u32 = 64 * 1024 - 9;
/// Bytes accepted from a body before the socket took them; bounds memory per stream.
pub const SEND_BUFFER: usize = 256 * 1024;

/// Streams that were reset and are remembered for a second, because frames for them are still on
/// their way: the library counts frames for a forgotten stream as an attack, and with few
/// remembered, a thousand clients that hang up would end the link for all others.
pub const REMEMBERED_RESETS: usize = 1024;

/// A handle on a link; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Link {
    send: SendRequest<Bytes>,
    state: Rc<State>,
    sweep: Rc<Sweep>,
}

#[derive(Debug)]
struct State {
    target: Arc<Target>,
    /// Of its streams, and how many there are.
    window: Rc<StreamWindow>,
    /// Why it ended.
    ended: RefCell<Option<UpstreamError>>,
    /// What TLS says when it ends the connection.
    last_words: LastWords,
    /// The fields the other side has been told of.
    names: Names,
    /// Told the reason, when it ends.
    pool: Rc<Ended>,
}

/// Where a pool learns that a link has ended, and why.
#[derive(Debug, Default)]
pub(super) struct Ended {
    reason: RefCell<Option<UpstreamError>>,
    notify: Notify,
}

impl Ended {
    pub(super) fn tell(&self, reason: UpstreamError) {
        *self.reason.borrow_mut() = Some(reason);
        self.notify.notify_one();
    }

    /// Waits for the next end.
    pub(super) async fn next(&self) -> UpstreamError {
        loop {
            if let Some(reason) = self.reason.take() {
                return reason;
            }
            self.notify.notified().await;
        }
    }
}

impl Link {
    /// Speaks HTTP/2 on `stream`, and waits for the answer to a PING: in TLS 1.3 a gateway's
    /// refusal of our certificate arrives only after our side of the handshake.
    pub(super) async fn open(
        target: &Arc<Target>,
        stream: Stream,
        max_header_bytes: usize,
        sweep: &Rc<Sweep>,
        pool: &Rc<Ended>,
    ) -> Result<Self, UpstreamError> {
        let state = Rc::new(State {
            target: Arc::clone(target),
            window: Rc::default(),
            ended: RefCell::default(),
            last_words: LastWords::default(),
            names: Names::default(),
            pool: Rc::clone(pool),
        });
        let stream = Listening::new(stream, &target.label, &state.last_words);
        let (send, mut connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(SMALLEST)
            .initial_connection_window_size(connection_window(STREAMS_PER_LINK))
            .max_frame_size(FRAME)
            .max_header_list_size(u32::try_from(max_header_bytes).unwrap_or(u32::MAX))
            .max_send_buffer_size(SEND_BUFFER)
            .max_concurrent_reset_streams(REMEMBERED_RESETS)
            // The other side was authenticated; what it sends late is no attack.
            .max_local_error_reset_streams(None)
            .handshake(stream)
            .await
            .map_err(|error| state.broken(&error))?;
        let Some(mut ping) = connection.ping_pong() else {
            return Err(UpstreamError::Protocol("HTTP/2 gave no PING handle".into()));
        };
        tokio::select! {
            biased;
            ended = &mut connection => return Err(state.reason(ended)),
            answered = state.prove_alive(&mut ping, sweep) => answered?,
        }
        tokio::task::spawn_local(drive(connection, ping, Rc::clone(&state), Rc::clone(sweep)));
        Ok(Self { send, state, sweep: Rc::clone(sweep) })
    }

    /// False once the connection has ended, or the other side wants no more requests on it (GOAWAY).
    pub(super) fn is_open(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        // Without a stream of its own this handle is ready at once, or never again.
        self.state.ended.borrow().is_none() && !matches!(self.send.poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    /// Requests on it now.
    pub(super) fn in_flight(&self) -> usize {
        self.state.window.streams()
    }

    /// Whether the other side allows one more stream now.
    pub(super) fn has_room(&self) -> bool {
        self.state.window.has_room() && self.in_flight() < self.send.current_max_send_streams()
    }

    /// Sends a request and waits for the head of its answer. Deadlines are the caller's.
    pub(super) async fn send(
        mut self,
        request: &mut Request<Body>,
        interim: Option<&Interim>,
    ) -> Result<(Response<Body>, OpenStream), Failed> {
        let open = self.state.window.open();
        if let Err(error) = poll_fn(|cx| self.send.poll_ready(cx)).await {
            return Err(Failed::unsent(self.state.broken(&error)));
        }
        version::http2(request, &self.state.target);
        self.state.names.mark(request.headers_mut());
        let (head, body) = std::mem::take(request).into_parts();
        let bodyless = body.is_empty();
        let (response, stream) = self
            .send
            .send_request(Request::from_parts(head, ()), bodyless)
            .map_err(|error| Failed::from(self.state.broken(&error)))?;
        if !bodyless {
            let (sweep, after) = (Rc::clone(&self.sweep), self.state.target.terms.write_timeout);
            tokio::task::spawn_local(async move {
                // Its failure shows in the response: the stream is reset, and the exchange knows why.
                let _ = pump(body, stream, &sweep, Patience { name: "write_timeout", after }).await;
            });
        }
        match head_of(response, interim).await {
            Ok(response) => {
                let (head, stream) = response.into_parts();
                let body = Body::http2(stream, &head.headers, &open);
                Ok((Response::from_parts(head, body), open))
            }
            Err(error) => Err(Failed {
                unprocessed: was_not_processed(&error),
                ..Failed::from(self.state.broken(&error))
            }),
        }
    }
}

/// RFC 9113 8.7: streams above a GOAWAY's last id, and refused ones, were not processed.
fn was_not_processed(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
}

async fn head_of(
    mut response: ResponseFuture,
    interim: Option<&Interim>,
) -> Result<Response<h2::RecvStream>, h2::Error> {
    poll_fn(|cx| {
        loop {
            match response.poll_informational(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(head))) => {
                    if let Some(interim) = interim {
                        interim.forward(head);
                    }
                }
                Poll::Ready(None | Some(Err(_))) => return Pin::new(&mut response).poll(cx),
            }
        }
    })
    .await
}

/// Runs the connection until it ends, asking for a sign of life every `link_timeout`.
async fn drive(
    mut connection: Connection<Listening, Bytes>,
    mut ping: PingPong,
    state: Rc<State>,
    sweep: Rc<Sweep>,
) {
    let mut connection = pin!(poll_fn(|cx| {
        state.window.adjust(cx, |size| connection.set_initial_window_size(size));
        Pin::new(&mut connection).poll(cx)
    }));
    let reason = loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => break state.reason(ended),
            () = tokio::time::sleep(state.quiet()) => {}
        }
        tokio::select! {
            biased;
            ended = connection.as_mut() => break state.reason(ended),
            answered = state.prove_alive(&mut ping, &sweep) => if let Err(dead) = answered { break dead },
        }
    };
    // Set before the connection is dropped, so that every stream on it finds the reason.
    *state.ended.borrow_mut() = Some(reason.clone());
    state.pool.tell(reason);
}

impl State {
    fn quiet(&self) -> Duration {
        self.target.terms.link_timeout
    }

    async fn prove_alive(&self, ping: &mut PingPong, sweep: &Rc<Sweep>) -> Result<(), UpstreamError> {
        let deadline = sweep.deadline();
        match deadline.limit("link_timeout", self.quiet(), ping.ping(Ping::opaque())).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.broken(&error)),
            Err(name) => Err(UpstreamError::TimedOut { name, upstream: self.target.label.as_ref().into() }),
        }
    }

    fn reason(&self, ended: Result<(), h2::Error>) -> UpstreamError {
        match ended {
            Ok(()) => UpstreamError::Broken {
                upstream: self.target.label.as_ref().into(),
                cause: "the other side closed the connection".into(),
            },
            Err(error) => self.broken(&error),
        }
    }

    /// The link's own end explains a stream's failure better than the stream does.
    fn broken(&self, error: &h2::Error) -> UpstreamError {
        if let Some(ended) = self.ended.borrow().as_ref() {
            return ended.clone();
        }
        match self.last_words.get() {
            Some(text) => UpstreamError::Handshake(text),
            None => UpstreamError::Broken {
                upstream: self.target.label.as_ref().into(),
                cause: chain(error).into(),
            },
        }
    }
}
