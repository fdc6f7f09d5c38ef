//! Telling the service who called: set from the permit, after everything the client said
//! about itself is gone.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::identity::{HeaderFormat, header_value};
use crate::policy::Permit;

/// The headers of one permit, made once per connection and copied into each request.
#[derive(Debug, Default)]
pub(super) struct IdentityHeaders(RefCell<Option<Made>>);

#[derive(Debug)]
struct Made {
    permit: Arc<Permit>,
    headers: Rc<[(HeaderName, HeaderValue)]>,
}

impl IdentityHeaders {
    /// Sets them; a permit without a caller sets none.
    pub(super) fn set(&self, headers: &mut HeaderMap, permit: &Arc<Permit>, formats: &[HeaderFormat]) {
        for (name, value) in self.of(permit, formats).iter() {
            headers.insert(name.clone(), value.clone());
        }
    }

    fn of(&self, permit: &Arc<Permit>, formats: &[HeaderFormat]) -> Rc<[(HeaderName, HeaderValue)]> {
        let mut made = self.0.borrow_mut();
        if let Some(known) = made.as_ref().filter(|known| Arc::ptr_eq(&known.permit, permit)) {
            return Rc::clone(&known.headers);
        }
        let headers: Rc<[_]> = make(permit, formats).into();
        *made = Some(Made { permit: Arc::clone(permit), headers: Rc::clone(&headers) });
        headers
    }
}

fn make(permit: &Permit, formats: &[HeaderFormat]) -> Vec<(HeaderName, HeaderValue)> {
    let Some(caller) = permit.caller() else { return Vec::new() };
    let mut headers: Vec<_> = formats.iter().flat_map(|format| format.headers(&caller.certificate)).collect();
    if let Some(group) = permit.told_group() {
        // A list: a comma in a common name must not make two groups of one. A subject is told as
        // it is everywhere, its commas and all.
        let subject = caller.certificate.leaf.subject();
        let value = if group == subject.as_str() { subject.header_value() } else { header_value(group, ",") };
        headers.push((HeaderName::from_static("x-authenticated-groups"), value));
    }
    headers
}
