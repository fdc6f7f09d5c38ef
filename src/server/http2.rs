//! HTTP/2 on a client connection, by h2: every stream is a task of its own.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, Connection, SendResponse};
use http::{Request, Response};

use super::connection::is_idle_too_long;
use super::worker::Context;
use crate::config::Limits;
use crate::message::compression::Names;
use crate::proxy::body::Body;
use crate::proxy::client::{Client, Overdue};
use crate::proxy::flow_control::{OpenStream, SMALLEST, StreamWindow, connection_window};
use crate::proxy::interim::Interim;
use crate::proxy::link::{FRAME, REMEMBERED_RESETS, SEND_BUFFER};
use crate::proxy::pump::{Patience, pump};
use crate::telemetry::cause::chain;
use crate::tls::stream::Stream;

/// The library refuses heads beyond its limit without a word; ours is checked in the pipeline,
/// with a reason in the log, and this much larger one bounds memory.
const HEADER_SLACK: u32 = 2;

/// Who makes room for a newcomer has so long to close after GOAWAY: after that, it is closed.
const MAKE_ROOM_WITHIN: Duration = Duration::from_secs(5);

/// Serves streams until either side ends the connection.
///
/// # Errors
/// One sentence when the connection, rather than a request on it, went wrong.
pub(super) async fn serve(stream: Stream, client: &Rc<Client>, context: &Rc<Context>) -> Result<(), String> {
    let limits = context.proxy.snapshot().limits;
    let mut handshake = pin!(builder(limits).handshake(stream));
    let mut finish = pin!(context.finish.asked());
    let mut connection = poll_fn(|cx| {
        let polled = handshake.as_mut().poll(cx);
        if polled.is_ready() {
            return polled.map_err(|error| chain(&error));
        }
        let because = match client.poll_overdue(cx) {
            Some(_) => Some("client_header_timeout passed before the HTTP/2 preface"),
            None => {
                finish.as_mut().poll(cx).is_ready().then_some("the program ends, and no preface had come")
            }
        };
        because.map_or(Poll::Pending, |reason| Poll::Ready(Err(reason.to_owned())))
    })
    .await?;
    client.idle();
    run(&mut connection, client, context).await
}

async fn run(
    connection: &mut Connection<Stream, Bytes>,
    client: &Rc<Client>,
    context: &Rc<Context>,
) -> Result<(), String> {
    let mut finish = pin!(context.finish.asked());
    let mut finishing = false;
    let close = context.proxy.sweep().deadline();
    let mut patience = context.proxy.snapshot().deadlines.client_write;
    let names = Rc::new(Names::default());
    let window = Rc::new(StreamWindow::default());
    loop {
        let next = poll_fn(|cx| {
            window.adjust(cx, |size| connection.set_initial_window_size(size));
            // What has arrived is served before anything is ended.
            let mut next = connection.poll_accept(cx);
            let mut is_over =
                |cx: &mut _| is_idle_too_long(client, cx) || finish.as_mut().poll(cx).is_ready();
            if next.is_pending() && !finishing && is_over(cx) {
                finishing = true;
                if client.poll_overdue(cx) == Some(Overdue::InTheWay) {
                    patience = patience.min(MAKE_ROOM_WITHIN);
                }
                connection.graceful_shutdown();
                next = connection.poll_accept(cx);
            }
            if next.is_ready() {
                return next.map(|next| next.map(|next| next.map_err(|error| chain(&error))));
            }
            // After GOAWAY and the last stream, a client that does not close is closed.
            if finishing && client.active() == 0 && !close.is_armed() {
                close.arm("write_timeout", patience);
            }
            match close.poll_expired(cx) {
                Some(name) => Poll::Ready(Some(Err(format!("{name} passed after GOAWAY")))),
                None => Poll::Pending,
            }
        })
        .await;
        match next {
            Some(Ok((request, respond))) => {
                let (client, context, names) = (Rc::clone(client), Rc::clone(context), Rc::clone(&names));
                let opened = window.open();
                // Boxed: the runtime moves a task when it takes it and when it ends, KBs three times each.
                tokio::task::spawn_local(Box::pin(answer(request, respond, opened, client, context, names)));
            }
            Some(Err(reason)) => return Err(reason),
            None => return Ok(()),
        }
    }
}

fn builder(limits: Limits) -> Builder {
    let header_bytes = u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX);
    let mut builder = Builder::new();
    builder
        .initial_window_size(SMALLEST)
        .initial_connection_window_size(connection_window(limits.http2_max_concurrent_streams))
        .max_frame_size(FRAME)
        .max_header_list_size(header_bytes.saturating_mul(HEADER_SLACK))
        .max_concurrent_streams(limits.http2_max_concurrent_streams)
        .max_pending_accept_reset_streams(limits.http2_max_concurrent_streams as usize)
        .max_concurrent_reset_streams(REMEMBERED_RESETS)
        .max_send_buffer_size(SEND_BUFFER);
    builder
}

/// One request; what goes wrong with the stream shows in its access line.
async fn answer(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    opened: OpenStream,
    client: Rc<Client>,
    context: Rc<Context>,
    names: Rc<Names>,
) {
    let respond = Rc::new(RefCell::new(respond));
    let interim = Interim::new({
        let respond = Rc::clone(&respond);
        move |head| {
            // Too late or the stream is gone: an interim answer is a courtesy.
            let _ = respond.borrow_mut().send_informational(head);
        }
    });
    let (head, stream) = request.into_parts();
    let body = Body::http2(stream, &head.headers, &opened);
    let request = Request::from_parts(head, body);
    let work = pin!(context.proxy.serve(&client, request, Some(&interim)));
    let Some(response) = unless_reset(work, &respond).await else { return };
    let (mut head, body) = response.into_parts();
    names.mark(&mut head.headers);
    let sent = respond.borrow_mut().send_response(Response::from_parts(head, ()), body.is_empty());
    let Ok(stream) = sent else { return };
    if !body.is_empty() {
        let after = context.proxy.snapshot().deadlines.client_write;
        let patience = Patience { name: "write_timeout", after };
        if let Err(reason) = pump(body, stream, context.proxy.sweep(), patience).await {
            tracing::debug!(peer = %client.address, "a response was cut short: {reason}");
        }
    }
}

/// The response, unless the client loses interest first: then the work for it is dropped.
async fn unless_reset(
    mut work: Pin<&mut impl Future<Output = Response<Body>>>,
    respond: &RefCell<SendResponse<Bytes>>,
) -> Option<Response<Body>> {
    poll_fn(|cx| {
        if let Poll::Ready(response) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(response));
        }
        match respond.borrow_mut().poll_reset(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
