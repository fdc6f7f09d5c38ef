//! Who may pass, loaded: the CAs of the callers read, and the policy made of them.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};

use super::files;
use crate::config::{self, CaFiles, Problem, Problems};
use crate::policy::{MtlsAuth, Policy};
use crate::tls::revocation::{Check, CrlError, CrlFiles, Fetching, Hosts};
use crate::tls::trust::{self, ChainVerifier};

pub(super) fn policy(access: &config::Access, now: UnixTime) -> Result<Policy, Problems> {
    let mtls_auth = match &access.mtls_auth {
        Some(auth) => Some(MtlsAuth {
            verifier: Arc::new(verifier(auth, now)?),
            group_by: auth.group_by,
            revocation: revocation(auth, now)?,
        }),
        None => None,
    };
    Ok(Policy { mtls_auth, acl: access.acl.clone() })
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
fn revocation(auth: &config::MtlsAuth, now: UnixTime) -> Result<Option<Arc<Fetching>>, Problems> {
    let said = &auth.revocation;
    if said.check == Check::Skip {
        return Ok(None);
    }
    Ok(Some(Arc::new(Fetching {
        check: said.check,
        timeout: said.http_timeout,
        ttl: said.cert_cache_ttl,
        crl_files: crl_files(auth, now)?,
        hosts: Hosts::new(said.hosts.iter().cloned()),
        http_proxy: said.http_proxy.clone(),
        https_proxy: said.https_proxy.clone(),
    })))
}

fn crl_files(auth: &config::MtlsAuth, now: UnixTime) -> Result<CrlFiles, Problems> {
    let named = &auth.revocation.crl_files;
    if named.is_empty() {
        return Ok(CrlFiles::default());
    }
    let mut files = CrlFiles::of(&caller_cas(&auth.ca_certificates, now)?);
    let mut problems = Problems::default();
    for said in named {
        let added = files::revocation_list(said).and_then(|der| {
            let unusable = |error: CrlError| Problem::new(said, error.to_string(), LISTS_ADVICE);
            files.add(&der, now).map_err(unusable)
        });
        problems.collect(added.map_err(Problems::from));
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

const LISTS_ADVICE: &str = "give the current CRL of a CA in mtls_auth_ca_certificates";

/// Each reference is judged by itself, so that the wrong one of several is named.
pub(super) fn caller_cas(cas: &CaFiles, now: UnixTime) -> Result<Vec<CertificateDer<'static>>, Problems> {
    files::certificates_of(cas, |said, found| {
        trust::check(&found, now).map_err(|error| Problem::new(said, error.to_string(), CALLERS_ADVICE))?;
        Ok(found)
    })
}

const CALLERS_ADVICE: &str = "give the CA that issues your clients' certificates, its root included";
