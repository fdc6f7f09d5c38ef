//! One client connection from its handshake to its end.

use std::mem::MaybeUninit;
use std::rc::Rc;
use std::task;

use socket2::SockRef;
use tokio::net::TcpStream;

use super::worker::{Accepted, Context, Finish};
use super::{handshake, http1, http2};
use crate::config::Deadlines;
use crate::lifecycle::deadline::Deadline;
use crate::proxy::client::{Client, Overdue};
use crate::telemetry::cause::{self, short};
use crate::telemetry::counters::Counters;
use crate::tls::stream::Stream;

/// Serves it until either side ends it; what went wrong with the connection itself is counted, and logged
/// as often as `telemetry` admits.
pub(super) async fn serve(accepted: Accepted, context: &Rc<Context>, counters: &Counters) {
    let peer = accepted.peer;
    if let Err(reason) = run(accepted, context).await {
        counters.connection_failed();
        tracing::info!(%peer, "a connection was closed: {}", short(&reason, LONGEST_REASON));
    }
}

async fn run(accepted: Accepted, context: &Rc<Context>) -> Result<(), String> {
    let Accepted { stream, peer, speaks, permit } = accepted;
    let tcp = TcpStream::from_std(stream).map_err(|error| cause::io(&error))?;
    let snapshot = context.proxy.snapshot();
    let (deadlines, sweep) = (snapshot.deadlines, context.proxy.sweep());
    let deadline = sweep.deadline();
    let shake = async {
        if speaks.tls {
            first_byte(&tcp, &context.finish).await?;
        }
        // Boxed, so that its memory is free when it is over.
        Box::pin(handshake::shake(tcp, peer, speaks, snapshot.listener_tls.as_ref(), &context.known)).await
    };
    let shaken = deadline
        .limit("handshake_timeout", deadlines.handshake, shake)
        .await
        .unwrap_or_else(|name| Err(format!("{name} passed before the TLS handshake was complete")))?;
    let http2 = match shaken.http2 {
        Some(chosen) => chosen,
        None => begins_with_preface(&shaken.stream, &deadline, deadlines, &context.finish).await?,
    };
    drop((deadline, snapshot));
    let client = Client::new(shaken.peer, deadlines, sweep, &context.idle);
    let ended = match http2 {
        // Boxed, so that an idle HTTP/1 connection does not hold the room it would need.
        true => Box::pin(http2::serve(shaken.stream, &client, context)).await,
        false => http1::serve(shaken.stream, &client, context).await,
    };
    drop(permit);
    ended
}

/// Whether a plain connection starts with the HTTP/2 preface (RFC 9113 3.4); looks without taking.
async fn begins_with_preface(
    stream: &Stream,
    deadline: &Deadline,
    deadlines: Deadlines,
    finish: &Finish,
) -> Result<bool, String> {
    let Stream::Plain(tcp) = stream else { return Ok(false) };
    let look = async {
        first_byte(tcp, finish).await?;
        look(tcp).await
    };
    deadline
        .limit("client_header_timeout", deadlines.client_header, look)
        .await
        .unwrap_or_else(|name| Err(format!("{name} passed before a request came")))
}

/// Waits for the client to begin. When the program ends, whoever has not begun is not waited for.
async fn first_byte(tcp: &TcpStream, finish: &Finish) -> Result<(), String> {
    tokio::select! {
        biased;
        readable = tcp.readable() => readable.map_err(|error| cause::io(&error)),
        () = finish.asked() => {
            // The runtime may not have looked at this socket yet.
            let mut byte = [MaybeUninit::uninit()];
            match SockRef::from(tcp).peek(&mut byte) {
                Ok(1..) => Ok(()),
                _ => Err("the program ends, and the client had sent nothing".into()),
            }
        }
    }
}

/// Whether no request came for `keepalive_timeout`, or none is going on and somebody else needs the place.
pub(super) fn is_idle_too_long(client: &Client, cx: &task::Context<'_>) -> bool {
    let reason = match client.poll_overdue(cx) {
        Some(Overdue::Idle) => "keepalive_timeout passed without a request",
        Some(Overdue::InTheWay) => "it was the longest idle of max_connections, and another came",
        Some(Overdue::Head) | None => return false,
    };
    tracing::debug!(peer = %client.address, "a connection is closed: {reason}");
    true
}

/// Characters of what may name a stranger's certificate and its issuer.
const LONGEST_REASON: usize = 1024;

async fn look(tcp: &TcpStream) -> Result<bool, String> {
    // Three bytes tell PRI, which is no method, from POST, PUT, PATCH and PROPFIND.
    const PREFACE: &[u8; 3] = b"PRI";
    let mut start = [0; PREFACE.len()];
    loop {
        let seen = tcp.peek(&mut start).await.map_err(|error| cause::io(&error))?;
        if seen == PREFACE.len() || start[..seen] != PREFACE[..seen] || seen == 0 {
            return Ok(start == *PREFACE);
        }
        // A peek does not wait for more than it has seen; such a trickle is rare.
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
