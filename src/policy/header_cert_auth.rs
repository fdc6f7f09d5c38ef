//! Kong's `header-cert-auth`: like `mtls-auth`, but a balancer in front ended the TLS and sends the
//! certificate in a header.
//!
//! Used by `policy::Policy`, per request. Whoever can send that header is whoever he says, so it
//! counts only from `trusted_ips` unless `secure_source` is off. Source: docs/kong-compatibility.md,
//! "Relatives"; developer.konghq.com, header-cert-auth.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::authenticated::Authenticated;
use super::{Consumers, Denial, MtlsAuth, Question, Refused};
use crate::identity::PeerCertificate;
use crate::message::reply::Reply;
use crate::tls::pem;

/// The plugin, ready to judge.
#[derive(Debug)]
pub struct HeaderCertAuth {
    /// Everything it has in common with `mtls-auth`; its credentials are its own.
    pub mtls_auth: MtlsAuth,
    /// Where the certificate is; scrubbed on every route.
    pub certificate_header_name: HeaderName,
    /// How it is written there.
    pub certificate_header_format: CertificateFormat,
    /// Believe it only from `trusted_ips`.
    pub secure_source: bool,
}

/// How a certificate is written in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFormat {
    /// One certificate: the base64 of its PEM, without the lines BEGIN and END.
    Base64Encoded,
    /// Percent-encoded PEM, the leaf first.
    UrlEncoded,
}

impl HeaderCertAuth {
    /// The header that counts, or why there is none.
    pub(super) fn sent<'a>(&self, question: &Question<'a>) -> Result<&'a HeaderValue, Denial> {
        let name = &self.certificate_header_name;
        if self.secure_source && !question.from_trusted_ip {
            let reason = format!("{name} counts only from trusted_ips, where this request is not from");
            return Err(Denial::new(Reply::NO_CERTIFICATE, reason));
        }
        let mut values = question.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Err(Denial::new(Reply::NO_CERTIFICATE, format!("the request has no {name}"))),
            (Some(_), Some(_)) => Err(malformed(&format!("{name} is there more than once"))),
            (Some(value), None) => Ok(value),
        }
    }

    /// What this plugin finds out about whoever the header names, after others found `so_far`.
    pub(super) fn authenticate(
        &self,
        so_far: Authenticated,
        sent: Result<&HeaderValue, Denial>,
        consumers: &Consumers,
        question: &Question<'_>,
    ) -> Result<Authenticated, Refused> {
        let sent = sent.and_then(|value| self.certificate_header_format.read(value));
        self.mtls_auth.judge(so_far, sent, (consumers, consumers.header_cert_auth()), question)
    }
}

impl CertificateFormat {
    fn read(self, value: &HeaderValue) -> Result<Arc<PeerCertificate>, Denial> {
        let text = match self {
            Self::Base64Encoded => {
                let lines =
                    [b"-----BEGIN CERTIFICATE-----\n", value.as_bytes(), b"\n-----END CERTIFICATE-----\n"];
                lines.concat()
            }
            // Not a form: a `+` is a digit of the base64.
            Self::UrlEncoded => percent_encoding::percent_decode(value.as_bytes()).collect(),
        };
        let chain = pem::certificates(&text).map_err(|error| malformed(&error.to_string()))?;
        let certificate = PeerCertificate::parse(&chain).map_err(|error| malformed(&error.to_string()))?;
        certificate.map(Arc::new).ok_or_else(|| malformed("it is empty"))
    }
}

/// Kong answers 500.
fn malformed(what: &str) -> Denial {
    Denial::new(Reply::INTERNAL, format!("the header with the certificate cannot be read: {what}"))
}
