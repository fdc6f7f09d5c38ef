//! Why a chain is not accepted, in words: for our log, never for the other side.

use std::borrow::Cow;
use std::sync::Arc;

use thiserror::Error;

use super::chain::Case;
use super::constraints::not_evaluated;
use super::limits::MAX_SENT;
use crate::identity::{Certificate, Side};
use crate::telemetry::cause;
use crate::tls::credentials::in_words;

/// Why a chain is not accepted; a sentence for our log, never for the caller.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Untrusted(Arc<str>);

impl From<&str> for Untrusted {
    fn from(sentence: &str) -> Self {
        Self(sentence.into())
    }
}

#[cfg(test)]
impl Untrusted {
    /// Whether this is the same judgement, and not another that says the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The same before it is a sentence: rustls has alerts for some of webpki's errors.
#[derive(Debug)]
pub(super) enum Why {
    Webpki(webpki::Error),
    Said(String),
}

impl From<webpki::Error> for Why {
    fn from(error: webpki::Error) -> Self {
        Self::Webpki(error)
    }
}

/// A certificate as it is called in a sentence.
pub(super) fn called(certificate: &Certificate) -> Cow<'_, str> {
    short(certificate.called())
}

/// A name as it stands in a sentence: strangers may send 4096 bytes of it. It is ASCII.
fn short(name: Cow<'_, str>) -> Cow<'_, str> {
    const MAX: usize = 200;
    match name.get(..MAX) {
        Some(first) if name.len() > MAX => format!("{first}…").into(),
        _ => name,
    }
}

/// An error of webpki that says too little, with what is known of the chain; `cas` are those on the way,
/// `unreadable` what was sent and webpki does not read.
pub(super) fn explain(
    error: &webpki::Error,
    case: &Case<'_>,
    cas: &[Certificate],
    unreadable: &[(Certificate, webpki::Error)],
) -> Why {
    let leaf = called(case.leaf);
    // What could not be read may be what is missing.
    let missing = || {
        let is_issuer =
            |ca: &Certificate| cas.iter().chain([case.leaf]).any(|it| it.issuer() == ca.subject());
        unreadable.iter().chain(&case.listed.unreadable).find(|(ca, _)| is_issuer(ca))
    };
    match error {
        webpki::Error::UnknownIssuer => match missing() {
            Some((ca, error)) => Why::Said(of_one(error, ca, case)),
            None if case.sent.len() > MAX_SENT => Why::Said(format!(
                "the certificate of {leaf} came with {} others, of which {MAX_SENT} were looked at, and these do not lead to any CA in the list",
                case.sent.len()
            )),
            None => Why::Webpki(error.clone()),
        },
        webpki::Error::UnsupportedCertVersion | webpki::Error::UnsupportedCriticalExtension => {
            Why::Said(of_one(error, case.leaf, case))
        }
        webpki::Error::NameConstraintViolation => {
            let anchors = case.anchors.iter().map(|anchor| &anchor.certificate);
            let named =
                anchors.filter(|ca| cas.iter().chain([case.leaf]).any(|it| it.issuer() == ca.subject()));
            let beyond = cas.iter().chain(named).find_map(|ca| Some((ca, not_evaluated(ca, case.leaf)?)));
            Why::Said(match beyond {
                Some((ca, kinds)) => format!(
                    "the CA {} of the certificate of {leaf} has name constraints on {kinds}, which are not evaluated here: every certificate below it is refused, even where they are kept (docs/kong-compatibility.md, \"Different, on purpose\")",
                    called(ca)
                ),
                None => format!(
                    "a name in the certificate of {leaf} is not permitted by the name constraints of a CA in its chain"
                ),
            })
        }
        webpki::Error::RequiredEkuNotFoundContext(_) if case.leaf.is_meant_for(case.side) => {
            Why::Said(format!(
                "a CA in the chain of {leaf} issues no certificates for this use: its extended key usage lacks {}",
                case.side.usage()
            ))
        }
        webpki::Error::MaximumPathBuildCallsExceeded | webpki::Error::MaximumSignatureChecksExceeded => {
            Why::Said(format!(
                "the chain of {leaf} is not followed further: it has too many possible issuers of the same name"
            ))
        }
        webpki::Error::MaximumPathDepthExceeded => {
            Why::Said(format!("the chain of {leaf} is longer than six CAs, and no such chain is followed"))
        }
        other => Why::Webpki(other.clone()),
    }
}

/// Of a certificate that webpki does not read at all.
fn of_one(error: &webpki::Error, certificate: &Certificate, case: &Case<'_>) -> String {
    let whose = match certificate.der() == case.leaf.der() {
        true => format!("the certificate of {}", called(certificate)),
        false => {
            format!("the CA {} in the chain of {}", called(certificate), called(case.leaf))
        }
    };
    match error {
        webpki::Error::UnsupportedCertVersion => format!(
            "{whose} is of X.509 version {}, which cannot say what it is for; issue it again with extensions (openssl x509 -req -extfile …)",
            certificate.version()
        ),
        webpki::Error::UnsupportedCriticalExtension => match certificate.unknown_critical() {
            Some(oid) => format!("{whose} has the critical extension {oid}, which is not known here"),
            None => format!(
                "{whose} has a critical extension on policies or names of issuers, which is not evaluated here: it is refused, even where the policy is kept (docs/kong-compatibility.md, \"Different, on purpose\")"
            ),
        },
        other => format!("{whose} cannot be read: {}", cause::path(other)),
    }
}

/// Everything else, as a sentence.
pub(super) fn sentence(why: &Why, leaf: &Certificate, side: Side) -> Untrusted {
    let (subject, who) = (
        called(leaf),
        match side {
            Side::Client => "client",
            Side::Server => "server",
        },
    );
    let error = match why {
        Why::Said(text) => return Untrusted(text.as_str().into()),
        Why::Webpki(error) => error,
    };
    let unknown = || {
        format!(
            "the certificate of {subject} was issued by {}, which does not lead to any CA in mtls-auth's list",
            short(leaf.issuer().as_str().into())
        )
    };
    Untrusted(Arc::from(match error {
        webpki::Error::UnknownIssuer => unknown(),
        // Two hosts that each made a CA of their own have two of the same name.
        webpki::Error::InvalidSignatureForPublicKey => {
            format!("{}: one has that name, but another key", unknown())
        }
        webpki::Error::CertExpired { time, not_after } => format!(
            "the certificate of {subject}, or one in its chain, expired {} ago",
            in_words(time.as_secs().saturating_sub(not_after.as_secs()))
        ),
        webpki::Error::CertNotValidYet { time, not_before } => format!(
            "the certificate of {subject}, or one in its chain, is not valid before {} from now",
            in_words(not_before.as_secs().saturating_sub(time.as_secs()))
        ),
        webpki::Error::RequiredEkuNotFoundContext(_) => format!(
            "the certificate of {subject} is not meant for TLS {who}s: its extended key usage lacks {}",
            side.usage()
        ),
        webpki::Error::CaUsedAsEndEntity => format!(
            "the certificate of {subject} is a CA, which cannot be a {who} unless it signed itself and is itself listed"
        ),
        webpki::Error::UnsupportedSignatureAlgorithmContext(_)
        | webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => format!(
            "the certificate of {subject}, or one in its chain, is signed with an algorithm that is not accepted (SHA-1, MD5, DSA, RSASSA-PSS keys, …)"
        ),
        other => format!("the chain of {subject} does not verify: {}", cause::path(other)),
    }))
}
