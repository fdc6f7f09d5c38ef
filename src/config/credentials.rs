//! Certificates by reference: credentials (a chain with its key) and trusted CAs.
//!
//! The types are shared by `server_tls`, `upstream_tls` and `access`; `snapshot` reads what
//! they refer to.

use super::problem::{Problem, Said};
use super::reference::Reference;

/// A certificate chain and its private key, as references (see [`Reference`](super::Reference)).
#[derive(Debug, Clone)]
pub struct CredentialFiles {
    /// The leaf first, then what leads to a CA.
    pub cert: Said,
    /// The leaf's key.
    pub key: Said,
}

/// Whom to trust.
#[derive(Debug, Clone)]
pub enum CaFiles {
    /// The CAs of the operating system, as was said here.
    System(Said),
    /// These CAs only; each reference may hold several. Never empty.
    Pem(Vec<Said>),
}

impl CaFiles {
    /// What was said: `system`, or each reference.
    pub fn said(&self) -> &[Said] {
        match self {
            Self::System(said) => std::slice::from_ref(said),
            Self::Pem(said) => said,
        }
    }

    /// `system`, or a comma list of references.
    pub(super) fn parse(said: &Said) -> Result<Self, Problem> {
        let references = Reference::list(said);
        let system = references.iter().filter(|part| part.value().eq_ignore_ascii_case("system")).count();
        match references.len() {
            0 => Err(Problem::new(said, "names no certificate", "write a path, PEM text or base64 of PEM")),
            1 if system == 1 => Ok(Self::System(said.clone())),
            _ if system > 0 => {
                let advice = "write `system` alone, or only your own CAs";
                Err(Problem::new(said, "`system` among other CAs", advice))
            }
            _ => Ok(Self::Pem(references)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    fn check(value: &str, expected: Result<&[&str], &str>) {
        let said = Said::new("upstream_ca_certificates", value, Origin::DEFAULT);
        let actual = match CaFiles::parse(&said) {
            Ok(CaFiles::System(_)) => Ok(Vec::new()),
            Ok(CaFiles::Pem(references)) => Ok(references.iter().map(|s| s.value().to_owned()).collect()),
            Err(problem) => Err(problem.to_string()),
        };
        let expected = expected.map(|references| references.iter().map(|r| (*r).to_owned()).collect());
        assert_eq!(actual, expected.map_err(|line| format!("upstream_ca_certificates={line}")));
    }

    #[test]
    fn the_system_or_a_list() {
        check("system", Ok(&[]));
        check("System", Ok(&[]));
        check("/a.pem", Ok(&["/a.pem"]));
        check("/a.pem, /b.pem", Ok(&["/a.pem", "/b.pem"]));
        let line =
            "system,/a (default): `system` among other CAs; write `system` alone, or only your own CAs";
        check("system,/a", Err(line));
        let line = ", (default): names no certificate; write a path, PEM text or base64 of PEM";
        check(",", Err(line));
    }
}
