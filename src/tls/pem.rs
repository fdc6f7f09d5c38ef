//! PEM text to DER, with errors that say what the text holds instead.
//!
//! The only file that names rustls-pemfile (RUSTSEC-2025-0134: archived; see
//! `docs/decisions/dependencies.md`), so leaving it is a change to this file.

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls_pemfile::Item;
use thiserror::Error;

/// Why PEM text does not hold what was asked for.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PemError {
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// No `-----BEGIN` block was found.
    #[error("it holds no PEM block (a line -----BEGIN …-----)")]
    NoBlock,
    /// A block is cut off or its base64 is damaged.
    #[error("its PEM is damaged: {0}")]
    Damaged(String),
    /// Certificates were wanted.
    #[error("it holds a private key but no certificate")]
    KeyInsteadOfCertificate,
    /// A key was wanted.
    #[error("it holds a certificate but no private key")]
    CertificateInsteadOfKey,
    /// A key was wanted, and it has a passphrase.
    #[error("its private key is encrypted with a passphrase, which is not supported")]
    EncryptedKey,
    /// Two keys where one is wanted.
    #[error("it holds more than one private key")]
    SeveralKeys,
    /// Blocks of another kind only.
    #[error("it holds neither a certificate nor a private key")]
    SomethingElse,
}

/// The certificates in `text`, in order; other blocks are passed over.
///
/// # Errors
/// When there is none, with what is there instead; when any block is damaged.
pub fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let items = items(text)?;
    let has_key = items.iter().any(|item| key(item).is_some());
    let found: Vec<_> = items
        .into_iter()
        .filter_map(|item| match item {
            Item::X509Certificate(der) => Some(der),
            _ => None,
        })
        .collect();
    match (found.is_empty(), has_key) {
        (false, _) => Ok(found),
        (true, true) => Err(PemError::KeyInsteadOfCertificate),
        (true, false) => Err(PemError::SomethingElse),
    }
}

/// The one revocation list in `text` (`-----BEGIN X509 CRL-----`), as DER.
///
/// # Errors
/// When there is none, or more than one.
pub fn revocation_list(text: &[u8]) -> Result<Vec<u8>, PemError> {
    let mut lists = items(text)?.into_iter().filter_map(|item| match item {
        Item::Crl(der) => Some(der.to_vec()),
        _ => None,
    });
    match (lists.next(), lists.next()) {
        (Some(list), None) => Ok(list),
        _ => Err(PemError::SomethingElse),
    }
}

/// The private key in `text`: PKCS#8, PKCS#1 (RSA) or SEC1 (EC).
///
/// # Errors
/// When there is none or more than one, with what is there instead; when it is encrypted.
pub fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    if is_encrypted(text) {
        return Err(PemError::EncryptedKey);
    }
    let items = items(text)?;
    let mut keys = items.iter().filter_map(key);
    match (keys.next(), keys.next()) {
        (Some(key), None) => Ok(key),
        (Some(_), Some(_)) => Err(PemError::SeveralKeys),
        (None, _) if items.iter().any(|item| matches!(item, Item::X509Certificate(_))) => {
            Err(PemError::CertificateInsteadOfKey)
        }
        (None, _) => Err(PemError::SomethingElse),
    }
}

fn items(text: &[u8]) -> Result<Vec<Item>, PemError> {
    if text.trim_ascii().is_empty() {
        return Err(PemError::Empty);
    }
    let items = rustls_pemfile::read_all(&mut &*text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| PemError::Damaged(error.to_string()))?;
    if items.is_empty() && !text.windows(10).any(|window| window == b"-----BEGIN") {
        return Err(PemError::NoBlock);
    }
    Ok(items)
}

fn key(item: &Item) -> Option<PrivateKeyDer<'static>> {
    match item {
        Item::Pkcs8Key(key) => Some(PrivateKeyDer::Pkcs8(key.clone_key())),
        Item::Pkcs1Key(key) => Some(PrivateKeyDer::Pkcs1(key.clone_key())),
        Item::Sec1Key(key) => Some(PrivateKeyDer::Sec1(key.clone_key())),
        _ => None,
    }
}

/// PKCS#8 says it in the label, OpenSSL's older form in a header line of the block.
fn is_encrypted(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate and its key, as PEM.
    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn certificates_come_in_order_and_keys_beside_them_are_passed_over() {
        let ((first, key), (second, _)) = (pair(), pair());
        let found = certificates(format!("{first}{key}{second}").as_bytes()).unwrap();
        let firsts = certificates(first.as_bytes()).unwrap();
        assert_eq!((found.len(), &found[0]), (2, &firsts[0]));
        assert!(private_key(format!("{first}{key}").as_bytes()).is_ok());
    }

    #[test]
    fn text_without_what_is_wanted_says_what_it_holds() {
        let (cert, key) = pair();
        let check = |text: &str, certificate: PemError, private: PemError| {
            assert_eq!(certificates(text.as_bytes()), Err(certificate), "{text}");
            assert_eq!(private_key(text.as_bytes()).unwrap_err(), private, "{text}");
        };
        check("", PemError::Empty, PemError::Empty);
        check(" \n", PemError::Empty, PemError::Empty);
        check("garbage", PemError::NoBlock, PemError::NoBlock);
        let request = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
        check(request, PemError::SomethingElse, PemError::SomethingElse);
        assert_eq!(certificates(key.as_bytes()), Err(PemError::KeyInsteadOfCertificate));
        assert_eq!(private_key(cert.as_bytes()).unwrap_err(), PemError::CertificateInsteadOfKey);
        assert_eq!(private_key(format!("{key}{key}").as_bytes()).unwrap_err(), PemError::SeveralKeys);
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert_eq!(private_key(encrypted.as_bytes()).unwrap_err(), PemError::EncryptedKey);
        let cut = &cert[..cert.len() / 2];
        assert!(matches!(certificates(cut.as_bytes()), Err(PemError::Damaged(_) | PemError::SomethingElse)));
    }
}
