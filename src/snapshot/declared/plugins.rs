//! Which plugins a route has: of each name the most specific one, whole; configurations are not merged.
//!
//! A plugin's `protocols` choose between HTTP and streams in Kong, not among those of HTTP, so they exclude
//! no route (kong/runloop/plugins_iterator.lua).

use std::collections::HashMap;

use crate::config::declarative::Model;
use crate::config::declarative::model::Scope;
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
}

impl Effective {
    pub(super) fn of(model: &Model) -> Self {
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
                set[Name::of(&model.plugins[*position].config) as usize] = Some(*position);
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
