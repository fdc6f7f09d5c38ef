//! Sending a body on an HTTP/2 stream, as fast as the other side's window allows.
//!
//! Used for responses to our clients (`server`) and for requests on a link (`proxy::link`).

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body as _;

use super::body::Body;
use crate::lifecycle::deadline::{Deadline, Sweep};
use crate::telemetry::cause::chain;

/// How long the other side may refuse to take bytes, and what that wait is called.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A setting's name.
    pub name: &'static str,
    /// Its value.
    pub after: Duration,
}

/// Sends all of `body` and the end of the stream; a body that breaks resets the stream.
///
/// # Errors
/// Why the stream could not be completed, for the log.
pub async fn pump(
    mut body: Body,
    mut stream: SendStream<Bytes>,
    sweep: &Rc<Sweep>,
    patience: Patience,
) -> Result<(), String> {
    loop {
        let frame = match next_frame(&mut body, &mut stream).await {
            Next::Frame(frame) => frame,
            Next::End => return stream.send_data(Bytes::new(), true).map_err(|error| chain(&error)),
            Next::Broke(cause) => {
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Err(cause);
            }
            // The other side needs no more: an early answer, or nobody is interested.
            Next::Reset(Reason::NO_ERROR) => return Ok(()),
            Next::Reset(reason) => return Err(format!("the other side reset the stream: {reason}")),
        };
        match frame.into_data() {
            Ok(data) => {
                let last = body.is_end_stream();
                match send(data, last, &mut stream, sweep, patience).await {
                    Ok(()) => {}
                    Err(Unsent::TimedOut) => return Err(body.not_taken(patience.name)),
                    Err(Unsent::Broke(cause)) => return Err(cause),
                }
                if last {
                    return Ok(());
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return stream.send_trailers(trailers).map_err(|error| chain(&error));
                }
            }
        }
    }
}

enum Next {
    Frame(http_body::Frame<Bytes>),
    End,
    Broke(String),
    Reset(Reason),
}

async fn next_frame(body: &mut Body, stream: &mut SendStream<Bytes>) -> Next {
    poll_fn(|cx| {
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
            return Poll::Ready(match frame {
                Some(Ok(frame)) => Next::Frame(frame),
                Some(Err(error)) => Next::Broke(error.to_string()),
                None => Next::End,
            });
        }
        match stream.poll_reset(cx) {
            Poll::Ready(Ok(reason)) => Poll::Ready(Next::Reset(reason)),
            Poll::Ready(Err(error)) => Poll::Ready(Next::Broke(chain(&error))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn send(
    mut data: Bytes,
    last: bool,
    stream: &mut SendStream<Bytes>,
    sweep: &Rc<Sweep>,
    patience: Patience,
) -> Result<(), Unsent> {
    if data.is_empty() && last {
        return Ok(stream.send_data(data, true)?);
    }
    let mut deadline = None;
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let window = match stream.capacity() {
            0 => wait_for_window(stream, deadline.get_or_insert_with(|| sweep.deadline()), patience).await?,
            window => window,
        };
        let piece = data.split_to(window.min(data.len()));
        stream.send_data(piece, last && data.is_empty())?;
    }
    Ok(())
}

/// Why a piece could not be sent.
enum Unsent {
    TimedOut,
    Broke(String),
}

impl From<h2::Error> for Unsent {
    fn from(error: h2::Error) -> Self {
        Self::Broke(chain(&error))
    }
}

async fn wait_for_window(
    stream: &mut SendStream<Bytes>,
    deadline: &Deadline,
    patience: Patience,
) -> Result<usize, Unsent> {
    let window = poll_fn(|cx| {
        loop {
            match stream.poll_capacity(cx) {
                // Woken without a window: asked again, h2 notes the waker.
                Poll::Ready(Some(Ok(0))) => {}
                other => return other,
            }
        }
    });
    match deadline.limit(patience.name, patience.after, window).await {
        Ok(Some(Ok(window))) => Ok(window),
        Ok(Some(Err(error))) => Err(error.into()),
        Ok(None) => Err(Unsent::Broke("the other side closed the stream".into())),
        Err(_) => {
            stream.send_reset(Reason::CANCEL);
            Err(Unsent::TimedOut)
        }
    }
}
