//! What can go wrong with an upstream, as the sentence for our log, and the one place that
//! decides what the caller is told instead.

use std::rc::Rc;

use thiserror::Error;

use super::shortage::Shortage;
use crate::message::reply::Reply;
use crate::telemetry::cause;

/// Why an upstream gave no answer, or a broken one. Shared by all who waited for one dial.
#[derive(Debug, Clone, Error)]
pub enum UpstreamError {
    /// The name does not resolve.
    #[error(
        "the name {host} does not resolve: {cause}; is the other node's name right, and its DNS reachable?"
    )]
    NameUnknown {
        /// As configured.
        host: String,
        /// The resolver's words.
        cause: Rc<std::io::Error>,
    },
    /// An upstream has no targets, or none that is healthy.
    #[error("{0}")]
    NoTarget(Rc<str>),
    /// No connection, because this host has run out of something.
    #[error("no connection to {upstream} can be opened from here: {shortage}")]
    Shortage {
        /// Its label.
        upstream: Rc<str>,
        /// Of what.
        shortage: Shortage,
    },
    /// No TCP connection.
    #[error("{upstream} cannot be reached: {cause}; is it running, and is the port right?")]
    Unreachable {
        /// Its label.
        upstream: Rc<str>,
        /// The operating system's words.
        cause: Rc<std::io::Error>,
    },
    /// No TCP connection to a loopback address, from inside a container.
    #[error(
        "{upstream} cannot be reached: {cause}; is it running, and is the port right? this runs in a container, and that is the container itself: call its host host.docker.internal, and another container by its name"
    )]
    Itself {
        /// Its label.
        upstream: Rc<str>,
        /// The operating system's words.
        cause: Rc<std::io::Error>,
    },
    /// The TLS handshake failed, or the other side ended it with an alert.
    #[error("{0}")]
    Handshake(Rc<str>),
    /// The gateway never asked for our certificate.
    #[error(
        "{0} did not ask for a client certificate, so the link would not be mutual; does its mtls-auth cover this port, or should client_ssl be off?"
    )]
    NotMutual(Rc<str>),
    /// A deadline of ours passed.
    #[error("{name} passed ({upstream})")]
    TimedOut {
        /// The setting's name.
        name: &'static str,
        /// Its label.
        upstream: Rc<str>,
    },
    /// HTTP/2 was demanded and not negotiated, or the like.
    #[error("{0}")]
    Protocol(Rc<str>),
    /// The connection ended or broke while the answer was outstanding.
    #[error("the connection to {upstream} broke: {cause}")]
    Broken {
        /// Its label.
        upstream: Rc<str>,
        /// What the libraries said, causes included.
        cause: Rc<str>,
    },
    /// The client's own body failed while it was being sent.
    #[error("{0}")]
    RequestBody(Rc<str>),
    /// The client's body is larger than `client_max_body_size`.
    #[error("{0}")]
    BodyTooLarge(Rc<str>),
    /// The client took longer than `client_body_timeout` between two pieces of its body.
    #[error("{0}")]
    BodyTimedOut(Rc<str>),
}

impl UpstreamError {
    /// What the caller is told (Kong 3.9: kong/error_handlers.lua). The name that does not
    /// resolve is a 502 like every upstream that cannot be reached.
    #[must_use]
    pub fn reply(&self) -> Reply {
        match self {
            Self::NoTarget(_) => Reply::NO_PEER,
            Self::Shortage { .. } => Reply::SHORTAGE,
            Self::TimedOut { .. } => Reply::GATEWAY_TIMEOUT,
            Self::BodyTooLarge(_) => Reply::PAYLOAD_TOO_LARGE,
            Self::BodyTimedOut(_) => Reply::REQUEST_TIMEOUT,
            Self::RequestBody(_) => Reply::BAD_REQUEST,
            _ => Reply::BAD_GATEWAY,
        }
    }
}

/// The TLS error inside an I/O error.
#[must_use]
pub fn tls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// What a failed TLS handshake with an upstream, or an alert on a live link, means.
#[must_use]
pub fn tls_failure(upstream: &str, error: &rustls::Error) -> String {
    use rustls::{AlertDescription as Alert, CertificateError as Cert, Error as Tls};
    match error {
        Tls::InvalidCertificate(Cert::UnknownIssuer) => {
            format!("the certificate of {upstream} was not issued by any CA in upstream_ca_certificates")
        }
        // Two hosts that each made a CA of their own have two of the same name.
        Tls::InvalidCertificate(Cert::BadSignature) => format!(
            "the certificate of {upstream} was not issued by any CA in upstream_ca_certificates: one has the right name, but another key"
        ),
        Tls::InvalidCertificate(error @ (Cert::NotValidForName | Cert::NotValidForNameContext { .. })) => {
            format!(
                "the certificate of {upstream} has another name: {}; set upstream_tls_server_name to one of its names",
                cause::certificate(error)
            )
        }
        Tls::InvalidCertificate(error @ (Cert::Expired | Cert::ExpiredContext { .. })) => {
            format!("the certificate of {upstream} has expired: {}", cause::certificate(error))
        }
        Tls::InvalidCertificate(error @ (Cert::NotValidYet | Cert::NotValidYetContext { .. })) => {
            let why = cause::certificate(error);
            format!("the certificate of {upstream} is not valid yet: {why}; are the clocks right?")
        }
        Tls::InvalidCertificate(error) => {
            format!("the certificate of {upstream} is not acceptable: {}", cause::certificate(error))
        }
        Tls::InvalidMessage(_) => format!("{upstream} answered in plaintext; is its port a TLS port?"),
        Tls::AlertReceived(alert @ (Alert::CertificateRequired | Alert::NoCertificate)) => {
            format!(
                "{upstream} requires a client certificate and got none (alert {alert:?}); is client_ssl on?"
            )
        }
        Tls::AlertReceived(
            alert @ (Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::AccessDenied
            | Alert::DecryptError),
        ) => format!(
            "{upstream} refused our client certificate (alert {alert:?}); does it trust the CA that issued it?"
        ),
        Tls::AlertReceived(Alert::NoApplicationProtocol) => format!(
            "{upstream} speaks no HTTP that we offered (alert NoApplicationProtocol); does upstream_http ask for one it does not have?"
        ),
        Tls::AlertReceived(alert) => format!("{upstream} ended the TLS handshake with the alert {alert:?}"),
        other => format!("the TLS handshake with {upstream} failed: {}", cause::tls(other)),
    }
}
