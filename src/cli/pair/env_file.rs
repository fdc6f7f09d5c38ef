//! An environment file, as docker's `env_file:` reads it: one `NAME=value` a line.
//!
//! Used by `half`. Quotes around a whole value and a comment behind it are taken off, as compose does; a
//! name without `=`, which would take its value from the shell of the other host, counts as not said.

/// The variables in their order; or the first line that is none.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut variables = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
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
        let Some(value) = value else { continue };
        let value = unquoted(value.trim()).ok_or_else(|| format!("line {number} ends inside quotes"))?;
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
            let expected: Vec<_> = expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(parse(line), Ok(expected), "{line}");
        };
        check("# A=1\n\n  B=2  \n", &[("B", "2")]);
        check("PROXY_LISTEN=0.0.0.0:8443 ssl http2 # TLS", &[("PROXY_LISTEN", "0.0.0.0:8443 ssl http2")]);
        check("A=\"x # y\"\nB='z'", &[("A", "x # y"), ("B", "z")]);
        check("export A=b=c#d", &[("A", "b=c#d")]);
        check("FROM_THE_SHELL\nEMPTY=", &[("EMPTY", "")]);
    }

    #[test]
    fn what_is_no_variable_is_named_by_its_line() {
        assert_eq!(parse("A=1\nMODE gateway").unwrap_err(), "line 2 is not NAME=value");
        assert_eq!(parse("A=\"1").unwrap_err(), "line 1 ends inside quotes");
    }
}
