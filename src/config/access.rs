//! Who may pass: Kong's `mtls-auth` (without consumers) and `acl`.
//!
//! Said in [`AccessSettings`], meant as [`Access`], used by `snapshot`. A rule that cannot be
//! kept is a problem, never ignored.

pub(super) mod unmatched;

use crate::policy::{Acl, GroupBy, Rule};

use super::credentials::CaFiles;
use super::problem::{Caution, Problem, Problems, Said};
use super::server_tls::Handshake;
use super::value;
use super::{Access, MtlsAuth, Revocation};

/// Whose certificates are asked for and accepted.
#[derive(Debug, Clone, clap::Args, serde::Deserialize)]
#[command(next_help_heading = "Callers")]
pub(super) struct AccessSettings {
    /// The CAs whose clients may come in: a comma list of paths, PEM texts or base64 of PEM; or certificates that
    /// clients signed themselves, each for its own client. A gateway needs it; where it is set, every caller needs a
    /// certificate.
    #[arg(long, value_name = "CAS")]
    pub(super) mtls_auth_ca_certificates: Option<Said>,

    /// `request`: ask for a certificate, decide for each request, answer 401; `require`: refuse
    /// in the handshake. nginx's words for it, `optional` and `on`, are understood too.
    #[arg(long, value_name = "request|require", default_value = "request")]
    pub(super) mtls_auth_handshake: Said,

    /// What of the certificate becomes the caller's group: `CN`, `DN`, `SAN` or `none`. With `SAN`, each of its DNS
    /// names (in lower case) and URIs is a group, a SPIFFE id for example; one that is listed is enough.
    #[arg(long, value_name = "CN|DN|SAN|none", default_value = "CN")]
    pub(super) mtls_auth_authenticated_group_by: Said,

    /// Whether an intermediate CA in `mtls_auth_ca_certificates` is enough, without its root.
    #[arg(long, value_name = "on|off", default_value = "off")]
    pub(super) mtls_auth_allow_partial_chain: Said,

    /// How many intermediate CAs may be between a caller's certificate and the CA it leads to; nginx's
    /// `ssl_verify_depth`. Without it, any number that fits into a handshake.
    #[arg(long, value_name = "N")]
    pub(super) mtls_auth_verify_depth: Option<Said>,

    /// Whether the names of the accepted CAs are sent to the client in the handshake.
    #[arg(long, value_name = "on|off", default_value = "off")]
    pub(super) mtls_auth_send_ca_dn: Said,

    /// Whether callers are known by their certificate alone. Only `on`: without a declarative file there are no
    /// consumers to look up.
    #[arg(long, value_name = "on", default_value = "on")]
    pub(super) mtls_auth_skip_consumer_lookup: Said,

    /// The groups that may pass, and no others: a comma list, `\,` for a comma in a name.
    #[arg(long, value_name = "GROUPS")]
    pub(super) acl_allow: Option<Said>,

    /// The groups that may not pass; instead of `acl_allow`.
    #[arg(long, value_name = "GROUPS")]
    pub(super) acl_deny: Option<Said>,

    /// Whether the service is not told the caller's groups.
    #[arg(long, value_name = "on|off", default_value = "off")]
    pub(super) acl_hide_groups_header: Said,
}

impl Access {
    /// After a problem, as far as it was told. `certificate_required`: this mode is for callers with one.
    /// `declared`: a file says whose certificates are accepted.
    pub(super) fn compile(
        settings: &AccessSettings,
        revocation: Revocation,
        certificate_required: bool,
        declared: bool,
        problems: &mut Problems,
    ) -> Self {
        match declared {
            true => undeclared(settings, problems),
            false => problems.value(unsupported(settings)),
        }
        let mtls_auth = mtls_auth(settings, problems);
        let acl = acl(settings, mtls_auth.as_ref().and_then(|auth| auth.group_by), problems);
        if settings.mtls_auth_ca_certificates.is_none() {
            without_cas(settings, certificate_required, declared, problems);
        }
        Self {
            mtls_auth,
            acl,
            revocation,
            certificate_required,
            handshake_refuses: refuses(&settings.mtls_auth_handshake),
        }
    }
}

/// How clients are asked in the handshake; not at all where no caller needs a certificate.
/// With a declarative file (`declared`), that one says who is.
pub(super) fn handshake(
    settings: &AccessSettings,
    declared: bool,
    problems: &mut Problems,
) -> (Option<Handshake>, bool) {
    let words = [
        ("request", Handshake::Request),
        ("require", Handshake::Require),
        ("optional", Handshake::Request),
        ("optional_no_ca", Handshake::Request),
        ("on", Handshake::Require),
    ];
    let handshake = problems.note(value::word(&settings.mtls_auth_handshake, &words));
    let send_ca_dn = problems.value(value::switch(&settings.mtls_auth_send_ca_dn));
    let asked = declared || settings.mtls_auth_ca_certificates.is_some();
    (handshake.filter(|_| asked), send_ca_dn && asked)
}

fn refuses(handshake: &Said) -> Option<Said> {
    let required = ["require", "on"].iter().any(|word| handshake.value().eq_ignore_ascii_case(word));
    (required && !handshake.origin().is_profile()).then(|| handshake.clone())
}

fn mtls_auth(settings: &AccessSettings, problems: &mut Problems) -> Option<MtlsAuth> {
    let group = &settings.mtls_auth_authenticated_group_by;
    let words = [
        ("CN", Some(GroupBy::CommonName)),
        ("DN", Some(GroupBy::DistinguishedName)),
        ("SAN", Some(GroupBy::SubjectAltName)),
        ("none", None),
    ];
    let group_by = problems.value(value::word(group, &words));
    let allow_partial_chain = problems.value(value::switch(&settings.mtls_auth_allow_partial_chain));
    if let (None, Some(said)) = (group_by, settings.acl_allow.as_ref().or(settings.acl_deny.as_ref()))
        && group.value().eq_ignore_ascii_case("none")
    {
        let advice = "set MTLS_AUTH_AUTHENTICATED_GROUP_BY to CN, DN or SAN";
        problems.push(Problem::new(said, "no caller has a group", advice));
    }
    let depth = settings.mtls_auth_verify_depth.as_ref();
    let verify_depth = depth.and_then(|said| problems.note(value::count(said, 0..=DEEPEST)));
    let ca_certificates = problems.note(cas(settings.mtls_auth_ca_certificates.as_ref()?))?;
    Some(MtlsAuth { ca_certificates, allow_partial_chain, verify_depth, group_by })
}

pub(super) fn cas(said: &Said) -> Result<CaFiles, Problem> {
    match CaFiles::parse(said)? {
        CaFiles::System(_) | CaFiles::SystemAnd(..) => {
            Err(Problem::new(said, "public CAs sign for anyone", "name the CA that signs your clients"))
        }
        own @ CaFiles::Pem(_) => Ok(own),
    }
}

/// What a declarative file says in its plugins, and nothing else may.
fn undeclared(settings: &AccessSettings, problems: &mut Problems) {
    let defaults = [
        &settings.mtls_auth_authenticated_group_by,
        &settings.mtls_auth_send_ca_dn,
        &settings.mtls_auth_skip_consumer_lookup,
        &settings.acl_hide_groups_header,
    ];
    // Callista's plugin trusts the CAs of the settings, and judges by these.
    let of_the_cas =
        [Some(&settings.mtls_auth_allow_partial_chain), settings.mtls_auth_verify_depth.as_ref()];
    let of_the_cas =
        of_the_cas.into_iter().flatten().filter(|_| settings.mtls_auth_ca_certificates.is_none());
    let chosen = defaults.into_iter().chain(of_the_cas).filter(|said| said.origin().is_chosen());
    for said in [&settings.acl_allow, &settings.acl_deny].into_iter().flatten().chain(chosen) {
        let advice = "write it in a plugin there, and remove it here";
        problems.push(Problem::new(said, "the declarative file says who may pass", advice));
    }
}

/// What must not be said, or be missing, where no CA is named.
fn without_cas(
    settings: &AccessSettings,
    certificate_required: bool,
    declared: bool,
    problems: &mut Problems,
) {
    if declared {
        return;
    }
    if certificate_required {
        let what = "not set, so nobody could come in";
        let advice = "set MTLS_AUTH_CA_CERTIFICATES to the CA that signs your clients";
        problems.push(Problem::missing("mtls_auth_ca_certificates", what, advice));
        return;
    }
    let advice = "set MTLS_AUTH_CA_CERTIFICATES, or remove it";
    if let Some(said) = &settings.mtls_auth_verify_depth {
        problems.push(Problem::new(said, "no certificate is asked for", advice));
    }
    for said in [&settings.acl_allow, &settings.acl_deny].into_iter().flatten() {
        problems.push(Problem::new(said, "nobody has a group, because no certificate is asked for", advice));
    }
    // The profile `hardened` says it for gateways and reverse proxies alike; people mean it.
    if let Some(handshake) = refuses(&settings.mtls_auth_handshake) {
        problems.push(Problem::new(&handshake, "no certificate is asked for", advice));
    }
}

/// What works, but lets in or keeps out others than was probably meant.
pub(super) fn cautions(settings: &AccessSettings, access: &Access) -> Vec<Caution> {
    let Some(auth) = &access.mtls_auth else { return Vec::new() };
    let lists = [&settings.acl_allow, &settings.acl_deny].into_iter().flatten();
    let said: Vec<_> = lists.collect();
    if said.is_empty() && access.certificate_required {
        let cas = settings.mtls_auth_ca_certificates.iter();
        let what = "there is no acl_allow, so everyone passes who has a certificate of these CAs";
        let advice = "set ACL_ALLOW to the names that may pass";
        return cas.map(|said| Caution::of_use(said, what, advice)).collect();
    }
    let of = |said: &Said| match &access.acl.as_ref().map(|acl| &acl.rule) {
        Some(Rule::Allow(names) | Rule::Deny(names)) => unmatched::cautions(said, names, auth.group_by),
        None => Vec::new(),
    };
    said.into_iter().flat_map(of).collect()
}

fn acl(settings: &AccessSettings, by: Option<GroupBy>, problems: &mut Problems) -> Option<Acl> {
    let groups = |said| groups(said, by);
    let hide_groups_header = problems.value(value::switch(&settings.acl_hide_groups_header));
    let rule = match (&settings.acl_allow, &settings.acl_deny) {
        (None, None) => return None,
        (Some(allow), None) => Rule::Allow(problems.value(groups(allow))),
        (None, Some(deny)) => Rule::Deny(problems.value(groups(deny))),
        (Some(_), Some(deny)) => {
            problems.push(Problem::new(deny, "acl_allow is set too", "keep one of the two"));
            return None;
        }
    };
    Some(Acl { rule, hide_groups_header, always_use_authenticated_groups: false })
}

/// An empty list would let nobody in, or everybody: neither was meant.
fn groups(said: &Said, by: Option<GroupBy>) -> Result<Vec<String>, Problem> {
    let normal = |group: &Said| by.map_or_else(|| group.value().to_owned(), |by| by.normal(group.value()));
    let groups: Vec<_> = value::list(said).iter().map(normal).collect();
    if groups.is_empty() {
        return Err(Problem::new(said, "names no group", "name at least one, or remove it"));
    }
    Ok(groups)
}

/// More than any chain has; Kong's bound of `tls_verify_depth`.
const DEEPEST: u32 = 64;

/// Values of Kong's that this version cannot keep.
fn unsupported(settings: &AccessSettings) -> Result<(), Problem> {
    let skip = &settings.mtls_auth_skip_consumer_lookup;
    if !value::switch(skip)? {
        let what = "there are no consumers to look up without a declarative file";
        return Err(Problem::new(skip, what, "write on, or remove it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Origin;
    use crate::tls::revocation::Check;

    fn settings(pairs: &[(&str, &str)]) -> AccessSettings {
        let said = |key: &str| {
            let (_, value) = pairs.iter().find(|(name, _)| *name == key)?;
            Some(Said::new(key, value, Origin::DEFAULT))
        };
        let default = |key, value| said(key).unwrap_or_else(|| Said::new(key, value, Origin::DEFAULT));
        AccessSettings {
            mtls_auth_ca_certificates: said("mtls_auth_ca_certificates"),
            mtls_auth_handshake: default("mtls_auth_handshake", "request"),
            mtls_auth_authenticated_group_by: default("mtls_auth_authenticated_group_by", "CN"),
            mtls_auth_allow_partial_chain: default("mtls_auth_allow_partial_chain", "off"),
            mtls_auth_verify_depth: said("mtls_auth_verify_depth"),
            mtls_auth_send_ca_dn: default("mtls_auth_send_ca_dn", "off"),
            mtls_auth_skip_consumer_lookup: default("mtls_auth_skip_consumer_lookup", "on"),
            acl_allow: said("acl_allow"),
            acl_deny: said("acl_deny"),
            acl_hide_groups_header: default("acl_hide_groups_header", "off"),
        }
    }

    fn unchecked() -> Revocation {
        Revocation {
            check: Check::Skip,
            http_timeout: Duration::from_secs(30),
            cert_cache_ttl: Duration::from_secs(60),
            crl_files: Vec::new(),
            hosts: Vec::new(),
            http_proxy: None,
            https_proxy: None,
        }
    }

    fn check(pairs: &[(&str, &str)], certificate_required: bool, expected: &str) {
        let mut problems = Problems::default();
        Access::compile(&settings(pairs), unchecked(), certificate_required, false, &mut problems);
        assert_eq!(problems.to_string(), expected);
    }

    const CA: (&str, &str) = ("mtls_auth_ca_certificates", "/ca.pem");

    #[test]
    fn groups_that_may_pass() {
        let of = |pair| {
            let settings = settings(&[CA, pair]);
            Access::compile(&settings, unchecked(), true, false, &mut Problems::default()).acl
        };
        let acl =
            |rule| Some(Acl { rule, hide_groups_header: false, always_use_authenticated_groups: false });
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(of(("acl_allow", "a, b")), acl(Rule::Allow(names(&["a", "b"]))));
        assert_eq!(of(("acl_deny", r"CN=a\,O=b")), acl(Rule::Deny(names(&["CN=a,O=b"]))));
    }

    #[test]
    fn a_rule_is_kept_or_refused() {
        for (pairs, line) in [
            (
                vec![CA, ("acl_allow", "a"), ("acl_deny", "b")],
                "acl_deny=b (default): acl_allow is set too; keep one of the two",
            ),
            (
                vec![CA, ("acl_allow", ",")],
                "acl_allow=, (default): names no group; name at least one, or remove it",
            ),
            (
                vec![CA, ("acl_allow", "a"), ("mtls_auth_authenticated_group_by", "none")],
                "acl_allow=a (default): no caller has a group; \
                 set MTLS_AUTH_AUTHENTICATED_GROUP_BY to CN, DN or SAN",
            ),
            (
                vec![("acl_allow", "a")],
                "acl_allow=a (default): nobody has a group, because no certificate is asked for; \
                 set MTLS_AUTH_CA_CERTIFICATES, or remove it",
            ),
            (
                vec![("mtls_auth_handshake", "require")],
                "mtls_auth_handshake=require (default): no certificate is asked for; \
                 set MTLS_AUTH_CA_CERTIFICATES, or remove it",
            ),
            (
                vec![("mtls_auth_handshake", "on")],
                "mtls_auth_handshake=on (default): no certificate is asked for; \
                 set MTLS_AUTH_CA_CERTIFICATES, or remove it",
            ),
            (
                vec![("mtls_auth_verify_depth", "1")],
                "mtls_auth_verify_depth=1 (default): no certificate is asked for; \
                 set MTLS_AUTH_CA_CERTIFICATES, or remove it",
            ),
            (
                vec![("mtls_auth_ca_certificates", "system")],
                "mtls_auth_ca_certificates=system (default): public CAs sign for anyone; \
                 name the CA that signs your clients",
            ),
            (
                vec![CA, ("mtls_auth_skip_consumer_lookup", "off")],
                "mtls_auth_skip_consumer_lookup=off (default): there are no consumers to look up without \
                 a declarative file; write on, or remove it",
            ),
        ] {
            check(&pairs, false, line);
        }
    }

    #[test]
    fn a_gateway_needs_a_ca() {
        check(&[CA], true, "");
        check(
            &[],
            true,
            "mtls_auth_ca_certificates: not set, so nobody could come in; \
             set MTLS_AUTH_CA_CERTIFICATES to the CA that signs your clients",
        );
    }

    #[test]
    fn nobody_is_asked_where_no_ca_is_named() {
        let of = |pairs: &[_]| handshake(&settings(pairs), false, &mut Problems::default());
        assert_eq!(of(&[]), (None, false));
        assert_eq!(of(&[CA]), (Some(Handshake::Request), false));
        assert_eq!(of(&[CA, ("mtls_auth_send_ca_dn", "on")]), (Some(Handshake::Request), true));
    }
}
