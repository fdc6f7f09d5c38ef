//! Who may pass, loaded: the CAs of the callers read, and the policy made of them.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};

use super::files;
use crate::config::{self, CaFiles, Problem, Problems};
use crate::identity::HeaderFormat;
use crate::policy::{Lookup, MtlsAuth, Policy};
use crate::tls::credentials::Side;
use crate::tls::revocation::{Check, CrlError, CrlFiles, Fetching, Hosts};
use crate::tls::trust::{self, ChainVerifier};

/// For `upstream_url`: there are no consumers to look up.
pub(super) fn policy(
    access: &config::Access,
    identity_headers: &[HeaderFormat],
    now: UnixTime,
) -> Result<Policy, Problems> {
    let mtls_auth = match &access.mtls_auth {
        Some(auth) => Some(MtlsAuth {
            verifier: Arc::new(verifier(auth, now)?),
            lookup: Lookup::Skip { group_by: auth.group_by },
            anonymous: None,
            revocation: revocation(&access.revocation, &auth.ca_certificates, now)?,
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
    let said = &auth.ca_certificates;
    let cas = caller_cas(said, now)?;
    ChainVerifier::new(cas, auth.allow_partial_chain, now)
        .map_err(|error| Problem::new(files::first(said), error.to_string(), CALLERS_ADVICE).into())
}

/// How statuses are had, with the CRL files read; `None` where revocation is not checked.
fn revocation(
    said: &config::Revocation,
    cas: &CaFiles,
    now: UnixTime,
) -> Result<Option<Arc<Fetching>>, Problems> {
    let lists = crl_files(said, &caller_cas(cas, now)?, now)?;
    Ok(fetching(said, &Arc::new(lists)))
}

/// The CRL files of the settings, each of which must be a current list of one of these CAs.
pub(super) fn crl_files(
    said: &config::Revocation,
    cas: &[CertificateDer<'static>],
    now: UnixTime,
) -> Result<CrlFiles, Problems> {
    let mut lists = CrlFiles::of(cas);
    let mut problems = Problems::default();
    for list in &said.crl_files {
        let unusable = |error: CrlError| Problem::new(list, error.to_string(), LISTS_ADVICE);
        let added = files::revocation_list(list).and_then(|der| lists.add(&der, now).map_err(unusable));
        problems.note(added);
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

/// Each reference is judged by itself, so that the wrong one of several is named.
pub(super) fn caller_cas(cas: &CaFiles, now: UnixTime) -> Result<Vec<CertificateDer<'static>>, Problems> {
    files::certificates_of(cas, Side::Client, |said, found| {
        trust::check(&found, now).map_err(|error| Problem::new(said, error.to_string(), CALLERS_ADVICE))?;
        Ok(found)
    })
}

const CALLERS_ADVICE: &str = "give the CA that issues your clients' certificates, its root included";
