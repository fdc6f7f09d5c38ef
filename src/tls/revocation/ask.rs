//! Asking for one status: each place in its turn, within one deadline.
//!
//! Responders come before CRLs, and each place has an equal share of the time that is left, so
//! that one which hangs leaves some for the next.

use std::sync::Arc;

use bytes::Bytes;
use http::Uri;
use rustls::pki_types::UnixTime;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::crl::Crl;
use super::fetch::Errand;
use super::ocsp::{self, Nonce};
use super::{Doubt, Query, Refused, Revocation, Status, Told, later};
use crate::tls::pem;

/// An OCSP answer has 2 KiB, with certificates 5.
const MAX_ANSWER: usize = 64 * 1024;

/// Half a million entries.
const MAX_CRL: usize = 16 * 1024 * 1024;

#[derive(Clone, Copy)]
enum Place<'a> {
    Responder(&'a Uri),
    Crl(&'a Uri),
}

impl Revocation {
    /// The status, asked for by one request at a time.
    pub(super) async fn ask_once(&self, query: &Query) -> Status {
        let deadline = Instant::now() + query.settings.timeout;
        let asked = self.asking.share(query.key(), deadline, self.ask(query, deadline)).await;
        asked.unwrap_or_else(|| unknown(&TIMED_OUT.into()))
    }

    async fn ask(&self, query: &Query, deadline: Instant) -> Status {
        // Someone may have been told between our look and our turn.
        if let Some(status) = self.status(query, UnixTime::now()) {
            return status;
        }
        let responders = query.ocsp.iter().map(Place::Responder);
        let places: Vec<_> = responders.chain(query.crls.iter().map(Place::Crl)).collect();
        let mut failures = Vec::new();
        for (at, place) in places.iter().enumerate() {
            let left = (places.len() - at) as u32;
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            match Box::pin(self.told_by(*place, query, Instant::now() + share)).await {
                Ok(told) => return self.remember(query, told),
                Err(why) => failures.push(format!("{}: {why}", place.uri())),
            }
        }
        unknown(&failures.join("; ").into())
    }

    fn remember(&self, query: &Query, told: Told) -> Status {
        let now = UnixTime::now();
        self.statuses.remember(query.key(), told.clone(), now);
        let until = later(now, query.settings.ttl).min(told.next_update).max(now);
        told.status(until)
    }

    async fn told_by(&self, place: Place<'_>, query: &Query, deadline: Instant) -> Result<Told, Arc<str>> {
        match place {
            Place::Responder(uri) => self.responder(uri, query, deadline).await,
            Place::Crl(uri) => {
                let list = self.crl(uri, query, deadline).await?;
                let verdict = list.tells(query).ok_or("the list does not tell of this certificate")?;
                Ok(Told { verdict, next_update: list.next_update })
            }
        }
    }

    async fn responder(&self, uri: &Uri, query: &Query, deadline: Instant) -> Result<Told, Arc<str>> {
        let place = uri.to_string();
        if let Some(why) = self.failures.fresh(&place) {
            return Err(why);
        }
        let asked = async {
            let nonce = nonce()?;
            let question = Some(ocsp::request(query, &nonce));
            let answer = self.get(self.errand(uri, question, MAX_ANSWER, query), &[&self.calls]).await?;
            ocsp::read(&answer, query, &nonce, UnixTime::now()).map_err(|refused| refused.to_string())
        };
        self.noted(&place, in_time(deadline, asked).await)
    }

    /// The list at this place, as it was fetched for whichever certificate.
    async fn crl(&self, uri: &Uri, query: &Query, deadline: Instant) -> Result<Arc<Crl>, Arc<str>> {
        let place = uri.to_string();
        let key = (place.clone().into_boxed_str(), query.issuer.id);
        let fetch = async {
            if let Some((list, _)) = self.crls.find(&key, query.settings.ttl, UnixTime::now()) {
                return Ok(list);
            }
            if let Some(why) = self.failures.fresh(&place) {
                return Err(why);
            }
            let list = self.noted(&place, in_time(deadline, self.fetch_crl(uri, query)).await)?;
            self.crls.remember(key.clone(), Arc::clone(&list), UnixTime::now());
            Ok(list)
        };
        self.fetching.share(key.clone(), deadline, fetch).await.unwrap_or_else(|| Err(TIMED_OUT.into()))
    }

    async fn fetch_crl(&self, uri: &Uri, query: &Query) -> Result<Arc<Crl>, String> {
        let errand = self.errand(uri, None, MAX_CRL, query);
        let bytes = self.get(errand, &[&self.crl_calls, &self.calls]).await?;
        let issuer = Arc::clone(&query.issuer);
        // A large one takes a tenth of a second to read, in which a worker would serve nobody.
        let read = tokio::task::spawn_blocking(move || {
            let list = Crl::read(&der_of(&bytes), &issuer)?;
            list.is_current(UnixTime::now())?;
            Ok(Arc::new(list))
        });
        match read.await {
            Ok(list) => list.map_err(|refused: Refused| refused.to_string()),
            Err(_) => Err("reading the list failed".to_owned()),
        }
    }

    fn errand<'a>(
        &'a self,
        uri: &'a Uri,
        question: Option<Vec<u8>>,
        max: usize,
        query: &'a Query,
    ) -> Errand<'a> {
        Errand { uri, question, max, settings: &query.settings, roots: &self.roots }
    }

    async fn get(&self, errand: Errand<'_>, seats: &[&Semaphore]) -> Result<Bytes, String> {
        let mut taken = Vec::new();
        for seat in seats {
            taken.push(seat.acquire().await.map_err(|_| "the program ends")?);
        }
        Box::pin(errand.run()).await
    }

    fn noted<T>(&self, place: &str, outcome: Result<T, String>) -> Result<T, Arc<str>> {
        outcome.map_err(|why| {
            let why = why.into();
            self.failures.note(place, &why);
            why
        })
    }
}

impl<'a> Place<'a> {
    fn uri(self) -> &'a Uri {
        match self {
            Self::Responder(uri) | Self::Crl(uri) => uri,
        }
    }
}

const TIMED_OUT: &str = "no answer in time (mtls_auth_http_timeout)";

async fn in_time<T>(deadline: Instant, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    timeout_at(deadline, work).await.unwrap_or_else(|_| Err(TIMED_OUT.into()))
}

fn unknown(why: &Arc<str>) -> Status {
    Status::Unknown { why: Doubt::NoAnswer(Arc::clone(why)), until: UnixTime::now() }
}

fn nonce() -> Result<Nonce, String> {
    let mut nonce = [0; 32];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| "this host gives no random numbers")?;
    Ok(nonce)
}

/// RFC 5280 wants DER; some serve PEM.
fn der_of(bytes: &Bytes) -> Bytes {
    let lists = pem::revocation_lists(bytes).unwrap_or_default();
    match <[Vec<u8>; 1]>::try_from(lists) {
        Ok([der]) => Bytes::from(der),
        Err(_) => bytes.clone(),
    }
}
