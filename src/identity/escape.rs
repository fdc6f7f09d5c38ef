//! Escaping: text from a certificate as text that fits one header line.
//!
//! Used for every name that leaves this program. Promise: the result holds bytes 0x20 to 0x7e
//! only, and neither begins nor ends with a space, so it can be sent as it is. The escapes are
//! those of RFC 4514 section 2.4 and can be undone: `\` and a special character, or `\XX` for a byte.

use http::HeaderValue;

/// `text` as the value of a header that holds one name, such as a consumer's or a group's.
///
/// `separators` are the characters that would split the value at its reader (`","` where the
/// header is a list, else `""`); they are escaped as well.
pub fn header_value(text: &str, separators: &str) -> HeaderValue {
    let mut value = String::with_capacity(text.len());
    push_escaped(&mut value, text, separators);
    printable(value)
}

/// Appends `text`; `\`, the `specials`, and whatever is not printable ASCII are escaped.
///
/// A space at either end becomes `\20` and not `\ `: receivers trim spaces around header values.
/// Only where something stands in `out` already, a leading one is safe as `\ `, which is how
/// OpenSSL writes it.
pub(super) fn push_escaped(out: &mut String, text: &str, specials: &str) {
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b' ' if at == last || out.is_empty() => push_hex_escape(out, byte),
            b' ' if at == 0 => out.push_str(r"\ "),
            b'\\' => out.push_str(r"\\"),
            b' '..=b'~' if specials.as_bytes().contains(&byte) => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => push_hex_escape(out, byte),
        }
    }
}

/// Appends two upper-case hexadecimal digits for each of `bytes`.
pub(super) fn push_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for digit in [byte >> 4, byte & 0x0f] {
            out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
        }
    }
}

/// `text` as a header value; it came out of an escaping function and is printable.
pub(super) fn printable(text: String) -> HeaderValue {
    debug_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "not escaped: {text:?}");
    // The fallback is never taken; an empty value is the safe reading of a broken promise.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

fn push_hex_escape(out: &mut String, byte: u8) {
    out.push('\\');
    push_hex(out, &[byte]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_fits_one_header_line() {
        check("billing", "", "billing");
        check("", "", "");
        check(" ", "", r"\20");
        check(" a b ", "", r"\20a b\20");
        check(r"a\b", "", r"a\\b");
        check("a,b", "", "a,b");
        check("a,b", ",", r"a\,b");
        check("a\r\nX-Admin: 1\0", "", r"a\0D\0AX-Admin: 1\00");
        check("Å", "", r"\C3\85");
        check("\u{7f}\t", "", r"\7F\09");
    }

    fn check(text: &str, separators: &str, expected: &str) {
        assert_eq!(header_value(text, separators), expected);
    }

    proptest! {
        #[test]
        fn whatever_the_text_the_value_is_printable_and_not_split(text in ".*") {
            let value = header_value(&text, ",");
            prop_assert!(value.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)));
            let value = value.to_str().unwrap();
            prop_assert_eq!(value, value.trim());
            let bare = value.replace(r"\\", "").replace(r"\,", "");
            prop_assert!(!bare.contains(','));
        }
    }
}
