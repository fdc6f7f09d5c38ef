//! What HPACK, HTTP/2's compression of heads, is told about the fields it is given.
//!
//! Used where a head leaves on HTTP/2. A value that is another in almost every message is sent as a
//! literal that is never indexed (RFC 7541 6.2.3). Indexed it would push out of the table what is the
//! same each time, and each new value would be compared with all of its predecessors there: measured,
//! a tenth of the instructions of a small request.

use std::cell::Cell;

use http::header::DATE;
use http::{HeaderMap, HeaderValue};

/// A value that is another in almost every message.
pub fn passing(value: impl Into<HeaderValue>) -> HeaderValue {
    let mut value = value.into();
    value.set_sensitive(true);
    value
}

/// One direction of a connection: whether names were told.
#[derive(Debug, Default)]
pub struct Names(Cell<bool>);

impl Names {
    /// Readies a head for this connection. The first one is indexed as a whole, so that from then on
    /// the name of a field is a number, whatever its value.
    pub fn mark(&self, headers: &mut HeaderMap) {
        if !self.0.replace(true) {
            headers.values_mut().for_each(|value| value.set_sensitive(false));
        } else if let Some(date) = headers.get_mut(DATE) {
            date.set_sensitive(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_head_tells_names_and_the_others_only_values() {
        let names = Names::default();
        check(&names, [false, false, false]);
        check(&names, [true, true, false]);
        check(&names, [true, true, false]);
    }

    fn check(names: &Names, expected: [bool; 3]) {
        let mut headers = HeaderMap::new();
        headers.insert("x-kong-proxy-latency", passing(7_u64));
        headers.insert(DATE, HeaderValue::from_static("Sun, 22 Nov 2026 01:43:54 GMT"));
        headers.insert("via", HeaderValue::from_static("2 mtls-bridge"));
        names.mark(&mut headers);
        assert_eq!(headers.values().map(HeaderValue::is_sensitive).collect::<Vec<_>>(), expected);
    }
}
