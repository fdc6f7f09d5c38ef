//! CAs to trust, judged one by one: those that are valid, and what has lapsed among them.
//!
//! Used for the callers' CAs (`access`) and the upstream's (`service`). A bundle outlives its members, so one
//! of them that has expired is left out and named once; nginx goes on without it too.

use rustls::pki_types::CertificateDer;

use super::dates::Dates;
use super::files;
use crate::config::{CaFiles, Problem, Problems, Said};
use crate::identity::{Certificate, Side};
use crate::tls::lapse::Lapse;
use crate::tls::trust::CaError;

/// What a set of CAs holds at one moment.
pub(super) struct Authorities<'a> {
    valid: Vec<Certificate>,
    lapsed: Vec<Lapsed<'a>>,
}

/// One that cannot be used now.
struct Lapsed<'a> {
    said: &'a Said,
    /// Position in the file, from 1.
    number: usize,
    certificate: Certificate,
    lapse: Lapse,
}

impl<'a> Authorities<'a> {
    /// Reads them. `judge` says which certificates of one reference can be trusted at all, their dates aside;
    /// `advice` helps where they cannot. `presenter` is the side that presents what they judge: a
    /// `TRUSTED CERTIFICATE` says for which it is a CA.
    ///
    /// # Errors
    /// What is wrong with each reference by itself, so that the wrong one of several is named.
    pub(super) fn read(
        cas: &'a CaFiles,
        presenter: Side,
        dates: &Dates,
        advice: &'static str,
        judge: impl Fn(Vec<CertificateDer<'static>>) -> Result<Vec<CertificateDer<'static>>, CaError>,
    ) -> Result<Self, Problems> {
        let (mut problems, mut valid, mut lapsed) = (Problems::default(), Vec::new(), Vec::new());
        if let Some(said) = cas.system() {
            let found = problems.note(files::system(said)).unwrap_or_default();
            let judged = judge(found).map_err(|error| Problem::new(said, error.to_string(), advice));
            // Nobody named these, so nobody is told which of them have lapsed.
            let certificates = problems.note(judged).into_iter().flatten().filter_map(parsed);
            valid.extend(certificates.filter(|certificate| dates.lapse_unnoticed(certificate).is_none()));
            if valid.is_empty() && problems.is_empty() {
                let what = "this system has no CA certificate that is valid now";
                problems.push(Problem::new(said, what, "check this host's clock").that_may_heal());
            }
        }
        for said in cas.own() {
            let Some(found) = problems.collect(files::authorities(said, &[presenter])) else { continue };
            let judged = judge(found.clone()).map_err(|error| Problem::new(said, error.to_string(), advice));
            for certificate in problems.note(judged).into_iter().flatten().filter_map(parsed) {
                let number = found.iter().position(|other| other == certificate.der()).map_or(1, |at| at + 1);
                match dates.lapse(&certificate) {
                    None => valid.push(certificate),
                    Some(lapse) => lapsed.push(Lapsed { said, number, certificate, lapse }),
                }
            }
        }
        if problems.is_empty() { Ok(Self { valid, lapsed }) } else { Err(problems) }
    }

    /// Makes something of those that are valid. Where that is not enough, those that were in force until now
    /// go on with them: the last good ones stay, and nothing else is held up.
    ///
    /// # Errors
    /// What `make` says; or, where something has lapsed that was not in force, that.
    pub(super) fn trust<T>(
        self,
        dates: &Dates,
        make: impl Fn(Vec<CertificateDer<'static>>) -> Result<T, Problem>,
    ) -> Result<T, Problems> {
        let ders = |certificates: &[&Certificate]| certificates.iter().map(|one| one.der().clone()).collect();
        let valid: Vec<_> = self.valid.iter().collect();
        if !valid.is_empty() || self.lapsed.is_empty() {
            let made = make(ders(&valid));
            if made.is_ok() || self.lapsed.is_empty() {
                valid.iter().for_each(|certificate| dates.take(certificate));
                self.tell(dates, |_| LEFT_OUT);
                return Ok(made?);
            }
        }
        let goes_on = |lapsed: &&Lapsed<'_>| dates.is_in_force(&lapsed.certificate);
        let going_on = self.lapsed.iter().filter(goes_on).map(|lapsed| &lapsed.certificate);
        let together: Vec<_> = valid.iter().copied().chain(going_on).collect();
        if together.len() > valid.len() {
            let made = make(ders(&together))?;
            together.iter().for_each(|certificate| dates.take(certificate));
            self.tell(dates, |lapsed| if goes_on(&lapsed) { GOES_ON } else { LEFT_OUT });
            return Ok(made);
        }
        let problem = |lapsed: &Lapsed<'_>| {
            let advice = ca_lapse_advice(lapsed.lapse);
            Problem::new(lapsed.said, lapsed.to_string(), advice).that_may_heal()
        };
        Err(self.lapsed.iter().map(problem).collect())
    }

    /// One caution for each reference, however many of its certificates have lapsed.
    fn tell(&self, dates: &Dates, fate: impl Fn(&Lapsed<'_>) -> &'static str) {
        for of_one in self.lapsed.chunk_by(|one, next| std::ptr::eq(one.said, next.said)) {
            let named: Vec<_> = of_one.iter().take(MOST).map(|one| format!("{one}{}", fate(one))).collect();
            let mut what = named.join("; ");
            if let Some(more @ 1..) = of_one.len().checked_sub(MOST) {
                what += &format!("; and {more} more");
            }
            dates.caution(of_one[0].said, what, "put the renewed one there, or remove it");
        }
    }
}

/// What to do about a CA where nothing valid is beside it.
pub(super) fn ca_lapse_advice(lapse: Lapse) -> &'static str {
    match lapse {
        Lapse::Expired(_) => "put the CA's renewed certificate there",
        Lapse::NotYetValid(_) => "check this host's clock, or add the CA's certificate that is valid now",
    }
}

/// What cannot be read was judged already.
fn parsed(der: CertificateDer<'static>) -> Option<Certificate> {
    Certificate::parse(der).ok()
}

impl std::fmt::Display for Lapsed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "certificate {} ({}) {}", self.number, self.certificate.called(), self.lapse)
    }
}

const LEFT_OUT: &str = ", so it is left out";

const GOES_ON: &str = ", and stays in force until a valid one is there";

/// More than this are counted.
const MOST: usize = 3;
