//! Sending a permitted request to its service, once more if that is safe.
//!
//! A second attempt is made only where nothing was sent, where the other side says it did
//! not look, or where the method is idempotent, has no body, and a connection that had been
//! idle broke before any answer (RFC 9110 9.2.2).

use std::pin::pin;
use std::rc::Rc;

use http::{Request, Response};

use super::attempt::{Failed, Spare};
use super::body::Body;
use super::error::UpstreamError;
use super::exchange::Exchange;
use super::interim::Interim;
use super::pool::{Lease, Pool};
use crate::lifecycle::deadline::Sweep;
use crate::policy::Permit;

/// What the way to the service needs to know of a request.
#[derive(Debug)]
pub(super) struct Way<'a> {
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
    pool: &Rc<Pool>,
    request: &mut Request<Body>,
    way: Way<'_>,
) -> Result<(Response<Body>, Lease), UpstreamError> {
    let Way { is_grpc, exchange, interim, sweep } = way;
    let upstream = &pool.service().upstream;
    let mut attempts_left = upstream.retries;
    let spare = (attempts_left > 0 && request.body().is_empty()).then(|| Spare::of(request));
    loop {
        exchange.sent_to(&pool.service().label);
        let answer = {
            let work = pin!(pool.send(request, is_grpc, exchange, interim));
            exchange.limit_upstream(sweep, upstream, work).await
        };
        let failed = match answer {
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
        if !failed.unsent {
            *request = again(failed, spare.as_ref())?;
        }
    }
}

/// The request for a second attempt, or the first one's error where that is not safe.
fn again(failed: Failed, spare: Option<&Spare>) -> Result<Request<Body>, UpstreamError> {
    let Some(spare) = spare else { return Err(failed.error) };
    let broke_idle = failed.reused && matches!(failed.error, UpstreamError::Broken { .. });
    if failed.unprocessed || (broke_idle && spare.method().is_idempotent()) {
        return Ok(spare.request());
    }
    Err(failed.error)
}
