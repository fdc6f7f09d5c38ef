//! The one body type of both directions: where its bytes come from, and what is watched
//! while they pass.
//!
//! Nothing is buffered: a frame is asked for when the other side can take it. A body that
//! breaks ends in an error, never in a clean end.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use super::error::UpstreamError;
use super::exchange::Exchange;
use super::flow_control::{OpenStream, Reading};
use super::pool::Lease;
use crate::lifecycle::deadline::{Deadline, Sweep};
use crate::telemetry::cause::{Told, chain};

/// A body on its way.
#[derive(Debug, Default)]
pub struct Body {
    source: Source,
    tap: Option<Tap>,
}

#[derive(Debug, Default)]
enum Source {
    #[default]
    Empty,
    Full(Bytes),
    Http1(Incoming),
    Http2 {
        stream: h2::RecvStream,
        length: Option<u64>,
        left: Option<u64>,
        reading: Reading,
    },
}

/// Which way a body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leg {
    Request,
    Response,
}

/// What is watched while a body passes.
#[derive(Debug)]
struct Tap {
    exchange: Rc<Exchange>,
    leg: Leg,
    sweep: Rc<Sweep>,
    /// Made at the first wait: most bodies are there when they are asked for.
    deadline: Option<Deadline>,
    timeout: (&'static str, Duration),
    /// Bytes that may still come (`client_max_body_size`).
    left: Option<u64>,
    /// The upstream connection to give back at the end.
    lease: Option<Lease>,
    /// It broke, which is told when what came before has been sent on.
    broken: Option<Told>,
}

impl Body {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// These bytes.
    #[must_use]
    pub fn full(bytes: Bytes) -> Self {
        Self { source: if bytes.is_empty() { Source::Empty } else { Source::Full(bytes) }, tap: None }
    }

    /// What comes on an HTTP/1 connection.
    #[must_use]
    pub fn http1(incoming: Incoming) -> Self {
        let ended = http_body::Body::is_end_stream(&incoming);
        Self { source: if ended { Source::Empty } else { Source::Http1(incoming) }, tap: None }
    }

    /// What comes on an HTTP/2 stream; `headers` are those of its head, `opened` is the stream.
    #[must_use]
    pub fn http2(stream: h2::RecvStream, headers: &HeaderMap, opened: &OpenStream) -> Self {
        if stream.is_end_stream() {
            return Self::empty();
        }
        let length = headers.get(http::header::CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse().ok());
        Self { source: Source::Http2 { stream, length, left: length, reading: opened.reading() }, tap: None }
    }

    /// Watches it as the body of a request: bytes are counted against `max`, and two frames
    /// may be `timeout` apart.
    pub fn watch_request(
        &mut self,
        exchange: &Rc<Exchange>,
        sweep: &Rc<Sweep>,
        timeout: Duration,
        max: Option<u64>,
    ) {
        if !matches!(self.source, Source::Empty) {
            self.tap =
                Some(Tap::new(exchange, Leg::Request, sweep, ("client_body_timeout", timeout), max, None));
        }
    }

    /// Watches it as the body of a response; `lease` goes back to its pool at the end.
    #[must_use]
    pub fn of_response(
        mut self,
        exchange: &Rc<Exchange>,
        sweep: &Rc<Sweep>,
        timeout: Duration,
        lease: Option<Lease>,
    ) -> Self {
        let mut tap = Tap::new(exchange, Leg::Response, sweep, ("read_timeout", timeout), None, lease);
        if matches!(self.source, Source::Empty) {
            tap.finish();
        } else {
            self.tap = Some(tap);
        }
        self
    }

    /// The other side took none of it for too long: says so, here and in the access line.
    pub fn not_taken(&self, name: &'static str) -> String {
        match &self.tap {
            Some(Tap { leg: Leg::Request, exchange, .. }) => exchange.request_not_taken(name),
            Some(Tap { leg: Leg::Response, exchange, .. }) => {
                exchange.because(format!("{name} passed while the client took no bytes"));
            }
            None => {}
        }
        format!("{name} passed while the other side took no bytes")
    }

    /// Whether there is nothing to send at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.source, Source::Empty)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Told;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Told>>> {
        let this = self.get_mut();
        if let Some(error) = this.tap.as_mut().and_then(|tap| tap.broken.take()) {
            return Poll::Ready(Some(Err(error)));
        }
        let polled = this.source.poll_frame(cx);
        let Some(tap) = &mut this.tap else {
            return polled.map(|frame| frame.map(|result| result.map_err(Told)));
        };
        match polled {
            Poll::Pending => tap.wait(cx),
            Poll::Ready(None) => {
                tap.finish();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(cause))) => {
                // The error ends the connection or stream at once, together with all that has not
                // left yet: that goes first, so that the caller gets what the other side sent.
                tap.broken = Some(tap.broke(&cause));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(Some(Ok(frame))) => {
                // Nobody asks for more after trailers, nor after the last byte of a known length.
                let last = frame.is_trailers() || this.source.is_end_stream() || this.source.is_used_up();
                let passed = tap.pass(frame);
                if last && passed.is_ok() {
                    tap.finish();
                }
                Poll::Ready(Some(passed))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Http1(incoming) => http_body::Body::size_hint(incoming),
            Source::Http2 { length: Some(length), .. } => SizeHint::with_exact(*length),
            Source::Http2 { length: None, .. } => SizeHint::default(),
        }
    }
}

impl Source {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Http1(incoming) => {
                http_body::Body::poll_frame(Pin::new(incoming), cx).map_err(|error| chain(&error))
            }
            Self::Http2 { stream, left, reading, .. } => {
                let polled = poll_stream(stream, cx);
                match &polled {
                    Poll::Pending => reading.awaits_more(),
                    Poll::Ready(Some(Ok(frame))) => {
                        let bytes = frame.data_ref().map_or(0, Bytes::len);
                        reading.handed_on(bytes);
                        // h2 refuses more than was announced.
                        *left = left.map(|left| left.saturating_sub(bytes as u64));
                    }
                    Poll::Ready(_) => {}
                }
                polled
            }
        }
    }

    /// Whether all announced bytes came, though the end of the stream may still be on its way.
    fn is_used_up(&self) -> bool {
        matches!(self, Self::Http2 { left: Some(0), .. })
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Http1(incoming) => http_body::Body::is_end_stream(incoming),
            Self::Http2 { stream, .. } => stream.is_end_stream(),
        }
    }
}

fn poll_stream(
    stream: &mut h2::RecvStream,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, String>>> {
    match std::task::ready!(stream.poll_data(cx)) {
        Some(Ok(data)) => {
            // The window opens again as the other side takes the bytes: that is the backpressure.
            let released = stream.flow_control().release_capacity(data.len());
            Poll::Ready(Some(released.map(|()| Frame::data(data)).map_err(|error| chain(&error))))
        }
        Some(Err(error)) => Poll::Ready(Some(Err(chain(&error)))),
        None => match std::task::ready!(stream.poll_trailers(cx)) {
            Ok(trailers) => Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers)))),
            Err(error) => Poll::Ready(Some(Err(chain(&error)))),
        },
    }
}

impl Tap {
    fn new(
        exchange: &Rc<Exchange>,
        leg: Leg,
        sweep: &Rc<Sweep>,
        timeout: (&'static str, Duration),
        left: Option<u64>,
        lease: Option<Lease>,
    ) -> Self {
        let (exchange, sweep) = (Rc::clone(exchange), Rc::clone(sweep));
        Self { exchange, leg, sweep, deadline: None, timeout, left, lease, broken: None }
    }

    /// Nothing there yet: the deadline runs.
    fn wait(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Told>>> {
        let deadline = self.deadline.get_or_insert_with(|| self.sweep.deadline());
        if !deadline.is_armed() {
            deadline.arm(self.timeout.0, self.timeout.1);
        }
        let Some(name) = deadline.poll_expired(cx) else {
            if self.leg == Leg::Request {
                self.exchange.request_piece_awaited();
            }
            return Poll::Pending;
        };
        let text = match self.leg {
            Leg::Request => format!("{name} passed while waiting for more of the client's body"),
            Leg::Response => format!("{name} passed while waiting for more of the upstream's body"),
        };
        match self.leg {
            Leg::Request => self.exchange.request_failed(UpstreamError::BodyTimedOut(text.as_str().into())),
            Leg::Response => self.exchange.because(text.as_str()),
        }
        self.lease = None;
        Poll::Ready(Some(Err(Told(text))))
    }

    /// Counts and cleans a frame.
    fn pass(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Told> {
        if let Some(deadline) = &self.deadline {
            deadline.disarm();
        }
        match frame.into_data() {
            Ok(data) => self.pass_data(data),
            Err(frame) => Ok(frame.into_trailers().map_or_else(
                |unknown| unknown,
                |mut trailers| {
                    self.exchange.strip_trailers(&mut trailers);
                    Frame::trailers(trailers)
                },
            )),
        }
    }

    fn pass_data(&mut self, data: Bytes) -> Result<Frame<Bytes>, Told> {
        match self.leg {
            Leg::Response => self.exchange.add_out(data.len()),
            Leg::Request => {
                self.exchange.add_in(data.len());
                if let Some(left) = &mut self.left {
                    let Some(still) = left.checked_sub(data.len() as u64) else {
                        let text = "the client's body is larger than client_max_body_size";
                        self.exchange.request_failed(UpstreamError::BodyTooLarge(text.into()));
                        return Err(Told(text.into()));
                    };
                    *left = still;
                }
                self.exchange.request_piece_passed();
            }
        }
        Ok(Frame::data(data))
    }

    fn broke(&mut self, cause: &str) -> Told {
        // A connection that broke is not given back.
        self.lease = None;
        match self.leg {
            Leg::Request => {
                let text = format!("the client's body broke off: {cause}");
                self.exchange.request_failed(UpstreamError::RequestBody(text.as_str().into()));
                Told(text)
            }
            Leg::Response => {
                let text = format!("the upstream's body broke off: {cause}");
                self.exchange.because(text.as_str());
                Told(text)
            }
        }
    }

    fn finish(&mut self) {
        self.deadline = None;
        match self.leg {
            Leg::Request => self.exchange.request_passed(),
            Leg::Response => self.exchange.complete(),
        }
        // While the request is still being sent, its connection is not free.
        match self.lease.take() {
            Some(lease) if self.exchange.is_request_complete() => lease.give_back(),
            Some(lease) => lease.linger(&self.exchange),
            None => {}
        }
    }
}
