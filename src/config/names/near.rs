//! Names that are none of ours, and near enough to be meant: by letters, or by words.
//!
//! Used where names come in. A rule about who may pass is never lost to a slip: what is near an access
//! setting, or only begins like one, is refused; of other names a warning tells.

use strsim::damerau_levenshtein;

use super::kong::Meaning;
use super::others::{is_anothers, may_be_a_port};
use super::{KONG, UNSUPPORTED, Variable, is_access, kong, nginx};
use crate::config::problem::{Origin, Problem};
use crate::config::settings::known;

/// What is to be done about a variable that sets nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) enum Suspicion {
    /// It is another's.
    Nothing,
    /// Kong's perhaps; nothing here depends on it.
    PassedOver,
    /// Somebody probably meant a setting of ours.
    Doubt(String),
    /// Somebody probably meant a rule about who may pass.
    Refused(Problem),
}

/// Looks at a variable for which there is no [`Variable`].
pub(in crate::config) fn suspicion(variable: &str, value: &str) -> Suspicion {
    if is_anothers(variable, value) {
        return Suspicion::Nothing;
    }
    let written = variable.to_ascii_uppercase().replace(['-', '.'], "_");
    if let Some(ours) = misspelt(variable, &written) {
        return told(variable, value, &ours.to_ascii_lowercase(), Some(&ours));
    }
    if written != variable {
        return Suspicion::Nothing;
    }
    let bare = variable.strip_prefix(KONG);
    let key = bare.unwrap_or(variable).to_ascii_lowercase();
    let meant = meant(&key).or_else(|| meant(key.strip_suffix("_file")?));
    match meant {
        Some(meant) if bare.is_some() || meant.contains('_') => {
            told(variable, value, meant, Some(&meant.to_uppercase()))
        }
        _ if may_be_a_port(variable, value) => Suspicion::Nothing,
        _ if FAMILIES.iter().any(|family| key.starts_with(family)) => told(variable, value, &key, None),
        _ if bare.is_some() && restricts(&key) => Suspicion::Refused(of_a_later_kong(variable, &key)),
        _ if bare.is_some() => Suspicion::PassedOver,
        _ => Suspicion::Nothing,
    }
}

/// Ours but for its case, its signs, or the program's name before it.
fn misspelt(variable: &str, written: &str) -> Option<String> {
    let bare = PROGRAM.iter().find_map(|prefix| written.strip_prefix(prefix));
    let candidate = bare.unwrap_or(written);
    let is_telling = bare.is_some() || candidate.contains('_');
    let is_ours = candidate != variable && is_telling && Variable::of(candidate).is_some();
    is_ours.then(|| candidate.to_owned())
}

/// `meant` is the key that was probably meant, and `name` how it is written there.
fn told(variable: &str, value: &str, meant: &str, name: Option<&str>) -> Suspicion {
    let advice = name.map_or_else(
        || "remove it; `mtls-bridge check` lists the settings".to_owned(),
        |name| format!("did you mean {name}?"),
    );
    let meant = meant.strip_prefix("kong_").unwrap_or(meant);
    if is_access(meant) || says_access(meant, value) {
        let what = "no such setting, and a rule about who may pass is not ignored";
        let origin = Origin::environment(variable);
        let key = variable.strip_prefix(KONG).unwrap_or(variable).to_ascii_lowercase();
        return Suspicion::Refused(Problem::of_key(&key, &origin, what, advice));
    }
    Suspicion::Doubt(format!("{variable} is not a setting and was ignored; {advice}"))
}

/// No name of Kong 3.9, but perhaps of a later one.
fn of_a_later_kong(variable: &str, key: &str) -> Problem {
    let what = "neither Kong 3.9 nor mtls-bridge has such a setting, and its name speaks of access or trust";
    let advice = "remove it; `mtls-bridge check` lists the settings";
    Problem::of_key(key, &Origin::environment(variable), what, advice)
}

/// A name of Kong's, perhaps for a directive of nginx, that says who may pass.
fn says_access(key: &str, value: &str) -> bool {
    let directive = key.splitn(3, '_').nth(2).filter(|_| key.starts_with(nginx::NGINX));
    directive.is_some_and(|directive| nginx::targets(directive).iter().any(|key| is_access(key)))
        || matches!(kong::meaning(key, value), Meaning::Deciding { .. })
}

/// The setting that was probably meant by `key`, which is lower case with `_`; perhaps a bare directive of nginx.
pub(in crate::config) fn meant(key: &str) -> Option<&'static str> {
    // The plugin's own name: whoever sets it means to ask for certificates.
    if key == "mtls_auth" {
        return Some("mtls_auth_ca_certificates");
    }
    let directive = nginx::targets(key).first().copied();
    directive.or_else(|| by_field(key)).or_else(|| by_letters(key)).or_else(|| by_words(key))
}

/// A field of Kong's mtls-auth or acl, without the plugin's name before it.
fn by_field(key: &str) -> Option<&'static str> {
    let is_telling = key.contains('_') && !ANYBODYS.iter().any(|word| key.starts_with(word));
    let is_field = |name: &&str| FAMILIES.iter().any(|family| name.strip_prefix(family) == Some(key));
    names().filter(|_| is_telling).find(is_field)
}

/// Every name that can be meant.
fn names() -> impl Iterator<Item = &'static str> {
    let unsupported = UNSUPPORTED.iter().map(|unsupported| unsupported.key);
    let kongs = kong::UNDERSTOOD.iter().map(|(key, ..)| *key).filter(|key| !key.starts_with(nginx::NGINX));
    known().iter().map(|declared| declared.key.as_str()).chain(unsupported).chain(kongs)
}

fn by_letters(key: &str) -> Option<&'static str> {
    let near =
        names().map(|name| (damerau_levenshtein(key, name), name)).min_by_key(|(distance, _)| *distance);
    near.filter(|(distance, name)| *distance <= slips(name)).map(|(_, name)| name)
}

/// How many slips a name of that length forgives.
fn slips(name: &str) -> usize {
    if name.len() < LONG { 1 } else { 2 }
}

/// The name with the same words: in another order, in the plural, in another's word for the same thing; or
/// with one word more or less.
fn by_words(key: &str) -> Option<&'static str> {
    let words = canonical(key);
    let near = |name| Some((apart(&words, &canonical(name))?, damerau_levenshtein(key, name), name));
    names().filter_map(near).min().map(|(.., name)| name)
}

/// How far a key is from a name, a word more counting more than a word less; `None` where it is not near.
fn apart(key: &[String], name: &[String]) -> Option<usize> {
    let (first, others) = key.split_first()?;
    if name.len() < 2 {
        return None;
    }
    let mut missing = sorted(name);
    let mut extra = 0;
    for word in key {
        match missing.iter().position(|other| other == word) {
            Some(at) => drop(missing.remove(at)),
            None => extra += 1,
        }
    }
    let alike = key.len() - extra >= 2 && *first == name[0];
    match (extra, missing.len()) {
        (0, 0) => Some(0),
        (0, 1) if alike => Some(1),
        (1, 0) if alike => Some(2),
        (1, 0) if WHOSE.contains(&first.as_str()) && sorted(others) == sorted(name) => Some(2),
        _ => None,
    }
}

fn sorted(words: &[String]) -> Vec<String> {
    let mut words = words.to_vec();
    words.sort();
    words
}

/// The words of a key, each in one form.
fn canonical(key: &str) -> Vec<String> {
    key.split('_').filter(|word| !word.is_empty()).map(|word| one_form(word).to_owned()).collect()
}

fn one_form(word: &str) -> &str {
    let found = SAME.iter().find(|(_, forms)| forms.contains(&word)).map(|(form, _)| *form);
    let plural = || word.strip_suffix('s').filter(|one| one.len() > 2 && !one.ends_with('s'));
    found.or_else(plural).unwrap_or(word)
}

/// Whether a name that only Kong could know speaks of access, of trust or of verification.
fn restricts(key: &str) -> bool {
    canonical(key).iter().any(|word| RESTRICTING.contains(&word.as_str()))
}

/// What many call by another word; a private key is the key of its certificate.
const SAME: &[(&str, &[&str])] = &[
    ("cert", &["certificate", "certificates", "certs", "crt", "crts", "pem", "private"]),
    ("tls", &["ssl", "https"]),
    ("ca", &["cas", "authority", "authorities"]),
    ("allow", &["allowed", "allows", "whitelist", "whitelisted", "allowlist", "permit", "permitted"]),
    ("deny", &["denied", "denies", "blacklist", "blacklisted", "denylist", "block", "blocked", "forbid"]),
    ("verify", &["verification", "verified", "verifies", "validate", "validation", "check"]),
    ("url", &["uri", "address", "addr", "endpoint"]),
    ("trust", &["trusted", "trusts"]),
    ("auth", &["authenticate", "authentication"]),
    ("listen", &["listener", "listeners", "listening"]),
    ("size", &["bytes"]),
    ("max", &["maximum", "limit"]),
    ("idle", &["idling"]),
    ("crl", &["crls"]),
    ("mtls", &["mtls"]),
    ("routing", &["route", "routes"]),
    ("connection", &["conn", "conns"]),
];

/// Words that may stand before a name without changing what it is about.
const WHOSE: &[&str] = &["proxy", "upstream", "client", "server", "http", "gateway", "bridge"];

const RESTRICTING: &[&str] =
    &["allow", "deny", "acl", "verify", "trust", "crl", "ocsp", "revocation", "mtls"];

/// How the names of access settings begin.
const FAMILIES: [&str; 2] = ["acl_", "mtls_auth_"];

/// How fields begin that name what other programs have too.
const ANYBODYS: [&str; 4] = ["http_", "https_", "ca_", "cert_"];

/// The program's name, which some put before every variable.
const PROGRAM: [&str; 2] = ["MTLS_BRIDGE_", "MTLSBRIDGE_"];

/// From here on, two slips still leave no doubt about what was meant.
const LONG: usize = 12;

#[cfg(test)]
mod tests;
