//! What a handshake depends on: certificates by server name, and who is asked for one of his own.
//!
//! A certificate is asked for where a plugin that needs one may run: of everybody for a global one, and for
//! one of a route or service, of those who ask for the route's `snis`, or of everybody if it has none
//! (Kong's page on mtls-auth, "Client certificate request"). Names of CAs go only where every plugin that asks
//! there sends them: a client that is told some CAs keeps certificates of others to itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Loading;
use super::access::Judges;
use crate::config::declarative::model::{Plugin, Scope};
use crate::config::declarative::plugins::PluginConfig;
use crate::config::{Handshake, Problem, Problems};
use crate::routing::Sni;
use crate::snapshot::listener::Names;
use crate::tls::credentials::{Credentials, Side};
use crate::tls::server::{Asks, Hints};
use crate::tls::sni::{ByName, Pattern};
use crate::tls::trust::ChainVerifier;

/// CA subjects of all plugins that ask under one name; `None` once one of them tells no names.
type Subjects = Option<BTreeSet<Arc<[u8]>>>;

/// `None` after a problem.
pub(super) fn names(loading: &Loading<'_>, judges: &Judges<'_>, problems: &mut Problems) -> Option<Names> {
    let before = problems.iter().count();
    let certificates = certificates(loading, problems);
    let asks = asks(loading, judges, problems);
    (problems.iter().count() == before).then_some(Names { certificates, asks })
}

fn certificates(loading: &Loading<'_>, problems: &mut Problems) -> ByName<Vec<Credentials>> {
    let mut by_name = ByName::default();
    let mut loaded = vec![None; loading.model.certificates.len()];
    for sni in &loading.model.snis {
        let at = sni.certificate;
        if loaded[at].is_none() {
            loaded[at] = problems.note(valid_now(loading, at));
        }
        match (sni.name.parse::<Pattern>(), &loaded[at]) {
            // Nothing is left of it.
            (Ok(_), Some(credentials)) if credentials.is_empty() => {}
            (Ok(pattern), Some(credentials)) => drop(by_name.insert(pattern, credentials.clone())),
            (Err(error), _) => {
                problems.push(loading.problem(&sni.place, error.to_string(), "write a host name"));
            }
            (_, None) => {}
        }
    }
    by_name
}

/// Of the certificate at this position, the kinds of key whose dates are right.
fn valid_now(loading: &Loading<'_>, at: usize) -> Result<Vec<Credentials>, Problem> {
    let (lapsed, valid): (Vec<_>, Vec<_>) =
        loading.credentials(at, Side::Server)?.into_iter().partition(|(_, lapse)| lapse.is_some());
    let consequence = if valid.is_empty() {
        let names = loading.model.snis.iter().filter(|sni| sni.certificate == at).map(|sni| &*sni.name);
        let mut names: Vec<_> = names.collect();
        let more = if names.len() > MOST_NAMES { " and others" } else { "" };
        names.truncate(MOST_NAMES);
        format!("so clients that ask for {}{more} are shown another certificate", names.join(", "))
    } else {
        "so it is left out, and the other kind of key goes on".to_owned()
    };
    for (credentials, lapse) in lapsed {
        let Some(lapse) = lapse else { continue };
        loading.caution_lapsed(at, &credentials, lapse, &consequence);
    }
    Ok(valid.into_iter().map(|(credentials, _)| credentials).collect())
}

/// More than this are not named in a caution.
const MOST_NAMES: usize = 3;

fn asks(loading: &Loading<'_>, judges: &Judges<'_>, problems: &mut Problems) -> Asks {
    let asking: Vec<_> = loading.model.plugins.iter().filter(|plugin| does_ask(plugin)).collect();
    if let Some(required) = required(loading, judges, &asking) {
        return required;
    }
    if let Some(said) = &loading.config.access.handshake_refuses {
        let what =
            "a handshake can refuse for one global plugin alone, and the declarative file has another case";
        problems.push(Problem::new(said, what, "write request: each request is judged all the same"));
    }
    let mut names: ByName<Subjects> = ByName::default();
    let mut rest: Option<Subjects> = None;
    for plugin in asking {
        let told = told(plugin, judges);
        match server_names(loading, plugin) {
            None => add(rest.get_or_insert_with(|| Some(BTreeSet::new())), told.as_ref()),
            Some(patterns) => {
                for pattern in patterns {
                    add(names.get_or_insert_with(pattern, || Some(BTreeSet::new())), told.as_ref());
                }
            }
        }
    }
    let mut hints = |subjects: &Subjects| {
        let hints = Hints::new(subjects.iter().flatten().cloned());
        hints.map_err(|error| {
            let source = loading.source.said();
            problems.push(Problem::new(source, error.to_string(), "set send_ca_dn: false"));
        })
    };
    let rest = rest.map(|subjects| hints(&subjects).unwrap_or_default());
    match (names.try_map(hints), rest) {
        (Ok(names), None) if names.is_empty() => Asks::Nobody,
        (Ok(names), Some(rest)) if names.is_empty() => Asks::Everybody(rest),
        (Ok(names), rest) => Asks::Named { names, rest },
        // A problem was noted, so this is never used.
        (Err(()), _) => Asks::Everybody(Hints::default()),
    }
}

fn does_ask(plugin: &Plugin) -> bool {
    matches!(
        plugin.config,
        PluginConfig::MtlsAuth(_) | PluginConfig::TlsHandshakeModifier | PluginConfig::CallistaMtlsAuth(_)
    )
}

/// `mtls_auth_handshake=require`: by the CAs of the settings, as nginx's `ssl_verify_client on` has it, or
/// where one global plugin judges everybody, by its CAs.
fn required(loading: &Loading<'_>, judges: &Judges<'_>, asking: &[&Plugin]) -> Option<Asks> {
    let handshake = loading.config.server_tls.as_ref().and_then(|tls| tls.handshake);
    if handshake != Some(Handshake::Require) {
        return None;
    }
    if let Some(callers) = judges.callers() {
        return Some(Asks::Require(Hints::default(), Arc::clone(callers)));
    }
    let [only] = asking else { return None };
    if only.scope != Scope::Global {
        return None;
    }
    let verifier: Arc<ChainVerifier> = judges.asked_for(&only.config)?;
    let hints = Hints::new(told(only, judges).into_iter().flatten()).unwrap_or_default();
    Some(Asks::Require(hints, verifier))
}

/// The CAs a plugin names to clients; `None`: it names none.
fn told(plugin: &Plugin, judges: &Judges<'_>) -> Subjects {
    let PluginConfig::MtlsAuth(fields) = &plugin.config else { return None };
    let verifier = judges.asked_for(&plugin.config).filter(|_| fields.send_ca_dn)?;
    Some(verifier.subjects().into_iter().collect())
}

fn add(subjects: &mut Subjects, told: Option<&BTreeSet<Arc<[u8]>>>) {
    match (subjects.as_mut(), told) {
        (Some(subjects), Some(told)) => subjects.extend(told.iter().cloned()),
        _ => *subjects = None,
    }
}

/// Under which names a plugin asks; `None`: under every one.
fn server_names(loading: &Loading<'_>, plugin: &Plugin) -> Option<Vec<Pattern>> {
    let routes = loading.model.routes.iter().enumerate().filter(|(at, route)| match plugin.scope {
        Scope::Global => false,
        Scope::Service(service) => route.service == Some(service),
        Scope::Route(position) => position == *at,
    });
    let mut names = Vec::new();
    for (_, route) in routes {
        // A wildcard of a route takes any text, one of the handshake's names a single label.
        if route.rule.snis.is_empty() || !route.rule.snis.iter().all(Sni::is_plain) {
            return None;
        }
        names.extend(route.rule.snis.iter().filter_map(|sni| sni.to_string().parse().ok()));
    }
    (plugin.scope != Scope::Global).then_some(names)
}
