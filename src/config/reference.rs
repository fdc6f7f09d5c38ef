//! Where certificate text comes from: a path, or the text itself.
//!
//! Kong takes a path, PEM text or base64 of PEM in the same setting. This tells them apart
//! without opening anything; `snapshot` opens the paths.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::problem::Said;

/// What a certificate or key setting refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A file holding PEM.
    Path(PathBuf),
    /// PEM, decoded if it was base64.
    Text(String),
}

impl Reference {
    /// PEM if it has a PEM header, plainly or after decoding base64; a path otherwise.
    pub fn of(said: &Said) -> Self {
        let value = said.value();
        if value.contains(PEM_HEADER) {
            return Self::Text(value.to_owned());
        }
        decoded(value).map_or_else(|| Self::Path(value.into()), Self::Text)
    }
}

/// Base64 may be wrapped at any column, as `base64` without `-w0` writes it.
fn decoded(value: &str) -> Option<String> {
    let packed: String = value.split_whitespace().collect();
    let text = String::from_utf8(STANDARD.decode(packed).ok()?).ok()?;
    text.contains(PEM_HEADER).then_some(text)
}

const PEM_HEADER: &str = "-----BEGIN";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn check(value: &str, expected: Reference) {
        assert_eq!(Reference::of(&Said::new("ssl_cert", value, Origin::DEFAULT)), expected);
    }

    #[test]
    fn path_text_and_base64_are_told_apart() {
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
        check("/run/tls/client.pem", Reference::Path("/run/tls/client.pem".into()));
        check("client", Reference::Path("client".into()));
        check(pem, Reference::Text(pem.to_owned()));
        let packed = STANDARD.encode(pem);
        check(&packed, Reference::Text(pem.to_owned()));
        let (front, back) = packed.split_at(40);
        check(&format!("{front}\n{back}\n"), Reference::Text(pem.to_owned()));
    }
}
