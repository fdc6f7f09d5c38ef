//! One access line: what one request was and came to, as JSON.
//!
//! Used by `access_log`, once per request. What a stranger can choose is cut at [`LONGEST`], so a line has at most
//! some 8 kB whatever he sends. Pushed as text instead of serialized: a serializer that is
//! ready for any type took 6,000 instructions a line, this takes a fifth.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// Bytes of one value as it is written, escapes included; what was cut ends with an ellipsis (`\\u2026`).
pub const LONGEST: usize = 1024;

/// What one request was and came to. Sizes in bytes of bodies.
#[derive(Debug)]
pub struct Line<'a> {
    /// When the request's head was read; written as RFC 3339, UTC, ms.
    pub time: SystemTime,
    /// `X-Kong-Request-Id`.
    pub request_id: &'a str,
    /// The believed address of the client.
    pub client: &'a str,
    /// Address and port at the other end of the connection.
    pub peer: &'a str,
    /// RFC 4514 subject of the certificate, accepted or not.
    pub certificate: Option<&'a str>,
    /// SHA-256 of the certificate, hex.
    pub fingerprint: Option<&'a str>,
    /// Who the caller is known as: the consumer's username, or `custom_id` if it has none.
    pub consumer: Option<&'a str>,
    /// The authenticated group.
    pub group: Option<&'a str>,
    /// HTTP method.
    pub method: &'a str,
    /// `Host` or `:authority`.
    pub host: &'a str,
    /// Path without query, which may hold secrets.
    pub path: &'a str,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: &'a str,
    /// Status sent to the caller; 0 when the connection ended before there was one.
    pub status: u16,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// From head read to the last byte given to the connection; written in ms as `duration_ms`.
    pub duration: Duration,
    /// From sending upstream to the response's head; written in ms as `upstream_ms`.
    pub upstream_took: Option<Duration>,
    /// Where it was sent.
    pub upstream: Option<&'a str>,
    /// Why it was denied, failed or was cut short.
    pub reason: Option<&'a str>,
}

impl Line<'_> {
    /// Adds the line, with its end, to `out`. What is `None` is left out.
    pub(super) fn write(&self, out: &mut Vec<u8>, clock: &mut Clock) {
        out.extend_from_slice(b"{\"time\":\"");
        clock.write(self.time, out);
        out.push(b'"');
        text(out, br#","request_id":"#, self.request_id);
        text(out, br#","client":"#, self.client);
        text(out, br#","peer":"#, self.peer);
        some_text(out, br#","certificate":"#, self.certificate);
        some_text(out, br#","fingerprint":"#, self.fingerprint);
        some_text(out, br#","consumer":"#, self.consumer);
        some_text(out, br#","group":"#, self.group);
        text(out, br#","method":"#, self.method);
        text(out, br#","host":"#, self.host);
        text(out, br#","path":"#, self.path);
        text(out, br#","protocol":"#, self.protocol);
        number(out, br#","status":"#, u64::from(self.status));
        number(out, br#","bytes_in":"#, self.bytes_in);
        number(out, br#","bytes_out":"#, self.bytes_out);
        milliseconds(out, br#","duration_ms":"#, self.duration);
        if let Some(took) = self.upstream_took {
            milliseconds(out, br#","upstream_ms":"#, took);
        }
        some_text(out, br#","upstream":"#, self.upstream);
        some_text(out, br#","reason":"#, self.reason);
        out.extend_from_slice(b"}\n");
    }
}

/// Here and below `key` is all that stands between two values: the comma, the name and the colon.
fn some_text(out: &mut Vec<u8>, key: &[u8], value: Option<&str>) {
    if let Some(value) = value {
        text(out, key, value);
    }
}

fn text(out: &mut Vec<u8>, key: &[u8], value: &str) {
    out.extend_from_slice(key);
    // All bytes are looked at, without a way out in between: so the compiler takes 16 at a time.
    if value.len() <= LONGEST && value.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    } else {
        escaped(out, value);
    }
}

/// Whether a byte stands for itself in a JSON string, and is ASCII.
fn is_plain(byte: u8) -> bool {
    (b' '..0x80).contains(&byte) & (byte != b'"') & (byte != b'\\')
}

#[cold]
fn escaped(out: &mut Vec<u8>, value: &str) {
    let start = out.len();
    let kept = &value[..fitting(value)];
    if kept.serialize(&mut Serializer::with_formatter(&mut *out, Ascii)).is_err() {
        // Text always serializes into memory; half of it must not stay all the same.
        out.truncate(start);
        out.extend_from_slice(b"null");
    } else if kept.len() < value.len() {
        out.pop();
        out.extend_from_slice(br#"\u2026""#);
    }
}

/// How many bytes of a value fit, with their escapes.
fn fitting(value: &str) -> usize {
    let mut written = 0;
    for (at, character) in value.char_indices() {
        written += match character {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            ' '..='\u{7f}' => 1,
            other => 6 * other.len_utf16(),
        };
        if written > LONGEST {
            return at;
        }
    }
    value.len()
}

fn number(out: &mut Vec<u8>, key: &[u8], value: u64) {
    out.extend_from_slice(key);
    digits(out, value);
}

/// With up to three decimals, which is µs.
fn milliseconds(out: &mut Vec<u8>, key: &[u8], time: Duration) {
    out.extend_from_slice(key);
    let micros = (time.as_nanos() + 500) / 1000;
    // 584,000 years fit.
    let micros = u64::try_from(micros).unwrap_or(u64::MAX);
    digits(out, micros / 1000);
    out.push(b'.');
    let decimals = three_digits(micros % 1000);
    let needed = if decimals[2] != b'0' {
        3
    } else if decimals[1] != b'0' {
        2
    } else {
        1
    };
    out.extend_from_slice(&decimals[..needed]);
}

fn digits(out: &mut Vec<u8>, mut value: u64) {
    // 2^64 has 20 digits.
    let mut text = [0; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = digit(value);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

fn three_digits(value: u64) -> [u8; 3] {
    [digit(value / 100), digit(value / 10), digit(value)]
}

/// The last one.
fn digit(value: u64) -> u8 {
    b'0' + (value % 10) as u8
}

/// JSON in ASCII: a path may hold what terminals and readers of lines obey, such as U+009B, which
/// begins an ANSI sequence, or U+2028.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.is_ascii() {
            return writer.write_all(fragment.as_bytes());
        }
        for character in fragment.chars() {
            if character.is_ascii() {
                writer.write_all(&[character as u8])?;
                continue;
            }
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

/// Formats a time without calculating the calendar more than once a second.
#[derive(Debug, Default)]
pub(super) struct Clock {
    second: u64,
    /// The text of `second`, up to the point before the milliseconds; empty before the first.
    text: String,
}

impl Clock {
    /// RFC 3339 in UTC with milliseconds, `2026-11-21T19:10:05.123Z`.
    fn write(&mut self, at: SystemTime, out: &mut Vec<u8>) {
        // The clock of a machine without a battery begins in 1970, never before.
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if self.text.is_empty() || self.second != since.as_secs() {
            self.second = since.as_secs();
            self.text = to_the_second(at);
        }
        out.extend_from_slice(self.text.as_bytes());
        out.extend_from_slice(&three_digits(since.subsec_millis().into()));
        out.push(b'Z');
    }
}

fn to_the_second(at: SystemTime) -> String {
    const FORMAT: &[BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].");
    // A year beyond 9999 cannot be formatted; an empty date is the honest answer then.
    OffsetDateTime::from(at).format(FORMAT).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn times_are_right_within_a_second_and_beyond_it() {
        let mut clock = Clock::default();
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (7, "1970-01-01T00:00:00.007Z"),
            (1_999, "1970-01-01T00:00:01.999Z"),
            (1_420, "1970-01-01T00:00:01.420Z"),
            (1_795_289_405_123, "2026-11-21T19:30:05.123Z"),
        ] {
            let mut out = Vec::new();
            clock.write(SystemTime::UNIX_EPOCH + Duration::from_millis(millis), &mut out);
            assert_eq!(out, expected.as_bytes());
        }
    }

    #[test]
    fn durations_are_ms_with_as_many_decimals_as_they_need() {
        for (nanos, expected) in [
            (0, "0.0"),
            (499, "0.0"),
            (500, "0.001"),
            (10_000, "0.01"),
            (500_000, "0.5"),
            (999_999_700, "1000.0"),
            (12_345_678_901, "12345.679"),
        ] {
            let mut out = Vec::new();
            milliseconds(&mut out, b"", Duration::from_nanos(nanos));
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn what_a_stranger_chose_is_cut_with_its_escapes() {
        let check = |value: &str, kept: usize, written: usize| {
            let mut out = Vec::new();
            text(&mut out, b"", value);
            assert!(out.is_ascii() && out.len() == written, "{}", out.len());
            let expected: String = value.chars().take(kept).collect();
            let expected = if kept < value.chars().count() { expected + "…" } else { expected };
            assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected);
        };
        check(&"a".repeat(LONGEST), LONGEST, LONGEST + 2);
        check(&"a".repeat(45_000), LONGEST, LONGEST + 8);
        check(&"\u{1}".repeat(45_000), LONGEST / 6, LONGEST / 6 * 6 + 8);
        check(&"😀".repeat(45_000), LONGEST / 12, LONGEST / 12 * 12 + 8);
        check(&"\"".repeat(45_000), LONGEST / 2, LONGEST + 8);
        check(&"\u{7f}".repeat(LONGEST), LONGEST, LONGEST + 2);
    }

    proptest! {
        #[test]
        fn a_line_is_ascii_and_reads_as_what_was_written(
            path in any::<String>(), reason in any::<Option<String>>(), status: u16, bytes_out: u64
        ) {
            let line = Line {
                time: SystemTime::UNIX_EPOCH,
                request_id: "1",
                client: "::1",
                peer: "[::1]:7",
                certificate: None,
                fingerprint: None,
                consumer: Some("ö"),
                group: Some("a\"\\\n"),
                method: "GET",
                host: "",
                path: &path,
                protocol: "HTTP/1.1",
                status,
                bytes_in: 0,
                bytes_out,
                duration: Duration::from_micros(1_500),
                upstream_took: Some(Duration::ZERO),
                upstream: None,
                reason: reason.as_deref(),
            };
            let mut out = Vec::new();
            line.write(&mut out, &mut Clock::default());
            prop_assert!(out.is_ascii() && out.iter().filter(|byte| **byte < b' ').eq([&b'\n']));
            let mut expected = json!({
                "time": "1970-01-01T00:00:00.000Z", "request_id": "1", "client": "::1", "peer": "[::1]:7",
                "consumer": "ö", "group": "a\"\\\n", "method": "GET", "host": "", "path": path, "protocol": "HTTP/1.1",
                "status": status, "bytes_in": 0, "bytes_out": bytes_out, "duration_ms": 1.5, "upstream_ms": 0.0,
            });
            if let Some(reason) = reason {
                expected["reason"] = reason.into();
            }
            prop_assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), expected);
        }
    }
}
