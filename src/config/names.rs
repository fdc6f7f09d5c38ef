//! What a key may be called: its own name, Kong's, and names close enough to be a slip.
//!
//! Used by `source`, where names come in, and by the reference page. `kong` and `nginx` hold the names of
//! Kong's users, `near` what may be a slip, `others` what is certainly somebody else's.

pub(super) mod kong;
mod near;
pub(super) mod nginx;
mod others;

use super::problem::{Origin, Problem, Said};
use super::settings::known;

pub(super) use self::near::{Suspicion, suspicion};

/// What a name in a file or in the environment stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// A setting.
    Setting(&'static str),
    /// One of Kong's: [`kong::meaning`] says what it comes to with its value.
    Kong,
    /// A part of the contract that this version cannot keep.
    Unsupported(&'static Unsupported),
}

impl Name {
    /// `key` is lower case with `_`.
    pub(super) fn of(key: &str) -> Option<Self> {
        let setting = known().iter().find(|declared| declared.key == key);
        let unsupported = UNSUPPORTED.iter().find(|unsupported| unsupported.key == key);
        setting
            .map(|declared| Self::Setting(&declared.key))
            .or_else(|| unsupported.map(Self::Unsupported))
            .or_else(|| kong::knows(key).then_some(Self::Kong))
    }

    /// Of several names of one setting in one source, the one with the highest rank is taken: a setting's own
    /// name over Kong's other names for it, and nginx's inner block over the outer.
    pub(super) fn rank(self, key: &str) -> usize {
        if self == Self::Kong { kong::rank(key) } else { OWN }
    }
}

/// An environment variable that is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Variable {
    /// What it sets.
    pub(super) name: Name,
    /// `KONG_…`: the bare name wins over it.
    pub(super) kong: bool,
    /// `…_FILE`: names a file that holds the value.
    pub(super) file: bool,
}

impl Variable {
    /// `None` for the variables of others. `SSL_CERT_FILE` is OpenSSL's, and set in many images.
    pub(super) fn of(variable: &str) -> Option<Self> {
        if variable == "SSL_CERT_FILE" || variable.contains(|c: char| c.is_ascii_lowercase()) {
            return None;
        }
        let (kong, bare) = variable.strip_prefix(KONG).map_or((false, variable), |bare| (true, bare));
        let key = bare.to_ascii_lowercase();
        let ours = |key: &str| {
            let is_kongs = || (kong || kong::is_unmistakable(key)) && !others::is_anothers(variable, "");
            Name::of(key).filter(|name| *name != Name::Kong || is_kongs())
        };
        if let Some(name) = ours(&key) {
            return Some(Self { name, kong, file: false });
        }
        if let Some(name) = key.strip_suffix("_file").and_then(ours) {
            return Some(Self { name, kong, file: true });
        }
        // Of nginx's directives, what is not known decides.
        let is_directive = kong && key.starts_with(nginx::NGINX) && !others::is_anothers(variable, "");
        is_directive.then_some(Self { name: Name::Kong, kong, file: false })
    }

    /// The key of that variable: lower case, without `KONG_` and `_FILE`.
    pub(super) fn key(self, variable: &str) -> String {
        let bare = if self.kong { variable.strip_prefix(KONG).unwrap_or(variable) } else { variable };
        let bare = if self.file { bare.strip_suffix("_FILE").unwrap_or(bare) } else { bare };
        bare.to_ascii_lowercase()
    }
}

/// Whether a setting says who may pass.
pub(super) fn is_access(key: &str) -> bool {
    key.starts_with("acl_") || key.starts_with("mtls_auth_") || key == "authenticate_before_routing"
}

/// A key of the contract that is refused, not ignored: most are rules about who may pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsupported {
    pub(super) key: &'static str,
    /// A value that asks for nothing.
    harmless: Option<&'static str>,
    /// What to do without it.
    pub(super) advice: &'static str,
    /// A `kong.conf` says it for Kong, not for us; no rule is lost with it.
    pub(super) is_kongs_own: bool,
}

impl Unsupported {
    /// The problem with saying it; none if the value asks for nothing.
    pub(super) fn refuse(&self, said: &Said) -> Result<(), Problem> {
        let harmless = self.harmless.is_some_and(|harmless| harmless.eq_ignore_ascii_case(said.value()));
        if said.value().is_empty() || harmless {
            return Ok(());
        }
        Err(Problem::of_key(self.key, said.origin(), "not supported by this version", self.advice))
    }
}

/// The problem with a key nobody knows.
pub(super) fn unknown(key: &str, origin: &Origin) -> Problem {
    let bare = key.to_ascii_lowercase().replace('-', "_");
    let advice = match near::meant(bare.strip_prefix("kong_").unwrap_or(&bare)) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "remove it; `mtls-bridge check` lists the settings".to_owned(),
    };
    Problem::of_key(key, origin, "no such setting", advice)
}

/// The rank of a setting's own name.
pub(super) const OWN: usize = 100;

pub(super) const KONG: &str = "KONG_";

const CONSUMERS: &str = "consumers are in a declarative file: write it in the mtls-auth plugin there";

pub(super) const UNSUPPORTED: &[Unsupported] = &[
    Unsupported {
        key: "admin_listen",
        harmless: Some("off"),
        advice: "write off, or remove it",
        is_kongs_own: true,
    },
    rule("mtls_auth_consumer_by"),
    rule("mtls_auth_anonymous"),
    rule("mtls_auth_default_consumer"),
];

/// Of a plugin that has consumers.
const fn rule(key: &'static str) -> Unsupported {
    Unsupported { key, harmless: None, advice: CONSUMERS, is_kongs_own: false }
}

#[cfg(test)]
mod tests;
