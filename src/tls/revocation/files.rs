//! CRL files: lists that the operator put beside the CAs, asked before any network is.
//!
//! Loaded with a snapshot by `snapshot`, which tells what is wrong with one.

use rustls::pki_types::{CertificateDer, UnixTime};
use thiserror::Error;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

use super::crl::{Crl, issuer_of};
use super::der::BROKEN;
use super::question::{Issuer, Query};
use super::{Refused, Told, Verdict};

/// Lists from files, each of a listed CA; asked before any network is.
#[derive(Debug, Default)]
pub struct CrlFiles {
    issuers: Vec<Issuer>,
    lists: Vec<Crl>,
}

/// A list that was added.
#[derive(Debug)]
pub struct AddedList {
    /// Why it cannot show now that a certificate is good, if it cannot.
    pub not_current: Option<Refused>,
    /// When that may be otherwise.
    pub changes_at: UnixTime,
}

/// Why a list in a file cannot be used.
#[derive(Debug, Error)]
pub enum CrlError {
    /// Nobody among the CAs has that name.
    #[error("it is the list of {0}, which is not among the CAs")]
    Foreign(String),
    /// Broken, not signed by its issuer, or of a kind that is not kept.
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

    /// Adds a list (DER). One that is not current at the time `now` counts too: see [`CrlFiles::tell`].
    ///
    /// # Errors
    /// When it is not a list that one of the CAs signed.
    pub fn add(&mut self, der: &[u8], now: UnixTime) -> Result<AddedList, CrlError> {
        let name = issuer_of(der)?;
        let mut result = Err(foreign(name));
        for issuer in self.issuers.iter().filter(|issuer| issuer.name.as_ref() == name) {
            // Two CAs of the same name: the list of one is not that of the other.
            result = Crl::read(der, issuer).map_err(CrlError::from);
            if result.is_ok() {
                break;
            }
        }
        let list = result?;
        let added = AddedList { not_current: list.is_current(now).err(), changes_at: list.changes_at(now) };
        self.lists.push(list);
        Ok(added)
    }

    /// What they tell of this certificate at the time `now`. A list that is not current still shows what is
    /// revoked, and does not show what is good.
    pub(super) fn tell(&self, query: &Query, now: UnixTime) -> Option<Told> {
        let mut good = None;
        for list in &self.lists {
            match list.tells(query) {
                Some(Verdict::Good) if list.is_current(now).is_ok() => {
                    good = good.max(Some(list.next_update))
                }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::later;
    use super::super::world::{Ca, NOW, date, now};
    use super::*;

    #[test]
    fn files_are_lists_of_the_listed_cas() {
        let (ca, namesake, other) = (Ca::new("ca"), Ca::new("ca"), Ca::new("other"));
        let mut files = CrlFiles::of(&[namesake.der.clone(), ca.der.clone()]);
        let error = files.add(&other.list(&[], |_| {}), now()).unwrap_err();
        assert_eq!(error.to_string(), "it is the list of CN=other, which is not among the CAs");
        let out_of_date = ca.list(&[], |params| params.next_update = date(NOW - 1));
        let added = files.add(&out_of_date, now()).unwrap();
        assert!(added.not_current.unwrap().to_string().contains("out of date"));
        files.add(&ca.list(&[1], |_| {}), now()).unwrap();
        files.add(&namesake.list(&[2], |_| {}), now()).unwrap();
        let good = |ca: &Ca, serial| {
            let told = files.tell(&ca.query(&ca.leaf(serial, &[], &[])), now());
            told.map(|told| told.verdict == Verdict::Good)
        };
        assert_eq!([1, 2].map(|serial| good(&ca, serial)), [Some(false), Some(true)]);
        assert_eq!([1, 2].map(|serial| good(&namesake, serial)), [Some(true), Some(false)]);
        assert_eq!(good(&other, 1), None);
    }

    #[test]
    fn a_file_out_of_date_still_shows_who_was_taken_back_whenever_it_was_loaded() {
        let ca = Ca::new("ca");
        let tomorrow = later(now(), Duration::from_secs(24 * 3600));
        for loaded_at in [now(), tomorrow] {
            let mut files = CrlFiles::of(std::slice::from_ref(&ca.der));
            let added = files.add(&ca.list(&[1], |_| {}), loaded_at).unwrap();
            assert_eq!(added.not_current.is_some(), loaded_at == tomorrow);
            assert_eq!(added.changes_at > loaded_at, loaded_at == now(), "its end is to come, or was");
            let told = |serial| files.tell(&ca.query(&ca.leaf(serial, &[], &[])), tomorrow);
            assert!(matches!(told(1).unwrap().verdict, Verdict::Revoked { .. }));
            assert_eq!(told(2), None);
        }
    }
}
