//! The CAs of a file, judged one by one by their dates.
//!
//! One that has lapsed is left out of every list that names it. A list of which nothing is left is kept as it
//! is: chains are judged with the dates of their CAs, so it lets nobody in, and says why.

use rustls::pki_types::CertificateDer;

use crate::config::Said;
use crate::config::declarative::model::CaCertificate;
use crate::identity::Certificate;
use crate::snapshot::dates::Dates;
use crate::tls::lapse::Lapse;

/// By their positions in the model.
pub(super) struct DeclaredCas(Vec<DeclaredCa>);

struct DeclaredCa {
    der: CertificateDer<'static>,
    lapse: Option<Lapse>,
    /// It goes on where nothing valid is beside it.
    is_in_force: bool,
}

/// What a list of CAs comes to.
pub(super) struct DeclaredTrust {
    pub(super) cas: Vec<CertificateDer<'static>>,
    /// Nobody can be trusted by it now.
    pub(super) is_closed: bool,
}

impl DeclaredCas {
    /// Names those that have lapsed, with their places in the file that `said` names.
    pub(super) fn judge(cas: &[CaCertificate], said: &Said, dates: &Dates) -> Self {
        let mut lapsed = 0;
        let judge = |ca: &CaCertificate| {
            // The reader of the file has seen to it that it is one.
            let Ok(certificate) = Certificate::parse(ca.der.clone()) else {
                return DeclaredCa { der: ca.der.clone(), lapse: None, is_in_force: false };
            };
            let (lapse, is_in_force) = (dates.lapse(&certificate), dates.is_in_force(&certificate));
            match lapse {
                Some(lapse) if lapsed < MOST => {
                    let (place, subject) = (&ca.place, certificate.called());
                    let what = format!("{place}: the CA ({subject}) {lapse}, so it is left out");
                    dates.caution(said, what, "write the renewed one there, or remove it");
                    lapsed += 1;
                }
                Some(_) => {
                    let what = "more of ca_certificates are not valid now, and left out";
                    dates.caution(said, what, "see to those that are named first");
                }
                None => {}
            }
            if lapse.is_none() || is_in_force {
                dates.take(&certificate);
            }
            DeclaredCa { der: ca.der.clone(), lapse, is_in_force }
        };
        Self(cas.iter().map(judge).collect())
    }

    /// All at these positions, whatever their dates.
    pub(super) fn every(&self, positions: &[usize]) -> Vec<CertificateDer<'static>> {
        positions.iter().map(|at| self.0[*at].der.clone()).collect()
    }

    /// Those at these positions that are valid now, or all where none is.
    pub(super) fn trust(&self, positions: &[usize]) -> DeclaredTrust {
        let valid = positions.iter().map(|at| &self.0[*at]).filter(|ca| ca.lapse.is_none());
        let cas: Vec<_> = valid.map(|ca| ca.der.clone()).collect();
        if cas.is_empty() {
            return DeclaredTrust { cas: self.every(positions), is_closed: !positions.is_empty() };
        }
        DeclaredTrust { cas, is_closed: false }
    }

    /// The first at these positions that is not valid now, and why.
    pub(super) fn first_lapsed(&self, positions: &[usize]) -> Option<(usize, Lapse)> {
        positions.iter().find_map(|at| Some((*at, self.0[*at].lapse?)))
    }

    /// Whether one at these positions was in use until now.
    pub(super) fn was_in_force(&self, positions: &[usize]) -> bool {
        positions.iter().any(|at| self.0[*at].is_in_force)
    }
}

/// More than this are not named one by one.
const MOST: usize = 10;
