//! Certificate revocation lists (RFC 5280 section 5): which serial numbers an issuer took back.
//!
//! Values in, values out. webpki reads a list and refuses what it cannot keep (delta and indirect
//! lists, partial reasons, unknown critical extensions); here its signature is verified once, and
//! what remains is 32 bytes per entry, found by bisection.

use std::time::Duration;

use rustls::pki_types::{CertificateDer, UnixTime};
use thiserror::Error;
use webpki::{BorrowedCertRevocationList, CertRevocationList};
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

use super::der::{BROKEN, INTEGER, Reader, SEQUENCE, Signed, constructed, primitive};
use super::question::{Issuer, IssuerId, Query, Serial};
use super::{Refused, SKEW, Told, Verdict, later};

/// A list whose signature was good.
#[derive(Debug)]
pub(super) struct Crl {
    issuer: IssuerId,
    this_update: UnixTime,
    pub(super) next_update: UnixTime,
    scope: Scope,
    /// By serial number.
    entries: Box<[Entry]>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    serial: Serial,
    reason: Option<u8>,
    /// Seconds since 1970.
    at: u64,
}

/// What the list tells about: everything, unless an issuing distribution point says less.
#[derive(Debug, Default)]
struct Scope {
    only_users: bool,
    only_cas: bool,
    /// Certificates that name their CRL by one of these; `None` for all.
    names: Option<Vec<Box<str>>>,
}

impl Crl {
    /// Reads a list (DER) and verifies that this issuer signed it.
    pub(super) fn read(der: &[u8], issuer: &Issuer) -> Result<Self, Refused> {
        let head = Head::read(der)?;
        if head.issuer != issuer.name.as_ref() {
            return Err(Refused("it is the list of another issuer"));
        }
        if !issuer.signs_crls {
            return Err(Refused("its issuer may not sign lists: its key usage lacks cRLSign"));
        }
        head.signed.verify(&issuer.key)?;
        let list = BorrowedCertRevocationList::from_der(der).map_err(|error| refused(&error))?;
        let mut entries = Vec::new();
        for entry in &list {
            let entry = entry.map_err(|error| refused(&error))?;
            entries.push(Entry {
                serial: Serial::new(entry.serial_number)?,
                reason: entry.reason_code.map(|reason| reason as u8),
                at: entry.revocation_date.as_secs(),
            });
        }
        entries.sort_unstable_by_key(|entry| entry.serial);
        let scope = match CertRevocationList::from(list).issuing_distribution_point() {
            Some(der) => Scope::read(der)?,
            None => Scope::default(),
        };
        let Head { this_update, next_update, .. } = head;
        Ok(Self { issuer: issuer.id, this_update, next_update, scope, entries: entries.into() })
    }

    /// Whether it can show at the time `now` that a certificate is good.
    pub(super) fn is_current(&self, now: UnixTime) -> Result<(), Refused> {
        if self.this_update > later(now, SKEW) {
            return Err(Refused("it is not valid yet; is this host's clock right?"));
        }
        if now > self.next_update {
            return Err(Refused("it is out of date: its nextUpdate has passed"));
        }
        Ok(())
    }

    /// What it tells of this certificate; `None` when it does not tell of such ones.
    pub(super) fn tells(&self, query: &Query) -> Option<Verdict> {
        if self.issuer != query.issuer.id || !self.scope.covers(query) {
            return None;
        }
        let found = self.entries.binary_search_by_key(&query.serial, |entry| entry.serial);
        Some(found.map_or(Verdict::Good, |at| {
            let Entry { reason, at, .. } = self.entries[at];
            Verdict::Revoked { at: UnixTime::since_unix_epoch(Duration::from_secs(at)), reason }
        }))
    }

    /// Bytes in memory, about.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + size_of_val(self.entries.as_ref())
    }
}

/// What comes before the entries.
struct Head<'a> {
    signed: Signed<'a>,
    issuer: &'a [u8],
    this_update: UnixTime,
    next_update: UnixTime,
}

impl<'a> Head<'a> {
    fn read(der: &'a [u8]) -> Result<Self, Refused> {
        let mut outside = Reader::of_sequence(der)?;
        let signed = Signed::read(&mut outside)?;
        outside.end()?;
        let mut list = signed.data.inside();
        if list.take_if(INTEGER)?.is_none() {
            return Err(OLD_VERSION);
        }
        list.take(SEQUENCE)?;
        let issuer = list.take(SEQUENCE)?.whole;
        let (this_update, next_update) = (list.next()?.time()?, list.next()?.time());
        let next_update = next_update.map_err(|_| Refused("it does not say until when it holds (nextUpdate)"))?;
        Ok(Self { signed, issuer, this_update, next_update })
    }
}

const OLD_VERSION: Refused = Refused("it is of version 1; have it made with a CRL number (version 2)");

impl Scope {
    /// Reads an IssuingDistributionPoint, of which webpki has checked all but what is wanted here.
    fn read(der: &[u8]) -> Result<Self, Refused> {
        let mut point = Reader::of_sequence(der)?;
        let mut scope = Self::default();
        while !point.at_end() {
            let element = point.next()?;
            match element.tag {
                tag if tag == constructed(0) => scope.names = Some(full_name(element.inside())?),
                tag if tag == primitive(1) => scope.only_users = element.content != [0],
                tag if tag == primitive(2) => scope.only_cas = element.content != [0],
                // These webpki lets pass only if they are false.
                tag if tag == primitive(4) || tag == primitive(5) => {}
                _ => return Err(BROKEN),
            }
        }
        Ok(scope)
    }

    fn covers(&self, query: &Query) -> bool {
        let kind = !(self.only_users && query.is_ca || self.only_cas && !query.is_ca);
        kind && self.names.as_ref().is_none_or(|names| names.iter().any(|name| query.crl_names.contains(name)))
    }
}

/// The URIs of a DistributionPointName that is a fullName.
fn full_name(mut name: Reader<'_>) -> Result<Vec<Box<str>>, Refused> {
    let mut names = name.take(constructed(0))?.inside();
    name.end()?;
    let mut uris = Vec::new();
    while !names.at_end() {
        let name = names.next()?;
        if name.tag == primitive(6) {
            uris.push(std::str::from_utf8(name.content).map_err(|_| BROKEN)?.into());
        }
    }
    Ok(uris)
}

fn refused(error: &webpki::Error) -> Refused {
    use webpki::Error as E;
    Refused(match error {
        E::UnsupportedCrlVersion => return OLD_VERSION,
        E::UnsupportedDeltaCrl => "it is a delta list: it tells only what changed",
        E::UnsupportedIndirectCrl => "it is an indirect list: it tells of the certificates of several issuers",
        E::UnsupportedRevocationReasonsPartitioning => "it tells of some reasons for revocation only",
        E::UnsupportedCrlIssuingDistributionPoint => "its issuing distribution point has no full name",
        E::UnsupportedCriticalExtension => "it has a critical extension that is not known",
        E::SignatureAlgorithmMismatch => "it names two signature algorithms",
        _ => "its encoding is broken, or it has no CRL number",
    })
}

/// Lists from files, each of a listed CA; asked before any network is.
#[derive(Debug, Default)]
pub struct CrlFiles {
    issuers: Vec<Issuer>,
    lists: Vec<Crl>,
}

/// Why a list in a file cannot be used.
#[derive(Debug, Error)]
pub enum CrlError {
    /// Nobody among the CAs has that name.
    #[error("it is the list of {0}, which is not among the CAs")]
    Foreign(String),
    /// Broken, not signed by its issuer, of a kind that is not kept, or out of date.
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl CrlFiles {
    /// For the lists of these CAs (DER).
    #[must_use]
    pub fn of(cas: &[CertificateDer<'_>]) -> Self {
        let issuers = cas.iter().filter_map(|ca| Issuer::new(ca).ok()).collect();
        Self { issuers, lists: Vec::new() }
    }

    /// Adds a list (DER).
    ///
    /// # Errors
    /// When it is not a current list that one of the CAs signed.
    pub fn add(&mut self, der: &[u8], now: UnixTime) -> Result<(), CrlError> {
        let name = Head::read(der)?.issuer;
        let mut result = Err(foreign(name));
        for issuer in self.issuers.iter().filter(|issuer| issuer.name.as_ref() == name) {
            // Two CAs of the same name: the list of one is not that of the other.
            result = Crl::read(der, issuer).map_err(CrlError::from);
            if result.is_ok() {
                break;
            }
        }
        let list = result?;
        list.is_current(now)?;
        self.lists.push(list);
        Ok(())
    }

    /// What they tell of this certificate at the time `now`. A list that is out of date since it was
    /// loaded still shows what is revoked, and no longer what is good.
    pub(super) fn tell(&self, query: &Query, now: UnixTime) -> Option<Told> {
        let mut good = None;
        for list in &self.lists {
            match list.tells(query) {
                Some(Verdict::Good) if list.is_current(now).is_ok() => good = good.max(Some(list.next_update)),
                Some(verdict @ Verdict::Revoked { .. }) => {
                    return Some(Told { verdict, next_update: list.next_update });
                }
                _ => {}
            }
        }
        good.map(|next_update| Told { verdict: Verdict::Good, next_update })
    }
}

fn foreign(name: &[u8]) -> CrlError {
    match X509Name::from_der(name) {
        Ok((_, name)) => CrlError::Foreign(name.to_string()),
        Err(_) => CrlError::Refused(BROKEN),
    }
}
