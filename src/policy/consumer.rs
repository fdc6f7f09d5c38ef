//! Who a caller can be: a consumer, and the ids of consumers and their credentials.
//!
//! Made by `snapshot` from a declarative file, found by [`super::Consumers`].

use std::fmt;
use std::sync::Arc;

use super::credentials::NewCredential;

/// The id of a consumer, a UUID; shown in lower case with dashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConsumerId(pub u128);

impl ConsumerId {
    /// From its text; `None` when the text is no UUID, and so perhaps a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let dashed = text.len() == 36 && [8, 13, 18, 23].iter().all(|at| text.as_bytes()[*at] == b'-');
        let digits: String = text.split('-').collect();
        let is_hex = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        u128::from_str_radix(&digits, 16).ok().filter(|_| dashed && is_hex).map(Self)
    }
}

impl fmt::Display for ConsumerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hyphenated(self.0, f)
    }
}

/// The id of a credential, a UUID; shown in lower case with dashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CredentialId(pub u128);

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hyphenated(self.0, f)
    }
}

fn hyphenated(id: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let part = |low: u32, digits: u32| (id >> low) & ((1 << (4 * digits)) - 1);
    write!(f, "{:08x}-{:04x}-{:04x}-", part(96, 8), part(80, 4), part(64, 4))?;
    write!(f, "{:04x}-{:012x}", part(48, 4), part(0, 12))
}

/// A known caller. One of 100,000 takes 64 bytes and its two names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// As in `X-Consumer-ID`.
    pub id: ConsumerId,
    /// Kong demands this or `custom_id`.
    pub username: Option<Box<str>>,
    /// What the consumer is called elsewhere.
    pub custom_id: Option<Box<str>>,
    /// The groups of its `acls`, in their order; shared by all consumers with the same.
    pub groups: Arc<[Arc<str>]>,
}

impl Consumer {
    /// What people call it: its username, or its `custom_id`.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.username.as_deref().or(self.custom_id.as_deref())
    }
}

/// A consumer as a declarative file tells it, with the credentials that are its own.
#[derive(Debug, Clone)]
pub struct NewConsumer {
    /// Unique.
    pub id: ConsumerId,
    /// Unique, if there is one.
    pub username: Option<Box<str>>,
    /// Unique, if there is one.
    pub custom_id: Option<Box<str>>,
    /// The groups of its `acls`.
    pub groups: Vec<Box<str>>,
    /// Its `mtls_auth_credentials`.
    pub mtls_auth: Vec<NewCredential>,
    /// Its `header_cert_auth_credentials`.
    pub header_cert_auth: Vec<NewCredential>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_is_a_uuid_and_nothing_else() {
        let id = "8715a4f8-e1bd-44f1-82d2-22724127c47c";
        assert_eq!(ConsumerId::parse(id).unwrap().to_string(), id);
        assert_eq!(ConsumerId::parse(&id.to_uppercase()).unwrap().to_string(), id);
        let plain = id.replace('-', "");
        let moved = "8715a4f8e-1bd-44f1-82d2-22724127c47c";
        let signed = "+715a4f8-e1bd-44f1-82d2-22724127c47c";
        for text in ["", "alice", plain.as_str(), moved, signed, "ååååååååååååååååå"] {
            assert_eq!(ConsumerId::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_id_reads_as_it_is_shown(id in any::<u128>()) {
            prop_assert_eq!(ConsumerId::parse(&ConsumerId(id).to_string()), Some(ConsumerId(id)));
            prop_assert_eq!(CredentialId(id).to_string(), ConsumerId(id).to_string());
        }
    }
}
