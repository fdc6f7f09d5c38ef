//! Whether certificates were taken back: CRL files, OCSP (RFC 6960), CRL distribution points.
//!
//! `policy` makes a [`Query`] for each certificate of a chain that it *already accepted* and looks
//! up its [`Status`]; what is not known yet, whoever holds the request fetches, and decides again.
//! So nobody but a trusted CA can name what this host calls. Promises: a status is believed only
//! with a good signature and while it is fresh; every wait ends within `mtls_auth_http_timeout`;
//! memory, sizes and calls in flight are bounded; hostile bytes never panic.
//!
//! Kong 3.9's rules (docs/kong-compatibility.md): OCSP first, a CRL only if no responder answers,
//! and what the network failed to tell is not remembered.

mod address;
mod ask;
mod crl;
pub(in crate::tls) mod der;
mod failures;
mod fetch;
mod files;
mod flight;
mod ocsp;
mod question;
mod remembered;
mod signer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use thiserror::Error;
use tokio::sync::Semaphore;

use self::crl::Crl;
use self::failures::Failures;
use self::fetch::Roots;
use self::flight::Flights;
use self::question::{IssuerId, Key};
use self::remembered::Remembered;

pub use self::address::Hosts;
pub use self::failures::Counts;
pub use self::files::{AddedList, CrlError, CrlFiles};
pub use self::question::Query;

/// Kong's `revocation_check_mode`; what follows from each is decided in `policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Nothing is asked.
    Skip,
    /// What is told counts; that nobody tells is forgiven.
    IgnoreCaError,
    /// Only who is told to be good passes.
    Strict,
}

/// How statuses are had for one plugin, with its CRL files loaded.
#[derive(Debug)]
pub struct Fetching {
    /// For the log's words about a failure; see [`Check`].
    pub check: Check,
    /// `http_timeout`: for one status, all places that are asked for it together.
    pub timeout: Duration,
    /// `cert_cache_ttl`: how long a status counts, if it does not end before.
    pub ttl: Duration,
    /// Asked first.
    pub crl_files: Arc<CrlFiles>,
    /// Which hosts may be called.
    pub hosts: Hosts,
    /// For http URLs.
    pub http_proxy: Option<Proxy>,
    /// For https URLs, by CONNECT.
    pub https_proxy: Option<Proxy>,
}

/// A forward proxy without TLS of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// What is known of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Its issuer says that it was not taken back.
    Good {
        /// The last moment this counts.
        until: UnixTime,
    },
    /// Its issuer took it back.
    Revoked {
        /// Since when.
        at: UnixTime,
        /// The CRLReason of RFC 5280 section 5.3.1, if one was given.
        reason: Option<u8>,
        /// The last moment this counts.
        until: UnixTime,
    },
    /// Nobody told.
    Unknown {
        /// Why not.
        why: Doubt,
        /// The last moment this counts: the present, for what may be told in a moment.
        until: UnixTime,
    },
}

/// Why a status is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// The certificate names no place that can be asked by HTTP, and no CRL file tells of it. Costs
    /// nothing; `IGNORE_CA_ERROR` forgives it.
    NowhereToAsk,
    /// No place gave an answer that counts, for these reasons. `IGNORE_CA_ERROR` forgives it.
    NoAnswer(Arc<str>),
    /// The responder of its issuer says that it knows of no such certificate: an answer, which no
    /// mode but `SKIP` forgives.
    NotKnown,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good { .. } => f.write_str("not revoked"),
            Self::Revoked { reason, .. } => write!(f, "revoked by its issuer{}", in_words(*reason)),
            Self::Unknown { why: Doubt::NowhereToAsk, .. } => {
                f.write_str("of unknown status: it names no OCSP responder and no CRL")
            }
            Self::Unknown { why: Doubt::NoAnswer(why), .. } => write!(f, "of unknown status: {why}"),
            Self::Unknown { why: Doubt::NotKnown, .. } => {
                f.write_str("not known to its issuer's OCSP responder")
            }
        }
    }
}

fn in_words(reason: Option<u8>) -> &'static str {
    match reason {
        Some(1) => ": key compromise",
        Some(2) => ": CA compromise",
        Some(3) => ": affiliation changed",
        Some(4) => ": superseded",
        Some(5) => ": cessation of operation",
        Some(6) => ": on hold",
        Some(9) => ": privilege withdrawn",
        Some(10) => ": AA compromise",
        _ => "",
    }
}

/// Why a certificate, an answer or a list is not believed; for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Refused(&'static str);

/// What an issuer told of a certificate, and when it will tell anew.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    verdict: Verdict,
    next_update: UnixTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    Revoked { at: UnixTime, reason: Option<u8> },
    NotKnown,
}

impl Told {
    fn status(self, until: UnixTime) -> Status {
        match self.verdict {
            Verdict::Good => Status::Good { until },
            Verdict::Revoked { at, reason } => Status::Revoked { at, reason, until },
            Verdict::NotKnown => Status::Unknown { why: Doubt::NotKnown, until },
        }
    }
}

/// How far the clocks of two hosts may be apart.
const SKEW: Duration = Duration::from_secs(300);

fn later(time: UnixTime, by: Duration) -> UnixTime {
    let seconds = time.as_secs().saturating_add(by.as_secs());
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// Statuses that are remembered: 100 bytes each.
const MAX_STATUSES: usize = 50_000;

/// Bytes of CRLs that are remembered.
const MAX_CRL_BYTES: usize = 64 * 1024 * 1024;

/// Calls in flight, and of them those for CRLs, whose answers are large.
const MAX_CALLS: usize = 32;
const MAX_CRL_CALLS: usize = 4;

/// What is known and what is being asked: one per process, shared by workers, older than snapshots.
#[derive(Debug)]
pub struct Revocation {
    statuses: Remembered<Key, Told>,
    crls: Remembered<CrlPlace, Arc<Crl>>,
    asking: Flights<Key, Status>,
    fetching: Flights<CrlPlace, Result<Arc<Crl>, Arc<str>>>,
    calls: Semaphore,
    crl_calls: Semaphore,
    failures: Failures,
    roots: Roots,
}

/// A CRL: where it is, and whose it must be.
type CrlPlace = (Box<str>, IssuerId);

impl Default for Revocation {
    fn default() -> Self {
        Self {
            statuses: Remembered::new(MAX_STATUSES),
            crls: Remembered::new(MAX_CRL_BYTES),
            asking: Flights::default(),
            fetching: Flights::default(),
            calls: Semaphore::new(MAX_CALLS),
            crl_calls: Semaphore::new(MAX_CRL_CALLS),
            failures: Failures::default(),
            roots: Roots::default(),
        }
    }
}

impl Revocation {
    /// What is known at the time `now` without asking anyone; `None` when it must be fetched.
    #[must_use]
    pub fn status(&self, query: &Query, now: UnixTime) -> Option<Status> {
        let ttl = query.settings.ttl;
        if let Some(told) = query.settings.crl_files.tell(query, now) {
            // That it was revoked counts after the list's end, too.
            let until = later(now, ttl).min(told.next_update).max(now);
            return Some(told.status(until));
        }
        if let Some((told, until)) = self.statuses.find(&query.key(), ttl, now) {
            return Some(told.status(until));
        }
        if query.ocsp.is_empty() && query.crls.is_empty() {
            return Some(Status::Unknown { why: Doubt::NowhereToAsk, until: later(now, ttl) });
        }
        None
    }

    /// Asks where the certificate says, and remembers what is told. Ends within
    /// [`Fetching::timeout`]. That nobody answers is the outcome of this call and is not remembered:
    /// decide *this* request with it, whatever [`Self::status`] says afterwards.
    pub async fn fetch(&self, query: &Query) -> Status {
        // In a box, because this is part of every request, and almost none gets here.
        let status = Box::pin(self.ask_once(query)).await;
        if let Status::Unknown { why: Doubt::NoAnswer(why), .. } = &status {
            let place = query.ocsp.iter().chain(&query.crls).next_back();
            let place = place.map(ToString::to_string).unwrap_or_default();
            self.failures.complain(&place, &query.subject, why, query.settings.check);
        }
        status
    }

    /// How often nobody answered since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.failures.counts()
    }
}

#[cfg(test)]
mod openssl;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
