//! Who the caller is, as far as the plugins have found out; and how the service is told.
//!
//! What Kong keeps in `ngx.ctx`: passed from one authentication to the next, then judged by the
//! acl, then made into headers. Source: kong/plugins/key-auth/handler.lua, `set_consumer`.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use rustls::pki_types::UnixTime;

use super::permit::Headers;
use super::{Caller, Consumer, CredentialId};
use crate::identity::{HeaderFormat, PeerCertificate, header_value};

/// The caller, as known so far.
#[derive(Debug)]
pub(super) struct Authenticated {
    /// The last one that was accepted.
    pub(super) certificate: Option<Arc<PeerCertificate>>,
    /// Matched, anonymous or the default.
    pub(super) consumer: Option<Consumer>,
    /// Whether some plugin accepted the caller: Kong's "credential". Not so for the anonymous.
    pub(super) is_proven: bool,
    /// The manual mapping that was matched.
    pub(super) credential: Option<CredentialId>,
    /// From `authenticated_group_by`; several where alternative names are the groups.
    pub(super) groups: Vec<String>,
    /// The certificate of which `X-Client-Cert-*` tell.
    pub(super) told: Option<Arc<PeerCertificate>>,
    /// Until when all this holds.
    pub(super) until: UnixTime,
}

impl Authenticated {
    /// Nobody yet.
    pub(super) fn nobody(until: UnixTime) -> Self {
        Self {
            certificate: None,
            consumer: None,
            is_proven: false,
            credential: None,
            groups: Vec::new(),
            told: None,
            until,
        }
    }

    /// The same caller after one more plugin: what that one found counts before what was known. An
    /// anonymous consumer of before is forgotten, for now the caller is known.
    pub(super) fn then(self, found: Self) -> Self {
        let known = Some(self.consumer).filter(|_| self.is_proven || !found.is_proven).flatten();
        let credential = if found.consumer.is_some() { found.credential } else { self.credential };
        Self {
            certificate: found.certificate.or(self.certificate),
            consumer: found.consumer.or(known),
            is_proven: found.is_proven || self.is_proven,
            credential,
            groups: if found.groups.is_empty() { self.groups } else { found.groups },
            told: found.told.or(self.told),
            until: found.until.min(self.until),
        }
    }

    /// A consumer who is nobody in particular.
    pub(super) fn is_anonymous(&self) -> bool {
        self.consumer.is_some() && !self.is_proven
    }

    /// What the service is told in these formats. The consumer is part of Kong's.
    pub(super) fn headers(&self, formats: &[HeaderFormat]) -> Headers {
        let mut headers = Headers::default();
        for format in formats {
            let certificate = match format {
                HeaderFormat::Kong => &self.told,
                HeaderFormat::Rfc9440 | HeaderFormat::Xfcc => &self.certificate,
            };
            for (name, value) in certificate.iter().flat_map(|certificate| format.headers(certificate)) {
                headers.set(name, value);
            }
            if *format == HeaderFormat::Kong {
                self.tell_consumer(&mut headers);
            }
        }
        headers
    }

    fn tell_consumer(&self, headers: &mut Headers) {
        let Some(consumer) = &self.consumer else { return };
        headers.set(X_CONSUMER_ID, header_value(&consumer.id.to_string(), ""));
        let names = [(X_CONSUMER_CUSTOM_ID, &consumer.custom_id), (X_CONSUMER_USERNAME, &consumer.username)];
        for (name, text) in names {
            if let Some(text) = text {
                headers.set(name, header_value(text, ""));
            }
        }
        if let Some(credential) = self.credential {
            headers.set(X_CREDENTIAL_IDENTIFIER, header_value(&credential.to_string(), ""));
        }
        if self.is_anonymous() {
            headers.set(X_ANONYMOUS_CONSUMER, HeaderValue::from_static("true"));
        }
    }

    pub(super) fn into_caller(self) -> (Option<Caller>, Option<Consumer>) {
        let group = (!self.groups.is_empty()).then(|| self.groups.join(","));
        (self.certificate.map(|certificate| Caller { certificate, group }), self.consumer)
    }
}

const X_CONSUMER_ID: HeaderName = HeaderName::from_static("x-consumer-id");
const X_CONSUMER_CUSTOM_ID: HeaderName = HeaderName::from_static("x-consumer-custom-id");
const X_CONSUMER_USERNAME: HeaderName = HeaderName::from_static("x-consumer-username");
const X_CREDENTIAL_IDENTIFIER: HeaderName = HeaderName::from_static("x-credential-identifier");
const X_ANONYMOUS_CONSUMER: HeaderName = HeaderName::from_static("x-anonymous-consumer");
