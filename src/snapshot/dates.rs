//! Every certificate of a snapshot is judged by its own dates: one that has lapsed is left out, and spoils
//! nothing that stands beside it.
//!
//! Made for one loading. What was left out is told once, with the cautions; and when the judgement will be
//! another one is kept, so that `watch` judges again at that moment: what was not valid yet comes in by
//! itself, and what expires is named when it does.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;

use super::kept::{Kept, LastGood};
use crate::config::{Caution, Problems, Said};
use crate::identity::{Certificate, Fingerprint};
use crate::tls::lapse::Lapse;

/// Certificates, each by its digest.
pub(super) type Fingerprints = Arc<HashSet<Fingerprint>>;

/// `tls` judges dates too, and there the first bad one spoils all: it is asked about a moment at which none
/// has expired, and [`Dates`] judges them one by one.
pub(super) const DATES_ASIDE: UnixTime = UnixTime::since_unix_epoch(Duration::ZERO);

/// The judge of one loading.
#[derive(Debug)]
pub(super) struct Dates {
    now: UnixTime,
    /// What goes on where nothing valid takes its place: in use until now.
    in_force: Fingerprints,
    used: RefCell<HashSet<Fingerprint>>,
    lapsed: RefCell<HashSet<Fingerprint>>,
    until: Cell<Option<UnixTime>>,
    cautions: RefCell<Vec<Caution>>,
    /// What stands in for parts that cannot be loaded; `None`: nothing does.
    last_good: Option<LastGood>,
    parts: RefCell<LastGood>,
    kept: RefCell<Kept>,
}

/// What a [`Dates`] has seen.
#[derive(Debug)]
pub(super) struct Judged {
    /// The certificates that are in use.
    pub(super) used: Fingerprints,
    /// Those that cannot be used now, in use or not.
    lapsed: HashSet<Fingerprint>,
    /// The first moment at which one of them has expired, or one that was left out is valid.
    pub(super) until: Option<UnixTime>,
    /// What was left out, goes on for want of something better, or is valid and will be refused by others.
    pub(super) cautions: Vec<Caution>,
    /// What the next loading may keep.
    pub(super) parts: LastGood,
    /// What was kept in this one.
    pub(super) kept: Kept,
}

impl Dates {
    /// At a start nothing is in force yet.
    pub(super) fn at_start(now: UnixTime) -> Self {
        Self::again(now, Fingerprints::default())
    }

    /// While these are in force.
    pub(super) fn again(now: UnixTime, in_force: Fingerprints) -> Self {
        let (used, lapsed, cautions) = (RefCell::default(), RefCell::default(), RefCell::default());
        let (parts, kept) = (RefCell::default(), RefCell::default());
        Self { now, in_force, used, lapsed, until: Cell::default(), cautions, last_good: None, parts, kept }
    }

    /// The same, with a stand-in for each part that cannot be loaded.
    pub(super) fn keeping(self, last_good: LastGood) -> Self {
        Self { last_good: Some(last_good), ..self }
    }

    /// For a loading that is thrown away, if parts are kept in this one.
    pub(super) fn trial(&self) -> Option<Self> {
        let last_good = self.last_good.clone()?;
        Some(Self::again(self.now, Arc::clone(&self.in_force)).keeping(last_good))
    }

    /// Loads one part, which is read from the files at `paths`, or keeps its last good one.
    ///
    /// # Errors
    /// What is wrong with it, where none is kept.
    pub(super) fn part<T: Clone>(
        &self,
        slot: fn(&mut LastGood) -> &mut Option<T>,
        paths: impl IntoIterator<Item = PathBuf>,
        load: impl FnOnce() -> Result<T, Problems>,
    ) -> Result<T, Problems> {
        let part = match load() {
            Ok(part) => part,
            Err(problems) => {
                let last_good = self.last_good.clone().and_then(|mut parts| slot(&mut parts).take());
                let Some(part) = last_good else { return Err(problems) };
                let mut kept = self.kept.borrow_mut();
                kept.problems.append(problems);
                kept.paths.extend(paths);
                self.used.borrow_mut().extend(self.in_force.iter().copied());
                part
            }
        };
        *slot(&mut self.parts.borrow_mut()) = Some(part.clone());
        Ok(part)
    }

    /// Why this certificate cannot be used now, if it cannot.
    pub(super) fn lapse(&self, certificate: &Certificate) -> Option<Lapse> {
        let lapse = Lapse::of(certificate, self.now);
        if lapse.is_some() {
            self.lapsed.borrow_mut().insert(*certificate.fingerprint());
        }
        let after_its_end = certificate.validity().not_after.as_secs().saturating_add(1);
        match lapse {
            None => self.changes_at(UnixTime::since_unix_epoch(Duration::from_secs(after_its_end))),
            Some(Lapse::NotYetValid(_)) => self.changes_at(certificate.validity().not_before),
            Some(Lapse::Expired(_)) => {}
        }
        lapse
    }

    /// The same of one that nobody named, whose end is nobody's concern.
    pub(super) fn lapse_unnoticed(&self, certificate: &Certificate) -> Option<Lapse> {
        Lapse::of(certificate, self.now)
    }

    /// Judges again at that moment, if it is to come.
    pub(super) fn changes_at(&self, moment: UnixTime) {
        if moment > self.now && self.until.get().is_none_or(|until| moment < until) {
            self.until.set(Some(moment));
        }
    }

    /// Whether it was in use until now.
    pub(super) fn is_in_force(&self, certificate: &Certificate) -> bool {
        self.in_force.contains(certificate.fingerprint())
    }

    /// It is in use from now on.
    pub(super) fn take(&self, certificate: &Certificate) {
        self.used.borrow_mut().insert(*certificate.fingerprint());
    }

    /// Told once, however often the certificate is met.
    pub(super) fn caution(&self, said: &Said, what: impl Into<String>, advice: impl Into<String>) {
        let (caution, mut cautions) = (Caution::of_use(said, what, advice), self.cautions.borrow_mut());
        if !cautions.contains(&caution) {
            cautions.push(caution);
        }
    }

    /// The present time of this loading.
    pub(super) fn now(&self) -> UnixTime {
        self.now
    }

    /// When everything is loaded.
    pub(super) fn finish(self) -> Judged {
        Judged {
            used: Arc::new(self.used.into_inner()),
            lapsed: self.lapsed.into_inner(),
            until: self.until.get(),
            cautions: self.cautions.into_inner(),
            parts: self.parts.into_inner(),
            kept: self.kept.into_inner(),
        }
    }
}

impl Judged {
    /// Whether the same certificates are in use, the same have lapsed, and none is about to.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.used == other.used && self.lapsed == other.lapsed && self.until == other.until
    }

    /// Whether something that had lapsed has not any more, and is in use.
    pub(super) fn takes_in_since(&self, before: &Self) -> bool {
        self.used.iter().any(|used| before.lapsed.contains(used) && !self.lapsed.contains(used))
    }
}
