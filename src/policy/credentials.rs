//! Manual mappings: which name in a certificate, of which CA, is which consumer.
//!
//! Used by [`super::Consumers`], once for `mtls-auth` and once for `header-cert-auth`. An index
//! holds four bytes per credential and none of its names, so 100,000 of them stay small.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use super::consumer::CredentialId;
use crate::identity::Fingerprint;

/// A credential as a declarative file tells it.
#[derive(Debug, Clone)]
pub struct NewCredential {
    /// Told to the service in `X-Credential-Identifier`.
    pub id: CredentialId,
    /// Compared with the names of a certificate, case included.
    pub subject_name: Box<str>,
    /// The CA that must be on the path of the certificate; `None` for any trusted one.
    pub ca_certificate: Option<Fingerprint>,
}

/// All credentials of one plugin.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    all: Box<[Credential]>,
    by_name: HashTable<u32>,
    /// The CAs that credentials name, each once.
    cas: Vec<Fingerprint>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Credential {
    id: CredentialId,
    subject_name: Box<str>,
    /// Position in `cas`.
    ca: Option<u32>,
    /// Position among the consumers.
    consumer: u32,
}

impl Credentials {
    /// Of these credentials, each with the position of its consumer. Of two with the same name and
    /// CA the first counts; declarative files do not have such.
    pub(super) fn new(credentials: impl IntoIterator<Item = (u32, NewCredential)>) -> Self {
        let mut cas = Vec::new();
        let mut all: Vec<Credential> = Vec::new();
        for (consumer, NewCredential { id, subject_name, ca_certificate }) in credentials {
            let ca = ca_certificate.map(|ca| position_or_push(&mut cas, ca));
            all.push(Credential { id, subject_name, ca, consumer });
        }
        let mut credentials = Self {
            by_name: HashTable::with_capacity(all.len()),
            all: all.into(),
            cas,
            hasher: RandomState::new(),
        };
        credentials.index();
        credentials
    }

    fn index(&mut self) {
        let Self { all, by_name, hasher, .. } = self;
        let key = |at: u32| all.get(at as usize).map(|it| (&*it.subject_name, it.ca));
        for at in (0..all.len()).filter_map(|at| u32::try_from(at).ok()) {
            let hash = hasher.hash_one(key(at));
            let entry =
                by_name.entry(hash, |known| key(*known) == key(at), |known| hasher.hash_one(key(*known)));
            entry.or_insert(at);
        }
    }

    /// The positions, among `issuers`' fingerprints, that credentials can mean.
    pub(super) fn cas(&self, issuers: impl Iterator<Item = Fingerprint>) -> Vec<u32> {
        let position = |ca| self.cas.iter().position(|known| *known == ca);
        issuers.filter_map(position).filter_map(|at| u32::try_from(at).ok()).collect()
    }

    /// Whether any credential asks for its CA.
    pub(super) fn name_cas(&self) -> bool {
        !self.cas.is_empty()
    }

    /// The credential of this name and CA, and the position of its consumer.
    pub(super) fn find(&self, name: &str, ca: Option<u32>) -> Option<(CredentialId, u32)> {
        let hash = self.hasher.hash_one(Some((name, ca)));
        let is_it =
            |at: &u32| self.all.get(*at as usize).is_some_and(|it| &*it.subject_name == name && it.ca == ca);
        let found = self.all.get(*self.by_name.find(hash, is_it)? as usize)?;
        Some((found.id, found.consumer))
    }

    /// Heap bytes as requested from the allocator.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        let names: usize = self.all.iter().map(|it| it.subject_name.len()).sum();
        size_of_val(&*self.all) + names + self.by_name.allocation_size() + self.cas.capacity() * 32
    }
}

/// Files name few CAs, however many credentials they have.
fn position_or_push(cas: &mut Vec<Fingerprint>, ca: Fingerprint) -> u32 {
    let at = cas.iter().position(|known| *known == ca).unwrap_or_else(|| {
        cas.push(ca);
        cas.len() - 1
    });
    u32::try_from(at).unwrap_or(u32::MAX)
}
