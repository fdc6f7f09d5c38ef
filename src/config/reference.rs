//! Where certificate text comes from: a path, or the text itself.
//!
//! Kong takes a path, PEM text or base64 of PEM in the same setting. This tells them apart
//! without opening anything; `snapshot` opens the paths.

use std::path::PathBuf;

use super::problem::Said;
use super::value;
use crate::tls::pem;

/// What a certificate or key setting refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A file.
    Path(PathBuf),
    /// The thing itself: PEM in whatever condition, or what its base64 stands for.
    Text(Vec<u8>),
    /// A path in quotes, which a shell would have taken off, and docker's `--env-file` does not.
    Quoted,
    /// Kong's `{vault://…}`.
    Vault,
}

impl Reference {
    /// Text if it has a PEM boundary, or is base64 of something known; a path otherwise.
    pub fn of(said: &Said) -> Self {
        let value = said.value();
        if pem::is_pem(value) {
            return Self::Text(value.as_bytes().to_vec());
        }
        if let Some(bytes) = pem::unpacked(value) {
            return Self::Text(bytes);
        }
        let quote = |quote: char| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
        match value {
            _ if value.trim_matches(['"', '\'']).starts_with("{vault://") => Self::Vault,
            _ if quote('"') || quote('\'') => Self::Quoted,
            _ => Self::Path(value.into()),
        }
    }

    /// The references of a comma list. Commas within a PEM block, or within base64 that is one thing, are what
    /// became of its line breaks.
    pub(super) fn list(said: &Said) -> Vec<Said> {
        let parts = value::list(said);
        if parts.len() > 1 && !parts.iter().all(|part| is_whole(part.value())) {
            let whole = said.value();
            if pem::is_pem(whole) {
                return blocks(&parts);
            }
            if pem::unpacked(whole).is_some() {
                return vec![said.clone()];
            }
        }
        parts
    }
}

/// Whether it is all of some PEM or DER, perhaps in base64.
fn is_whole(text: &str) -> bool {
    if pem::is_pem(text) {
        return text.contains("-BEGIN") && !is_open(text);
    }
    let unpacked = pem::unpacked(text);
    unpacked.is_some_and(|bytes| String::from_utf8(bytes).map_or(true, |inside| is_whole(&inside)))
}

/// Joins the parts of each block that was taken apart.
fn blocks(parts: &[Said]) -> Vec<Said> {
    let mut joined: Vec<Said> = Vec::new();
    for part in parts {
        match joined.last_mut() {
            Some(last) if is_open(last.value()) => {
                *last = last.part(format!("{},{}", last.value(), part.value()))
            }
            _ => joined.push(part.clone()),
        }
    }
    joined
}

/// Whether it ends within a block.
fn is_open(text: &str) -> bool {
    let last = |word: &str| text.rfind(word);
    match (last("-BEGIN"), last("-END")) {
        (Some(begin), Some(end)) => begin > end,
        (begin, _) => begin.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::config::Origin;

    fn said(value: &str) -> Said {
        Said::new("ssl_cert", value, Origin::DEFAULT)
    }

    fn check(value: &str, expected: Reference) {
        assert_eq!(Reference::of(&said(value)), expected, "{value}");
    }

    #[test]
    fn path_text_and_base64_are_told_apart() {
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
        let text = || Reference::Text(pem.into());
        check("/run/tls/client.pem", Reference::Path("/run/tls/client.pem".into()));
        check("client", Reference::Path("client".into()));
        check(pem, text());
        let packed = STANDARD.encode(pem);
        check(&packed, text());
        let (front, back) = packed.split_at(40);
        check(&format!("{front}\n{back}\n"), text());
        check(&format!("\"{front}\\n{back}\""), text());
        check(&STANDARD.encode(&packed), Reference::Text(packed.clone().into()));
        let escaped = pem.replace('\n', "\\n");
        check(&escaped, Reference::Text(escaped.clone().into()));
        let damaged = "----BEGIN CERTIFICATE----\nAAAA";
        check(damaged, Reference::Text(damaged.into()));
        check("'/run/tls/client.pem'", Reference::Quoted);
        check("\"client\"", Reference::Quoted);
        check("{vault://env/cert-key}", Reference::Vault);
    }

    #[test]
    fn a_list_is_not_split_within_what_is_one() {
        let list = |value: &str| -> Vec<_> {
            Reference::list(&said(value)).iter().map(|part| part.value().to_owned()).collect()
        };
        assert_eq!(list("/a.pem, /b.pem"), ["/a.pem", "/b.pem"]);
        let pem = "-----BEGIN CERTIFICATE-----,AAAA,BBBB,-----END CERTIFICATE-----";
        assert_eq!(list(pem), [pem]);
        assert_eq!(list(&format!("/a.pem,{pem},{pem},/b.pem")), ["/a.pem", pem, pem, "/b.pem"]);
        let packed = STANDARD.encode(pem);
        assert_eq!(list(&format!("{packed},{packed}")), [packed.clone(), packed.clone()]);
        let (front, back) = packed.split_at(40);
        let broken = format!("{front},{back}");
        assert_eq!(list(&broken), [broken.as_str()]);
    }
}
