//! HTTP/1 on a client connection, by hyper; upgrades leave it as tunnels.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::connection::is_idle_too_long;
use super::linger::linger;
use super::watched::{Watch, Watched};
use super::worker::Context;
use crate::config::Limits;
use crate::proxy::body::Body;
use crate::proxy::client::{Client, Overdue};
use crate::proxy::flow_control::http1_buffer;
use crate::proxy::interim::Interim;
use crate::telemetry::cause::chain;
use crate::tls::stream::Stream;

const HEAD_OVERDUE: &str = "client_header_timeout passed before a request's head was complete";
/// `write_timeout`, as the access line of what was being sent tells it.
const NOT_TAKEN: &str = "write_timeout passed while the client took no bytes";

/// hyper's own count, with which it keeps the fields of a head on the stack.
const HYPER_HEADERS: usize = 100;

/// A connection without requests for so long gives back what hyper holds for it: 8 KiB and more to
/// read into, as much to write from. 10,000 idle clients are common, and memory is what they cost.
const REST_AFTER: Duration = Duration::from_secs(1);

/// How a time of requests on a connection ended.
enum Pause {
    /// Nothing is going on, and nothing is buffered.
    Rest(Watched),
    /// The connection is over.
    Over(Result<(), String>),
}

/// Serves requests until either side ends the connection.
///
/// # Errors
/// One sentence when the connection, rather than a request on it, went wrong.
pub(super) async fn serve(stream: Stream, client: &Rc<Client>, context: &Rc<Context>) -> Result<(), String> {
    let write_timeout = context.proxy.snapshot().deadlines.client_write;
    let watch = Watch::new(client, context.proxy.sweep().deadline(), write_timeout);
    let mut watched = Watched::new(stream, &watch);
    loop {
        // Boxed, so that its memory is free while the connection rests.
        match Box::pin(requests(watched, &watch, client, context)).await {
            Pause::Rest(resting) => watched = resting,
            Pause::Over(ended) => return ended,
        }
        tracing::debug!(peer = %client.address, "a connection rests: its buffers are given back");
        rest(&watched, client, context).await;
    }
}

/// Waits until there is something to do: bytes, `keepalive_timeout`, or the end of the program.
async fn rest(watched: &Watched, client: &Rc<Client>, context: &Rc<Context>) {
    let mut finish = pin!(context.finish.asked());
    poll_fn(|cx| {
        let wanted = watched.poll_readable(cx).is_ready()
            || client.poll_overdue(cx).is_some()
            || finish.as_mut().poll(cx).is_ready();
        if wanted { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Serves requests until the connection ends, or rests.
async fn requests(watched: Watched, watch: &Rc<Watch>, client: &Rc<Client>, context: &Rc<Context>) -> Pause {
    let snapshot = context.proxy.snapshot();
    let (limits, write_timeout) = (snapshot.limits, snapshot.deadlines.client_write);
    drop(snapshot);
    let has_body = Cell::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        has_body.set(!request.body().is_end_stream());
        answer(request, client, context, watch)
    });
    let mut connection = builder(limits).serve_connection(TokioIo::new(watched), service);
    let mut finish = pin!(context.finish.asked());
    let rested_until_the_end = context.finish.is_asked();
    let mut finishing = false;
    let quiet = context.proxy.sweep().deadline();
    // hyper closes after an answer to a request whose body it did not read, or that it could not
    // read at all. An answer that broke is no answer: its client learns that at once.
    let mut may_have_more = false;
    let ended = poll_fn(|cx| {
        // What has arrived is served before anything is ended.
        let mut polled = Pin::new(&mut connection).poll(cx);
        // Whoever had an answer a moment ago may be asking again, and a request that meets a closed
        // connection fails: his next answer tells him to go, or he rests first.
        let may_ask_again = !rested_until_the_end && client.is_idle() && watch.is_flushed();
        let mut is_over = |cx: &mut _| {
            is_idle_too_long(client, cx) || (!may_ask_again && finish.as_mut().poll(cx).is_ready())
        };
        if polled.is_pending() && !finishing && is_over(cx) {
            finishing = true;
            quiet.disarm();
            Pin::new(&mut connection).graceful_shutdown();
            polled = Pin::new(&mut connection).poll(cx);
        }
        if polled.is_ready() {
            may_have_more = !finishing
                && match &polled {
                    Poll::Ready(Err(error)) => error.is_parse(),
                    _ => has_body.get(),
                };
            return polled.map(|ended| Some(ended.map_err(|error| sentence(&error, limits))));
        }
        let overdue = match client.poll_overdue(cx) {
            Some(Overdue::Head) => Some(HEAD_OVERDUE),
            _ => watch.is_stuck(cx).then_some(NOT_TAKEN),
        };
        if let Some(reason) = overdue {
            client.close_because(reason);
            return Poll::Ready(Some(Err(reason.to_owned())));
        }
        if !client.is_idle() || !watch.is_flushed() {
            quiet.disarm();
            return Poll::Pending;
        }
        if !quiet.is_armed() {
            // A client that is told to go, and whom hyper still waits for, is not waited for long.
            quiet.arm("rest", if finishing { write_timeout } else { REST_AFTER });
        }
        quiet.poll_expired(cx).map_or(Poll::Pending, |_| Poll::Ready(finishing.then_some(Ok(()))))
    })
    .await;
    let parts = connection.into_parts();
    let (watched, read) = (parts.io.into_inner(), parts.read_buf);
    let Some(ended) = ended else { return Pause::Rest(watched.with(begun(&read, client))) };
    // Taken in any case: it holds the exchange, which holds the client.
    let tunnel = client.take_tunnel();
    if let Some(tunnel) = tunnel.filter(|_| ended.is_ok()) {
        tunnel.run(watched.into_stream(), read, context.proxy.sweep()).await;
    } else if may_have_more {
        linger(watched.into_stream(), context.proxy.sweep()).await;
    }
    Pause::Over(ended)
}

/// What a client sent behind its last request: the beginning of the next, which is to be complete within
/// `client_header_timeout`. Empty lines begin nothing (RFC 9112 2.2).
fn begun(read: &Bytes, client: &Client) -> Bytes {
    let start = read.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(read.len());
    if start < read.len() {
        client.bytes_arrived();
    }
    // Copied, since a slice of a buffer holds the whole of it.
    Bytes::copy_from_slice(&read[start..])
}

fn builder(limits: Limits) -> Builder {
    let mut builder = Builder::new();
    // The deadlines of the head are ours: hyper's would count the idle time between requests too.
    builder.header_read_timeout(None).max_header_size(limits.max_header_bytes);
    builder.max_buf_size(http1_buffer(limits.max_header_bytes));
    if limits.max_header_count != HYPER_HEADERS {
        builder.max_headers(limits.max_header_count);
    }
    builder
}

async fn answer(
    request: Request<Incoming>,
    client: &Rc<Client>,
    context: &Context,
    watch: &Rc<Watch>,
) -> Result<http::Response<Body>, Infallible> {
    // HTTP/1.0 knows no interim answers (RFC 9110 15.2).
    let interim = (request.version() == Version::HTTP_11).then(|| {
        let watch = Rc::clone(watch);
        Interim::new(move |head| watch.interim(&head))
    });
    Ok(context.proxy.serve(client, request.map(Body::http1), interim.as_ref()).await)
}

/// hyper's error as one sentence; what it answered by itself is said too, since no access
/// line tells.
fn sentence(error: &hyper::Error, limits: Limits) -> String {
    if error.is_parse_too_large() {
        let Limits { max_header_bytes, max_header_count, .. } = limits;
        return format!(
            "a request's head was larger than max_header_bytes ({max_header_bytes}) or had more fields than \
             max_header_count ({max_header_count}); answered 431"
        );
    }
    if error.is_parse() {
        return format!("a request was not HTTP/1: {}; answered 400", chain(error));
    }
    chain(error)
}
