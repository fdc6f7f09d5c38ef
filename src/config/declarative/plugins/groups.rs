//! Plugins that let some pass and others not: Kong's `acl`, Callista's `mtls-acl`.
//! Source: kong/plugins/acl/schema.lua, callistaenterprise/kong-plugin-mtls-acl schema.lua.

use super::certificate_headers::header;
use super::{PluginConfig, Reader};
use crate::config::declarative::fields::Fields;

/// The fields of `acl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclFields {
    /// Groups.
    pub listed: Listed,
    /// The service is not told the groups.
    pub hide_groups_header: bool,
    /// Groups of the certificate count where there is a consumer, too.
    pub always_use_authenticated_groups: bool,
}

/// The fields of Callista's `mtls-acl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallistaMtlsAclFields {
    /// The header whose value is looked up; in lower case.
    pub certificate_header_name: Box<str>,
    /// The service is not told it.
    pub hide_certificate_header: bool,
    /// Values of the header.
    pub listed: Listed,
}

/// Who may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// These and no others.
    Allow(Vec<Box<str>>),
    /// All others.
    Deny(Vec<Box<str>>),
}

pub(super) fn acl(_: Reader<'_>, config: &mut Fields<'_>) -> Option<PluginConfig> {
    let hide_groups_header = config.boolean("hide_groups_header").unwrap_or(false);
    let always_use_authenticated_groups = config.boolean("always_use_authenticated_groups").unwrap_or(false);
    config.refuse("include_consumer_groups", &["false"], "write the consumers' groups as acls");
    for (field, now) in [("whitelist", "write allow"), ("blacklist", "write deny")] {
        config.refuse(field, &[], now);
    }
    let listed = listed(config)?;
    Some(PluginConfig::Acl(AclFields { listed, hide_groups_header, always_use_authenticated_groups }))
}

pub(super) fn callista_mtls_acl(_: Reader<'_>, config: &mut Fields<'_>) -> Option<PluginConfig> {
    let hide_certificate_header = config.boolean("hide_certificate_header").unwrap_or(false);
    let name = header(config, "certificate_header_name");
    if name.is_none() {
        config.missing("certificate_header_name", "write the header that mtls-auth sets");
    }
    let (listed, certificate_header_name) = (listed(config)?, name?);
    let fields = CallistaMtlsAclFields { certificate_header_name, hide_certificate_header, listed };
    Some(PluginConfig::CallistaMtlsAcl(fields))
}

/// Exactly one of the two, with something in it: an empty one would let nobody in, or everybody.
fn listed(config: &mut Fields<'_>) -> Option<Listed> {
    let names = |texts: Vec<crate::config::declarative::fields::Text<'_>>| {
        texts.into_iter().map(|text| Box::from(text.text)).collect::<Vec<_>>()
    };
    let (allow, deny) = (config.texts("allow").map(names), config.texts("deny").map(names));
    let listed = match (allow, deny) {
        (Some(allow), None) => Listed::Allow(allow),
        (None, Some(deny)) => Listed::Deny(deny),
        (Some(_), Some(_)) => {
            config.wrong_all("both `allow` and `deny`", "keep one of the two");
            return None;
        }
        (None, None) => {
            config.wrong_all("neither `allow` nor `deny`", "write one of the two");
            return None;
        }
    };
    let (Listed::Allow(names) | Listed::Deny(names)) = &listed;
    if names.is_empty() {
        config
            .wrong_all("`allow` or `deny` without a name in it", "write at least one, or remove the plugin");
    }
    Some(listed)
}
