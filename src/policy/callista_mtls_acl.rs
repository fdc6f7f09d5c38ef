//! Callista's `mtls-acl`: which values of one identity header may pass.
//!
//! Used by `policy::Policy`. The plugin reads a header of the request, which a client could have
//! sent; here it is the value that the plugins before set, and nobody else. Source:
//! callistaenterprise/kong-plugin-mtls-acl, handler.lua and schema.lua.

use http::{HeaderName, StatusCode};

use super::permit::Headers;
use super::{Denial, Rule};
use crate::message::reply::Reply;

/// The plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallistaMtlsAcl {
    /// The header that `mtls-auth` sets.
    pub certificate_header_name: HeaderName,
    /// Which of its values may pass.
    pub rule: Rule,
    /// Do not tell the service that value.
    pub hide_certificate_header: bool,
}

impl CallistaMtlsAcl {
    /// Judges what the plugins before set.
    pub(super) fn judge(&self, headers: &mut Headers) -> Result<(), Denial> {
        let name = &self.certificate_header_name;
        let value = headers.find(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Err(denied(format!("mtls-auth sets no {name} for the mtls-acl")));
        };
        match &self.rule {
            Rule::Allow(values) if !values.iter().any(|known| *known == value) => {
                return Err(denied(format!(
                    "{name} is {value:?}, which is not on the mtls-acl's allow list"
                )));
            }
            Rule::Deny(values) if values.iter().any(|known| *known == value) => {
                return Err(denied(format!("{name} is {value:?}, which is on the mtls-acl's deny list")));
            }
            Rule::Allow(_) | Rule::Deny(_) => {}
        }
        if self.hide_certificate_header {
            headers.remove(name);
        }
        Ok(())
    }
}

fn denied(reason: String) -> Denial {
    Denial::new(Reply::exit(StatusCode::FORBIDDEN, "You cannot consume this service"), reason)
}
