//! Kong's `acl` plugin: which groups may pass.
//!
//! Used by `policy::Policy`. Source: kong/plugins/acl (schema, handler) at 3.9;
//! the decision table is in `docs/kong-compatibility.md`.

mod refusal;

use http::{HeaderName, HeaderValue};

use super::Denial;
use super::authenticated::Authenticated;
use super::permit::Headers;
use crate::identity::header_value;
use crate::message::reply::Reply;

/// The groups that may pass, or may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    /// Whether the listed groups are let in or kept out.
    pub rule: Rule,
    /// Do not tell the service the groups of the caller.
    pub hide_groups_header: bool,
    /// Judge by the authenticated group where there is one, even if there is a consumer.
    pub always_use_authenticated_groups: bool,
}

/// A list of names and its meaning; they are compared exactly, case included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Only these pass.
    Allow(Vec<String>),
    /// Everyone passes but these.
    Deny(Vec<String>),
}

impl Acl {
    /// Whether the caller may pass; then the service is told the groups, if it is to be told.
    pub(super) fn judge(&self, who: &Authenticated, headers: &mut Headers) -> Result<(), Denial> {
        let told = match &who.consumer {
            // The groups of a proven consumer are its own.
            Some(_) if who.is_proven && !self.always_use_authenticated_groups => self.of_consumer(who)?,
            Some(_) if who.groups.is_empty() => self.of_consumer(who)?,
            _ => self.authenticated(who)?,
        };
        if let Some((name, value)) = told.filter(|_| !self.hide_groups_header) {
            headers.set(name, value);
        }
        Ok(())
    }

    fn authenticated(&self, who: &Authenticated) -> Result<Told, Denial> {
        let groups = &who.groups;
        if groups.is_empty() {
            return Err(nobody(who, "the caller's certificate gives no group for the acl"));
        }
        match &self.rule {
            Rule::Allow(list) if groups.iter().any(|group| list.contains(group)) => {
                let values: Vec<_> = groups.iter().map(|group| authenticated_value(who, group)).collect();
                Ok(Some((X_AUTHENTICATED_GROUPS, joined(&values))))
            }
            Rule::Allow(list) => Err(forbidden(format!(
                "{} is not on the acl's allow list {}",
                refusal::of_caller(groups),
                refusal::list(list, groups)
            ))),
            Rule::Deny(list) => match groups.iter().find(|group| list.contains(group)) {
                Some(group) => {
                    Err(forbidden(format!("group {} is on the acl's deny list", refusal::quoted(group))))
                }
                // Kong sets no header here either (kong/plugins/acl/handler.lua).
                None => Ok(None),
            },
        }
    }

    fn of_consumer(&self, who: &Authenticated) -> Result<Told, Denial> {
        let groups = who.consumer.as_ref().map(|consumer| &*consumer.groups).unwrap_or_default();
        let listed = |list: &[String]| groups.iter().any(|group| list.iter().any(|known| **known == **group));
        match &self.rule {
            Rule::Allow(_) if groups.is_empty() => {
                Err(nobody(who, "the consumer is in no group for the acl"))
            }
            Rule::Allow(list) if !listed(list) => {
                let (shown, list) = (refusal::list(groups, &[""]), refusal::list(list, groups));
                Err(forbidden(format!(
                    "none of the consumer's groups {shown} is on the acl's allow list {list}"
                )))
            }
            Rule::Deny(list) if listed(list) => {
                let shown = refusal::list(groups, &[""]);
                Err(forbidden(format!("one of the consumer's groups {shown} is on the acl's deny list")))
            }
            // Of a consumer without groups, the value is empty.
            Rule::Allow(_) | Rule::Deny(_) => {
                let values: Vec<_> = groups.iter().map(|group| header_value(group, ",")).collect();
                Ok(Some((X_CONSUMER_GROUPS, joined(&values))))
            }
        }
    }
}

/// The header with the groups, if there is one.
type Told = Option<(HeaderName, HeaderValue)>;

/// 403 for whoever has proven something, 401 for others.
fn nobody(who: &Authenticated, reason: &'static str) -> Denial {
    if who.is_proven {
        return forbidden(reason.to_owned());
    }
    let reason = if who.consumer.is_some() { reason } else { "the acl has nobody to judge" };
    Denial::new(Reply::UNAUTHORIZED, reason)
}

fn forbidden(reason: String) -> Denial {
    Denial::new(Reply::FORBIDDEN, reason)
}

fn authenticated_value(who: &Authenticated, group: &str) -> HeaderValue {
    // A list: a comma in a common name must not make two groups of one. A subject is told as
    // it is everywhere, its commas and all.
    let subject = who.certificate.as_ref().map(|certificate| certificate.leaf.subject());
    match subject.filter(|subject| subject.as_str() == group) {
        Some(subject) => subject.header_value(),
        None => header_value(group, ","),
    }
}

fn joined(values: &[HeaderValue]) -> HeaderValue {
    let values: Vec<_> = values.iter().map(HeaderValue::as_bytes).collect();
    // Legal values joined are a legal value.
    HeaderValue::try_from(values.join(&b", "[..])).unwrap_or(HeaderValue::from_static(""))
}

const X_AUTHENTICATED_GROUPS: HeaderName = HeaderName::from_static("x-authenticated-groups");
const X_CONSUMER_GROUPS: HeaderName = HeaderName::from_static("x-consumer-groups");
