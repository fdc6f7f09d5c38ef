//! A declarative file, loaded: its routes with their policies, its services, its certificates.
//!
//! Used by `Snapshot::load`. The file is read by `config::declarative`; here its entities become what a
//! request uses. Whatever does not fit together is a problem with its place in the file.

mod access;
mod cautions;
mod names;
mod outline;
mod plugins;
mod rules;
mod services;

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};

use self::access::Judges;
use self::plugins::Effective;
use self::services::Services;
use super::listener::Names;
use super::service::Service;
use crate::config::declarative::model::Pair;
use crate::config::declarative::{self, Model, Place};
use crate::config::{Caution, Config, DeclarativeSource, Problem, Problems};
use crate::policy::Policy;
use crate::routing::Route;
use crate::tls::credentials::{Credentials, Side};
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
    now: UnixTime,
}

impl Declared {
    /// Reads the file and everything it names.
    ///
    /// # Errors
    /// All problems of the file, or else all of what is in it.
    pub(super) fn load(config: &Config, source: &DeclarativeSource, now: UnixTime) -> Result<Self, Problems> {
        let model = declarative::read(source, now)?;
        Loading { model: &model, config, source, now }.load()
    }
}

impl Loading<'_> {
    fn load(&self) -> Result<Declared, Problems> {
        let mut problems = Problems::default();
        let access = &self.config.access;
        if access.certificate_required && access.mtls_auth.is_none() && self.model.ca_certificates.is_empty()
        {
            let what = "it has no CA, so nobody could come in with a certificate";
            let advice = "add ca_certificates, and an mtls-auth that names them";
            problems.push(Problem::new(self.source.said(), what, advice));
        }
        let effective = Effective::of(self.model);
        let judges = Judges::new(self, &mut problems);
        let policies = judges.policies(&effective, &mut problems);
        let gate = judges.gate(&effective, &policies, &mut problems);
        let services = Services::load(self, &mut problems);
        let names = names::names(self, &judges, &mut problems);
        let routes = rules::routes(self, &effective, &mut problems);
        let mut cautions = cautions::cautions(self);
        if let Some(refuse) = &self.config.refuse_insecure {
            cautions.drain(..).for_each(|caution| problems.push(caution.refused_by(refuse)));
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

    /// The CAs at these positions.
    fn authorities(&self, positions: &[usize]) -> Vec<CertificateDer<'static>> {
        positions.iter().map(|at| self.model.ca_certificates[*at].der.clone()).collect()
    }

    /// The certificate at this position, one per kind of key, fit for `side`.
    fn credentials(&self, at: usize, side: Side) -> Result<Vec<Credentials>, Problem> {
        let certificate = &self.model.certificates[at];
        let pairs = [Some(&certificate.pair), certificate.alternative.as_ref()];
        let load = |pair: &Pair| {
            let chain = pem::certificates(pair.cert.as_bytes()).map_err(|pem| pem.to_string())?;
            let key = pem::private_key(pair.key.as_bytes()).map_err(|pem| pem.to_string())?;
            Credentials::new(chain, key, side, self.now).map_err(|error| error.to_string())
        };
        let loaded: Result<Vec<_>, String> = pairs.into_iter().flatten().map(load).collect();
        loaded.map_err(|what| {
            self.problem(
                &certificate.place,
                what,
                "give a certificate that is valid, and the key made with it",
            )
        })
    }
}
