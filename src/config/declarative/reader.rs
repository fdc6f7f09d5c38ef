//! Second pass: what all readers of entities share.
//!
//! Used by the readers of this folder; `read` runs them one after the other.

use super::fields::{Fields, Path, Text};
use super::gather::{Found, Gathered};
use super::kind::Kind;
use super::node::shortened;
use super::report::Report;
use crate::routing::{Invalid, Protocol, is_host};

/// What a reader may look at.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) gathered: &'a Gathered<'a>,
    pub(super) report: &'a Report,
    pub(super) format: Format,
}

/// Which rules a file was written by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `1.1` and `2.1`: whether a path is a regex is guessed.
    Before3,
    /// `3.0`: a regex path begins with `~`.
    From3,
}

impl<'a> Reader<'a> {
    /// The fields of an entity, without those that `gather` has read and those without meaning to us.
    pub(super) fn fields(&self, kind: Kind, found: &'a Found<'a>) -> Option<Fields<'a>> {
        let mut fields = Fields::of(self.report, Path::Entity(&found.place), found.node)?;
        fields.pass(["id"]);
        fields.pass(kind.nested().iter().map(|kind| kind.list()));
        fields.pass(harmless(kind));
        fields.integer("created_at", 0..=i64::MAX);
        fields.integer("updated_at", 0..=i64::MAX);
        Some(fields)
    }

    /// A name that may stand in a URL of the Admin API. Source: kong/db/schema/typedefs.lua, `utf8_name`.
    pub(super) fn name(fields: &mut Fields<'a>) -> Option<Box<str>> {
        let name = fields.text("name")?;
        let is_legal = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c) || !c.is_ascii();
        if !name.text.chars().all(is_legal) {
            let what = format!("`{}` is not a name", shortened(name.text));
            fields.wrong(name.at, what, "write letters, digits, `.`, `-`, `_` and `~` only");
        }
        Some(name.text.into())
    }
}

/// Words for people.
pub(super) fn tags(fields: &mut Fields<'_>) -> Vec<Box<str>> {
    fields.texts("tags").unwrap_or_default().into_iter().map(|tag| tag.text.into()).collect()
}

/// Which protocols a route or plugin is for; those that are none of ours are a problem.
pub(super) fn protocols(fields: &mut Fields<'_>, default: &[Protocol]) -> Vec<Protocol> {
    let Some(texts) = fields.texts("protocols") else { return default.to_vec() };
    let mut protocols = Vec::new();
    for text in texts {
        match Protocol::named(text.text) {
            Some(protocol) if protocols.contains(&protocol) => {}
            Some(protocol) => protocols.push(protocol),
            None => not_spoken(fields, text),
        }
    }
    if protocols.is_empty() {
        fields.wrong_all("`protocols` names nothing that is spoken here", "write http, https, grpc or grpcs");
    }
    protocols
}

/// What is no protocol at all, or one of streams.
pub(super) fn not_spoken(fields: &Fields<'_>, text: Text<'_>) {
    let kongs = ["tcp", "tls", "udp", "tls_passthrough", "ws", "wss"].contains(&text.text);
    let what = if kongs { "is not supported by this version" } else { "is not a protocol" };
    let advice = "write http, https, grpc or grpcs; WebSockets pass over http and https";
    fields.wrong(text.at, format!("`{}` {what}", shortened(text.text)), advice);
}

/// A host name or an address, without a port. IPv6 may have brackets, which are taken off.
pub(super) fn host(text: &str) -> Option<&str> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = bracketed.unwrap_or(text);
    Some(host).filter(|host| is_host(host) && (bracketed.is_none() || host.contains(':')))
}

/// What was made of a text; a problem of its own is told.
pub(super) fn made<T>(fields: &Fields<'_>, text: Text<'_>, made: Result<T, Invalid>) -> Option<T> {
    let told = |Invalid { what, advice }| {
        let what = match what.strip_prefix("it ") {
            Some(rest) => format!("`{}` {rest}", shortened(text.text)),
            None => what,
        };
        fields.wrong(text.at, what, advice);
    };
    made.map_err(told).ok()
}

/// Fields of Kong's that change nothing here, whatever their value, and why.
fn harmless(kind: Kind) -> impl Iterator<Item = &'static str> {
    HARMLESS.iter().filter(move |(of, ..)| *of == kind).map(|(_, field, _)| *field)
}

/// The list to look into before asking why a field does nothing.
const HARMLESS: &[(Kind, &str, &str)] = &[
    (Kind::Routes, "request_buffering", "bodies are streamed; nothing a client sees depends on it"),
    (Kind::Routes, "response_buffering", "likewise"),
    (Kind::Upstreams, "slots", "the size of a table in Kong's balancer"),
    (Kind::CaCertificates, "cert_digest", "made from `cert` anyway"),
];
