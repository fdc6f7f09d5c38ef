//! Sending a permitted request to its service, once more if that is safe: to another target, where there
//! is one that has not failed it.
//!
//! A second attempt is made only where nothing was sent, where the other side says it did
//! not look, or where the method is idempotent, has no body, and a connection that had been
//! idle broke before any answer (RFC 9110 9.2.2).

use std::pin::pin;
use std::rc::Rc;

use http::{Request, Response};

use super::attempt::{Failed, Spare};
use super::backend::Way;
use super::body::Body;
use super::error::UpstreamError;
use super::exchange::Exchange;
use super::interim::Interim;
use super::pool::Lease;
use crate::lifecycle::deadline::Sweep;
use crate::policy::Permit;

/// A request on its way, with what the way there needs to know.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    pub(super) request: &'a mut Request<Body>,
    pub(super) is_grpc: bool,
    pub(super) exchange: &'a Rc<Exchange>,
    pub(super) interim: Option<&'a Interim>,
    pub(super) sweep: &'a Rc<Sweep>,
}

/// Sends it and gives the head of the answer. The permit is the proof that it may be sent.
///
/// The request is taken out of its place where it is sent, and not before: it is large, and every
/// function it is given to would move it.
///
/// # Errors
/// Why the last attempt failed.
pub(super) async fn forward(
    _proof: &Permit,
    way: &mut Way<'_>,
    outgoing: Outgoing<'_>,
) -> Result<(Response<Body>, Lease), UpstreamError> {
    let Outgoing { request, is_grpc, exchange, interim, sweep } = outgoing;
    let mut attempts_left = way.retries();
    let spare = (attempts_left > 0 && request.body().is_empty()).then(|| Spare::of(request));
    loop {
        way.begin(exchange);
        let target = way.target();
        let answer = {
            let work = pin!(way.pool().send(request, is_grpc, exchange, interim));
            exchange.limit_upstream(sweep, &target.terms, work).await
        };
        let failed = match answer {
            Ok(Ok(answer)) => {
                way.answered(answer.0.status(), exchange);
                return Ok(answer);
            }
            Ok(Err(failed)) => failed,
            Err(name) => {
                let error = UpstreamError::TimedOut { name, upstream: target.label.as_ref().into() };
                way.failed_with(&error, exchange);
                return Err(error);
            }
        };
        way.failed(&failed, exchange);
        if attempts_left == 0 {
            return Err(failed.error);
        }
        attempts_left -= 1;
        if !failed.unsent {
            let Some(again) = again(&failed, spare.as_ref()) else { return Err(failed.error) };
            *request = again;
        }
        if failed.unreached && way.gives_way(&failed.error) {
            // A closed connection is gone when its task has been.
            tokio::task::yield_now().await;
            continue;
        }
        // A target that cannot be reached is not dialled again at once; a connection that broke is made anew.
        if !way.turn_to_another() && failed.unreached {
            return Err(failed.error);
        }
        way.address(request.headers_mut());
    }
}

/// The request for a second attempt; `None` where that is not safe.
fn again(failed: &Failed, spare: Option<&Spare>) -> Option<Request<Body>> {
    let spare = spare?;
    let is_safe = failed.unprocessed || (failed.broke_idle() && spare.method().is_idempotent());
    is_safe.then(|| spare.request())
}
