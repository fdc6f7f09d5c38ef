//! Names on an access list that nobody can have, or that were probably meant otherwise.
//!
//! Names are compared whole and exactly, so a slip of the pen lets nobody in, or keeps nobody out. Used for
//! `acl_allow`, `acl_deny` and `trusted_peers`, and for the acl plugins of a declarative file.

use crate::config::problem::{Caution, Said};
use crate::policy::GroupBy;

/// Why nobody is called so, and what to do.
type Doubt = (String, &'static str);

/// One caution for each name of a list; `by`: what names are compared with, `None` for any of them.
pub(in crate::config) fn cautions(said: &Said, names: &[String], by: Option<GroupBy>) -> Vec<Caution> {
    let torn = torn_subject(names, by);
    let doubts = names.iter().filter_map(|name| why_unmatched(name, by)).chain(torn);
    doubts.map(|(what, advice)| Caution::of_use(said, what, advice)).collect()
}

/// Why nobody is called `name`; `None` where somebody may be.
#[must_use]
pub fn why_unmatched(name: &str, by: Option<GroupBy>) -> Option<Doubt> {
    let shown = || name.chars().take(SHOWN).collect::<String>();
    let (what, advice) = as_text(name, by).or_else(|| match by {
        None => of_any(name),
        Some(GroupBy::CommonName) => of_common_name(name),
        Some(GroupBy::DistinguishedName) => of_subject(name),
        Some(GroupBy::SubjectAltName) => of_alternative_name(name),
    })?;
    Some((format!("`{}` {what}", shown()), advice))
}

/// What is odd whatever names are compared with.
fn as_text(name: &str, by: Option<GroupBy>) -> Option<(&'static str, &'static str)> {
    let is_subject = by == Some(GroupBy::DistinguishedName);
    if name.starts_with(QUOTES) || name.ends_with(QUOTES) {
        return Some((
            "has a quotation mark, which counts as a part of the name",
            "remove it: docker's --env-file and lists in settings know no quotes",
        ));
    }
    if name.starts_with('$') {
        return Some((
            "is compared as it is, and no variable is put in for it",
            "write the name: docker's --env-file and lists in settings know no variables",
        ));
    }
    if name.starts_with(['[', '{', '(', '<'])
        || name.ends_with([']', '}', ')']) && !name.contains(['[', '{', '('])
    {
        return Some((
            "has a bracket, which counts as a part of the name",
            "write a comma list without brackets",
        ));
    }
    if name.contains([';', '|']) {
        return Some(("is one name, with a separator that is none", "write a comma between names"));
    }
    if name.chars().any(is_invisible) || (!is_subject && name.contains(char::is_whitespace)) {
        return Some((
            "is one name, with a blank in it",
            "write a comma between names, if these are several",
        ));
    }
    if name.contains('*') {
        return Some(("is compared as it is, not as a pattern", "write every name whole"));
    }
    None
}

fn of_any(name: &str) -> Option<(&'static str, &'static str)> {
    prefix(name).or_else(|| {
        has_attribute(name).then_some((
            "is no name but a part of a subject",
            "write the common name, a DNS name or a URI alone",
        ))
    })
}

fn of_common_name(name: &str) -> Option<(&'static str, &'static str)> {
    if let Some(common) = attribute(name, "CN") {
        let bare = !common.is_empty() && !has_attribute(common);
        let advice = if bare { "write what follows CN= alone" } else { BY_SUBJECT };
        return Some(("is compared with the common name alone", advice));
    }
    if has_attribute(name) {
        return Some(("is compared with the common name alone", BY_SUBJECT));
    }
    if name.contains("://") || prefix(name).is_some() {
        return Some((
            "is compared with the common name alone",
            "set MTLS_AUTH_AUTHENTICATED_GROUP_BY=SAN, and write the alternative name without URI: or DNS:",
        ));
    }
    None
}

fn of_subject(name: &str) -> Option<(&'static str, &'static str)> {
    if name.starts_with('/') {
        return Some((
            "is a subject in an old form",
            "write it as in X-Client-Cert-Dn, for example CN=app\\,O=Acme",
        ));
    }
    if !name.contains('=') {
        return Some((
            "is compared with the whole subject",
            "write for example CN=app\\,O=Acme, or set MTLS_AUTH_AUTHENTICATED_GROUP_BY=CN",
        ));
    }
    let spaced = name.split([',', '+']).skip(1).any(|part| part.starts_with(' '));
    if spaced || name.contains(" =") || name.contains("= ") {
        return Some((
            "has blanks that a subject does not have",
            "write it as in X-Client-Cert-Dn: CN=app\\,O=Acme",
        ));
    }
    let types = name.split([',', '+']).filter_map(|part| part.split_once('=')).map(|(name, _)| name);
    let is_lower = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase()) && !name.is_empty();
    if types.into_iter().any(|name| is_lower(name) && has_attribute(&format!("{name}="))) {
        return Some(("names its parts in lower case, and subjects do not", "write CN=, O= and so on"));
    }
    None
}

fn of_alternative_name(name: &str) -> Option<(&'static str, &'static str)> {
    if has_attribute(name) {
        return Some((
            "is a part of a subject, and callers are called by their alternative names",
            BY_SUBJECT,
        ));
    }
    if let Some(doubt) = prefix(name) {
        return Some(doubt);
    }
    if name.contains('@') && !name.contains(':') {
        return Some((
            "is a mail address; only DNS names and URIs count",
            "write another of the caller's names",
        ));
    }
    if name.parse::<std::net::IpAddr>().is_ok() {
        return Some(("is an address; only DNS names and URIs count", "write another of the caller's names"));
    }
    None
}

/// `DNS:a.example`, as openssl prints it.
fn prefix(name: &str) -> Option<(&'static str, &'static str)> {
    let (kind, rest) = name.split_once(':')?;
    let is_kind =
        ["DNS", "URI", "IP", "IP Address", "email"].iter().any(|known| kind.eq_ignore_ascii_case(known));
    (is_kind && !rest.starts_with("//")).then_some((
        "begins with the kind of the name, which is no part of it",
        "remove what is before the colon",
    ))
}

/// `CN=app,O=Acme` with bare commas is a list of two.
fn torn_subject(names: &[String], by: Option<GroupBy>) -> Option<Doubt> {
    let single = |name: &String| name.split_once('=').map(|(kind, _)| kind.to_ascii_uppercase());
    let kinds: Vec<_> = names.iter().map(single).collect::<Option<_>>()?;
    let torn = by == Some(GroupBy::DistinguishedName)
        && kinds.first().is_some_and(|kind| kind == "CN")
        && kinds.iter().skip(1).any(|kind| kind != "CN")
        && names.iter().all(|name| !name.contains(','));
    torn.then(|| {
        let what = format!("these are {} names, perhaps the parts of one subject", names.len());
        (what, "write `\\,` for a comma in a name")
    })
}

fn has_attribute(name: &str) -> bool {
    ATTRIBUTES.iter().any(|kind| attribute(name, kind).is_some())
}

/// What follows `CN=` and the like, however it is written.
fn attribute<'a>(name: &'a str, kind: &str) -> Option<&'a str> {
    let (found, value) = name.trim_start_matches('/').split_once('=')?;
    found.trim().eq_ignore_ascii_case(kind).then(|| value.trim())
}

fn is_invisible(c: char) -> bool {
    c.is_control() || matches!(c, '\u{a0}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// RFC 4514 section 3, and what openssl adds most often.
const ATTRIBUTES: [&str; 12] =
    ["CN", "O", "OU", "C", "L", "ST", "DC", "UID", "STREET", "emailAddress", "serialNumber", "SN"];
const QUOTES: [char; 7] = ['"', '\'', '`', '“', '”', '‘', '’'];
const BY_SUBJECT: &str =
    "write the name alone, or set MTLS_AUTH_AUTHENTICATED_GROUP_BY=DN and write the whole subject";
/// Characters of a name in a caution.
const SHOWN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    const CN: Option<GroupBy> = Some(GroupBy::CommonName);
    const DN: Option<GroupBy> = Some(GroupBy::DistinguishedName);
    const SAN: Option<GroupBy> = Some(GroupBy::SubjectAltName);

    #[test]
    fn names_that_somebody_may_have() {
        for (by, names) in [
            (CN, &["orders-app", "O'Brien", "app.example", "a=b", "Zoë", "app(1)", "x/y", "42"][..]),
            (DN, &["CN=app,O=Acme Inc", "C=US,O=SPIRE", "CN=a+OU=b", "1.2.3=#0500"][..]),
            (SAN, &["spiffe://td/ns/a", "app.example", "urn:a:b", "localhost"][..]),
            (None, &["app", "spiffe://td/a", "proxy.example"][..]),
        ] {
            for name in names {
                assert_eq!(why_unmatched(name, by), None, "{name}");
            }
        }
    }

    #[test]
    fn names_that_nobody_has() {
        for (by, name, what) in [
            (CN, "\"app\"", "`\"app\"` has a quotation mark"),
            (CN, "'app", "`'app` has a quotation mark"),
            (SAN, "spiffe://td/a\"", "has a quotation mark"),
            (DN, "\"CN=app", "has a quotation mark"),
            (CN, "[app", "has a bracket"),
            (CN, "<app>", "has a bracket"),
            (CN, "${ALLOW}", "no variable is put in for it"),
            (SAN, "$ALLOW", "no variable is put in for it"),
            (CN, "app]", "has a bracket"),
            (CN, "a;b", "is one name, with a separator that is none"),
            (SAN, "spiffe://td/a;spiffe://td/b", "is one name, with a separator that is none"),
            (CN, "a b", "is one name, with a blank in it"),
            (CN, "a\u{a0}b", "is one name, with a blank in it"),
            (CN, "a\u{200b}", "is one name, with a blank in it"),
            (CN, "a\nb", "is one name, with a blank in it"),
            (SAN, "spiffe://td/a spiffe://td/b", "is one name, with a blank in it"),
            (CN, "*.example", "is compared as it is, not as a pattern"),
            (CN, "CN=app", "is compared with the common name alone"),
            (CN, "cn=app", "is compared with the common name alone"),
            (CN, "/CN=app", "is compared with the common name alone"),
            (CN, "O=Acme", "is compared with the common name alone"),
            (CN, "spiffe://td/a", "is compared with the common name alone"),
            (CN, "DNS:app.example", "is compared with the common name alone"),
            (DN, "app", "is compared with the whole subject"),
            (DN, "CN=app, O=Acme", "has blanks that a subject does not have"),
            (DN, "CN = app", "has blanks that a subject does not have"),
            (DN, "/O=Acme/CN=app", "is a subject in an old form"),
            (DN, "cn=app,o=Acme", "names its parts in lower case"),
            (SAN, "CN=app", "is a part of a subject"),
            (SAN, "URI:spiffe://td/a", "begins with the kind of the name"),
            (SAN, "DNS:app.example", "begins with the kind of the name"),
            (SAN, "app@example", "is a mail address"),
            (SAN, "10.0.0.1", "is an address"),
            (None, "CN=proxy", "is no name but a part of a subject"),
            (None, "\"proxy\"", "has a quotation mark"),
        ] {
            let (told, _) = why_unmatched(name, by).unwrap_or_else(|| panic!("{name} is not doubted"));
            assert!(told.contains(what), "{name}: {told}");
        }
    }

    #[test]
    fn every_name_of_a_list_is_told_with_its_setting() {
        let said = Said::new("acl_allow", "\"a,b\"", Origin::environment("ACL_ALLOW"));
        let names = ["\"a".to_owned(), "b\"".to_owned()];
        let told: Vec<_> = cautions(&said, &names, CN).iter().map(ToString::to_string).collect();
        let line = |name| {
            format!(
                "acl_allow=\"a,b\" (environment ACL_ALLOW): `{name}` has a quotation mark, which counts as a part \
                 of the name; remove it: docker's --env-file and lists in settings know no quotes"
            )
        };
        assert_eq!(told, [line("\"a"), line("b\"")]);
    }

    #[test]
    fn a_subject_that_its_commas_tore_apart_is_told() {
        let torn = |names: &[&str]| {
            torn_subject(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), DN)
        };
        assert!(torn(&["CN=app", "O=Acme"]).unwrap().0.contains("2 names"));
        assert_eq!(torn(&["CN=app", "CN=billing"]), None);
        assert_eq!(torn(&["CN=app,O=Acme", "CN=b,O=Acme"]), None);
        assert_eq!(torn(&["app"]), None);
    }
}
