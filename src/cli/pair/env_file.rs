//! An environment file, as docker's `env_file:` and `.env` are read: one `NAME=value` a line.
//!
//! Used by `half`, and for `.env`. Quotes around a whole value and a comment behind it are taken off, and
//! variables are filled in except in single quotes, as compose does; a name without `=` takes its value from
//! elsewhere.

use super::compose_file::interpolate;

/// The variables in their order, `None` for a name alone; or the first line that is none. What a value names is
/// looked up in the lines before it, then by `elsewhere`.
pub(super) fn parse(
    text: &str,
    elsewhere: &impl Fn(&str) -> Option<String>,
) -> Result<Vec<(String, Option<String>)>, String> {
    let mut variables: Vec<(String, Option<String>)> = Vec::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').map_or((line, None), |(name, value)| (name, Some(value)));
        let name = name.trim();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(format!("line {number} is not NAME=value"));
        }
        let before = |name: &str| {
            let known = variables.iter().rev().find(|(known, value)| known == name && value.is_some());
            known.and_then(|(_, value)| value.clone()).or_else(|| elsewhere(name))
        };
        let inside = || format!("line {number} ends inside quotes");
        let value = value.map(|value| read(value.trim(), &before).ok_or_else(inside)).transpose()?;
        variables.push((name.to_owned(), value));
    }
    Ok(variables)
}

/// The value without its quotes, or without the comment behind it; `None` for half a pair of quotes.
fn read(value: &str, variable: &impl Fn(&str) -> Option<String>) -> Option<String> {
    if let Some(rest) = value.strip_prefix('\'') {
        return rest.split_once('\'').map(|(inside, _)| inside.to_owned());
    }
    let plain = match value.strip_prefix('"') {
        Some(rest) => rest.split_once('"')?.0,
        None => value[..value.find(" #").unwrap_or(value.len())].trim_end(),
    };
    // A `$` that begins nothing stands for itself here.
    Some(interpolate(plain, variable).unwrap_or_else(|_| plain.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, Option<String>)>, String> {
        parse(text, &|name| (name == "PORT").then(|| "9443".to_owned()))
    }

    #[test]
    fn values_as_compose_reads_them() {
        let check = |line: &str, expected: &[(&str, &str)]| {
            let expected: Vec<_> =
                expected.iter().map(|(n, v)| ((*n).to_owned(), Some((*v).to_owned()))).collect();
            assert_eq!(read(line), Ok(expected), "{line}");
        };
        check("# A=1\n\n  B=2  \n", &[("B", "2")]);
        check("PROXY_LISTEN=0.0.0.0:8443 ssl http2 # TLS", &[("PROXY_LISTEN", "0.0.0.0:8443 ssl http2")]);
        check("A=\"x # y\"\nB='z'", &[("A", "x # y"), ("B", "z")]);
        check("export A=b=c#d", &[("A", "b=c#d")]);
        check("\u{feff}A=1\r\nEMPTY=\r\n", &[("A", "1"), ("EMPTY", "")]);
        assert_eq!(read("FROM_THE_SHELL"), Ok(vec![("FROM_THE_SHELL".to_owned(), None)]));
    }

    #[test]
    fn variables_are_filled_in_except_in_single_quotes() {
        let check = |text: &str, expected: &str| {
            assert_eq!(read(text).unwrap().pop().unwrap().1.as_deref(), Some(expected), "{text}");
        };
        check("URL=https://gateway:${PORT}", "https://gateway:9443");
        check("URL=\"https://gateway:${PORT:-1}\"", "https://gateway:9443");
        check("PORT=1\nURL=https://gateway:$PORT", "https://gateway:1");
        check("URL='https://gateway:${PORT}'", "https://gateway:${PORT}");
        check("A=5 $ a day", "5 $ a day");
    }

    #[test]
    fn what_is_no_variable_is_named_by_its_line() {
        assert_eq!(read("A=1\nMODE gateway").unwrap_err(), "line 2 is not NAME=value");
        assert_eq!(read("A=\"1").unwrap_err(), "line 1 ends inside quotes");
    }
}
