//! Why something failed, in words that hold nothing of what was sent.
//!
//! The text of a library's error may quote its input: a secret, or 16 kB that a stranger chose. Only errors
//! whose text is fixed words, numbers and names of alerts pass through here as they are; of the others it is
//! told what kind they are. `tests/it/layers.rs` lists who else may print an error.

use std::borrow::Cow;
use std::error::Error;
use std::io;

use rustls::{CertificateError, OtherError};

/// An error in our own words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Told(pub String);

/// Characters of what a stranger can choose, where it stands in a sentence: a name, a certificate's subject.
pub const LONGEST_NAME: usize = 256;

/// Names of a certificate that a sentence lists.
const MOST_NAMES: usize = 5;

/// A text that a stranger may have chosen, cut to `most` characters.
#[must_use]
pub fn short(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// An error of the HTTP libraries, of TLS or of the system, with its causes in one line, each told once.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut told = words(error).unwrap_or_else(|| UNKNOWN.into()).into_owned();
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(words) = words(cause).filter(|words| !told.contains(&**words)) {
            told.push_str(": ");
            told.push_str(&words);
        }
        source = cause.source();
    }
    told
}

/// `None` for an error of a kind that is not known here.
fn words(error: &(dyn Error + 'static)) -> Option<Cow<'static, str>> {
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        return Some(http2(error).into());
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return Some(io(error).into());
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(tls(error).into());
    }
    // hyper's are fixed words: what it had read is in none of them.
    let hyper = error.downcast_ref::<hyper::Error>().map(ToString::to_string);
    hyper.or_else(|| error.downcast_ref::<Told>().map(ToString::to_string)).map(Cow::from)
}

/// An error of the system, or of what is behind a stream.
#[must_use]
pub fn io(error: &io::Error) -> String {
    match error.get_ref() {
        None => error.to_string(),
        Some(inner) => words(inner).map_or_else(|| error.kind().to_string(), Cow::into_owned),
    }
}

/// h2's text would hold what the other side wrote into its GOAWAY.
fn http2(error: &h2::Error) -> String {
    if let Some(error) = error.get_io() {
        return io(error);
    }
    let Some(reason) = error.reason() else {
        return "the HTTP/2 connection was in no state for it".to_owned();
    };
    let what = match (error.is_reset(), error.is_go_away()) {
        (true, _) => "stream",
        (_, true) => "connection",
        _ => return format!("protocol error: {reason}"),
    };
    let who = match (error.is_remote(), error.is_library()) {
        (true, _) => "received",
        (_, true) => "detected",
        _ => "sent by user",
    };
    format!("{what} error {who}: {reason}")
}

/// What TLS says.
#[must_use]
pub fn tls(error: &rustls::Error) -> String {
    use rustls::Error as E;
    match error {
        E::InvalidCertificate(error) => format!("invalid peer certificate: {}", certificate(error)),
        E::InvalidCertRevocationList(_) => "the revocation list cannot be used".to_owned(),
        // Messages, alerts and states by their names.
        E::InappropriateMessage { .. }
        | E::InappropriateHandshakeMessage { .. }
        | E::InvalidEncryptedClientHello(_)
        | E::InvalidMessage(_)
        | E::NoCertificatesPresented
        | E::UnsupportedNameType
        | E::DecryptError
        | E::EncryptError
        | E::PeerIncompatible(_)
        | E::PeerMisbehaved(_)
        | E::AlertReceived(_)
        | E::FailedToGetCurrentTime
        | E::FailedToGetRandomBytes
        | E::HandshakeNotComplete
        | E::PeerSentOversizedRecord
        | E::NoApplicationProtocol
        | E::BadMaxFragmentSize
        | E::InconsistentKeys(_) => error.to_string(),
        _ => "the TLS library refused it".to_owned(),
    }
}

/// What is wrong with a certificate of the other side.
#[must_use]
pub fn certificate(error: &CertificateError) -> String {
    use CertificateError as E;
    match error {
        E::NotValidForNameContext { expected, presented } => {
            let mut names: Vec<_> =
                presented.iter().take(MOST_NAMES).map(|name| short(name, LONGEST_NAME)).collect();
            if let Some(more) = presented.len().checked_sub(MOST_NAMES).filter(|more| *more > 0) {
                names.push(format!("{more} more").into());
            }
            let only = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
            format!("it is not valid for {:?}, but for {only}", expected.to_str())
        }
        E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "it is signed with an algorithm that is not supported".to_owned()
        }
        E::InvalidPurposeContext { .. } | E::InvalidPurpose => {
            "its extended key usage does not allow this use".to_owned()
        }
        // Ours, if it is not webpki's.
        E::Other(OtherError(other)) => match other.downcast_ref::<webpki::Error>() {
            Some(error) => path(error).to_owned(),
            None => short(&other.to_string(), 2 * LONGEST_NAME).into_owned(),
        },
        E::BadEncoding => "its encoding is broken".to_owned(),
        E::UnhandledCriticalExtension => "it has a critical extension that is not known".to_owned(),
        E::ApplicationVerificationFailure => "it was refused".to_owned(),
        // Words, and times in numbers.
        E::Expired
        | E::ExpiredContext { .. }
        | E::NotValidYet
        | E::NotValidYetContext { .. }
        | E::Revoked
        | E::UnknownIssuer
        | E::UnknownRevocationStatus
        | E::ExpiredRevocationList
        | E::ExpiredRevocationListContext { .. }
        | E::BadSignature
        | E::NotValidForName => error.to_string(),
        _ => "it does not verify".to_owned(),
    }
}

/// What is wrong with a chain, as webpki sees it.
#[must_use]
pub fn path(error: &webpki::Error) -> &'static str {
    use webpki::Error as E;
    match error {
        E::BadDer | E::BadDerTime | E::TrailingData(_) => "the encoding of a certificate is broken",
        E::CaUsedAsEndEntity => "a CA is used as the certificate of a server or client",
        E::CertExpired { .. } => "a certificate has expired",
        E::CertNotValidYet { .. } => "a certificate is not valid yet",
        E::CertNotValidForName(_) => "the certificate is for other names",
        E::CertRevoked => "a certificate was revoked",
        E::EmptyEkuExtension => "the extended key usage of a certificate is empty",
        E::EndEntityUsedAsCa => "a certificate that is no CA has issued another",
        E::ExtensionValueInvalid | E::MalformedExtensions => "an extension of a certificate is malformed",
        E::InvalidCertValidity => "a certificate ends before it begins",
        E::InvalidSerialNumber => "a serial number is not valid",
        E::InvalidSignatureForPublicKey => "a signature does not fit the issuer's key",
        E::MalformedNameConstraint | E::InvalidNetworkMaskConstraint => {
            "the name constraints of a CA are malformed"
        }
        E::MaximumNameConstraintComparisonsExceeded => {
            "it has too many names and name constraints to compare"
        }
        E::MaximumPathBuildCallsExceeded | E::MaximumSignatureChecksExceeded => {
            "there are too many ways from it to a CA"
        }
        E::MaximumPathDepthExceeded => "too many intermediates lie between it and a CA",
        E::NameConstraintViolation => "a CA above it may not issue for these names (name constraints)",
        E::PathLenConstraintViolated => "a CA above it allows fewer intermediates (pathlen)",
        E::RequiredEkuNotFoundContext(_) => "an extended key usage does not allow this use",
        E::SignatureAlgorithmMismatch => "a certificate names two signature algorithms",
        E::UnknownIssuer => "its issuer is not among the CAs",
        E::UnsupportedCertVersion => "a certificate is not of X.509 version 3",
        E::UnsupportedCriticalExtension => "a certificate has a critical extension that is not known",
        E::UnsupportedNameType => "a certificate has a name of a type that is not supported",
        E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            "a certificate is signed with an algorithm that is not supported"
        }
        _ => "it cannot be verified",
    }
}

const UNKNOWN: &str = "an error of an unknown kind";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::ServerName;

    use super::*;

    const LOUD: &str = "MHcCAQEEIBsecretsecretsecret";

    #[test]
    fn what_a_library_quotes_is_not_passed_on() {
        let unknown = io::Error::new(io::ErrorKind::InvalidData, LOUD);
        assert_eq!(io(&unknown), "invalid data");
        assert_eq!(chain(&unknown), "invalid data");
        assert_eq!(tls(&rustls::Error::General(LOUD.into())), "the TLS library refused it");
        let number: Result<u8, _> = LOUD.parse();
        assert_eq!(chain(&number.unwrap_err()), "an error of an unknown kind");
    }

    #[test]
    fn what_is_in_our_words_or_the_systems_is() {
        let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
        assert_eq!(io(&reset()), "connection reset");
        assert_eq!(io(&io::Error::other(reset())), "connection reset");
        assert_eq!(chain(&io::Error::other(Told("read_timeout passed".into()))), "read_timeout passed");
        assert_eq!(io(&io::Error::from_raw_os_error(2)), "No such file or directory (os error 2)");
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateUnknown);
        assert_eq!(io(&io::Error::other(alert)), "received fatal alert: CertificateUnknown");
    }

    #[test]
    fn names_of_a_strangers_certificate_are_few_and_short() {
        let presented: Vec<_> = (0..5000).map(|number| format!("{}{number}", "n".repeat(5000))).collect();
        let expected = ServerName::try_from("gateway.example").unwrap();
        let told = certificate(&CertificateError::NotValidForNameContext { expected, presented });
        assert!(told.starts_with("it is not valid for \"gateway.example\", but for nnn"), "{told}");
        assert!(told.ends_with("4995 more") && told.len() < 6 * LONGEST_NAME, "{}", told.len());
        let other = CertificateError::Other(OtherError(Arc::new(Told("x".repeat(10_000)))));
        assert!(certificate(&other).len() < 3 * LONGEST_NAME);
    }
}
