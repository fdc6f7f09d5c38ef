//! Certificate revocation lists (RFC 5280 section 5): which serial numbers an issuer took back.
//!
//! Values in, values out. webpki reads a list and refuses what it cannot keep (delta and indirect
//! lists, partial reasons, unknown critical extensions); here its signature is verified once, and
//! what remains is 32 bytes per entry, found by bisection.

use std::time::Duration;

use rustls::pki_types::UnixTime;
use webpki::{BorrowedCertRevocationList, CertRevocationList};

use super::der::{BROKEN, INTEGER, Reader, SEQUENCE, Signed, constructed, primitive};
use super::question::{Issuer, IssuerId, Query, Serial};
use super::{Refused, SKEW, Verdict, later};

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

    /// The moment after `now` at which [`Crl::is_current`] may say otherwise; its end where that has passed.
    pub(super) fn changes_at(&self, now: UnixTime) -> UnixTime {
        let this_update = Duration::from_secs(self.this_update.as_secs());
        let begins = UnixTime::since_unix_epoch(this_update.saturating_sub(SKEW));
        if begins > now { begins } else { later(self.next_update, Duration::from_secs(1)) }
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

/// The name (DER) of whoever is said to have made this list.
pub(super) fn issuer_of(der: &[u8]) -> Result<&[u8], Refused> {
    Head::read(der).map(|head| head.issuer)
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
        let next_update =
            next_update.map_err(|_| Refused("it does not say until when it holds (nextUpdate)"))?;
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
        kind && self
            .names
            .as_ref()
            .is_none_or(|names| names.iter().any(|name| query.crl_names.contains(name)))
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
        E::UnsupportedIndirectCrl => {
            "it is an indirect list: it tells of the certificates of several issuers"
        }
        E::UnsupportedRevocationReasonsPartitioning => "it tells of some reasons for revocation only",
        E::UnsupportedCrlIssuingDistributionPoint => "its issuing distribution point has no full name",
        E::UnsupportedCriticalExtension => "it has a critical extension that is not known",
        E::SignatureAlgorithmMismatch => "it names two signature algorithms",
        _ => "its encoding is broken, or it has no CRL number",
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CrlScope, KeyUsagePurpose};

    use super::super::world::{Ca, HOUR, NOW, date, now, point};
    use super::*;

    const URL: &str = "http://crl.example/a.crl";

    fn read(der: &[u8], ca: &Ca) -> Result<Crl, Refused> {
        Crl::read(der, &Issuer::new(&ca.der).unwrap())
    }

    fn why(der: &[u8], ca: &Ca) -> &'static str {
        read(der, ca).unwrap_err().0
    }

    #[test]
    fn it_tells_who_was_taken_back() {
        let ca = Ca::new("ca");
        let serials: Vec<u64> = (0..500).map(|number| number * 7 + 1).collect();
        let list = read(&ca.list(&serials, |_| {}), &ca).unwrap();
        let tells = |serial| list.tells(&ca.query(&ca.leaf(serial, &[], &[])));
        let at = UnixTime::since_unix_epoch(Duration::from_secs((NOW - 24 * HOUR) as u64));
        for serial in [1, 8, 499 * 7 + 1] {
            assert_eq!(tells(serial), Some(Verdict::Revoked { at, reason: Some(1) }), "{serial}");
        }
        for serial in [2, 7, 500 * 7 + 1, 0x80, 0xffff] {
            assert_eq!(tells(serial), Some(Verdict::Good), "{serial}");
        }
        assert!(list.weight() < 500 * 40 + 500, "{}", list.weight());
    }

    #[test]
    fn a_list_of_nobody_is_one_too() {
        let ca = Ca::new("ca");
        let list = read(&ca.list(&[], |_| {}), &ca).unwrap();
        assert_eq!(list.tells(&ca.query(&ca.leaf(1, &[], &[]))), Some(Verdict::Good));
    }

    #[test]
    fn only_its_issuer_can_make_it() {
        let (ca, namesake, other) = (Ca::new("ca"), Ca::new("ca"), Ca::new("other"));
        assert!(why(&namesake.list(&[1], |_| {}), &ca).contains("signature"));
        assert!(why(&other.list(&[1], |_| {}), &ca).contains("another issuer"));
        // rcgen lets nobody sign lists without cRLSign; no key usage at all allows it.
        let silent = Ca::with("ca", &[]);
        assert!(read(&silent.list(&[1], |_| {}), &silent).is_ok());
        let mut issuer = Issuer::new(&Ca::with("ca", &[KeyUsagePurpose::KeyCertSign]).der).unwrap();
        assert!(!issuer.signs_crls);
        issuer.key = Issuer::new(&silent.der).unwrap().key;
        assert!(Crl::read(&silent.list(&[1], |_| {}), &issuer).unwrap_err().0.contains("cRLSign"));
    }

    #[test]
    fn it_must_be_current_to_show_that_someone_is_good() {
        let ca = Ca::new("ca");
        let current = |this: i64, next: i64| {
            let dated = |params: &mut rcgen::CertificateRevocationListParams| {
                (params.this_update, params.next_update) = (date(NOW + this), date(NOW + next));
            };
            read(&ca.list(&[1], dated), &ca).unwrap().is_current(now())
        };
        assert!(current(-HOUR, 0).is_ok());
        assert!(current(-HOUR, -1).unwrap_err().0.contains("out of date"));
        assert!(current(300, HOUR).is_ok());
        assert!(current(301, HOUR).unwrap_err().0.contains("not valid yet"));
    }

    #[test]
    fn it_tells_only_of_those_it_is_for() {
        let ca = Ca::new("ca");
        let tells = |scope, uri, lists: &[&str]| {
            let list = ca.list(&[], |params| params.issuing_distribution_point = point(uri, scope));
            let list = read(&list, &ca).unwrap();
            let mut query = ca.query(&ca.leaf(1, &[], lists));
            let user = list.tells(&query).is_some();
            query.is_ca = true;
            (user, list.tells(&query).is_some())
        };
        assert_eq!(tells(None, URL, &[URL]), (true, true));
        assert_eq!(tells(None, URL, &["http://b/", URL]), (true, true));
        assert_eq!(tells(None, URL, &["http://b/"]), (false, false));
        assert_eq!(tells(None, URL, &[]), (false, false));
        assert_eq!(tells(Some(CrlScope::UserCertsOnly), URL, &[URL]), (true, false));
        assert_eq!(tells(Some(CrlScope::CaCertsOnly), URL, &[URL]), (false, true));
    }

    #[test]
    fn a_changed_or_missing_byte_makes_it_worthless() {
        let ca = Ca::new("ca");
        let der = ca.list(&[1, 2], |params| params.issuing_distribution_point = point(URL, None));
        for at in 0..der.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut changed = der.clone();
                changed[at] ^= flip;
                let query = ca.query(&ca.leaf(2, &[], &[URL]));
                if let Ok(list) = read(&changed, &ca) {
                    assert!(matches!(list.tells(&query), Some(Verdict::Revoked { .. })), "byte {at}");
                }
            }
            assert!(read(&der[..at], &ca).is_err(), "cut at {at}");
        }
    }
}
