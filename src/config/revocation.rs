//! Whether callers' certificates may have been taken back: Kong's revocation fields of `mtls-auth`.
//!
//! Said in [`RevocationSettings`], meant as [`Revocation`], loaded by `snapshot`. Nothing here has an
//! effect unless a mode other than `SKIP` is said, so what is said without one is a problem.

use std::time::Duration;

use rustls::pki_types::ServerName;

use super::problem::{Problem, Problems, Said};
use super::reference::Reference;
use super::value::{self, Unit};
use crate::tls::revocation::{Check, Proxy};

/// Where the status of callers' certificates is had.
#[derive(Debug, Clone, clap::Args, serde::Deserialize)]
#[command(next_help_heading = "Revocation of callers' certificates")]
pub(super) struct RevocationSettings {
    /// `SKIP`: not checked; `IGNORE_CA_ERROR`: who is told to be revoked is refused, and who nobody
    /// tells of passes; `STRICT`: only who is told to be good passes.
    #[arg(long, value_name = "SKIP|IGNORE_CA_ERROR|STRICT", default_value = "SKIP")]
    pub(super) mtls_auth_revocation_check_mode: Said,

    /// CRLs of the callers' CAs: a comma list of paths, DER or PEM, which may hold several. They are asked
    /// before any OCSP responder or CRL server, and read again when they change. One that is out of date
    /// still shows who is revoked, and no longer who is good.
    #[arg(long, value_name = "PATHS")]
    pub(super) mtls_auth_crl_files: Option<Said>,

    /// The only hosts that are asked for OCSP answers and CRLs: a comma list of host names and
    /// addresses as in the URLs in certificates. Without it, every host that a caller's accepted
    /// certificate names, if its address is public; a host of your own network must be listed.
    #[arg(long, value_name = "HOSTS")]
    pub(super) mtls_auth_revocation_hosts: Option<Said>,

    /// How long a request waits for the status of a certificate, all places that are asked together.
    /// A bare number is milliseconds, as in Kong.
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(super) mtls_auth_http_timeout: Said,

    /// How long a status and a CRL count, if they do not end before. That nobody answered is not
    /// remembered. A bare number is milliseconds.
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub(super) mtls_auth_cert_cache_ttl: Said,

    /// The proxy through which http URLs are asked.
    #[arg(long, value_name = "HOST")]
    pub(super) mtls_auth_http_proxy_host: Option<Said>,

    /// Its port.
    #[arg(long, value_name = "PORT")]
    pub(super) mtls_auth_http_proxy_port: Option<Said>,

    /// The proxy through which https URLs are asked, by CONNECT.
    #[arg(long, value_name = "HOST")]
    pub(super) mtls_auth_https_proxy_host: Option<Said>,

    /// Its port.
    #[arg(long, value_name = "PORT")]
    pub(super) mtls_auth_https_proxy_port: Option<Said>,
}

/// How revocation is checked, before the CRL files are read.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// What counts.
    pub check: Check,
    /// For one status.
    pub http_timeout: Duration,
    /// How long a status counts.
    pub cert_cache_ttl: Duration,
    /// CRLs of the callers' CAs.
    pub crl_files: Vec<Said>,
    /// Empty for all that are public.
    pub hosts: Vec<String>,
    /// For http URLs.
    pub http_proxy: Option<Proxy>,
    /// For https URLs.
    pub https_proxy: Option<Proxy>,
}

impl Revocation {
    /// `cas_named`: whether anybody's certificate is looked at. `declared`: a file says whether revocation is
    /// checked, and these settings where.
    pub(super) fn compile(
        settings: &RevocationSettings,
        cas_named: bool,
        declared: bool,
        problems: &mut Problems,
    ) -> Self {
        let mode = &settings.mtls_auth_revocation_check_mode;
        let words =
            [("SKIP", Check::Skip), ("IGNORE_CA_ERROR", Check::IgnoreCaError), ("STRICT", Check::Strict)];
        let check = problems.note(value::word(mode, &words));
        match check {
            // With CAs in the settings too, these are those of Callista's mtls-auth.
            _ if declared && cas_named => {}
            _ if declared => undeclared(settings, problems),
            Some(Check::Skip) => in_vain(settings, problems),
            Some(_) if !cas_named => {
                let advice = "set MTLS_AUTH_CA_CERTIFICATES, or remove it";
                problems.push(Problem::new(mode, "no certificate is asked for", advice));
            }
            _ => {}
        }
        let crl_files = settings.mtls_auth_crl_files.as_ref();
        Self {
            check: check.unwrap_or(Check::Strict),
            http_timeout: problems.value(value::wait(&settings.mtls_auth_http_timeout, Unit::Milliseconds)),
            cert_cache_ttl: problems
                .value(value::duration(&settings.mtls_auth_cert_cache_ttl, Unit::Milliseconds)),
            crl_files: crl_files.map(Reference::list).unwrap_or_default(),
            hosts: hosts(settings.mtls_auth_revocation_hosts.as_ref(), problems),
            http_proxy: proxy(
                settings.mtls_auth_http_proxy_host.as_ref(),
                settings.mtls_auth_http_proxy_port.as_ref(),
                problems,
            ),
            https_proxy: proxy(
                settings.mtls_auth_https_proxy_host.as_ref(),
                settings.mtls_auth_https_proxy_port.as_ref(),
                problems,
            ),
        }
    }
}

/// What a declarative file says in its plugins, and nothing else may.
fn undeclared(settings: &RevocationSettings, problems: &mut Problems) {
    let defaults = [
        &settings.mtls_auth_revocation_check_mode,
        &settings.mtls_auth_http_timeout,
        &settings.mtls_auth_cert_cache_ttl,
    ];
    let proxies = [&settings.mtls_auth_http_proxy_host, &settings.mtls_auth_https_proxy_host];
    let chosen = defaults.into_iter().filter(|said| !said.origin().is_default());
    for said in proxies.into_iter().flatten().chain(chosen) {
        let advice = "write it in a plugin there, and remove it here";
        problems.push(Problem::new(said, "the declarative file says how revocation is checked", advice));
    }
}

/// What only matters where revocation is checked.
fn in_vain(settings: &RevocationSettings, problems: &mut Problems) {
    let said = [
        &settings.mtls_auth_crl_files,
        &settings.mtls_auth_revocation_hosts,
        &settings.mtls_auth_http_proxy_host,
        &settings.mtls_auth_https_proxy_host,
    ];
    for said in said.into_iter().flatten() {
        let what = "revocation is not checked, because mtls_auth_revocation_check_mode is SKIP";
        let advice = "set MTLS_AUTH_REVOCATION_CHECK_MODE to STRICT or IGNORE_CA_ERROR, or remove it";
        problems.push(Problem::new(said, what, advice));
    }
}

fn hosts(said: Option<&Said>, problems: &mut Problems) -> Vec<String> {
    let Some(said) = said else { return Vec::new() };
    let named = value::list(said);
    if named.is_empty() {
        problems.push(Problem::new(said, "names no host", "name at least one, or remove it"));
    }
    named.iter().filter_map(|part| problems.note(host(part))).collect()
}

fn host(said: &Said) -> Result<String, Problem> {
    match ServerName::try_from(said.value()) {
        Ok(_) => Ok(said.value().to_owned()),
        Err(_) => {
            let advice = "write a name or an address, without scheme, port and brackets";
            Err(Problem::new(said, "not a host", advice))
        }
    }
}

fn proxy(named: Option<&Said>, port: Option<&Said>, problems: &mut Problems) -> Option<Proxy> {
    match (named, port) {
        (None, None) => None,
        (Some(said), None) | (None, Some(said)) => {
            let advice = "set both, or remove it";
            problems.push(Problem::new(said, "a proxy needs a host and a port", advice));
            None
        }
        (Some(named), Some(port)) => {
            let host = problems.note(host(named));
            let port = problems.note(value::count(port, 1..=65_535_u16));
            Some(Proxy { host: host?, port: port? })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn compile(pairs: &[(&str, &str)]) -> (Revocation, String) {
        let said = |key: &str| {
            let (_, value) = pairs.iter().find(|(name, _)| *name == key)?;
            Some(Said::new(key, value, Origin::DEFAULT))
        };
        let default = |key, value| said(key).unwrap_or_else(|| Said::new(key, value, Origin::DEFAULT));
        let settings = RevocationSettings {
            mtls_auth_revocation_check_mode: default("mtls_auth_revocation_check_mode", "SKIP"),
            mtls_auth_crl_files: said("mtls_auth_crl_files"),
            mtls_auth_revocation_hosts: said("mtls_auth_revocation_hosts"),
            mtls_auth_http_timeout: default("mtls_auth_http_timeout", "30s"),
            mtls_auth_cert_cache_ttl: default("mtls_auth_cert_cache_ttl", "60s"),
            mtls_auth_http_proxy_host: said("mtls_auth_http_proxy_host"),
            mtls_auth_http_proxy_port: said("mtls_auth_http_proxy_port"),
            mtls_auth_https_proxy_host: said("mtls_auth_https_proxy_host"),
            mtls_auth_https_proxy_port: said("mtls_auth_https_proxy_port"),
        };
        let mut problems = Problems::default();
        let revocation = Revocation::compile(&settings, true, false, &mut problems);
        (revocation, problems.to_string())
    }

    const STRICT: (&str, &str) = ("mtls_auth_revocation_check_mode", "strict");

    #[test]
    fn kongs_numbers_are_milliseconds() {
        let pairs = [STRICT, ("mtls_auth_http_timeout", "2500"), ("mtls_auth_cert_cache_ttl", "90000")];
        let (revocation, problems) = compile(&pairs);
        assert_eq!(problems, "");
        assert_eq!(revocation.check, Check::Strict);
        assert_eq!(revocation.http_timeout, Duration::from_millis(2500));
        assert_eq!(revocation.cert_cache_ttl, Duration::from_secs(90));
    }

    #[test]
    fn hosts_and_proxies() {
        let (revocation, problems) = compile(&[
            STRICT,
            ("mtls_auth_revocation_hosts", "ocsp.internal, 10.0.0.1"),
            ("mtls_auth_http_proxy_host", "proxy"),
            ("mtls_auth_http_proxy_port", "3128"),
        ]);
        assert_eq!(problems, "");
        assert_eq!(revocation.hosts, ["ocsp.internal", "10.0.0.1"]);
        assert_eq!(revocation.http_proxy, Some(Proxy { host: "proxy".into(), port: 3128 }));
        assert_eq!(revocation.https_proxy, None);
    }

    #[test]
    fn what_cannot_be_kept_is_a_problem() {
        let check = |pairs: &[(&str, &str)], part: &str| {
            let problems = compile(pairs).1;
            assert!(problems.contains(part), "{problems}");
        };
        check(&[("mtls_auth_revocation_check_mode", "LAX")], "write SKIP, IGNORE_CA_ERROR or STRICT");
        check(&[("mtls_auth_crl_files", "/ca.crl")], "revocation is not checked");
        check(&[STRICT, ("mtls_auth_http_timeout", "0")], "no time at all");
        check(&[STRICT, ("mtls_auth_revocation_hosts", "http://a/")], "not a host");
        check(&[STRICT, ("mtls_auth_revocation_hosts", ",")], "names no host");
        check(&[STRICT, ("mtls_auth_http_proxy_host", "proxy")], "needs a host and a port");
        check(&[STRICT, ("mtls_auth_https_proxy_port", "1")], "needs a host and a port");
    }
}
