//! What of two halves works and yet is weak: said beside the findings, and beside the good line.
//!
//! Used by `pair::check`. What a start would caution about is said here too, as far as it is true of a container.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::identity::Certificate;
use crate::snapshot;

use super::compose_file::{Network, Source};
use super::drift::{own_credentials, trusted_cas};
use super::half::Half;

/// All of one half.
pub(super) fn cautions(half: &Half) -> Vec<String> {
    let in_container = half.network() != Network::Host;
    // Whether others reach a listener of a container is decided by what is published.
    let at_start = half.said_at_start().filter(|line| !(in_container && line.starts_with("proxy_listen=")));
    let mut cautions: Vec<String> = at_start.map(|line| half.about(&line)).collect();
    cautions.extend(plaintext_for_all(half));
    cautions.extend(single_files(half));
    cautions.extend(ca_keys(half));
    cautions
}

/// The plaintext leg is for the host itself.
fn plaintext_for_all(half: &Half) -> Vec<String> {
    let ports = half.published(false).unwrap_or_default().into_iter().filter(|port| !port.is_loopback());
    let caution = |port: &super::compose_file::Port| {
        let what = "plain HTTP is published to every host that reaches this one";
        let advice = format!("write 127.0.0.1:{}:{}", port.published, port.target);
        half.of_compose("ports", &port.text, what, advice)
    };
    ports.map(caution).collect()
}

/// A file that is mounted alone stays what it was when a new one takes its place.
fn single_files(half: &Half) -> Vec<String> {
    let mounts = half.service.iter().flat_map(|service| &service.mounts);
    let files = mounts.filter_map(|mount| match &mount.source {
        Source::Path(path) if path.is_file() => Some((mount, path)),
        _ => None,
    });
    let caution = |(mount, path): (&super::compose_file::Mount, &PathBuf)| {
        let what =
            "a file is mounted alone: docker goes on showing the old one when a renewed one takes its place";
        let value = format!("{}:{}", path.display(), mount.inside.display());
        half.of_compose("volumes", &value, what, "mount the folder it is in")
    };
    files.map(caution).collect()
}

/// With a CA's key anybody can issue certificates that both halves believe.
fn ca_keys(half: &Half) -> Vec<String> {
    let mounted =
        half.service.iter().flat_map(|service| &service.mounts).filter_map(|mount| match &mount.source {
            Source::Path(path) => Some(path.as_path()),
            Source::Volume(_) => None,
        });
    let roots = std::iter::once(half.folder()).chain(mounted);
    // What is mounted is in the folder most of the time.
    let files: BTreeSet<PathBuf> = roots.flat_map(files_below).collect();
    let trusted =
        trusted_cas(half).into_iter().filter_map(|said| snapshot::certificates(said).ok()).flatten();
    let found = files
        .iter()
        .flat_map(|file| certificates_in(file))
        .filter(|der| Certificate::parse(der.clone()).is_ok_and(|certificate| certificate.is_ca()));
    let keys: HashSet<Vec<u8>> = trusted.chain(found).filter_map(|der| public_key_of(&der)).collect();
    let is_ca_key = |file: &&PathBuf| {
        PrivateKeyDer::from_pem_file(file)
            .is_ok_and(|key| public_key(key).is_some_and(|key| keys.contains(&key)))
    };
    // A certificate that signed itself is a CA to many tools, and its key is presented here on purpose.
    let own = own_credentials(half);
    let is_presented =
        |file: &&PathBuf| own.iter().any(|files| Path::new(files.key.value()) == file.as_path());
    let caution = |file: &PathBuf| {
        let what =
            "this is the private key of a CA: whoever has it can issue certificates that are believed here";
        half.about(&format!("{}: {what}; keep it off both hosts", file.display()))
    };
    files.iter().filter(|file| is_ca_key(file) && !is_presented(file)).map(caution).collect()
}

/// Regular files of a size that keys have; a folder of something else is not searched through.
fn files_below(root: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders, mut looked_at) = (Vec::new(), vec![(root.to_owned(), 0)], 0);
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            looked_at += 1;
            if looked_at > MOST_ENTRIES {
                return files;
            }
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if metadata.is_dir() && depth < DEEPEST {
                folders.push((path, depth + 1));
            } else if metadata.is_file() && metadata.len() <= LARGEST {
                files.push(path);
            }
        }
    }
    files
}

pub(super) fn certificates_in(file: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(file)
        .map(|found| found.filter_map(Result::ok).collect())
        .unwrap_or_default()
}

/// Every certificate that lies about in a half, for whoever looks for an issuer.
pub(super) fn all_certificates(half: &Half) -> Vec<CertificateDer<'static>> {
    files_below(half.folder()).iter().flat_map(|file| certificates_in(file)).collect()
}

fn public_key_of(der: &CertificateDer<'_>) -> Option<Vec<u8>> {
    Some(Certificate::public_key(der).ok()?.as_ref().to_vec())
}

fn public_key(key: PrivateKeyDer<'static>) -> Option<Vec<u8>> {
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).ok()?;
    Some(key.public_key()?.as_ref().to_vec())
}

const DEEPEST: usize = 4;
const MOST_ENTRIES: usize = 2000;
const LARGEST: u64 = 1024 * 1024;
