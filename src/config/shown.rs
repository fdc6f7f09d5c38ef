//! What of a value may be printed: a path may, and what could be a part of a private key may not.
//!
//! Used by `problem`. A key that lost its boundaries, or a piece of one, is text like any other; so a value is
//! printed where keys and certificates are named only if it reads like a path, and elsewhere nothing in it may
//! look like base64.

/// Certainly a path, or a comma list of some, and no part of a key: of the words between its signs at most one, and
/// a short one, is not like a word of people's.
pub(super) fn is_path(text: &str) -> bool {
    text.split(',').all(|path| {
        let path = path.trim();
        let sign =
            |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() && !c.is_control() || "/._-~@: ".contains(c);
        let mut odd = words(path).filter(|word| !is_word(word));
        path.chars().all(sign)
            && (path.starts_with('/') || path.contains('.') || is_name(path))
            && odd.next().is_none_or(|word| word.len() <= SHORT)
            && odd.next().is_none()
    })
}

/// A name such as `system` or `client-cert`: words only.
fn is_name(text: &str) -> bool {
    text.len() < SHORTEST_SECRET || words(text).all(is_word) && text.len() <= LONGEST_NAME
}

/// Whether some of it looks like base64: so many characters, with nothing but `/` and `+` between them, in words
/// that people would not write.
pub(super) fn looks_secret(text: &str) -> bool {
    text.split(|c| !is_base64(c)).any(|run| odd(run) >= LONG)
}

/// How many characters of a run of base64's are in words that people would not write.
fn odd(run: &str) -> usize {
    words(run).filter(|word| !is_word(word)).map(str::len).sum()
}

fn is_base64(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+/".contains(c)
}

/// The text with `***` for whatever looks like base64. Where one piece does, so do shorter ones: the last line of a
/// key is any length.
pub(super) fn scrubbed(text: String) -> String {
    if !looks_secret(&text) {
        return text;
    }
    let mut scrubbed = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let end = rest.find(|c| !is_base64(c)).unwrap_or(rest.len());
        let (run, more) = rest.split_at(end);
        scrubbed.push_str(if odd(run) >= SHORTEST_SECRET { "***" } else { run });
        let next = more.find(is_base64).unwrap_or(more.len());
        scrubbed.push_str(&more[..next]);
        rest = &more[next..];
    }
    scrubbed
}

/// Between all signs but the one that base64 has in it and paths have not.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '+')).filter(|word| !word.is_empty())
}

/// As people write them: one case, or capitals here and there, and digits at the end. Hexadecimal digits too.
fn is_word(word: &str) -> bool {
    let count = |of: fn(&char) -> bool| word.chars().filter(of).count();
    let (lower, upper) = (count(char::is_ascii_lowercase), count(char::is_ascii_uppercase));
    let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
    match () {
        () if word.contains('+') => false,
        () if upper == 0 => word.len() <= LONGEST_NAME,
        () if lower == 0 => word.len() <= SHORT || word.chars().all(|c| c.is_ascii_hexdigit()),
        () => {
            letters.chars().all(|c| c.is_ascii_alphabetic())
                && (letters.len() <= 4 || upper * 3 <= letters.len())
        }
    }
}

/// Of base64, a short word tells nothing.
const SHORTEST_SECRET: usize = 12;

/// A word of a path that is like none, such as what makes a temporary folder's name unique.
const SHORT: usize = 10;

/// More of that than any setting has but those of keys and certificates.
const LONG: usize = 20;

/// As many digits as a SHA-256 has.
const LONGEST_NAME: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_from_pieces_of_keys() {
        for path in [
            "/run/secrets/client.key",
            "/tmp/.tmpAbC123/late.crt",
            "certs/tls.key",
            "/etc/ssl/MyCompany/Server2024.pem",
            "/a.pem, /b.pem",
            "system",
            "/var/lib/docker/volumes/0f343b0931126a20f133d67c2b018a3b0f343b0931126a20f133d67c2b018a3b/_data",
            "./Zertifikate für Kunden/tls.crt",
        ] {
            assert!(is_path(path), "{path}");
        }
        for secret in [
            "MHcCAQEEIBkg4LVWM9nuwNSk3yByxZpYRTBnVJs3G3e0",
            "/wBb3xQ9dPm2L/aB8cDefG",
            "AwEHoUQDQgAE.aB3dEfGh",
            "{\"key\": \"MHcCAQEEIBkg4LVW\"}",
            "EEIBkg4LVWM9nuwNSk3yByxZ",
        ] {
            assert!(!is_path(secret), "{secret}");
        }
    }

    #[test]
    fn what_looks_like_base64_is_covered_and_nothing_else() {
        let check = |text: &str, expected: &str| assert_eq!(scrubbed(text.to_owned()), expected);
        check("`MHcCAQEEIBkg4LVWM9nuwNSk3yByx/pYRTBnVJs3G3e0=` is not a word", "`***=` is not a word");
        check("XHPVELl38V0KV8Q0YOP/If6lujGhRANCAAQz2/+tIE/eX3ZdZqIM/mX2Wt7i70Td", "***");
        check("MHcCAQEEIBkg4LVWM9nuwNSk3yByx YKZtNIB1vbUkHAF is", "*** *** is");
        check("YKZtNIB1vbUkHAF is", "YKZtNIB1vbUkHAF is");
        check("ssl_cert=MHcCAQEEIBkg4LVWM9nuwNSk3yByx", "ssl_cert=***");
        check("retries=18446744073709551615", "retries=18446744073709551615");
        check("/certs/client.crt is missing", "/certs/client.crt is missing");
        check("SHA256 0F343B0931126A20F133D67C2B018A3B", "SHA256 0F343B0931126A20F133D67C2B018A3B");
        check(
            "mtls_auth_ca_certificates, KONG_NGINX_PROXY_SSL_CLIENT_CERTIFICATE",
            "mtls_auth_ca_certificates, KONG_NGINX_PROXY_SSL_CLIENT_CERTIFICATE",
        );
        check("unauthenticatedRequestsForServices", "unauthenticatedRequestsForServices");
    }
}
