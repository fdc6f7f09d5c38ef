//! Reading certificates and keys from where the configuration says they are.
//!
//! Every failure becomes a [`Problem`] that names the setting, its origin, and the mount
//! that is probably missing. Contents never appear in a message.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::dates::Dates;
use super::kept::LastGood;

use crate::config::{
    self, CaFiles, Config, CredentialFiles, DeclarativeSource, Problem, Problems, Reference, Said, is_passing,
};
use crate::identity::Certificate;
use crate::telemetry::cause;
use crate::tls::credentials::{CredentialError, Credentials, Side, likely_refused};
use crate::tls::lapse::Lapse;
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
    let said = credentials.flat_map(|files| [&files.cert, &files.key]).chain(cas.flat_map(CaFiles::own));
    let declarative = config.declarative.iter().flat_map(DeclarativeSource::files);
    paths(said.chain(&config.access.revocation.crl_files)).into_iter().chain(declarative).collect()
}

/// The files of the callers' CAs, and of their CRLs.
pub(super) fn of_callers(access: &config::Access) -> Vec<PathBuf> {
    let cas = access.mtls_auth.iter().flat_map(|auth| auth.ca_certificates.own());
    paths(cas.chain(&access.revocation.crl_files))
}

/// Those of these values that are paths.
pub(super) fn paths<'a>(said: impl IntoIterator<Item = &'a Said>) -> Vec<PathBuf> {
    let path = |said| match Reference::of(said) {
        Reference::Path(path) => Some(path),
        Reference::Text(_) | Reference::Quoted | Reference::Vault => None,
    };
    said.into_iter().filter_map(path).collect()
}

/// Every certificate of a set of CAs that can be read, whatever its dates.
pub(super) fn every(cas: &CaFiles) -> Vec<CertificateDer<'static>> {
    let system = cas.system().and_then(|said| system(said).ok());
    let own = cas.own().iter().filter_map(|said| certificates(said).ok());
    system.into_iter().chain(own).flatten().collect()
}

/// Those of `all` that are valid now, each a chain with its key, fit for `side`. One that has lapsed is left
/// out as long as there is another. Where all have, those that were in force until now go on.
///
/// # Errors
/// What is wrong with each of them; of those that have lapsed, where nothing else is there.
pub(super) fn credentials(
    all: &[CredentialFiles],
    side: Side,
    dates: &Dates,
) -> Result<Vec<Credentials>, Problems> {
    let slot: fn(&mut LastGood) -> &mut Option<Vec<Credentials>> = match side {
        Side::Server => |parts| &mut parts.listeners,
        Side::Client => |parts| &mut parts.client,
    };
    let said = all.iter().flat_map(|files| [&files.cert, &files.key]);
    dates.part(slot, paths(said), || valid_credentials(all, side, dates))
}

fn valid_credentials(
    all: &[CredentialFiles],
    side: Side,
    dates: &Dates,
) -> Result<Vec<Credentials>, Problems> {
    let mut problems = Problems::default();
    let each = all.iter().filter_map(|files| Some((files, problems.collect(pair(files, side))?)));
    let judged: Vec<_> = each.map(|(files, pair)| (files, dates.lapse(pair.leaf()), pair)).collect();
    if judged.iter().all(|(_, lapse, pair)| lapse.is_some() && !dates.is_in_force(pair.leaf())) {
        let lapsed = judged.iter().filter_map(|(files, lapse, pair)| Some((files, (*lapse)?, pair)));
        problems.extend(lapsed.map(|(files, lapse, pair)| {
            Problem::new(&files.cert, lapsed_words(pair, lapse), lapse_advice(lapse)).that_may_heal()
        }));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let is_any_valid = judged.iter().any(|(_, lapse, _)| lapse.is_none());
    let mut usable = Vec::new();
    for (files, lapse, pair) in judged {
        let goes_on = !is_any_valid && dates.is_in_force(pair.leaf());
        if let Some(lapse) = lapse {
            let fate = if goes_on { "stays in force until a valid one is there" } else { "is left out" };
            let what = format!("{} and {fate}", lapsed_words(&pair, lapse));
            dates.caution(&files.cert, what, lapse_advice(lapse));
        }
        if lapse.is_none() || goes_on {
            dates.take(pair.leaf());
            if let Some(what) = likely_refused(pair.leaf(), side) {
                dates.caution(&files.cert, what, REFUSED_ADVICE);
            }
            caution_chain(&files.cert, &pair, dates);
            usable.push(pair);
        }
    }
    Ok(usable)
}

/// What to do about a certificate that many will refuse.
pub(super) const REFUSED_ADVICE: &str =
    "have one issued for this use, or see to it that the other side takes this one";

/// What is sent along helps nobody after its end, and some peers look no further.
fn caution_chain(said: &Said, pair: &Credentials, dates: &Dates) {
    for (at, der) in pair.certified().cert.iter().enumerate().skip(1) {
        let Ok(certificate) = Certificate::parse(der.clone()) else { continue };
        if let Some(lapse) = dates.lapse(&certificate) {
            let what = format!("certificate {} of the chain ({}) {lapse}", at + 1, certificate.called());
            dates.caution(said, what, "put the chain there that its CA gives out now");
        }
    }
}

/// A certificate chain with its key, fit for `side`, whatever its dates.
fn pair(files: &CredentialFiles, side: Side) -> Result<Credentials, Problems> {
    let mut problems = Problems::default();
    let chain = problems.collect(certificates(&files.cert));
    let key = problems.collect(private_key(&files.key));
    let (Some(chain), Some(key)) = (chain, key) else { return Err(problems) };
    dateless(chain, key, side).map_err(|error| {
        use CredentialError as E;
        let (said, advice) = match error {
            E::KeyMismatch { .. } => (&files.key, "give the key made together with the certificate"),
            E::UnusableKey => (&files.key, "use an RSA (2048 bits or more), ECDSA or Ed25519 key"),
            E::Expired { .. } | E::NotYetValid { .. } => (&files.cert, "have a new certificate issued"),
            E::WrongUsage { .. } => (&files.cert, "have one issued for this use"),
            E::KeyForm { .. } => (&files.cert, "have one issued for a plain RSA, ECDSA or Ed25519 key"),
            E::Malformed(_) => (&files.cert, "give an X.509 certificate in PEM"),
        };
        Problem::new(said, error.to_string(), advice).into()
    })
}

/// A chain with its key, fit for `side` at the last moment it is valid: [`Dates`] judges the dates.
///
/// # Errors
/// When they do not belong together, or cannot be used on that side.
pub(super) fn dateless(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    side: Side,
) -> Result<Credentials, CredentialError> {
    let first = chain.first().cloned().unwrap_or_else(|| CertificateDer::from(Vec::new()));
    let end = Certificate::parse(first)?.validity().not_after;
    Credentials::new(chain, key, side, end)
}

/// `the certificate (CN=app) expired 3 days ago`.
pub(super) fn lapsed_words(credentials: &Credentials, lapse: Lapse) -> String {
    format!("the certificate ({}) {lapse}", credentials.leaf().called())
}

/// What to do about a certificate that is presented.
pub(super) fn lapse_advice(lapse: Lapse) -> &'static str {
    match lapse {
        Lapse::Expired(_) => "have a new certificate issued",
        Lapse::NotYetValid(_) => "check this host's clock, or have a new one issued",
    }
}

/// The value to name when a set of CAs as a whole is wrong; there is always one.
pub(super) fn first(cas: &CaFiles) -> &Said {
    &cas.said()[0]
}

/// Those of the operating system.
pub(super) fn system(said: &Said) -> Result<Vec<CertificateDer<'static>>, Problem> {
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
pub(super) fn authorities(said: &Said, sides: &[Side]) -> Result<Vec<CertificateDer<'static>>, Problems> {
    let bytes = bytes(said, MAX_BYTES)?;
    pem::authorities(&bytes, sides).map_err(|error| {
        let advice = error.advice("give a PEM file with -----BEGIN CERTIFICATE-----");
        Problem::new(said, error.to_string(), advice).into()
    })
}

/// The revocation lists (DER) that `said` refers to.
pub(super) fn revocation_lists(said: &Said) -> Result<Vec<Vec<u8>>, Problem> {
    pem::revocation_lists(&bytes(said, MAX_LIST_BYTES)?).map_err(|error| {
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
            Err(Unreadable { what, advice, may_heal }) => {
                let problem = Problem::new(said, what, advice);
                return Err(if may_heal { problem.that_may_heal() } else { problem });
            }
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
    may_heal: bool,
}

fn read(path: &Path, max: u64) -> Result<Vec<u8>, Unreadable> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(&error))?;
    if metadata.is_dir() {
        return Err(Unreadable {
            what: "it is a directory".into(),
            advice: "name the file in it; docker makes a directory where the file to mount does not exist",
            may_heal: false,
        });
    }
    if metadata.len() > max {
        let what = format!("it has {} bytes, too many for what is wanted here", metadata.len());
        return Err(Unreadable { what, advice: "name the right file", may_heal: false });
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
            let (what, may_heal) = (format!("it cannot be read: {}", cause::io(error)), is_passing(error));
            let advice =
                if may_heal { "see what this host is short of; it is tried again" } else { "check the path" };
            return Unreadable { what, advice, may_heal };
        }
    };
    Unreadable { what: what.into(), advice, may_heal: false }
}
