//! What is loaded: certificates read, keys checked, routes and policies compiled.
//!
//! [`Snapshot::load`] builds one from a [`Config`], or gives every problem of the files at
//! once. It is immutable; the running program holds it behind one swap, and a request loads
//! it once, so that a request never sees half of a change.

mod access;
mod authorities;
pub mod balance;
mod contents;
mod dates;
mod declared;
mod files;
mod kept;
mod listener;
mod rest;
mod service;
mod target;
pub mod watch;

use std::sync::Arc;

use rustls::pki_types::UnixTime;

use self::contents::Contents;
use self::dates::{Dates, Judged};
use self::declared::Declared;
use self::listener::Names;
use crate::config::{Caution, Config, Deadlines, Files, Forwarding, Limits, Problems};
use crate::message::forwarded::RealIp;
use crate::message::identity_headers::Reserved;
use crate::policy::Policy;
use crate::routing::{Route, Router};
use crate::tls::credentials::Side;
use crate::tls::server::ServerConfigs;

pub use self::access::verifier;
pub use self::declared::outline;
pub use self::files::certificates;
pub use self::service::{Service, ServicePlan, TlsDefaults, server_name, server_trust};
pub use self::target::Target;

/// Everything a request needs, ready to use.
#[derive(Debug)]
pub struct Snapshot {
    /// Finds the route; its indices are those of the next two.
    pub router: Router,
    /// Where requests can go.
    pub services: Vec<Arc<Service>>,
    /// Who may pass.
    pub policies: Vec<Arc<Policy>>,
    /// Who may learn that there is no such route; `None`: everybody.
    pub gate: Option<Arc<Policy>>,
    /// What of a declarative file works but weakens security, what of our certificates others will refuse, and
    /// what has lapsed and is left out.
    pub cautions: Vec<Caution>,
    /// The TLS of our listeners, if any has TLS.
    pub listener_tls: Option<ServerConfigs>,
    /// Headers that policies use for identities, beside those that are known anyway.
    pub reserved: Arc<Reserved>,
    /// Which headers tell about the caller and the way.
    pub forwarding: Forwarding,
    /// How a believed peer tells the client's address.
    pub real_ip: RealIp,
    /// Sizes and counts that bound a client.
    pub limits: Limits,
    /// Every wait on the client's side.
    pub deadlines: Deadlines,
    /// What the files held just before they were read, so that no change in between is missed.
    contents: Contents,
    judged: Judged,
}

impl Snapshot {
    /// Reads every file the configuration names, at the time `now`.
    ///
    /// # Errors
    /// All problems found: what is missing, unreadable, or does not fit together; what has lapsed where nothing
    /// valid is beside it.
    pub fn load(config: &Config, now: UnixTime) -> Result<Self, Problems> {
        Self::read(config, Dates::at_start(now), Contents::of(config, &Contents::default()))
    }

    /// The next one, while this one is in force. What has lapsed since, and is not replaced, goes on.
    /// Where one part cannot be loaded, the others are all the same, beside its last good one: see
    /// [`Snapshot::kept`].
    fn again(&self, config: &Config, contents: Contents, now: UnixTime) -> Result<Self, Problems> {
        let dates = || Dates::again(now, Arc::clone(&self.judged.used));
        Self::read(config, dates(), contents.clone()).or_else(|problems| {
            let dates = dates().keeping(self.judged.parts.clone());
            let mut next = Self::read(config, dates, contents).map_err(|_| problems)?;
            next.contents = next.contents.with(&self.contents, &next.judged.kept.paths);
            Ok(next)
        })
    }

    /// Why parts of it are those of the snapshot before.
    fn kept(&self) -> &Problems {
        &self.judged.kept.problems
    }

    fn read(config: &Config, dates: Dates, contents: Contents) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let described = problems.collect(match &config.declarative {
            Some(source) => Declared::load(config, source, &dates),
            None => settled(config, &dates),
        });
        let Some(mut described) = described else {
            problems.append(examine_at(&Files::of(config), &dates));
            return Err(problems);
        };
        let listener_tls = match &config.server_tls {
            Some(tls) => Some(listener::listener_tls(tls, described.names, &dates)?),
            None => None,
        };
        let mut judged = dates.finish();
        described.cautions.append(&mut judged.cautions);
        let policies = described.policies.iter().chain(&described.gate);
        Ok(Self {
            router: Router::new(described.routes),
            services: described.services,
            reserved: Arc::new(Reserved::new(policies.flat_map(|policy| policy.reserved()))),
            policies: described.policies,
            gate: described.gate,
            cautions: described.cautions,
            listener_tls,
            real_ip: real_ip(&config.forwarding),
            forwarding: config.forwarding.clone(),
            limits: config.limits,
            deadlines: config.deadlines,
            contents,
            judged,
        })
    }

    /// Whether services get the client's own `Host` on this route.
    #[must_use]
    pub fn keeps_host(&self, route: &Route) -> bool {
        self.forwarding.preserve_host || route.preserve_host
    }
}

/// What the settings alone describe: one route, for everything, to `upstream_url`.
fn settled(config: &Config, dates: &Dates) -> Result<Declared, Problems> {
    let mut problems = Problems::default();
    let policy = dates.part(
        |parts| &mut parts.policy,
        files::of_callers(&config.access),
        || access::policy(&config.access, &config.forwarding.identity_headers, dates).map(Arc::new),
    );
    let policy = problems.collect(policy);
    let service = match &config.upstream {
        Some(upstream) => problems.collect(service::service(upstream, dates)),
        None => None,
    };
    let verifier = policy.as_ref().and_then(|policy| policy.mtls_auth.as_ref()).map(|auth| &auth.verifier);
    let names = problems.note(Names::of_settings(config.server_tls.as_ref(), &config.access, verifier));
    let (Some(policy), Some(service), Some(names)) = (policy, service, names) else { return Err(problems) };
    Ok(Declared {
        routes: vec![Route::everything(0, 0)],
        services: vec![Arc::new(service)],
        policies: vec![policy],
        gate: None,
        names,
        cautions: Vec::new(),
    })
}

/// What is wrong with the files of a configuration that is refused for other reasons.
#[must_use]
pub fn examine(files: &Files, now: UnixTime) -> Problems {
    examine_at(files, &Dates::at_start(now))
}

fn examine_at(files: &Files, dates: &Dates) -> Problems {
    let mut problems = Problems::default();
    problems.collect(files::credentials(&files.listeners, Side::Server, dates));
    let callers = files.callers.as_ref().filter(|cas| {
        let read = access::caller_cas(cas, dates);
        problems.collect(read.and_then(|cas| cas.trust(dates, |_| Ok(())))).is_some()
    });
    match callers.filter(|_| files.declared.is_none()) {
        Some(cas) => drop(problems.collect(access::crl_files(&files.crls, || files::every(cas), dates))),
        // Of which CAs they are to be cannot be told.
        None => files.crls.iter().for_each(|crl| drop(problems.note(files::revocation_lists(crl)))),
    }
    if let Some(cas) = &files.upstream {
        problems.collect(service::upstream_cas(cas, dates));
    }
    if let Some(pair) = &files.client {
        problems.collect(files::credentials(std::slice::from_ref(pair), Side::Client, dates));
    }
    let declared = files.declared.as_ref().and_then(|config| Some((config, config.declarative.as_ref()?)));
    if let Some(Err(more)) = declared.map(|(config, source)| Declared::load(config, source, dates)) {
        problems.append(more);
    }
    problems
}

fn real_ip(forwarding: &Forwarding) -> RealIp {
    RealIp {
        header: forwarding.real_ip_header.clone(),
        recursive: forwarding.real_ip_recursive,
        trusted: forwarding.trusted_ips.clone(),
    }
}
