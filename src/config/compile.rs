//! From what was said to what is meant: each group by its own file, then the rules across them.
//!
//! Used by `source::load`. Nothing stops at the first problem; a `Config` comes out only if
//! there is none.

use super::capacity::Capacity;
use super::cautions::cautions;
use super::credentials::CaFiles;
use super::deadlines::Deadlines;
use super::declarative::DeclarativeSource;
use super::limits::Limits;
use super::mode::Mode;
use super::problem::Problems;
use super::process::{self, Insecure, LogSettings};
use super::server_tls::ServerTls;
use super::settings::Settings;
use super::upstream::{self, Calls};
use super::value::{self, Unit};
use super::{Access, Config, Forwarding, Revocation, access, listen};

/// `problems` are those of the sources; a `Config` without what they would have said is none.
pub(super) fn compile(
    mode: Mode,
    settings: &Settings,
    mut problems: Problems,
) -> Result<(Config, LogSettings), Problems> {
    let log = LogSettings::compile(&settings.process, &mut problems);
    let config = config(mode, settings, &mut problems);
    if problems.is_empty() { Ok((config, log)) } else { Err(problems) }
}

/// The configuration as far as it is told by settings that perhaps are refused: what is wrong with the files
/// it names can be looked at all the same. For nothing else.
pub(super) fn as_far_as_told(mode: Mode, settings: &Settings) -> Config {
    let mut config = config(mode, settings, &mut Problems::default());
    // Whom to trust cannot be told, so nobody is looked for.
    config.calls.tls.verify &= CaFiles::parse(&settings.upstream_tls.upstream_ca_certificates).is_ok();
    config.refuse_insecure = None;
    config
}

/// After a problem, stand-ins are where something could not be told; each problem was noted.
fn config(mode: Mode, settings: &Settings, problems: &mut Problems) -> Config {
    let gateway = mode == Mode::Gateway;
    let listeners = listen::listeners(&settings.listen, problems);
    let status = problems.value(listen::status(&settings.listen.status_listen));
    let healthcheck = listen::healthcheck_link_timeout(&settings.listen.healthcheck_link_timeout);
    let healthcheck_link_timeout = problems.value(healthcheck);
    let tls = listeners.iter().any(|listener| listener.tls);
    let declarative = DeclarativeSource::compile(&settings.declarative, problems);
    let file = settings.declarative.said();
    let declared = file.is_some();
    let handshake = access::handshake(&settings.access, declared, problems);
    let server_tls = ServerTls::compile(&settings.server_tls, tls, handshake, problems);
    let cas_named = settings.access.mtls_auth_ca_certificates.is_some();
    let revocation = Revocation::compile(&settings.revocation, cas_named, declared, problems);
    let access = Access::compile(&settings.access, revocation, gateway, declared, problems);
    let target = upstream::target(&settings.upstream, file, problems);
    if declared {
        upstream::undeclared(&settings.upstream, &settings.upstream_tls, problems);
    }
    let calls = Calls::compile(
        &settings.upstream,
        &settings.upstream_tls,
        (target.as_ref(), declared),
        !gateway,
        problems,
    );
    let forwarding = Forwarding::compile(&settings.forwarding, problems);
    let without_upstream = problems.value(value::switch(&settings.upstream.ready_without_upstream));
    let process = &settings.process;
    let insecure = problems.note(Insecure::parse(&process.insecure)).unwrap_or(Insecure::Warn);
    let client_write = calls.terms.write_timeout;
    let mut config = Config {
        limits: Limits::compile(&settings.limits, Capacity::of_process(), problems),
        deadlines: Deadlines::compile(&settings.deadlines, client_write, problems),
        workers: problems.value(process::workers(&process.workers)),
        drain_timeout: problems.value(value::duration(&process.drain_timeout, Unit::Seconds)),
        access_log: problems.value(value::switch(&process.access_log)),
        ready_needs_upstream: !gateway && !without_upstream && !declared,
        listeners,
        status,
        healthcheck_link_timeout,
        server_tls,
        access,
        authenticate_before_routing: problems
            .value(value::switch(&settings.declarative.authenticate_before_routing))
            .then(|| settings.declarative.authenticate_before_routing.clone()),
        upstream: target.map(|target| calls.to(target)),
        calls,
        declarative,
        forwarding,
        cautions: Vec::new(),
        refuse_insecure: (insecure == Insecure::Refuse).then(|| process.insecure.clone()),
    };
    config.cautions = cautions(mode, settings, &config);
    if insecure == Insecure::Refuse {
        let refused = config.cautions.extract_if(.., |caution| caution.weakens_security());
        problems.extend(refused.map(|caution| caution.refused_by(&process.insecure)));
    }
    config
}

#[cfg(test)]
mod beside_a_file;
#[cfg(test)]
mod tests;
