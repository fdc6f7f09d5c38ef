//! The request id: one name for a request in headers, logs and error bodies.
//!
//! Kong's `X-Kong-Request-Id`: 32 hexadecimal digits. The random bits come from the caller.

use std::fmt;

use http::{HeaderName, HeaderValue};

use super::compression::passing;

/// An id that is safe in headers, logs and bodies: letters, digits, `-`, `_` and `.`, at most 64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The header that carries it.
    pub const HEADER: HeaderName = HeaderName::from_static("x-kong-request-id");

    /// An id of our own: 32 lower-case hexadecimal digits of 128 random bits.
    pub fn new(random: u128) -> Self {
        let mut text = [0; 32];
        for (at, digit) in text.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(random >> (124 - 4 * at) & 0xf) as usize];
        }
        // Hexadecimal digits are a legal header value.
        let value = HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("0"));
        Self(passing(value))
    }

    /// The id a trusted peer sent; `None` when it is empty, too long, or could mean something to
    /// a reader of logs and bodies.
    pub fn parse(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let fits = (1..=MAX_LEN).contains(&bytes.len());
        let safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        (fits && bytes.iter().all(safe)).then(|| Self(passing(value.clone())))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id as a header value.
    pub fn header_value(&self) -> &HeaderValue {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Room for a UUID or a trace id with a prefix; more would bloat every log line.
const MAX_LEN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_id_is_32_lower_case_hex_digits() {
        assert_eq!(RequestId::new(0).to_string(), "0".repeat(32));
        assert_eq!(RequestId::new(u128::MAX).to_string(), "f".repeat(32));
        assert_eq!(RequestId::new(0xabc << 116 | 0x1f).to_string(), "abc0000000000000000000000000001f");
    }

    #[test]
    fn an_id_of_a_trusted_peer_is_taken_if_it_is_harmless() {
        check("1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", true);
        check("a.b_c", true);
        check(&"a".repeat(64), true);
        check(&"a".repeat(65), false);
        check("", false);
        check("a b", false);
        check("\"}", false);
        check("a,b", false);
    }

    fn check(text: &str, accepted: bool) {
        let value = HeaderValue::from_str(text).unwrap();
        let expected = accepted.then_some(text);
        assert_eq!(RequestId::parse(&value).as_ref().map(RequestId::as_str), expected);
    }
}
