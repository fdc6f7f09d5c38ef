//! One spelling for each path, so that no other spelling finds another route.
//!
//! Source: kong/tools/uri.lua, `normalize`. Kong decodes for matching what a URI cannot hold, and
//! encodes it again to send it; here it is encoded all along, so the path that is matched is the
//! very path that is sent.

use std::borrow::Cow;

/// A path (it starts with a slash) in normal form; borrowed if it is in it already.
///
/// Escaped letters, digits and `-._~` are decoded, the hex of all other escapes is upper-case, what
/// a URI cannot hold is escaped, dot segments are resolved and slashes merged. An escaped slash
/// (`%2F`) stays one, and is no separator; nor is `\`, which is left alone as `;` is. A `%` without
/// two digits stays as it is, as in Kong; but if what was decoded completes an escape (`%%341`), that
/// is decoded too, so that no second decoder finds more than we did.
#[must_use]
pub fn normalise(path: &str) -> Cow<'_, str> {
    if is_normal(path.as_bytes()) {
        return Cow::Borrowed(path);
    }
    let decoded = decode(path.as_bytes());
    Cow::Owned(resolve(&decoded))
}

fn is_normal(path: &[u8]) -> bool {
    path.iter().enumerate().all(|(at, byte)| match byte {
        b'/' => is_plain_segment(&path[at + 1..]),
        b'%' => is_final_escape(&path[at..]),
        _ => IN_URI[usize::from(*byte)],
    })
}

/// What follows a slash: not another, and no dot segment.
fn is_plain_segment(rest: &[u8]) -> bool {
    !matches!(rest, [b'/', ..] | [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..])
}

/// Upper-case, and of something that has to be escaped; or no escape at all.
fn is_final_escape(text: &[u8]) -> bool {
    match (text, escaped_byte(text)) {
        ([_, high, low, ..], Some(byte)) => {
            !is_unreserved(byte) && !high.is_ascii_lowercase() && !low.is_ascii_lowercase()
        }
        // What follows could complete it only if it were an escape of its own, which is looked at too.
        _ => true,
    }
}

/// Decodes what may be decoded and escapes what must be; gives ASCII.
fn decode(path: &[u8]) -> String {
    let mut decoded = String::with_capacity(path.len());
    for byte in path {
        push(&mut decoded, *byte);
        while let Some(escaped) =
            decoded.len().checked_sub(3).and_then(|at| escaped_byte(&decoded.as_bytes()[at..]))
        {
            decoded.truncate(decoded.len() - 3);
            if !is_unreserved(escaped) {
                push_escape(&mut decoded, escaped);
                break;
            }
            decoded.push(char::from(escaped));
        }
    }
    decoded
}

/// Merges slashes and resolves dot segments (RFC 3986 5.2.4); `..` stops at the root.
fn resolve(path: &str) -> String {
    let mut resolved = String::with_capacity(path.len());
    let mut is_folder = false;
    for segment in path.split('/').skip(1) {
        is_folder = matches!(segment, "" | "." | "..");
        if segment == ".." {
            resolved.truncate(resolved.rfind('/').unwrap_or(0));
        } else if !is_folder {
            resolved.push('/');
            resolved.push_str(segment);
        }
    }
    if is_folder || resolved.is_empty() {
        resolved.push('/');
    }
    resolved
}

fn push(text: &mut String, byte: u8) {
    match IN_URI[usize::from(byte)] {
        true => text.push(char::from(byte)),
        false => push_escape(text, byte),
    }
}

fn push_escape(text: &mut String, byte: u8) {
    let digit = |value: u8| char::from(b"0123456789ABCDEF"[usize::from(value & 15)]);
    text.extend(['%', digit(byte >> 4), digit(byte)]);
}

/// What the escape at the beginning of the text means.
fn escaped_byte(text: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match *text {
        [b'%', high, low, ..] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    }
}

/// RFC 3986 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What stands in a path as it is: unreserved, reserved (RFC 3986 2.2), `%`, and `\`, which is not
/// legal but common.
const IN_URI: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        let reserved = b"!*'();:@&=+$,/?%#[]\\";
        let mut at = 0;
        while at < reserved.len() {
            table[byte as usize] |= byte == reserved[at] || is_unreserved(byte);
            at += 1;
        }
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_normal_path_costs_nothing() {
        for path in ["/", "/a", "/a/b.c/", "/a%2Fb", "/a;v=1/.b/..c/d..", "/%zz%", "/a\\b", "/*", "/a%20b%25"]
        {
            assert!(matches!(normalise(path), Cow::Borrowed(_)), "{path}");
        }
    }

    #[test]
    fn escapes_are_decoded_where_nothing_changes_its_meaning() {
        check("/%61%2d%5F%7e", "/a-_~");
        check("/a%2fb%3a", "/a%2Fb%3A");
        check("/%c3%a9", "/%C3%A9");
        check("/é", "/%C3%A9");
        check("/a\"{b}|^`", "/a%22%7Bb%7D%7C%5E%60");
        check("/a%5cb", "/a%5Cb");
        check("/%2561", "/%2561");
        check("/%", "/%");
        check("/%4", "/%4");
        check("/%zz%6", "/%zz%6");
    }

    #[test]
    fn what_decoding_completes_is_decoded_too() {
        check("/%%341", "/A");
        check("/%4%31", "/A");
        check("/%2%66", "/%2F");
        check("/%%32%65%%32%65/x", "/x");
        check("/x%%%332%65", "/x.");
    }

    #[test]
    fn dot_segments_are_resolved_and_slashes_merged() {
        check("//", "/");
        check("/a//b///c", "/a/b/c");
        check("/a/./b", "/a/b");
        check("/a/../b", "/b");
        check("/a/b/..", "/a/");
        check("/a/b/.", "/a/b/");
        check("/..", "/");
        check("/../../a", "/a");
        check("/a//../b", "/b");
        check("/a/%2e%2E/b", "/b");
        check("/a/.%2e/b", "/b");
        check("/a/..;/b", "/a/..;/b");
        check("/a/..%2fb", "/a/..%2Fb");
        check("/a/..\\b", "/a/..\\b");
        check("/a/.../b//", "/a/.../b/");
    }

    fn check(path: &str, expected: &str) {
        assert_eq!(normalise(path), expected, "{path}");
    }

    proptest! {
        #[test]
        fn a_normal_form_is_final(path in "/([a.%/0-9A-Fé;|\\\\]|%2e|%2F|%25|\\.\\./|//){0,20}") {
            let once = normalise(&path).into_owned();
            prop_assert!(matches!(normalise(&once), Cow::Borrowed(_)), "{path} {once}");
            prop_assert!(once.starts_with('/') && once.is_ascii());
            let is_dots = |segment: &str| matches!(segment, "." | "..");
            prop_assert!(!once.contains("//") && !once.split('/').any(is_dots), "{once}");
        }
    }
}
