//! HTTP/1 on a client connection, by hyper; upgrades leave it as tunnels.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use http::{Request, Version};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::connection::is_to_finish;
use super::linger::linger;
use super::watched::{Watch, Watched};
use super::worker::Context;
use crate::config::Limits;
use crate::proxy::body::Body;
use crate::proxy::client::{Client, Overdue};
use crate::proxy::error::chain;
use crate::proxy::interim::Interim;
use crate::tls::stream::Stream;

const HEAD_OVERDUE: &str = "client_header_timeout passed before a request's head was complete";
/// `write_timeout`, as the access line of what was being sent tells it.
const NOT_TAKEN: &str = "write_timeout passed while the client took no bytes";

/// hyper's own count, with which it keeps the fields of a head on the stack.
const HYPER_HEADERS: usize = 100;

/// Serves requests until either side ends the connection.
///
/// # Errors
/// One sentence when the connection, rather than a request on it, went wrong.
pub(super) async fn serve(stream: Stream, client: &Rc<Client>, context: &Rc<Context>) -> Result<(), String> {
    let snapshot = context.proxy.snapshot();
    let (limits, write_timeout) = (snapshot.limits, snapshot.deadlines.client_write);
    drop(snapshot);
    let watch = Watch::new(client, context.proxy.sweep().deadline(), write_timeout);
    let has_body = Cell::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        has_body.set(!request.body().is_end_stream());
        answer(request, client, context, &watch)
    });
    let watched = TokioIo::new(Watched::new(stream, &watch));
    let mut connection = builder(limits).serve_connection(watched, service);
    let mut finish = pin!(context.finish.asked());
    let mut finishing = false;
    // hyper closes after an answer to a request whose body it did not read, or that it could not
    // read at all. An answer that broke is no answer: its client learns that at once.
    let mut may_have_more = false;
    let ended = poll_fn(|cx| {
        // What has arrived is served before anything is ended.
        let mut polled = Pin::new(&mut connection).poll(cx);
        if polled.is_pending() && !finishing && is_to_finish(finish.as_mut(), client, cx) {
            finishing = true;
            Pin::new(&mut connection).graceful_shutdown();
            polled = Pin::new(&mut connection).poll(cx);
        }
        if polled.is_ready() {
            may_have_more = !finishing
                && match &polled {
                    Poll::Ready(Err(error)) => error.is_parse(),
                    _ => has_body.get(),
                };
            return polled.map_err(|error| sentence(&error, limits));
        }
        let overdue = match client.poll_overdue(cx) {
            Some(Overdue::Head) => Some(HEAD_OVERDUE),
            _ => watch.is_stuck(cx).then_some(NOT_TAKEN),
        };
        overdue.map_or(Poll::Pending, |reason| {
            client.close_because(reason);
            Poll::Ready(Err(reason.to_owned()))
        })
    })
    .await;
    // Taken in any case: it holds the exchange, which holds the client.
    let tunnel = client.take_tunnel();
    if let Some(tunnel) = tunnel.filter(|_| ended.is_ok()) {
        let parts = connection.into_parts();
        tunnel.run(parts.io.into_inner().into_stream(), parts.read_buf, context.proxy.sweep()).await;
    } else if may_have_more {
        linger(connection.into_parts().io.into_inner().into_stream(), context.proxy.sweep()).await;
    }
    ended
}

fn builder(limits: Limits) -> Builder {
    let mut builder = Builder::new();
    // The deadlines of the head are ours: hyper's would count the idle time between requests too.
    builder.header_read_timeout(None).max_header_size(limits.max_header_bytes);
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
