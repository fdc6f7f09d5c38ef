//! What a key may be called: its own name, Kong's, and names close enough to be a slip.
//!
//! Used by `source`, where names come in, and by the reference page.

use strsim::damerau_levenshtein;

use super::problem::{Origin, Problem, Said};
use super::settings::known;

/// What a name in a file or in the environment stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// A setting.
    Setting(&'static str),
    /// A setting, under a name that Kong users have for it.
    Alias(&'static str),
    /// A part of the contract that this version cannot keep.
    Unsupported(&'static Unsupported),
}

impl Name {
    /// `key` is lower case with `_`.
    pub(super) fn of(key: &str) -> Option<Self> {
        let setting = known().iter().find(|declared| declared.key == key);
        let alias = ALIASES.iter().find(|(alias, _)| *alias == key);
        let unsupported = UNSUPPORTED.iter().find(|unsupported| unsupported.key == key);
        setting
            .map(|declared| Self::Setting(&declared.key))
            .or_else(|| alias.map(|(_, key)| Self::Alias(key)))
            .or_else(|| unsupported.map(Self::Unsupported))
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
        if let Some(name) = Name::of(&key) {
            return Some(Self { name, kong, file: false });
        }
        let name = Name::of(key.strip_suffix("_file")?)?;
        Some(Self { name, kong, file: true })
    }
}

/// A key of the contract that is refused, not ignored: most are rules about who may pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsupported {
    pub(super) key: &'static str,
    /// A value that asks for nothing.
    harmless: Option<&'static str>,
    /// What to do without it.
    pub(super) advice: &'static str,
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

/// The setting that was probably meant.
pub(super) fn meant(key: &str) -> Option<&'static str> {
    let unsupported = UNSUPPORTED.iter().map(|unsupported| unsupported.key);
    let aliases = ALIASES.iter().map(|(alias, _)| *alias);
    let names = known().iter().map(|declared| declared.key.as_str()).chain(unsupported).chain(aliases);
    let near = names.map(|name| (damerau_levenshtein(key, name), name)).min_by_key(|(distance, _)| *distance);
    near.filter(|(distance, name)| *distance <= slips(name)).map(|(_, name)| name)
}

/// How many slips a name of that length forgives.
fn slips(name: &str) -> usize {
    if name.len() < LONG { 1 } else { 2 }
}

/// The warning about a variable that is not ours but looks like it.
pub(super) fn suspicion(variable: &str) -> Option<String> {
    if OTHERS.contains(&variable) {
        return None;
    }
    let kong = variable.strip_prefix(KONG);
    let key = kong.unwrap_or(variable).to_ascii_lowercase();
    let meant = meant(&key).or_else(|| meant(key.strip_suffix("_file")?));
    match (kong, meant) {
        (_, Some(meant)) if kong.is_some() || meant.contains('_') => {
            let meant = meant.to_uppercase();
            Some(format!("{variable} is not a setting and was ignored; did you mean {meant}?"))
        }
        (Some(_), _) => Some(format!("{variable} is not a setting of mtls-bridge and was ignored")),
        _ => None,
    }
}

/// The problem with a key nobody knows.
pub(super) fn unknown(key: &str, origin: &Origin) -> Problem {
    let advice = match meant(&key.to_ascii_lowercase().replace('-', "_")) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "remove it; `mtls-bridge check` lists the settings".to_owned(),
    };
    Problem::of_key(key, origin, "no such setting", advice)
}

pub(super) const KONG: &str = "KONG_";

/// What Kong users have set already, in ascending order of precedence; a key's own name wins over
/// all of them. In Kong, `lua_ssl_trusted_certificate` is not about upstreams, but it is widely
/// set as if it were.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("lua_ssl_trusted_certificate", "upstream_ca_certificates"),
    ("nginx_proxy_proxy_ssl_trusted_certificate", "upstream_ca_certificates"),
    ("nginx_proxy_ssl_client_certificate", "mtls_auth_ca_certificates"),
    ("nginx_proxy_ssl_verify_client", "mtls_auth_handshake"),
];

const CONSUMERS: &str = "consumers are in a declarative file: write it in the mtls-auth plugin there";

pub(super) const UNSUPPORTED: &[Unsupported] = &[
    Unsupported { key: "admin_listen", harmless: Some("off"), advice: "write off, or remove it" },
    Unsupported { key: "mtls_auth_consumer_by", harmless: None, advice: CONSUMERS },
    Unsupported { key: "mtls_auth_anonymous", harmless: None, advice: CONSUMERS },
    Unsupported { key: "mtls_auth_default_consumer", harmless: None, advice: CONSUMERS },
];

/// Variables of others that look like ours.
const OTHERS: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// From here on, two slips still leave no doubt about what was meant.
const LONG: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_are_ours() {
        let check = |variable, name, kong, file| {
            assert_eq!(Variable::of(variable), Some(Variable { name, kong, file }), "{variable}");
        };
        check("CLIENT_SSL_CERT", Name::Setting("client_ssl_cert"), false, false);
        check("KONG_CLIENT_SSL_CERT", Name::Setting("client_ssl_cert"), true, false);
        check("CLIENT_SSL_CERT_KEY_FILE", Name::Setting("client_ssl_cert_key"), false, true);
        check("KONG_SSL_CERT_FILE", Name::Setting("ssl_cert"), true, true);
        check("KONG_LUA_SSL_TRUSTED_CERTIFICATE", Name::Alias("upstream_ca_certificates"), true, false);
        check("NGINX_PROXY_SSL_CLIENT_CERTIFICATE", Name::Alias("mtls_auth_ca_certificates"), false, false);
        check("KONG_ADMIN_LISTEN", Name::Unsupported(&UNSUPPORTED[0]), true, false);
        for variable in ["PATH", "SSL_CERT_FILE", "client_ssl", "KONG_PREFIX", "FILE", "KONG_"] {
            assert_eq!(Variable::of(variable), None, "{variable}");
        }
    }

    #[test]
    fn only_what_looks_like_ours_is_warned_about() {
        for (variable, expected) in [
            (
                "CLIENT_SSL_CERTS",
                "CLIENT_SSL_CERTS is not a setting and was ignored; did you mean CLIENT_SSL_CERT?",
            ),
            ("UPSTREAM_URI", "UPSTREAM_URI is not a setting and was ignored; did you mean UPSTREAM_URL?"),
            ("ACL_ALOW_FILE", "ACL_ALOW_FILE is not a setting and was ignored; did you mean ACL_ALLOW?"),
            ("KONG_SSL", "KONG_SSL is not a setting of mtls-bridge and was ignored"),
            ("KONG_CLIENT_SLL", "KONG_CLIENT_SLL is not a setting and was ignored; did you mean CLIENT_SSL?"),
        ] {
            assert_eq!(suspicion(variable).as_deref(), Some(expected));
        }
        for variable in [
            "PATH",
            "HOME",
            "HOSTNAME",
            "LANG",
            "TERM",
            "PWD",
            "SHLVL",
            "USER",
            "LOG_DIR",
            "NODE",
            "PORT",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "HTTP_PROXY",
            "NO_PROXY",
            "RUST_LOG",
            "LC_ALL",
            "TZ",
            "KUBERNETES_SERVICE_HOST",
            "UPSTREAM_SERVICE_HOST",
            "UPSTREAM_PORT",
            "COLUMNS",
            "DEBIAN_FRONTEND",
        ] {
            assert_eq!(suspicion(variable), None, "{variable}");
        }
    }

    #[test]
    fn unknown_keys_get_a_suggestion() {
        let origin = Origin::file("/etc/bridge.toml".as_ref());
        let check = |key, expected: &str| assert_eq!(unknown(key, &origin).to_string(), expected);
        check(
            "client-ssl-crt",
            "client-ssl-crt (file /etc/bridge.toml): no such setting; did you mean client_ssl_cert?",
        );
        check(
            "nonsense",
            "nonsense (file /etc/bridge.toml): no such setting; remove it; `mtls-bridge check` lists the settings",
        );
    }
}
