//! Reading certificates and keys from where the configuration says they are.
//!
//! Every failure becomes a [`Problem`] that names the setting, its origin, and the mount
//! that is probably missing. Contents never appear in a message.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use crate::config::{
    CaFiles, Config, CredentialFiles, DeclarativeSource, Problem, Problems, Reference, Said,
};
use crate::telemetry::cause;
use crate::tls::credentials::{Credentials, Side};
use crate::tls::pem::{self, PemError};

/// No certificate or key is near this size; what is larger is another file.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// Half a million revoked certificates.
const MAX_LIST_BYTES: u64 = 16 * 1024 * 1024;

/// Every certificate and key file that a configuration names, wherever it is used.
pub(super) fn named_by(config: &Config) -> Vec<PathBuf> {
    let server = config.server_tls.iter().flat_map(|tls| &tls.credentials);
    let upstream = match &config.upstream {
        Some(upstream) => upstream.tls.as_ref(),
        None => Some(&config.calls.tls),
    };
    let credentials = server.chain(upstream.and_then(|tls| tls.credentials.as_ref()));
    let cas = config.access.mtls_auth.iter().map(|auth| &auth.ca_certificates);
    let cas = cas.chain(upstream.map(|tls| &tls.ca_certificates));
    let said = credentials.flat_map(|files| [&files.cert, &files.key]).chain(cas.flat_map(CaFiles::said));
    let path = |said| match Reference::of(said) {
        Reference::Path(path) => Some(path),
        Reference::Text(_) | Reference::Quoted | Reference::Vault => None,
    };
    let declarative = config.declarative.iter().flat_map(DeclarativeSource::files);
    said.chain(&config.access.revocation.crl_files).filter_map(path).chain(declarative).collect()
}

/// Every certificate of a set of CAs that `judge` lets pass, for each reference by itself; those of
/// the operating system for `system`.
/// `presenter` is the side that presents what they judge: a `TRUSTED CERTIFICATE` says for which it is a CA.
pub(super) fn certificates_of(
    cas: &CaFiles,
    presenter: Side,
    judge: impl Fn(&Said, Vec<CertificateDer<'static>>) -> Result<Vec<CertificateDer<'static>>, Problem>,
) -> Result<Vec<CertificateDer<'static>>, Problems> {
    match cas {
        CaFiles::System(said) => Ok(judge(said, system(said)?)?),
        CaFiles::Pem(said) => {
            let mut problems = Problems::default();
            let judged = |said| Ok(judge(said, authorities(said, &[presenter])?)?);
            let found: Vec<_> =
                said.iter().filter_map(|said| problems.collect(judged(said))).flatten().collect();
            if problems.is_empty() { Ok(found) } else { Err(problems) }
        }
    }
}

/// A certificate chain with its key, fit for `side` at the time `now`.
pub(super) fn credentials(
    files: &CredentialFiles,
    side: Side,
    now: UnixTime,
) -> Result<Credentials, Problems> {
    let mut problems = Problems::default();
    let chain = problems.collect(certificates(&files.cert));
    let key = problems.collect(private_key(&files.key));
    let (Some(chain), Some(key)) = (chain, key) else { return Err(problems) };
    Credentials::new(chain, key, side, now).map_err(|error| {
        use crate::tls::credentials::CredentialError as E;
        let (said, advice) = match error {
            E::KeyMismatch { .. } => (&files.key, "give the key made together with the certificate"),
            E::UnusableKey => (&files.key, "use an RSA (2048 bits or more), ECDSA or Ed25519 key"),
            E::Expired { .. } => (&files.cert, "have a new certificate issued"),
            E::NotYetValid { .. } => (&files.cert, "check this host's clock, or have a new one issued"),
            E::WrongUsage { .. } => (&files.cert, "have one issued for this use"),
            E::Malformed(_) => (&files.cert, "give an X.509 certificate in PEM"),
        };
        Problem::new(said, error.to_string(), advice).into()
    })
}

/// The value to name when a set of CAs as a whole is wrong; there is always one.
pub(super) fn first(cas: &CaFiles) -> &Said {
    &cas.said()[0]
}

fn system(said: &Said) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() {
        let what = "this system has no CA certificates";
        let advice = "install the package ca-certificates, or name the file of the upstream's CA";
        return Err(Problem::new(said, what, advice));
    }
    Ok(found)
}

/// The certificates that `said` refers to, leaf first where it is a chain.
///
/// # Errors
/// When there is none to be read.
pub fn certificates(said: &Said) -> Result<Vec<CertificateDer<'static>>, Problems> {
    authorities(said, &[])
}

/// The same, which must be trusted for judging what these sides present.
fn authorities(said: &Said, sides: &[Side]) -> Result<Vec<CertificateDer<'static>>, Problems> {
    let bytes = bytes(said, MAX_BYTES)?;
    pem::authorities(&bytes, sides).map_err(|error| {
        let advice = error.advice("give a PEM file with -----BEGIN CERTIFICATE-----");
        Problem::new(said, error.to_string(), advice).into()
    })
}

/// The revocation list (DER) that `said` refers to.
pub(super) fn revocation_list(said: &Said) -> Result<Vec<u8>, Problem> {
    pem::revocation_list(&bytes(said, MAX_LIST_BYTES)?).map_err(|error| {
        let advice = error.advice("give a CRL, in DER or with -----BEGIN X509 CRL-----");
        Problem::new(said, error.to_string(), advice)
    })
}

/// The private key that `said` refers to.
pub(super) fn private_key(said: &Said) -> Result<PrivateKeyDer<'static>, Problems> {
    pem::private_key(&bytes(said, MAX_BYTES)?).map_err(|error| {
        let advice = error.advice("give an unencrypted PEM key (PKCS#8, PKCS#1 or SEC1)");
        Problem::new(said, error.to_string(), advice).into()
    })
}

fn bytes(said: &Said, max: u64) -> Result<Vec<u8>, Problem> {
    let (what, advice) = match Reference::of(said) {
        Reference::Text(bytes) => return Ok(bytes),
        Reference::Path(path) => match read(&path, max) {
            Ok(bytes) => return Ok(bytes),
            // The text itself, perhaps of a format that is known by name.
            Err(_) if !path.exists() && !said.is_like_path() => {
                match pem::private_key(said.value().as_bytes()) {
                    Err(foreign @ PemError::Foreign(_)) => (foreign.to_string(), foreign.advice(NOTHING.1)),
                    _ => (NOTHING.0.to_owned(), NOTHING.1),
                }
            }
            Err(Unreadable { what, advice }) => (what, advice),
        },
        Reference::Quoted => (
            "the quotes are a part of it".to_owned(),
            "write it without quotes: docker's --env-file, systemd and Kubernetes do not take them off everywhere",
        ),
        Reference::Vault => {
            let vault = PemError::Foreign(pem::Format::Vault);
            (vault.to_string(), vault.advice(NOTHING.1))
        }
    };
    Err(Problem::new(said, what, advice))
}

const NOTHING: (&str, &str) =
    ("it is neither the path of a file nor PEM text", "give a path, PEM text or base64 of PEM");

struct Unreadable {
    what: String,
    advice: &'static str,
}

fn read(path: &Path, max: u64) -> Result<Vec<u8>, Unreadable> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(&error))?;
    if metadata.is_dir() {
        return Err(Unreadable {
            what: "it is a directory".into(),
            advice: "name the file in it; docker makes a directory where the file to mount does not exist",
        });
    }
    if metadata.len() > max {
        let what = format!("it has {} bytes, too many for what is wanted here", metadata.len());
        return Err(Unreadable { what, advice: "name the right file" });
    }
    fs::read(path).map_err(|error| unreadable(&error))
}

fn unreadable(error: &io::Error) -> Unreadable {
    let (what, advice) = match error.kind() {
        io::ErrorKind::NotFound => {
            ("there is no such file", "check the path, and the volume or secret mounted there")
        }
        io::ErrorKind::PermissionDenied => (
            "this user may not read it",
            "let the user this runs as (65532 in the image) read the file and its folders",
        ),
        io::ErrorKind::InvalidFilename => NOTHING,
        _ => {
            let what = format!("it cannot be read: {}", cause::io(error));
            return Unreadable { what, advice: "check the path" };
        }
    };
    Unreadable { what: what.into(), advice }
}
