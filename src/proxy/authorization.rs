//! From a request to its permit: the policy is asked, and asked again with what it wanted to know.
//!
//! Used by `proxy`. `policy` decides and does no I/O; this room fetches the statuses of certificates for it,
//! on the few requests whose answer is not known yet.

use std::sync::Arc;

use http::HeaderMap;
use rustls::pki_types::UnixTime;

use super::Refusal;
use super::client::Client;
use crate::message::reply::Reply;
use crate::policy::{Permit, Policy, Question, Refused, Statuses};
use crate::snapshot::Snapshot;
use crate::tls::revocation::{Query, Revocation, Status};

/// Who asks, and what for.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) client: &'a Client,
    pub(super) headers: &'a HeaderMap,
    pub(super) snapshot: &'a Snapshot,
}

/// What is known of certificates, and what was told to this request alone.
struct Known<'a> {
    revocation: &'a Revocation,
    fetched: Vec<(Query, Status)>,
}

impl Statuses for Known<'_> {
    fn status(&self, query: &Query, now: UnixTime) -> Option<Status> {
        let told = self.fetched.iter().find(|(asked, _)| asked == query).map(|(_, status)| status.clone());
        told.or_else(|| self.revocation.status(query, now))
    }
}

/// The permit of a request.
///
/// # Errors
/// Why there is none.
pub(super) async fn authorize(
    policy: &Arc<Policy>,
    request: Request<'_>,
    revocation: &Revocation,
) -> Result<Arc<Permit>, Refusal> {
    let known = Known { revocation, fetched: Vec::new() };
    match ask(policy, request, &known) {
        Ok(permit) => Ok(permit),
        Err(Refused::Denied(denial)) => Err(denial.into()),
        // Boxed: seldom, and large.
        Err(Refused::Undecided(queries)) => Box::pin(inform(policy, request, known, queries)).await,
    }
}

async fn inform(
    policy: &Arc<Policy>,
    request: Request<'_>,
    mut known: Known<'_>,
    mut queries: Vec<Query>,
) -> Result<Arc<Permit>, Refusal> {
    for _ in 0..MAX_ROUNDS {
        for query in queries {
            let status = known.revocation.fetch(&query).await;
            known.fetched.push((query, status));
        }
        queries = match ask(policy, request, &known) {
            Ok(permit) => return Ok(permit),
            Err(Refused::Denied(denial)) => return Err(denial.into()),
            Err(Refused::Undecided(more)) => more,
        };
    }
    Err(Refusal::new(Reply::NOT_VERIFIED, "whether the certificate is revoked could not be told in the end"))
}

fn ask(policy: &Arc<Policy>, request: Request<'_>, known: &Known<'_>) -> Result<Arc<Permit>, Refused> {
    let Request { client, headers, snapshot } = request;
    let (peer, real_ip) = (client.hop.peer(), &snapshot.real_ip);
    let from_trusted_ip = real_ip.trusts(peer);
    let client_ip = if from_trusted_ip { real_ip.client(headers, peer) } else { peer };
    let question = Question {
        peer: &client.peer,
        client_ip,
        from_trusted_ip,
        headers,
        statuses: known,
        now: UnixTime::now(),
    };
    policy.authorize(&question, &client.decisions)
}

/// A request has at most two certificates to ask about, its connection's and one in a header.
const MAX_ROUNDS: usize = 3;
