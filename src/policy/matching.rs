//! Whose certificate is it? The order in which names of a certificate are tried.
//!
//! Used by `mtls-auth` and `header-cert-auth`. Source: docs/kong-compatibility.md, "Consumer
//! matching". Kong does not tell which alternative names it tries; the order of article A
//! (mail address, then common name) is kept, and the other kinds stand between.

use rustls::pki_types::CertificateDer;

use super::credentials::Credentials;
use super::{Consumer, Consumers, CredentialId};
use crate::identity::{Certificate, CommonName, Fingerprint, SubjectAltName};

/// Kong's `consumer_by`; with neither, only manual mappings count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerBy {
    /// A name of the certificate may be a username.
    pub username: bool,
    /// A name of the certificate may be a custom id.
    pub custom_id: bool,
}

impl Default for ConsumerBy {
    /// Both, as in Kong.
    fn default() -> Self {
        Self { username: true, custom_id: true }
    }
}

/// A consumer, and the manual mapping that led to it, if one did.
pub(super) struct Match<'a> {
    pub(super) consumer: &'a Consumer,
    pub(super) credential: Option<CredentialId>,
}

impl ConsumerBy {
    /// The first hit: mappings of a CA on the path, mappings of any CA, then names of consumers.
    pub(super) fn find<'a>(
        self,
        leaf: &Certificate,
        issuers: &[&CertificateDer<'static>],
        (consumers, credentials): (&'a Consumers, &Credentials),
    ) -> Option<Match<'a>> {
        let names = names(leaf);
        let mapped = manual(&names, issuers, credentials);
        if let Some((credential, consumer)) = mapped {
            let consumer = consumers.at(consumer)?;
            return Some(Match { consumer, credential: Some(credential) });
        }
        let consumer = names.iter().find_map(|name| {
            let by_username = self.username.then(|| consumers.by_username(name)).flatten();
            by_username.or_else(|| self.custom_id.then(|| consumers.by_custom_id(name)).flatten())
        })?;
        Some(Match { consumer, credential: None })
    }
}

fn manual(
    names: &[String],
    issuers: &[&CertificateDer<'static>],
    credentials: &Credentials,
) -> Option<(CredentialId, u32)> {
    let fingerprints = issuers.iter().map(|der| Fingerprint::of(der));
    let cas = if credentials.name_cas() { credentials.cas(fingerprints) } else { Vec::new() };
    let of_ca = |name: &String| cas.iter().find_map(|ca| credentials.find(name, Some(*ca)));
    names.iter().find_map(of_ca).or_else(|| names.iter().find_map(|name| credentials.find(name, None)))
}

/// The names of a certificate in the order of trying. The common name is one only where there is no
/// extension for alternative names, of whatever kind they are (RFC 6125 6.4.4, and Kong).
fn names(leaf: &Certificate) -> Vec<String> {
    if leaf.sans().is_empty() {
        return leaf.common_name().map(CommonName::as_str).map(str::to_owned).into_iter().collect();
    }
    let kind = |san: &SubjectAltName| match san {
        SubjectAltName::Email(_) => Some(0),
        SubjectAltName::Dns(_) => Some(1),
        SubjectAltName::Uri(_) => Some(2),
        SubjectAltName::Ip(_) => Some(3),
        SubjectAltName::Other(_) => None,
    };
    let mut sans: Vec<_> = leaf.sans().iter().filter(|san| kind(san).is_some()).collect();
    sans.sort_by_key(|san| kind(san));
    sans.into_iter().map(ToString::to_string).collect()
}
