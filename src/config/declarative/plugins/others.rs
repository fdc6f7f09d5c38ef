//! Small plugins: `ip-restriction`, `request-termination`, `tls-handshake-modifier`.
//! Source: kong/plugins/{ip-restriction,request-termination}/schema.lua; dev: TlsHandshakeModifier.json.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::{PluginConfig, Reader};
use crate::config::declarative::fields::{Fields, Text};
use crate::config::declarative::node::shortened;

/// The fields of `ip-restriction`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpRestrictionFields {
    /// These and no others; empty for all.
    pub allow: Vec<IpNet>,
    /// Not these, even if allowed.
    pub deny: Vec<IpNet>,
    /// What the others get.
    pub status: u16,
    /// Instead of Kong's text.
    pub message: Option<Box<str>>,
}

/// The fields of `request-termination`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestTerminationFields {
    /// What everybody gets.
    pub status_code: u16,
    /// In Kong's usual body; not with `body`.
    pub message: Option<Box<str>>,
    /// As it is.
    pub body: Option<Box<str>>,
    /// Of `body`.
    pub content_type: Option<Box<str>>,
}

pub(super) fn tls_handshake_modifier(_: Reader<'_>, config: &mut Fields<'_>) -> Option<PluginConfig> {
    config.word("tls_client_certificate", &[("REQUEST", ())]);
    Some(PluginConfig::TlsHandshakeModifier)
}

pub(super) fn ip_restriction(_: Reader<'_>, config: &mut Fields<'_>) -> Option<PluginConfig> {
    let (allow, deny) = (networks(config, "allow"), networks(config, "deny"));
    if allow.is_none() && deny.is_none() {
        config.wrong_all("neither `allow` nor `deny`", "write at least one of the two");
    }
    let status = config.integer("status", 200..=599);
    Some(PluginConfig::IpRestriction(IpRestrictionFields {
        allow: allow.unwrap_or_default(),
        deny: deny.unwrap_or_default(),
        status: status.and_then(|status| status.try_into().ok()).unwrap_or(403),
        message: config.text("message").map(|text| text.text.into()),
    }))
}

/// Networks, and addresses as networks of one. An empty list is a slip: it says nothing.
fn networks(config: &mut Fields<'_>, key: &'static str) -> Option<Vec<IpNet>> {
    let texts = config.texts(key)?;
    if texts.is_empty() {
        config.wrong_all(format!("`{key}` without an address"), "write at least one, or remove it");
    }
    let mut networks = Vec::new();
    for text in texts {
        match text.text.parse().or_else(|_| text.text.parse::<IpAddr>().map(IpNet::from)) {
            Ok(network) => networks.extend(canonical(config, text, network)),
            Err(_) => {
                let what = format!("`{}` is neither an address nor a network", shortened(text.text));
                config.wrong(text.at, what, "write one like 10.0.0.0/8");
            }
        }
    }
    Some(networks)
}

/// Callers are compared as IPv4 where they are, so networks of IPv6 that stand for such become theirs.
fn canonical(config: &Fields<'_>, text: Text<'_>, network: IpNet) -> Option<IpNet> {
    let IpNet::V6(mapped) = network else { return Some(network) };
    let Some(address) = mapped.addr().to_ipv4_mapped() else { return Some(network) };
    let bits = mapped.prefix_len().checked_sub(96).and_then(|bits| Ipv4Net::new(address, bits).ok());
    if bits.is_none() {
        let what = format!("`{}` is more than the IPv4 addresses in IPv6", shortened(text.text));
        config.wrong(text.at, what, "write the IPv4 network itself, like 10.0.0.0/8");
    }
    bits.map(IpNet::V4)
}

pub(super) fn request_termination(_: Reader<'_>, config: &mut Fields<'_>) -> Option<PluginConfig> {
    let status_code = config.integer("status_code", 200..=599);
    let [message, body, content_type] = ["message", "body", "content_type"].map(|key| config.text(key));
    if message.is_some() && (body.is_some() || content_type.is_some()) {
        config.wrong_all("`message` beside `body` or `content_type`", "keep one of the two");
    }
    if content_type.is_some() && body.is_none() {
        config.wrong_all("`content_type` without `body`", "write a body, or remove it");
    }
    if let Some(value) = content_type.filter(|value| http::HeaderValue::try_from(value.text).is_err()) {
        config.wrong(value.at, "not the value of a header", "write one like text/plain");
    }
    config.refuse("echo", &["false"], "remove it");
    config.refuse("trigger", &[], "remove it, or match a header in a route of its own");
    let owned = |text: Option<Text<'_>>| text.map(|text| Box::from(text.text));
    Some(PluginConfig::RequestTermination(RequestTerminationFields {
        status_code: status_code.and_then(|code| code.try_into().ok()).unwrap_or(503),
        message: owned(message),
        body: owned(body),
        content_type: owned(content_type),
    }))
}
