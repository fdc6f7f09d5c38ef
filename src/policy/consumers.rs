//! All consumers with their indexes: by id, username and custom id, and by credential.
//!
//! Compiled by `snapshot`, shared by all policies. Promise: a lookup costs the same among 100,000
//! as among one, and a consumer takes less than 300 bytes, names and credential included.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

use super::consumer::{Consumer, ConsumerId, NewConsumer};
use super::credentials::Credentials;

/// Every known caller.
#[derive(Debug, Default)]
pub struct Consumers {
    all: Box<[Consumer]>,
    by_id: HashTable<u32>,
    by_username: HashTable<u32>,
    by_custom_id: HashTable<u32>,
    hasher: RandomState,
    mtls_auth: Credentials,
    header_cert_auth: Credentials,
}

impl Consumers {
    /// Of these; of two with the same id or name the first is found by it. Declarative files have
    /// no such two: there they are a problem.
    #[must_use]
    pub fn new(consumers: impl IntoIterator<Item = NewConsumer>) -> Self {
        let (mut all, mut mtls_auth, mut header_cert_auth) = (Vec::new(), Vec::new(), Vec::new());
        let mut groups = Interned::default();
        // Positions have four bytes; nobody has more consumers than that.
        for (at, consumer) in (0..u32::MAX).zip(consumers) {
            let NewConsumer { id, username, custom_id, .. } = consumer;
            all.push(Consumer { id, username, custom_id, groups: groups.list(&consumer.groups) });
            mtls_auth.extend(consumer.mtls_auth.into_iter().map(|credential| (at, credential)));
            header_cert_auth.extend(consumer.header_cert_auth.into_iter().map(|credential| (at, credential)));
        }
        let hasher = RandomState::new();
        Self {
            by_id: index(&all, &hasher, |consumer| Some(consumer.id)),
            by_username: index(&all, &hasher, |consumer| consumer.username.as_deref()),
            by_custom_id: index(&all, &hasher, |consumer| consumer.custom_id.as_deref()),
            mtls_auth: Credentials::new(mtls_auth),
            header_cert_auth: Credentials::new(header_cert_auth),
            all: all.into(),
            hasher,
        }
    }

    /// The consumer with this id.
    #[must_use]
    pub fn by_id(&self, id: ConsumerId) -> Option<&Consumer> {
        self.find(&self.by_id, id, |consumer| consumer.id == id)
    }

    /// The consumer of this name, case included.
    #[must_use]
    pub fn by_username(&self, username: &str) -> Option<&Consumer> {
        self.find(&self.by_username, username, |consumer| consumer.username.as_deref() == Some(username))
    }

    /// The consumer with this custom id, case included.
    #[must_use]
    pub fn by_custom_id(&self, custom_id: &str) -> Option<&Consumer> {
        self.find(&self.by_custom_id, custom_id, |consumer| consumer.custom_id.as_deref() == Some(custom_id))
    }

    /// The consumer that `anonymous` or `default_consumer` names: by id, or by username; never by
    /// custom id (Kong 3.1).
    #[must_use]
    pub fn named(&self, id_or_username: &str) -> Option<&Consumer> {
        let by_id = ConsumerId::parse(id_or_username).and_then(|id| self.by_id(id));
        by_id.or_else(|| self.by_username(id_or_username))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether nobody is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn at(&self, position: u32) -> Option<&Consumer> {
        self.all.get(position as usize)
    }

    pub(super) fn mtls_auth(&self) -> &Credentials {
        &self.mtls_auth
    }

    pub(super) fn header_cert_auth(&self) -> &Credentials {
        &self.header_cert_auth
    }

    fn find(
        &self,
        index: &HashTable<u32>,
        key: impl Hash,
        is_it: impl Fn(&Consumer) -> bool,
    ) -> Option<&Consumer> {
        let position = index.find(self.hasher.hash_one(key), |at| self.at(*at).is_some_and(&is_it))?;
        self.at(*position)
    }
}

/// The positions of those that have the key, four bytes each.
fn index<'a, K: Hash + Eq>(
    all: &'a [Consumer],
    hasher: &RandomState,
    key: impl Fn(&'a Consumer) -> Option<K>,
) -> HashTable<u32> {
    let keys = || (0..u32::MAX).zip(all).filter_map(|(at, consumer)| Some((at, key(consumer)?)));
    let mut table = HashTable::with_capacity(keys().count());
    let key_at = |at: u32| all.get(at as usize).and_then(&key);
    for (at, key) in keys() {
        let is_it = |known: &u32| key_at(*known).as_ref() == Some(&key);
        let rehash = |known: &u32| key_at(*known).map_or(0, |key| hasher.hash_one(key));
        table.entry(hasher.hash_one(&key), is_it, rehash).or_insert(at);
    }
    table
}

/// Groups and lists of groups that were seen before.
#[derive(Default)]
struct Interned {
    names: HashSet<Arc<str>>,
    lists: HashSet<Arc<[Arc<str>]>>,
}

impl Interned {
    fn list(&mut self, groups: &[Box<str>]) -> Arc<[Arc<str>]> {
        let list: Vec<_> = groups.iter().map(|group| self.name(group)).collect();
        if let Some(known) = self.lists.get(list.as_slice()) {
            return Arc::clone(known);
        }
        let list: Arc<[_]> = list.into();
        self.lists.insert(Arc::clone(&list));
        list
    }

    fn name(&mut self, group: &str) -> Arc<str> {
        if let Some(known) = self.names.get(group) {
            return Arc::clone(known);
        }
        let name: Arc<str> = group.into();
        self.names.insert(Arc::clone(&name));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::super::consumer::CredentialId;
    use super::super::credentials::NewCredential;
    use super::*;
    use crate::identity::Fingerprint;

    fn consumer(id: u128, username: Option<&str>, custom_id: Option<&str>) -> NewConsumer {
        NewConsumer {
            id: ConsumerId(id),
            username: username.map(Into::into),
            custom_id: custom_id.map(Into::into),
            groups: vec!["partners".into(), "emea".into()],
            mtls_auth: Vec::new(),
            header_cert_auth: Vec::new(),
        }
    }

    fn credential(id: u128, name: &str, ca: Option<&[u8]>) -> NewCredential {
        let ca_certificate = ca.map(Fingerprint::of);
        NewCredential { id: CredentialId(id), subject_name: name.into(), ca_certificate }
    }

    #[test]
    fn each_index_finds_its_own_and_no_other() {
        let one = "00000000-0000-0000-0000-000000000001";
        let all = Consumers::new([
            consumer(1, Some("alice"), Some("bob")),
            consumer(2, Some("bob"), None),
            consumer(3, None, Some("carol")),
            consumer(4, Some(one), None),
        ]);
        let id = |found: Option<&Consumer>| found.map(|consumer| consumer.id.0);
        assert_eq!(id(all.by_username("bob")), Some(2));
        assert_eq!(id(all.by_custom_id("bob")), Some(1));
        assert_eq!(id(all.by_id(ConsumerId(3))), Some(3));
        assert_eq!([all.by_username("carol"), all.by_custom_id("alice"), all.by_username("Bob")], [None; 3]);
        assert_eq!(id(all.named("alice")), Some(1));
        assert_eq!(id(all.named(one)), Some(1), "an id goes before a name that looks like one");
        assert_eq!(id(all.named("00000000-0000-0000-0000-000000000003")), Some(3));
        assert_eq!(all.named("carol"), None, "a custom id names nobody");
        assert!(Arc::ptr_eq(&all.all[0].groups, &all.all[2].groups));
        assert!(Consumers::default().named("alice").is_none());
    }

    #[test]
    fn credentials_are_told_apart_by_their_ca() {
        let mut alice = consumer(1, Some("alice"), None);
        alice.mtls_auth = vec![credential(10, "a", Some(b"ca1")), credential(11, "a", None)];
        let mut bob = consumer(2, Some("bob"), None);
        bob.mtls_auth = vec![credential(20, "a", Some(b"ca2")), credential(21, "a", None)];
        bob.header_cert_auth = vec![credential(30, "a", None)];
        let all = Consumers::new([alice, bob]);
        let cas = all.mtls_auth().cas([Fingerprint::of(b"ca2"), Fingerprint::of(b"ca3")].into_iter());
        assert_eq!(cas, [1]);
        let find = |credentials: &Credentials, ca| credentials.find("a", ca).map(|(id, at)| (id.0, at));
        assert_eq!(find(all.mtls_auth(), Some(0)), Some((10, 0)));
        assert_eq!(find(all.mtls_auth(), Some(1)), Some((20, 1)));
        assert_eq!(find(all.mtls_auth(), None), Some((11, 0)), "the first of two counts");
        assert_eq!(find(all.header_cert_auth(), None), Some((30, 1)));
        assert!(all.mtls_auth().name_cas() && !all.header_cert_auth().name_cas());
        assert_eq!(all.mtls_auth().find("b", None), None);
    }

    #[test]
    fn one_of_100_000_takes_less_than_300_bytes() {
        const COUNT: u32 = 100_000;
        // What an allocator adds to each piece at most, for pieces of this size.
        const ROUNDING: usize = 16;
        let all = Consumers::new((0..COUNT).map(|at| {
            let username = format!("client-{at:06}.partners.example");
            let custom_id = format!("customer-{at:06}");
            let mut one = consumer(u128::from(at) << 64, Some(&username), Some(&custom_id));
            one.mtls_auth = vec![credential(u128::from(at), &username, Some(b"ca"))];
            one
        }));
        let names = all.all.iter().flat_map(|one| [&one.username, &one.custom_id]);
        let names: usize = names.flatten().map(|name| name.len() + ROUNDING).sum();
        let indexes = [&all.by_id, &all.by_username, &all.by_custom_id].map(HashTable::allocation_size);
        let credentials = all.mtls_auth.heap_bytes() + COUNT as usize * ROUNDING;
        let bytes = size_of_val(&*all.all) + names + indexes.iter().sum::<usize>() + credentials;
        let each = bytes / COUNT as usize;
        assert!(each < 300, "{each} bytes per consumer");
        assert!(all.by_username("client-077777.partners.example").is_some());
    }
}
