//! Sending a permitted request to its service, once more if that is safe.
//!
//! A second attempt is made only where nothing was sent, where the other side says it did
//! not look, or where the method is idempotent, has no body, and a connection that had been
//! idle broke before any answer (RFC 9110 9.2.2).

use std::rc::Rc;

use http::{Request, Response};

use super::attempt::Failed;
use super::body::Body;
use super::error::UpstreamError;
use super::exchange::Exchange;
use super::interim::Interim;
use super::pool::{Lease, Pool};
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
    pool: &Rc<Pool>,
    outgoing: Outgoing<'_>,
) -> Result<(Response<Body>, Lease), UpstreamError> {
    let Outgoing { mut request, is_grpc, exchange, interim, sweep } = outgoing;
    let upstream = &pool.service().upstream;
    let spare = request.body().is_empty().then(|| head_of(&request));
    let mut attempts_left = upstream.retries;
    loop {
        exchange.sent_to(&pool.service().label);
        let work = pool.send(request, is_grpc, exchange, interim);
        let failed = match exchange.limit_upstream(sweep, upstream, work).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(failed)) => failed,
            Err(name) => {
                return Err(UpstreamError::TimedOut { name, upstream: pool.service().label.as_ref().into() });
            }
        };
        if attempts_left == 0 {
            return Err(failed.error);
        }
        attempts_left -= 1;
        request = again(failed, spare.as_ref())?;
    }
}

/// The request for a second attempt, or the first one's error where that is not safe.
fn again(failed: Failed, spare: Option<&Request<()>>) -> Result<Request<Body>, UpstreamError> {
    if let Some(unsent) = failed.unsent {
        return Ok(unsent);
    }
    let Some(head) = spare else { return Err(failed.error) };
    let broke_idle = failed.reused && matches!(failed.error, UpstreamError::Broken { .. });
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
