//! Ids of entities: those the file gives, and the ones Kong would make of names.
//!
//! The same file has the same ids on every node and after every start, so that headers and logs agree.
//! Source: kong/db/schema/others/declarative_config.lua, `generate_ids`.

use std::fmt;

use uuid::{Uuid, uuid};

/// A UUID; prints in lower case with dashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub u128);

impl Id {
    /// Reads `0855b320-0dd2-547d-891d-601e9b38647f`, in any case; other spellings of a UUID are none to Kong.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let dashed = text.len() == DASHED && text.bytes().filter(|byte| *byte == b'-').count() == DASHES;
        dashed.then(|| Uuid::try_parse(text).ok()).flatten().map(|uuid| Self(uuid.as_u128()))
    }

    /// The one of an entity without: of the list it is in (`services`) and what it is known by there.
    pub(super) fn derived(list: &str, key: &str) -> Self {
        let namespace = Uuid::new_v5(&ENTITIES, list.as_bytes());
        Self(Uuid::new_v5(&namespace, key.as_bytes()).as_u128())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.0).fmt(f)
    }
}

const ENTITIES: Uuid = uuid!("fd02801f-0957-4a15-a55a-c8d9606f30b5");

const DASHED: usize = 36;

const DASHES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_the_ids_that_kong_makes_of_them() {
        let check = |list, key, id: &str| assert_eq!(Id::derived(list, key).to_string(), id, "{list} {key}");
        check("services", "my-service", "0855b320-0dd2-547d-891d-601e9b38647f");
    }

    #[test]
    fn an_id_is_36_characters() {
        let check = |text, id: Option<u128>| assert_eq!(Id::parse(text), id.map(Id), "{text}");
        check("00000000-0000-0000-0000-00000000000A", Some(10));
        check("0000000000000000000000000000000a", None);
        check("{00000000-0000-0000-0000-00000000000a}", None);
        check("urn:uuid:00000000-0000-0000-0000-00000000000a", None);
        check("my-service", None);
        check("g0000000-0000-0000-0000-000000000000", None);
    }
}
