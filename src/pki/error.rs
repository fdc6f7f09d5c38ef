//! What can go wrong while certificates are made, one sentence each, for the operator.

use std::io;
use std::path::PathBuf;

/// Why no certificate, or no file, was made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library refused: an odd name, or a key of a kind it cannot use.
    #[error("the certificate could not be made: {0}")]
    Generate(#[from] rcgen::Error),
    /// The operating system gave no random bytes.
    #[error("no random numbers: the system's generator failed")]
    Random,
    /// A name that cannot stand in a certificate.
    #[error("`{name}` cannot be a subject alternative name: {reason}")]
    San {
        /// The name as it was given.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A word that names no kind of key.
    #[error("`{0}` is not a kind of key: p256, p384, ed25519 or rsa2048")]
    KeyKind(String),
    /// The CA's certificate file holds no certificate that can be read.
    #[error("the CA certificate cannot be read")]
    CaCertificate,
    /// The CA's key file holds no key that can be read.
    #[error("the CA key cannot be read: it is no key that can issue")]
    CaKey,
    /// A leaf was given where a CA is needed.
    #[error("the certificate is not a CA: its basic constraints do not allow it to issue")]
    NotAnAuthority,
    /// Certificate and key are of different pairs.
    #[error("the CA key does not belong to the CA certificate")]
    KeyMismatch,
    /// The issuer's name would be written differently into what it issues, and no chain would be found.
    #[error("the CA's subject repeats an attribute, which cannot be written as an issuer here")]
    RepeatedAttribute,
    /// A file is in the way. Nothing was written.
    #[error("{0} exists already: nothing was written")]
    Exists(PathBuf),
    /// A file or directory could not be made. Nothing is left behind but directories.
    #[error("{path} cannot be written: {source}")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}
