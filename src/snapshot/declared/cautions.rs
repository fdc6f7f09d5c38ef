//! What works in a file but weakens security, or was probably meant otherwise, each with its place.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::Loading;
use super::plugins::{Effective, Name};
use crate::config::declarative::Place;
use crate::config::declarative::model::Service;
use crate::config::declarative::plugins::{GroupProperty, Listed, PluginConfig};
use crate::config::{self, Caution};
use crate::policy::GroupBy;
use crate::snapshot::presented;
use crate::tls::credentials::Side;
use crate::tls::pem;

/// In the order of the file's lists.
pub(super) fn cautions(loading: &Loading<'_>, effective: &Effective) -> Vec<Caution> {
    let services = loading.model.services.iter().filter_map(|service| of_service(loading, service));
    let plugins = loading.model.plugins.iter().filter_map(|plugin| match &plugin.config {
        PluginConfig::HeaderCertAuth(fields) if !fields.header.secure_source => {
            let what = "secure_source is off: whoever sends the header is whom he says";
            Some(caution(loading, &plugin.place, what, "leave it on, and list the balancer in TRUSTED_IPS"))
        }
        _ => None,
    });
    let waits = loading.model.services.iter().flat_map(|service| hardly_a_wait(loading, service));
    let unlisted = every_certificate_passes(loading, effective);
    services
        .chain(plugins)
        .chain(everybody_comes_in(loading))
        .chain(unlisted)
        .chain(nobody_has(loading))
        .chain(waits)
        .collect()
}

/// Certificates that many will refuse, each once.
pub(super) fn presented(loading: &Loading<'_>) -> Vec<Caution> {
    let model = loading.model;
    let services = model.services.iter().filter_map(|service| service.client_certificate);
    let upstreams = model.upstreams.iter().filter_map(|upstream| upstream.client_certificate);
    let clients = services.chain(upstreams).map(|at| (at, Side::Client));
    let mut shown: Vec<_> =
        clients.chain(model.snis.iter().map(|sni| (sni.certificate, Side::Server))).collect();
    shown.sort_unstable_by_key(|(at, side)| (*at, *side == Side::Server));
    shown.dedup();
    let of = |(at, side): (usize, Side)| {
        let certificate = model.certificates.get(at)?;
        let pairs = [Some(&certificate.pair), certificate.alternative.as_ref()];
        let what = pairs
            .into_iter()
            .flatten()
            .find_map(|pair| presented::of_chain(&pem::certificates(pair.cert.as_bytes()).ok()?, side))?;
        Some(caution(loading, &certificate.place, &what, presented::ADVICE))
    };
    shown.into_iter().filter_map(of).collect()
}

/// `read_timeout: 5` was probably meant to be seconds.
fn hardly_a_wait(loading: &Loading<'_>, service: &Service) -> impl Iterator<Item = Caution> {
    let waits = [
        ("connect_timeout", service.connect_timeout),
        ("read_timeout", service.read_timeout),
        ("write_timeout", service.write_timeout),
    ];
    waits.into_iter().filter_map(|(field, wait)| {
        let milliseconds = wait.filter(|wait| *wait < FEW)?.as_millis();
        let place = &service.place;
        let what = format!("{place}: {field} is in milliseconds, as in Kong, so this is {milliseconds} ms");
        let advice = format!("write {milliseconds}000 for seconds, if that is meant");
        Some(Caution::of_use(loading.source.said(), what, advice))
    })
}

/// Nobody waits for less, and nobody who means seconds writes more.
const FEW: Duration = Duration::from_millis(100);

/// A gateway that asks nobody is probably missing its plugin, or the file its CAs.
fn everybody_comes_in(loading: &Loading<'_>) -> Option<Caution> {
    let judges = |config: &PluginConfig| {
        matches!(
            config,
            PluginConfig::MtlsAuth(_) | PluginConfig::HeaderCertAuth(_) | PluginConfig::CallistaMtlsAuth(_)
        )
    };
    let open = loading.config.access.certificate_required
        && !loading.model.plugins.iter().any(|plugin| judges(&plugin.config));
    let what = "no plugin asks callers for certificates, so everybody comes in";
    open.then(|| Caution::new(loading.source.said(), what, "add an mtls-auth"))
}

/// A certificate is enough for its routes, and no list says whose.
fn every_certificate_passes(loading: &Loading<'_>, effective: &Effective) -> Vec<Caution> {
    let plugins = &loading.model.plugins;
    let skips = |at: &usize| match &plugins[*at].config {
        PluginConfig::MtlsAuth(fields) => fields.skip_consumer_lookup,
        PluginConfig::HeaderCertAuth(fields) => fields.mtls_auth.skip_consumer_lookup,
        _ => false,
    };
    let lists = [Name::Acl, Name::CallistaMtlsAcl];
    let unlisted = effective.sets.iter().filter(|set| lists.iter().all(|name| set[*name as usize].is_none()));
    let asking = [Name::MtlsAuth, Name::HeaderCertAuth];
    let asking = unlisted.flat_map(|set| asking.into_iter().filter_map(|name| set[name as usize]));
    let mut found: Vec<_> = asking.filter(skips).collect();
    found.sort_unstable();
    found.dedup();
    let what = "skip_consumer_lookup without an acl: everyone passes who has a certificate of these CAs";
    let advice = "add an acl with the names that may pass";
    found.into_iter().map(|at| of_use(loading, &plugins[at].place, what, advice)).collect()
}

/// Names on the lists of acls that are no consumer's group, and can be no certificate's either.
fn nobody_has(loading: &Loading<'_>) -> Vec<Caution> {
    let plugins = &loading.model.plugins;
    let groups = loading.model.consumers.iter().flat_map(|consumer| &consumer.groups);
    let groups: HashSet<&str> = groups.map(|group| &**group).collect();
    let in_lower_case: HashMap<String, &str> =
        groups.iter().map(|group| (group.to_lowercase(), *group)).collect();
    let mut by: Vec<GroupBy> = Vec::new();
    for one in plugins.iter().filter_map(|plugin| group_by(&plugin.config)) {
        if !by.contains(&one) {
            by.push(one);
        }
    }
    let doubt = |name: &str| {
        if groups.contains(name) {
            return None;
        }
        if by.is_empty() {
            let near = in_lower_case.get(&name.to_lowercase());
            let what = match near {
                Some(near) => format!("no consumer is in the group `{name}`, but in `{near}`"),
                None => format!("no consumer is in the group `{name}`"),
            };
            return Some((what, "write a group of the consumers' acls, case included"));
        }
        by.iter()
            .map(|by| config::why_unmatched(name, Some(*by)))
            .collect::<Option<Vec<_>>>()?
            .into_iter()
            .next()
    };
    let lists = plugins.iter().filter_map(|plugin| match &plugin.config {
        PluginConfig::Acl(fields) => Some((&plugin.place, &fields.listed)),
        _ => None,
    });
    let names = lists.flat_map(|(place, Listed::Allow(names) | Listed::Deny(names))| {
        names.iter().map(move |name| (place, name))
    });
    let doubts = names.filter_map(|(place, name)| Some((place, doubt(name)?))).take(DOUBTS);
    doubts.map(|(place, (what, advice))| of_use(loading, place, &what, advice)).collect()
}

/// What certificates are called where nobody is looked up.
fn group_by(config: &PluginConfig) -> Option<GroupBy> {
    let fields = match config {
        PluginConfig::MtlsAuth(fields) => fields,
        PluginConfig::HeaderCertAuth(fields) => &fields.mtls_auth,
        _ => return None,
    };
    Some(match fields.authenticated_group_by.filter(|_| fields.skip_consumer_lookup)? {
        GroupProperty::CommonName => GroupBy::CommonName,
        GroupProperty::DistinguishedName => GroupBy::DistinguishedName,
    })
}

/// Names told of all lists, which can have 100,000.
const DOUBTS: usize = 16;

fn of_service(loading: &Loading<'_>, service: &Service) -> Option<Caution> {
    let calls = &loading.config.calls;
    let target = &service.target;
    if !target.scheme.is_tls() {
        let what = "requests leave this host without TLS";
        let exposed = calls.leave_this_host && !target.is_loopback();
        return exposed.then(|| caution(loading, &service.place, what, "write https"));
    }
    // Where the setting says so, it is cautioned about.
    let unverified = service.tls_verify == Some(false) && calls.tls.verify;
    let what = "tls_verify is off: anyone on the way can pose as the service";
    unverified
        .then(|| caution(loading, &service.place, what, "name its CA in ca_certificates, and verify it"))
}

fn caution(loading: &Loading<'_>, place: &Place, what: &str, advice: &str) -> Caution {
    Caution::new(loading.source.said(), format!("{place}: {what}"), advice)
}

fn of_use(loading: &Loading<'_>, place: &Place, what: &str, advice: &str) -> Caution {
    Caution::of_use(loading.source.said(), format!("{place}: {what}"), advice)
}
