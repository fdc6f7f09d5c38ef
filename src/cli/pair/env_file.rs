//! An environment file, as docker's `env_file:` reads it: one `NAME=value` a line.
//!
//! Used by `half`, and for `.env`. Quotes around a whole value and a comment behind it are taken off, as compose
//! does; a name without `=` takes its value from elsewhere.

/// The variables in their order, `None` for a name alone; or the first line that is none.
pub(super) fn parse(text: &str) -> Result<Vec<(String, Option<String>)>, String> {
    let mut variables = Vec::new();
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
        let inside = || format!("line {number} ends inside quotes");
        let value = value.map(|value| unquoted(value.trim()).ok_or_else(inside)).transpose()?;
        variables.push((name.to_owned(), value));
    }
    Ok(variables)
}

/// The value without its quotes, or without the comment behind it; `None` for half a pair of quotes.
fn unquoted(value: &str) -> Option<String> {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return rest.split_once(quote).map(|(inside, _)| inside.to_owned());
        }
    }
    let end = value.find(" #").unwrap_or(value.len());
    Some(value[..end].trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_compose_reads_them() {
        let check = |line: &str, expected: &[(&str, &str)]| {
            let expected: Vec<_> =
                expected.iter().map(|(n, v)| ((*n).to_owned(), Some((*v).to_owned()))).collect();
            assert_eq!(parse(line), Ok(expected), "{line}");
        };
        check("# A=1\n\n  B=2  \n", &[("B", "2")]);
        check("PROXY_LISTEN=0.0.0.0:8443 ssl http2 # TLS", &[("PROXY_LISTEN", "0.0.0.0:8443 ssl http2")]);
        check("A=\"x # y\"\nB='z'", &[("A", "x # y"), ("B", "z")]);
        check("export A=b=c#d", &[("A", "b=c#d")]);
        check("\u{feff}A=1\r\nEMPTY=\r\n", &[("A", "1"), ("EMPTY", "")]);
        assert_eq!(parse("FROM_THE_SHELL"), Ok(vec![("FROM_THE_SHELL".to_owned(), None)]));
    }

    #[test]
    fn what_is_no_variable_is_named_by_its_line() {
        assert_eq!(parse("A=1\nMODE gateway").unwrap_err(), "line 2 is not NAME=value");
        assert_eq!(parse("A=\"1").unwrap_err(), "line 1 ends inside quotes");
    }
}
