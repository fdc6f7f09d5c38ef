//! `${NAME:-default}` and its relatives, as docker compose fills them in.
//!
//! Used by `tree`. Source: the Compose Specification, 12-interpolation.md.

/// The text with every variable replaced by what `variable` knows of it; one that nobody set counts as empty,
/// as with compose.
///
/// # Errors
/// A sentence about a variable that must be set and is not, or about what is no variable.
pub(super) fn interpolate(text: &str, variable: &impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        plain.push_str(before);
        rest = if let Some(after) = after.strip_prefix('$') {
            plain.push('$');
            after
        } else if let Some(after) = after.strip_prefix('{') {
            let (inside, after) = braced(after).ok_or("a `${` is not closed")?;
            plain.push_str(&expression(inside, variable)?);
            after
        } else {
            let (name, after) = name(after);
            if name.is_empty() {
                return Err("a `$` begins no variable: write `$$` for the character itself".to_owned());
            }
            plain.push_str(&variable(name).unwrap_or_default());
            after
        };
    }
    Ok(plain + rest)
}

/// What is inside the braces, in which others may be, and what follows them.
fn braced(text: &str) -> Option<(&str, &str)> {
    let mut depth = 1_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&text[..at], &text[at + 1..]));
        }
    }
    None
}

fn name(text: &str) -> (&str, &str) {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.split_at(if begins { end } else { 0 })
}

fn expression(inside: &str, variable: &impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let (name, rest) = name(inside);
    if name.is_empty() {
        return Err("a `${` begins no variable".to_owned());
    }
    // With a colon an empty value counts as none.
    let value = variable(name);
    let (value, rest) = match rest.strip_prefix(':') {
        Some(rest) => (value.filter(|value| !value.is_empty()), rest),
        None => (value, rest),
    };
    let mut operator = rest.chars();
    match (operator.next(), value) {
        (None, value) => Ok(value.unwrap_or_default()),
        (Some('-' | '?'), Some(value)) => Ok(value),
        (Some('-'), None) | (Some('+'), Some(_)) => interpolate(operator.as_str(), variable),
        (Some('+'), None) => Ok(String::new()),
        (Some('?'), None) => {
            let why = interpolate(operator.as_str(), variable)?;
            let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
            Err(format!("{name} must be set{why}, and .env does not set it"))
        }
        (Some(_), _) => Err(format!("`${{{name}` is followed by what is no default, no `?` and no `+`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let variable = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        assert_eq!(
            interpolate(text, &variable),
            expected.map(str::to_owned).map_err(str::to_owned),
            "{text}"
        );
    }

    #[test]
    fn every_form_of_the_specification() {
        check("$A-${A}-$$A-$B.", Ok("a-a-$A-."));
        check("${B:-b}${B-b}${A:-b}", Ok("bba"));
        check("${EMPTY:-b}|${EMPTY-b}", Ok("b|"));
        check("${A:+set}${A+set}|${B:+set}${EMPTY:+set}|${EMPTY+set}", Ok("setset||set"));
        check("${B:-${A}:8443}", Ok("a:8443"));
        check("${A:?no}${A?no}", Ok("aa"));
    }

    #[test]
    fn what_must_be_set_is_named_with_its_reason() {
        check("${B:?the port}", Err("B must be set (the port), and .env does not set it"));
        check("${EMPTY:?}", Err("EMPTY must be set, and .env does not set it"));
        check("${B", Err("a `${` is not closed"));
        check("${1}", Err("a `${` begins no variable"));
        check("5 $ a day", Err("a `$` begins no variable: write `$$` for the character itself"));
        check("${A!b}", Err("`${A` is followed by what is no default, no `?` and no `+`"));
    }
}
