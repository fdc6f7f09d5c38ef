//! Plugins: which ones there are, for which requests, and their fields.
//!
//! A plugin we do not have would be a rule nobody keeps, so it is a problem, enabled or not. The fields of each
//! are read in this folder.

mod certificate_headers;
mod groups;
mod mtls_auth;
mod others;

use std::collections::HashMap;

use super::fields::Fields;
use super::gather::Found;
use super::kind::Kind;
use super::model::{Plugin, Scope};
use super::node::shortened;
use super::reader::{Reader, protocols, tags};
use crate::routing::Protocol;

pub use self::certificate_headers::{CallistaMtlsAuthFields, TlsMetadataHeadersFields};
pub use self::groups::{AclFields, CallistaMtlsAclFields, Listed};
pub use self::mtls_auth::{
    CertificateHeader, ConsumerBy, GroupProperty, HeaderCertAuthFields, HeaderFormat, MtlsAuthFields,
    Proxies, Revocation,
};
pub use self::others::{IpRestrictionFields, RequestTerminationFields};

/// A plugin's own fields.
#[derive(Debug, PartialEq, Eq)]
pub enum PluginConfig {
    /// Kong Enterprise's `mtls-auth`, as of 3.9.
    MtlsAuth(MtlsAuthFields),
    /// Kong Enterprise's `header-cert-auth`.
    HeaderCertAuth(HeaderCertAuthFields),
    /// Kong's `acl`.
    Acl(AclFields),
    /// Kong Enterprise's `tls-metadata-headers`.
    TlsMetadataHeaders(TlsMetadataHeadersFields),
    /// Kong Enterprise's `tls-handshake-modifier`: a certificate is asked for, and that is all.
    TlsHandshakeModifier,
    /// Kong's `ip-restriction`.
    IpRestriction(IpRestrictionFields),
    /// Kong's `request-termination`.
    RequestTermination(RequestTerminationFields),
    /// Callista's plugin, which is called `mtls-auth` too.
    CallistaMtlsAuth(CallistaMtlsAuthFields),
    /// Callista's `mtls-acl`.
    CallistaMtlsAcl(CallistaMtlsAclFields),
}

/// The enabled ones that could be read.
pub(super) fn plugins(reader: Reader<'_>) -> Vec<Plugin> {
    let mut plugins = Vec::new();
    let mut seen = HashMap::new();
    for found in reader.gathered.each(Kind::Plugins) {
        let Some(mut fields) = reader.fields(Kind::Plugins, found) else { continue };
        let owner = owner(reader, found, &mut fields);
        let name = fields.needed_text("name", &advice());
        if let (Some(owner), Some(name)) = (owner, name)
            && let Some(other) = seen.insert((name.text, owner), &found.place)
        {
            let what = format!("`{}` is there already, at {other}", shortened(name.text));
            fields.wrong(name.at, what, "keep one of the two: they are not merged");
        }
        let enabled = fields.boolean("enabled").unwrap_or(true);
        fields.text("instance_name");
        tags(&mut fields);
        fields.refuse("ordering", &[], "remove it: plugins run in the order of Kong's priorities");
        fields.refuse("run_on", &["first"], "remove it");
        let read = name.and_then(|name| {
            let Some((_, of_tls, read)) = PLUGINS.iter().find(|(known, ..)| *known == name.text) else {
                fields.wrong(name.at, format!("there is no plugin `{}`", shortened(name.text)), advice());
                fields.pass(["config", "protocols"]);
                return None;
            };
            let protocols = protocols(&mut fields, if *of_tls { &OF_TLS } else { &ALL });
            Some((protocols, fields.record("config", |config| read(reader, config))?))
        });
        fields.finish();
        let scope = owner.and_then(|owner| scope(reader, owner));
        if let (true, Some(scope), Some((protocols, config))) = (enabled, scope, read) {
            plugins.push(Plugin { place: found.place.clone(), id: found.id, scope, protocols, config });
        }
    }
    plugins
}

/// What a plugin belongs to; `None` after a problem. Here, positions are those of the file.
fn owner<'a>(reader: Reader<'a>, found: &'a Found<'a>, fields: &mut Fields<'a>) -> Option<Scope> {
    if let Some((Kind::Consumers, _)) = found.parent {
        fields.wrong_all("a plugin of a consumer", "write it for a route, a service or all");
        return None;
    }
    for field in ["consumer", "consumer_group"] {
        fields.refuse(field, &[], "write the plugin for a route, a service or all");
    }
    let said = |key| found.node.at(key).and_then(super::node::Node::text).is_some();
    let dangling = |key, owner: Option<usize>| owner.is_none() && said(key);
    let route = reader.gathered.parent(found, fields, "route", Kind::Routes);
    let service = reader.gathered.parent(found, fields, "service", Kind::Services);
    match (route, service) {
        (Some(_), Some(_)) => {
            let what = "a plugin of a route and a service at once";
            fields.wrong_all(
                what,
                "keep the route, if it is one of the service's, or write one plugin for each",
            );
            None
        }
        _ if dangling("route", route) || dangling("service", service) => None,
        (Some(route), None) => Some(Scope::Route(route)),
        (None, Some(service)) => Some(Scope::Service(service)),
        (None, None) => Some(Scope::Global),
    }
}

/// The same with positions of the model; `None` for what is disabled.
fn scope(reader: Reader<'_>, owner: Scope) -> Option<Scope> {
    let position = |kind, index| reader.gathered.one(kind, index).position;
    match owner {
        Scope::Global => Some(Scope::Global),
        Scope::Service(index) => position(Kind::Services, index).map(Scope::Service),
        Scope::Route(index) => position(Kind::Routes, index).map(Scope::Route),
    }
}

fn advice() -> String {
    let names: Vec<_> = PLUGINS.iter().map(|(name, ..)| *name).collect();
    format!("remove it, or write one of {}", names.join(", "))
}

/// Reads the record `config`; `None` after a problem.
type Read = fn(Reader<'_>, &mut Fields<'_>) -> Option<PluginConfig>;

/// Each with whether it is for TLS alone unless it says otherwise.
const PLUGINS: [(&str, bool, Read); 8] = [
    ("mtls-auth", false, mtls_auth::either),
    ("header-cert-auth", false, mtls_auth::header_cert_auth),
    ("acl", false, groups::acl),
    ("mtls-acl", false, groups::callista_mtls_acl),
    ("tls-metadata-headers", true, certificate_headers::tls_metadata_headers),
    ("tls-handshake-modifier", true, others::tls_handshake_modifier),
    ("ip-restriction", false, others::ip_restriction),
    ("request-termination", false, others::request_termination),
];

const ALL: [Protocol; 4] = [Protocol::Grpc, Protocol::Grpcs, Protocol::Http, Protocol::Https];

const OF_TLS: [Protocol; 2] = [Protocol::Grpcs, Protocol::Https];
