//! A declarative file, loaded: its routes with their policies, its services, its certificates.
//!
//! Used by `Snapshot::load`. The file is read by `config::declarative`; here its entities become what a
//! request uses. Whatever does not fit together is a problem with its place in the file.

mod access;
mod authorities;
mod cautions;
mod equals;
mod names;
mod outline;
mod plugins;
mod rules;
mod services;

use std::sync::Arc;

use self::access::Judges;
use self::authorities::DeclaredCas;
use self::plugins::Effective;
use self::services::Services;
use super::dates::Dates;
use super::files;
use super::listener::Names;
use super::service::Service;
use crate::config::declarative::model::Pair;
use crate::config::declarative::{self, Model, Place};
use crate::config::{Caution, Config, DeclarativeSource, Problem, Problems};
use crate::policy::Policy;
use crate::routing::Route;
use crate::tls::credentials::{Credentials, Side, likely_refused};
use crate::tls::lapse::Lapse;
use crate::tls::pem;

pub use self::outline::outline;

/// What a file says, ready to use.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) routes: Vec<Route>,
    pub(super) services: Vec<Arc<Service>>,
    pub(super) policies: Vec<Arc<Policy>>,
    pub(super) gate: Option<Arc<Policy>>,
    pub(super) names: Names,
    pub(super) cautions: Vec<Caution>,
}

/// A model on its way to be loaded.
struct Loading<'a> {
    model: &'a Model,
    config: &'a Config,
    source: &'a DeclarativeSource,
    dates: &'a Dates,
    cas: DeclaredCas,
}

impl Declared {
    /// Reads the file and everything it names.
    ///
    /// # Errors
    /// All problems of the file, or else all of what is in it.
    pub(super) fn load(config: &Config, source: &DeclarativeSource, dates: &Dates) -> Result<Self, Problems> {
        let read = || {
            let model = Arc::new(declarative::read(source)?);
            if let Some(trial) = dates.trial() {
                Self::of(&model, config, source, &trial)?;
            }
            Ok(model)
        };
        let model = dates.part(|parts| &mut parts.model, source.files(), read)?;
        Self::of(&model, config, source, dates)
    }

    fn of(
        model: &Model,
        config: &Config,
        source: &DeclarativeSource,
        dates: &Dates,
    ) -> Result<Self, Problems> {
        let cas = DeclaredCas::judge(&model.ca_certificates, source.said(), dates);
        Loading { model, config, source, dates, cas }.load()
    }
}

impl Loading<'_> {
    fn load(&self) -> Result<Declared, Problems> {
        let mut problems = Problems::default();
        let effective = Effective::of(self.model);
        let judges = Judges::new(self, &mut problems);
        let policies = judges.policies(&effective, &mut problems);
        let gate = judges.gate(&effective, &policies, &mut problems);
        judges.closed_doors(&mut problems);
        let services = Services::load(self, &mut problems);
        let names = names::names(self, &judges, &mut problems);
        let routes = rules::routes(self, &effective, &mut problems);
        let mut cautions = cautions::cautions(self, &effective);
        cautions.extend(equals::cautions(self, &effective, &routes));
        if let Some(refuse) = &self.config.refuse_insecure {
            let refused = cautions.extract_if(.., |caution| caution.weakens_security());
            problems.extend(refused.map(|caution| caution.refused_by(refuse)));
        }
        match names {
            Some(names) if problems.is_empty() => {
                Ok(Declared { routes, services, policies, gate, names, cautions })
            }
            _ => Err(problems),
        }
    }

    /// Something wrong at a place of the file.
    fn problem(&self, place: &Place, what: impl Into<String>, advice: impl Into<String>) -> Problem {
        Problem::missing(&format!("{}: {place}", self.source.subject()), what, advice)
    }

    /// The certificate at this position, one per kind of key, fit for `side`; with why it cannot be used now, if
    /// it cannot.
    fn credentials(&self, at: usize, side: Side) -> Result<Vec<(Credentials, Option<Lapse>)>, Problem> {
        let certificate = &self.model.certificates[at];
        let pairs = [Some(&certificate.pair), certificate.alternative.as_ref()];
        let load = |pair: &Pair| {
            let chain = pem::certificates(pair.cert.as_bytes()).map_err(|error| error.to_string())?;
            let key = pem::private_key(pair.key.as_bytes()).map_err(|error| error.to_string())?;
            let credentials = files::dateless(chain, key, side).map_err(|error| error.to_string())?;
            let lapse = self.dates.lapse(credentials.leaf());
            self.dates.take(credentials.leaf());
            if let Some(what) = likely_refused(credentials.leaf(), side) {
                let what = format!("{}: {what}", certificate.place);
                self.dates.caution(self.source.said(), what, files::REFUSED_ADVICE);
            }
            Ok((credentials, lapse))
        };
        let loaded: Result<Vec<_>, String> = pairs.into_iter().flatten().map(load).collect();
        loaded.map_err(|what| {
            let advice = "give a certificate for this use, and the key made with it";
            self.problem(&certificate.place, what, advice)
        })
    }

    /// Names the certificate at this position that has lapsed, and what that leads to.
    fn caution_lapsed(&self, at: usize, credentials: &Credentials, lapse: Lapse, consequence: &str) {
        let lapsed = files::lapsed_words(credentials, lapse);
        let what = format!("{}: {lapsed}, {consequence}", self.model.certificates[at].place);
        self.dates.caution(self.source.said(), what, files::lapse_advice(lapse));
    }
}
