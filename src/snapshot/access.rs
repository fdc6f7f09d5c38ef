//! Who may pass, loaded: the CAs of the callers read, and the policy made of them.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};

use super::authorities::Authorities;
use super::dates::{DATES_ASIDE, Dates};
use super::files;
use crate::config::{self, CaFiles, Problem, Problems, Said};
use crate::identity::HeaderFormat;
use crate::policy::{Lookup, MtlsAuth, Policy};
use crate::tls::credentials::Side;
use crate::tls::revocation::{Check, CrlError, CrlFiles, Fetching, Hosts};
use crate::tls::trust::{self, ChainVerifier};

/// For `upstream_url`: there are no consumers to look up.
pub(super) fn policy(
    access: &config::Access,
    identity_headers: &[HeaderFormat],
    dates: &Dates,
) -> Result<Policy, Problems> {
    let mtls_auth = match &access.mtls_auth {
        Some(auth) => Some(MtlsAuth {
            verifier: Arc::new(callers(auth, dates)?),
            lookup: Lookup::Skip { group_by: auth.group_by },
            anonymous: None,
            revocation: revocation(&access.revocation, &auth.ca_certificates, dates)?,
        }),
        None => None,
    };
    let (acl, identity_headers) = (access.acl.clone(), identity_headers.to_vec());
    Ok(Policy { mtls_auth, acl, identity_headers, ..Policy::default() })
}

/// The CAs whose clients may come in, at the time `now`.
///
/// # Errors
/// When they cannot be read, or a chain cannot end at them.
pub fn verifier(auth: &config::MtlsAuth, now: UnixTime) -> Result<ChainVerifier, Problems> {
    callers(auth, &Dates::at_start(now))
}

/// The same, without those that have lapsed.
pub(super) fn callers(auth: &config::MtlsAuth, dates: &Dates) -> Result<ChainVerifier, Problems> {
    let said = &auth.ca_certificates;
    caller_cas(said, dates)?.trust(dates, |cas| {
        ChainVerifier::new(cas, auth.allow_partial_chain, DATES_ASIDE)
            .map(|verifier| verifier.within(auth.verify_depth))
            .map_err(|error| Problem::new(files::first(said), error.to_string(), CALLERS_ADVICE))
    })
}

/// How statuses are had, with the CRL files read; `None` where revocation is not checked.
fn revocation(
    said: &config::Revocation,
    cas: &CaFiles,
    dates: &Dates,
) -> Result<Option<Arc<Fetching>>, Problems> {
    let lists = crl_files(&said.crl_files, || files::every(cas), dates)?;
    Ok(fetching(said, &Arc::new(lists)))
}

/// The CRL files of the settings, each of which must be a list of one of these CAs. One that is out of date
/// still says who is revoked.
pub(super) fn crl_files(
    said: &[Said],
    cas: impl FnOnce() -> Vec<CertificateDer<'static>>,
    dates: &Dates,
) -> Result<CrlFiles, Problems> {
    if said.is_empty() {
        return Ok(CrlFiles::default());
    }
    let mut lists = CrlFiles::of(&cas());
    let mut problems = Problems::default();
    for file in said {
        for der in problems.note(files::revocation_lists(file)).into_iter().flatten() {
            let unusable = |error: CrlError| Problem::new(file, error.to_string(), LISTS_ADVICE);
            let Some(added) = problems.note(lists.add(&der, dates.now()).map_err(unusable)) else { continue };
            dates.changes_at(added.changes_at);
            if let Some(reason) = added.not_current {
                let what = format!("{reason}; it says who is revoked, and no longer who is good");
                dates.caution(file, what, "put the CA's current CRL there");
            }
        }
    }
    if problems.is_empty() { Ok(lists) } else { Err(problems) }
}

/// As the settings say; `None` where they do not check revocation.
pub(super) fn fetching(said: &config::Revocation, crl_files: &Arc<CrlFiles>) -> Option<Arc<Fetching>> {
    (said.check != Check::Skip).then(|| {
        Arc::new(Fetching {
            check: said.check,
            timeout: said.http_timeout,
            ttl: said.cert_cache_ttl,
            crl_files: Arc::clone(crl_files),
            hosts: Hosts::new(said.hosts.iter().cloned()),
            http_proxy: said.http_proxy.clone(),
            https_proxy: said.https_proxy.clone(),
        })
    })
}

const LISTS_ADVICE: &str = "give the current CRL of a CA that is trusted for callers";

/// All of them must be CAs, or what a client signed itself.
pub(super) fn caller_cas<'a>(cas: &'a CaFiles, dates: &Dates) -> Result<Authorities<'a>, Problems> {
    Authorities::read(cas, Side::Client, dates, CALLERS_ADVICE, |found| {
        trust::check_callers(&found, DATES_ASIDE)?;
        Ok(found)
    })
}

const CALLERS_ADVICE: &str = "give the CA that issues your clients' certificates, its root included";
