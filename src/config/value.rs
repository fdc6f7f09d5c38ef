//! The words settings are written in: switches, durations, sizes, counts and lists.
//!
//! Used by each group of settings. A parser takes what was [`Said`] and returns the value, or
//! the one line that says what would have been right. Nothing is guessed: Kong reads `1` and
//! `ON` as off, we accept both, and refuse what is neither.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::problem::{Problem, Said};

/// `on` or `off`, in any of their spellings.
pub(super) fn switch(said: &Said) -> Result<bool, Problem> {
    match said.value().to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Ok(true),
        "off" | "false" | "no" | "0" => Ok(false),
        _ => Err(Problem::new(said, "neither on nor off", "write on, off, true, false, yes, no, 1 or 0")),
    }
}

/// One of a few words, in any case.
pub(super) fn word<T: Clone>(said: &Said, words: &[(&str, T)]) -> Result<T, Problem> {
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(said.value()));
    found.map(|(_, value)| value.clone()).ok_or_else(|| unknown(said, words))
}

/// Several of a few words, each once.
pub(super) fn words<T: Clone + PartialEq>(said: &Said, words: &[(&str, T)]) -> Result<Vec<T>, Problem> {
    let mut chosen = Vec::new();
    for part in list(said) {
        let value = word(&part, words)?;
        if !chosen.contains(&value) {
            chosen.push(value);
        }
    }
    Ok(chosen)
}

fn unknown<T>(said: &Said, words: &[(&str, T)]) -> Problem {
    let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    let (last, others) = names.split_last().expect("every choice has words");
    let advice = if others.is_empty() {
        format!("write {last}")
    } else {
        format!("write {} or {last}", others.join(", "))
    };
    Problem::new(said, "not a known word", advice)
}

/// What a number without a unit counts, which Kong decides per key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unit {
    /// `connect_timeout` and its like.
    Milliseconds,
    /// Everything else.
    Seconds,
}

/// A time to wait, which must be more than nothing: every wait has a deadline.
pub(super) fn wait(said: &Said, bare: Unit) -> Result<Duration, Problem> {
    let wait = duration(said, bare)?;
    if wait.is_zero() {
        return Err(Problem::new(said, "no time at all", "write a duration such as 500ms, 5s or 1m"));
    }
    Ok(wait)
}

/// A duration: digits with `ms`, `s`, `m` or `h`, or with the unit Kong gives the key.
pub(super) fn duration(said: &Said, bare: Unit) -> Result<Duration, Problem> {
    let (digits, unit) = number_and_unit(said.value());
    let millis = match (unit, bare) {
        ("ms", _) | ("", Unit::Milliseconds) => 1,
        ("s", _) | ("", Unit::Seconds) => 1_000,
        ("m", _) => 60_000,
        ("h", _) => 3_600_000,
        _ => return Err(not_a_duration(said)),
    };
    let number: u64 = digits.parse().map_err(|_| not_a_duration(said))?;
    match number.checked_mul(millis) {
        Some(total) if total <= LONGEST_MS => Ok(Duration::from_millis(total)),
        _ => Err(Problem::new(said, "longer than 24 days", "write a shorter duration")),
    }
}

/// The number, if there is no unit behind it.
pub(super) fn bare_number(said: &Said) -> Option<u64> {
    said.value().parse().ok().filter(|_| said.value().bytes().all(|byte| byte.is_ascii_digit()))
}

fn not_a_duration(said: &Said) -> Problem {
    Problem::new(said, "not a duration", "write a whole number with ms, s, m or h, such as 5s")
}

/// A number of bytes: digits, alone or with `k`, `m` or `g` (powers of 1024, `KiB` and `kb` too).
pub(super) fn size(said: &Said) -> Result<u64, Problem> {
    let (digits, unit) = number_and_unit(said.value());
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(not_a_size(said)),
    };
    let number: u64 = digits.parse().map_err(|_| not_a_size(said))?;
    number.checked_mul(1 << shift).ok_or_else(|| not_a_size(said))
}

fn not_a_size(said: &Said) -> Problem {
    Problem::new(said, "not a size", "write bytes, or a whole number with k, m or g, such as 64k")
}

fn number_and_unit(value: &str) -> (&str, &str) {
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (digits, unit) = value.split_at(end);
    (digits, unit.trim_start())
}

/// A whole number within bounds.
pub(super) fn count<T>(said: &Said, bounds: RangeInclusive<T>) -> Result<T, Problem>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    let digits = said.value().bytes().all(|b| b.is_ascii_digit());
    match said.value().parse() {
        Ok(number) if digits && bounds.contains(&number) => Ok(number),
        _ => {
            let advice = format!("write a whole number from {} to {}", bounds.start(), bounds.end());
            Err(Problem::new(said, "not a number in range", advice))
        }
    }
}

/// The elements of a comma list, without space around them and without empty ones.
/// `\,` is a comma inside an element; any other backslash is itself.
pub(super) fn list(said: &Said) -> Vec<Said> {
    let mut elements = vec![String::new()];
    let mut characters = said.value().chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.next_if_eq(&',').is_some() => last(&mut elements).push(','),
            ',' => elements.push(String::new()),
            other => last(&mut elements).push(other),
        }
    }
    elements.iter().filter(|element| !element.trim().is_empty()).map(|element| said.part(element)).collect()
}

fn last(elements: &mut [String]) -> &mut String {
    elements.last_mut().expect("it starts with one element and only grows")
}

/// The comma list that [`list`] reads back as these elements.
pub(super) fn joined<S: AsRef<str>>(elements: &[S]) -> String {
    let escaped: Vec<_> = elements.iter().map(|element| element.as_ref().replace(',', r"\,")).collect();
    escaped.join(",")
}

/// Kong's upper bound of a timeout, 2^31 - 2 ms: sums with it cannot overflow a clock.
const LONGEST_MS: u64 = 2_147_483_646;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Origin;

    fn said(value: &str) -> Said {
        Said::new("k", value, Origin::DEFAULT)
    }

    /// Compares the value, or the problem after its `k=… (default): `.
    fn check<T: PartialEq + std::fmt::Debug>(
        parse: impl Fn(&Said) -> Result<T, Problem>,
        value: &str,
        expected: Result<T, &str>,
    ) {
        let actual = parse(&said(value)).map_err(|problem| problem.to_string());
        let expected = expected.map_err(|line| format!("k={value} (default): {line}"));
        assert_eq!(actual, expected, "{value}");
    }

    #[test]
    fn switches() {
        for value in ["on", "ON", "true", "True", "yes", "1"] {
            check(switch, value, Ok(true));
        }
        for value in ["off", "Off", "false", "NO", "0"] {
            check(switch, value, Ok(false));
        }
        for value in ["maybe", "enabled", "2", ""] {
            let line = "neither on nor off; write on, off, true, false, yes, no, 1 or 0";
            check(switch, value, Err(line));
        }
    }

    #[test]
    fn words_of_a_choice() {
        let choice = [("one", 1), ("two", 2), ("three", 3)];
        check(|s| word(s, &choice), "Two", Ok(2));
        check(|s| word(s, &choice), "four", Err("not a known word; write one, two or three"));
        check(|s| words(s, &choice), "two, one,two", Ok(vec![2, 1]));
    }

    #[test]
    fn durations() {
        let seconds = |s: &Said| duration(s, Unit::Seconds);
        check(seconds, "500ms", Ok(Duration::from_millis(500)));
        check(seconds, "5s", Ok(Duration::from_secs(5)));
        check(seconds, "1m", Ok(Duration::from_secs(60)));
        check(seconds, "2 h", Ok(Duration::from_secs(7200)));
        check(seconds, "60", Ok(Duration::from_secs(60)));
        check(|s| duration(s, Unit::Milliseconds), "60000", Ok(Duration::from_secs(60)));
        for value in ["", "s", "-1", "1.5s", "5 seconds", "1m30s", "soon", "５s"] {
            let line = "not a duration; write a whole number with ms, s, m or h, such as 5s";
            check(seconds, value, Err(line));
        }
        for value in ["25000000", "18446744073709551615"] {
            check(seconds, value, Err("longer than 24 days; write a shorter duration"));
        }
        let line = "no time at all; write a duration such as 500ms, 5s or 1m";
        check(|s| wait(s, Unit::Seconds), "0", Err(line));
    }

    #[test]
    fn sizes() {
        for (value, bytes) in [("0", 0), ("100", 100), ("64k", 65_536), ("64KiB", 65_536), ("1m", 1 << 20)] {
            check(size, value, Ok(bytes));
        }
        for value in ["", "k", "1.5m", "64 kilo", "99999999999g", "-1"] {
            let line = "not a size; write bytes, or a whole number with k, m or g, such as 64k";
            check(size, value, Err(line));
        }
    }

    #[test]
    fn counts() {
        check(|s| count(s, 1..=100_u32), "100", Ok(100));
        for value in ["0", "101", "+5", "-1", "ten", "", "4294967296"] {
            let line = "not a number in range; write a whole number from 1 to 100";
            check(|s| count(s, 1..=100_u32), value, Err(line));
        }
    }

    #[test]
    fn lists() {
        let parts = |value: &str| list(&said(value)).iter().map(|s| s.value().to_owned()).collect::<Vec<_>>();
        assert_eq!(parts("a, b ,,c,"), ["a", "b", "c"]);
        assert_eq!(parts(r"CN=a\,O=b, c"), ["CN=a,O=b", "c"]);
        assert_eq!(parts(r"a\+b\\,c"), [r"a\+b\,c"]);
        assert_eq!(parts(""), [""; 0]);
    }

    proptest! {
        #[test]
        fn a_list_is_read_back(elements in prop::collection::vec(r"[a-z=,\\ ]{0,8}[a-z,]", 0..6)) {
            let elements: Vec<_> = elements.iter().map(|element| element.trim().to_owned()).collect();
            let read = list(&said(&joined(&elements)));
            prop_assert_eq!(read.iter().map(|s| s.value().to_owned()).collect::<Vec<_>>(), elements);
        }

        #[test]
        fn a_duration_in_ms_is_itself(millis in 0..=LONGEST_MS) {
            prop_assert_eq!(duration(&said(&format!("{millis}ms")), Unit::Seconds), Ok(Duration::from_millis(millis)));
        }
    }
}
