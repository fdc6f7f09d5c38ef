//! The small names of a certificate: common name, serial number, fingerprint.
//!
//! Newtypes, so that a serial number is never compared with a fingerprint.

use std::fmt;

use super::escape::push_hex;

/// The common name of a subject, as it stands in the certificate: any text at all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CommonName(String);

impl CommonName {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// The name, unescaped: for comparing, not for headers (see `identity::header_value`).
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CommonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A serial number in upper-case hexadecimal, whole bytes, as nginx's `$ssl_client_serial`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SerialNumber(String);

impl SerialNumber {
    /// From the content of the ASN.1 INTEGER: big endian, two's complement.
    pub(super) fn from_der_content(bytes: &[u8]) -> Self {
        let mut text = String::with_capacity(bytes.len() * 2);
        match bytes {
            // A leading zero only keeps a large number positive.
            [0, rest @ ..] if !rest.is_empty() => push_hex(&mut text, rest),
            [first, ..] if *first >= 0x80 => {
                text.push('-');
                push_hex(&mut text, &negated(bytes));
            }
            _ => push_hex(&mut text, bytes),
        }
        Self(text)
    }

    /// The number as text, for example `0A1F`; a negative one begins with `-`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The SHA-256 of a certificate's DER; shown in lower-case hexadecimal without colons.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a certificate in DER.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }

    /// The digest itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// The magnitude of a negative number in two's complement.
fn negated(bytes: &[u8]) -> Vec<u8> {
    let mut carry = true;
    let mut magnitude: Vec<u8> = Vec::with_capacity(bytes.len());
    for byte in bytes.iter().rev() {
        let (digit, overflow) = (!byte).overflowing_add(u8::from(carry));
        magnitude.push(digit);
        carry = overflow;
    }
    magnitude.reverse();
    magnitude
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_is_upper_case_hex_in_whole_bytes() {
        check(&[0x0a], "0A");
        check(&[0], "00");
        check(&[0x00, 0xff, 0x01], "FF01");
        check(&[0x01, 0x00], "0100");
        check(&[0xff], "-01");
        check(&[0x80, 0x00], "-8000");
        check(&[], "");
    }

    fn check(content: &[u8], expected: &str) {
        assert_eq!(SerialNumber::from_der_content(content).to_string(), expected);
    }

    #[test]
    fn a_fingerprint_is_sha_256_in_lower_case() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Fingerprint::of(b"abc").to_string(), expected);
    }
}
