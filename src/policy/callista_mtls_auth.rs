//! Callista's `mtls-auth`: the connection must have an accepted certificate, and the service is told
//! of it under names of the operator's choice.
//!
//! Used by `policy::Policy`. Values are those of nginx's variables. A certificate that is sent but
//! not accepted gets the plugin's own 401; nginx would answer a page of its own with 400. Source:
//! callistaenterprise/kong-plugin-mtls-auth, handler.lua and schema.lua.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use super::authenticated::Authenticated;
use super::permit::Headers;
use super::{Denial, Question, Refused, revocation};
use crate::identity::{Certificate, DistinguishedName, nginx};
use crate::message::reply::Reply;
use crate::tls::revocation::Fetching;
use crate::tls::trust::ChainVerifier;

/// The plugin, ready to judge.
#[derive(Debug)]
pub struct CallistaMtlsAuth {
    /// Whose certificates are accepted: nginx's `ssl_client_certificate`.
    pub verifier: Arc<ChainVerifier>,
    /// How it is asked whether certificates were taken back; `None`: it is not.
    pub revocation: Option<Arc<Fetching>>,
    /// Of the refusal; the default is 401.
    pub error_response_code: StatusCode,
    /// For the percent-encoded PEM.
    pub upstream_cert_header: Option<HeaderName>,
    /// For the SHA-1 in hexadecimal.
    pub upstream_cert_fingerprint_header: Option<HeaderName>,
    /// For the serial number in hexadecimal.
    pub upstream_cert_serial_header: Option<HeaderName>,
    /// For the issuer.
    pub upstream_cert_i_dn_header: Option<HeaderName>,
    /// For the subject.
    pub upstream_cert_s_dn_header: Option<HeaderName>,
    /// For the subject's CN.
    pub upstream_cert_cn_header: Option<HeaderName>,
    /// For the subject's O.
    pub upstream_cert_org_header: Option<HeaderName>,
}

type ValueOf = fn(&Certificate) -> HeaderValue;

impl CallistaMtlsAuth {
    /// All headers it could set.
    pub(super) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        let names = [
            &self.upstream_cert_header,
            &self.upstream_cert_fingerprint_header,
            &self.upstream_cert_serial_header,
            &self.upstream_cert_i_dn_header,
            &self.upstream_cert_s_dn_header,
            &self.upstream_cert_cn_header,
            &self.upstream_cert_org_header,
        ];
        names.into_iter().flatten()
    }

    /// What this plugin finds out about the peer, after others found `so_far`.
    pub(super) fn authenticate(
        &self,
        so_far: Authenticated,
        question: &Question<'_>,
    ) -> Result<Authenticated, Refused> {
        let refused = |reason: &str| Denial::new(self.refusal(), reason);
        let certificate =
            question.peer.certificate().ok_or_else(|| refused("the client sent no certificate"))?;
        let verified = self.verifier.verify(certificate, question.now);
        let accepted = verified.map_err(|untrusted| refused(&untrusted.to_string()))?;
        let links: Vec<_> = self.verifier.links(certificate, &accepted).collect();
        let valid = revocation::judge(certificate, &links, self.revocation.as_ref(), question);
        let until = valid.map_err(|why| match why {
            Refused::Denied(denial) => Refused::Denied(refused(&denial.reason)),
            undecided => undecided,
        })?;
        let found = Authenticated {
            certificate: Some(Arc::clone(certificate)),
            is_proven: so_far.is_proven,
            ..Authenticated::nobody(until.min(accepted.until))
        };
        Ok(so_far.then(found))
    }

    /// Tells of an accepted certificate.
    pub(super) fn tell(&self, leaf: &Certificate, headers: &mut Headers) -> Result<(), Denial> {
        let plain: [(_, ValueOf); 5] = [
            (&self.upstream_cert_header, nginx::escaped_cert),
            (&self.upstream_cert_fingerprint_header, nginx::fingerprint),
            (&self.upstream_cert_serial_header, nginx::serial),
            (&self.upstream_cert_i_dn_header, |leaf| leaf.issuer().header_value()),
            (&self.upstream_cert_s_dn_header, |leaf| leaf.subject().header_value()),
        ];
        for (name, value_of) in plain {
            if let Some(name) = name {
                headers.set(name.clone(), value_of(leaf));
            }
        }
        for (name, key) in [(&self.upstream_cert_cn_header, "CN"), (&self.upstream_cert_org_header, "O")] {
            if let Some(name) = name {
                headers.set(name.clone(), part(leaf.subject(), key, name)?);
            }
        }
        Ok(())
    }

    fn refusal(&self) -> Reply {
        let message = Cow::Borrowed("mTLS client not provided or invalid");
        let content_type = Some(HeaderValue::from_static("application/json"));
        Reply::verbatim(
            self.error_response_code,
            message,
            content_type,
            Bytes::from_static(REFUSAL.as_bytes()),
        )
    }
}

const REFUSAL: &str =
    r#"{"error":"invalid_request", "error_description": "mTLS client not provided or invalid"}"#;

/// A part of the subject as the plugin finds it: split at commas that no backslash precedes, key and
/// value at the first `=`, the last of several counts, escapes are kept.
fn part(subject: &DistinguishedName, key: &str, header: &HeaderName) -> Result<HeaderValue, Denial> {
    let found = parts(subject.as_str()).filter_map(|part| part.split_once('='));
    let value = found.filter(|(known, _)| *known == key).map(|(_, value)| value).last();
    // A part of a name that is a legal header value is one too.
    value.and_then(|value| HeaderValue::from_str(value).ok()).ok_or_else(|| {
        // Kong's check of header values stops the plugin at its nil.
        Denial::new(Reply::INTERNAL, format!("{subject} has no {key} for the header {header}"))
    })
}

fn parts(subject: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(subject);
    std::iter::from_fn(move || {
        let text = rest?;
        let bytes = text.as_bytes();
        let comma = (0..bytes.len()).find(|&at| bytes[at] == b',' && (at == 0 || bytes[at - 1] != b'\\'));
        let (part, after) = comma.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])));
        rest = after;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_subject_is_split_as_the_plugin_splits_it() {
        check(
            "CN=client1,O=Callista Enterprise AB,ST=Sweden,C=SE",
            &["CN=client1", "O=Callista Enterprise AB", "ST=Sweden", "C=SE"],
        );
        check(r"CN=a\,O=b,O=c", &[r"CN=a\,O=b", "O=c"]);
        // An escaped backslash before a comma hides the comma.
        check(r"CN=a\\,O=c", &[r"CN=a\\,O=c"]);
        check("OU=b+CN=a,C=SE", &["OU=b+CN=a", "C=SE"]);
        check("", &[""]);
        check(",a=,", &["", "a=", ""]);
    }

    fn check(subject: &str, expected: &[&str]) {
        assert_eq!(parts(subject).collect::<Vec<_>>(), expected, "{subject}");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_by_splitting(subject in r"[a=,\\]{0,20}") {
            prop_assert_eq!(parts(&subject).collect::<Vec<_>>().join(","), subject);
        }
    }
}
