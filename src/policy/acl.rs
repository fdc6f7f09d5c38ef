//! Kong's `acl` plugin: which groups may pass.
//!
//! Used by `policy::Policy`. Source: kong/plugins/acl (schema, handler) at 3.9;
//! the decision table is in `docs/kong-compatibility.md`.

use super::{Caller, Denial};
use crate::message::reply::Reply;

/// The groups that may pass, or may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl {
    /// Whether the listed groups are let in or kept out.
    pub rule: Rule,
    /// Do not tell the service the groups of the caller.
    pub hide_groups_header: bool,
}

/// A list of groups and its meaning; names are compared exactly, case included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Only these groups pass.
    Allow(Vec<String>),
    /// Everyone with a group passes but these.
    Deny(Vec<String>),
}

impl Acl {
    /// Whether the caller's group may pass; `Ok(true)` when the service is to be told the group.
    pub(super) fn judge(&self, caller: Option<&Caller>) -> Result<bool, Denial> {
        let Some(caller) = caller else {
            return Err(Denial::new(
                Reply::UNAUTHORIZED,
                "the acl has nobody to judge: the route asks for no certificate",
            ));
        };
        let Some(group) = &caller.group else {
            return Err(Denial::new(Reply::FORBIDDEN, "the caller's certificate gives no group for the acl"));
        };
        match &self.rule {
            Rule::Allow(groups) if groups.contains(group) => Ok(!self.hide_groups_header),
            Rule::Allow(_) => {
                Err(Denial::new(Reply::FORBIDDEN, format!("group {group:?} is not on the acl's allow list")))
            }
            Rule::Deny(groups) if groups.contains(group) => {
                Err(Denial::new(Reply::FORBIDDEN, format!("group {group:?} is on the acl's deny list")))
            }
            // Kong sets no header here either (kong/plugins/acl/handler.lua).
            Rule::Deny(_) => Ok(false),
        }
    }
}
