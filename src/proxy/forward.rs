//! Sending a permitted request to its service, once more if that is safe: to another target, where there
//! is one that has not failed it.
//!
//! A second attempt is made only where nothing was sent, where the other side says it did
//! not look, or where the method is idempotent, has no body, and a connection that had been
//! idle broke before any answer (RFC 9110 9.2.2).

use std::rc::Rc;

use http::{Request, Response};

use super::attempt::Failed;
use super::backend::Way;
use super::body::Body;
use super::error::UpstreamError;
use super::exchange::Exchange;
use super::interim::Interim;
use super::pool::Lease;
use super::version;
use crate::lifecycle::deadline::Sweep;
use crate::policy::Permit;

/// A request on its way, with what the way there needs to know.
#[derive(Debug)]
pub(super) struct Outgoing<'a> {
    pub(super) request: Request<Body>,
    pub(super) is_grpc: bool,
    pub(super) exchange: &'a Rc<Exchange>,
    pub(super) interim: Option<&'a Interim>,
    pub(super) sweep: &'a Rc<Sweep>,
}

/// Sends it and gives the head of the answer. The permit is the proof that it may be sent.
///
/// # Errors
/// Why the last attempt failed.
pub(super) async fn forward(
    _proof: &Permit,
    way: &mut Way<'_>,
    outgoing: Outgoing<'_>,
) -> Result<(Response<Body>, Lease), UpstreamError> {
    let Outgoing { mut request, is_grpc, exchange, interim, sweep } = outgoing;
    let spare = request.body().is_empty().then(|| head_of(&request));
    let mut attempts_left = way.retries();
    loop {
        way.begin(exchange);
        let target = way.target();
        let work = way.pool().send(request, is_grpc, exchange, interim);
        let failed = match exchange.limit_upstream(sweep, &target.terms, work).await {
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
        let (unreached, error) = (failed.unreached, failed.error.clone());
        request = again(failed, spare.as_ref())?;
        // A target that cannot be reached is not dialled again at once; a connection that broke is made anew.
        if !way.turn_to_another() && unreached {
            return Err(error);
        }
        way.address(request.headers_mut());
    }
}

/// The request for a second attempt, or the first one's error where that is not safe.
fn again(failed: Failed, spare: Option<&Request<()>>) -> Result<Request<Body>, UpstreamError> {
    let broke_idle = failed.broke_idle();
    if let Some(unsent) = failed.unsent {
        return Ok(version::neither(unsent));
    }
    let Some(head) = spare else { return Err(failed.error) };
    if failed.unprocessed || (broke_idle && head.method().is_idempotent()) {
        return Ok(head.clone().map(|()| Body::empty()));
    }
    Err(failed.error)
}

fn head_of(request: &Request<Body>) -> Request<()> {
    let mut head = Request::new(());
    head.method_mut().clone_from(request.method());
    head.uri_mut().clone_from(request.uri());
    head.headers_mut().clone_from(request.headers());
    head
}
