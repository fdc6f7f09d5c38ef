//! Which plugins a route has: of each name the most specific one, whole
//! (kong/runloop/plugins_iterator.lua; configurations are not merged).

use std::collections::HashMap;

use super::Loading;
use crate::config::Problems;
use crate::config::declarative::model::{Plugin, Protocol, Scope};
use crate::config::declarative::plugins::PluginConfig;

/// A plugin's name, Callista's apart from Kong's, in the order in which plugins run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    MtlsAuth,
    HeaderCertAuth,
    TlsHandshakeModifier,
    TlsMetadataHeaders,
    IpRestriction,
    CallistaMtlsAuth,
    Acl,
    CallistaMtlsAcl,
    RequestTermination,
}

/// The plugins of a route by name; positions in the model.
pub(super) type Set = [Option<usize>; Name::COUNT];

/// The plugins of every route, each combination once.
pub(super) struct Effective {
    /// No two are equal.
    pub(super) sets: Vec<Set>,
    /// Per route of the model, its set.
    pub(super) of_route: Vec<usize>,
    /// The global ones.
    pub(super) global: Set,
}

impl Name {
    pub(super) const COUNT: usize = 9;

    pub(super) fn of(config: &PluginConfig) -> Self {
        match config {
            PluginConfig::MtlsAuth(_) => Self::MtlsAuth,
            PluginConfig::HeaderCertAuth(_) => Self::HeaderCertAuth,
            PluginConfig::TlsHandshakeModifier => Self::TlsHandshakeModifier,
            PluginConfig::TlsMetadataHeaders(_) => Self::TlsMetadataHeaders,
            PluginConfig::IpRestriction(_) => Self::IpRestriction,
            PluginConfig::CallistaMtlsAuth(_) => Self::CallistaMtlsAuth,
            PluginConfig::Acl(_) => Self::Acl,
            PluginConfig::CallistaMtlsAcl(_) => Self::CallistaMtlsAcl,
            PluginConfig::RequestTermination(_) => Self::RequestTermination,
        }
    }

    /// As it is written in a file.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::MtlsAuth | Self::CallistaMtlsAuth => "mtls-auth",
            Self::HeaderCertAuth => "header-cert-auth",
            Self::TlsHandshakeModifier => "tls-handshake-modifier",
            Self::TlsMetadataHeaders => "tls-metadata-headers",
            Self::IpRestriction => "ip-restriction",
            Self::Acl => "acl",
            Self::CallistaMtlsAcl => "mtls-acl",
            Self::RequestTermination => "request-termination",
        }
    }

    /// Whether it may run for requests it does not list: it then asks for more than the file does, or has
    /// nothing to do without TLS.
    fn may_run_for_all(self) -> bool {
        !matches!(self, Self::IpRestriction | Self::RequestTermination)
    }
}

impl Effective {
    pub(super) fn of(loading: &Loading<'_>, problems: &mut Problems) -> Self {
        let model = loading.model;
        let mut scoped: HashMap<Scope, Vec<usize>> = HashMap::new();
        for (at, plugin) in model.plugins.iter().enumerate() {
            scoped.entry(plugin.scope).or_default().push(at);
        }
        let none = Vec::new();
        let of = |scope| scoped.get(&scope).unwrap_or(&none);
        let mut sets: Vec<Set> = Vec::new();
        let mut known = HashMap::new();
        let mut of_route = Vec::with_capacity(model.routes.len());
        for (at, route) in model.routes.iter().enumerate() {
            let mut set = Set::default();
            let service = route.service.map_or(&none, |service| of(Scope::Service(service)));
            // The more specific ones last, so that they win.
            for position in of(Scope::Global).iter().chain(service).chain(of(Scope::Route(at))) {
                let plugin = &model.plugins[*position];
                if meets(plugin, &route.rule.protocols) {
                    set[Name::of(&plugin.config) as usize] = Some(*position);
                }
            }
            for plugin in set.iter().flatten().map(|at| &model.plugins[*at]) {
                if !covers(plugin, &route.rule.protocols) && !Name::of(&plugin.config).may_run_for_all() {
                    let what = format!("its protocols are not all of those of the route at {}", route.place);
                    let advice = "write a route for each protocol, or leave the plugin's protocols out";
                    problems.push(loading.problem(&plugin.place, what, advice));
                }
            }
            of_route.push(*known.entry(set).or_insert_with(|| {
                sets.push(set);
                sets.len() - 1
            }));
        }
        let mut global = Set::default();
        for position in of(Scope::Global) {
            global[Name::of(&model.plugins[*position].config) as usize] = Some(*position);
        }
        Self { sets, of_route, global }
    }
}

fn meets(plugin: &Plugin, protocols: &[Protocol]) -> bool {
    protocols.iter().any(|protocol| plugin.protocols.contains(protocol))
}

fn covers(plugin: &Plugin, protocols: &[Protocol]) -> bool {
    protocols.iter().all(|protocol| plugin.protocols.contains(protocol))
}
