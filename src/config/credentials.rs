//! Certificates by reference: credentials (a chain with its key) and trusted CAs.
//!
//! The types are shared by `server_tls`, `upstream_tls` and `access`; `snapshot` reads what
//! they refer to.

use super::problem::{Problem, Said};
use super::reference::Reference;

/// A certificate chain and its private key, as references (see [`Reference`]).
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
    /// Those of the operating system, and these. Never empty.
    SystemAnd(Said, Vec<Said>),
}

impl CaFiles {
    /// `system`, where the CAs of the operating system are trusted.
    pub fn system(&self) -> Option<&Said> {
        match self {
            Self::System(said) | Self::SystemAnd(said, _) => Some(said),
            Self::Pem(_) => None,
        }
    }

    /// The references to CAs that are named.
    pub fn own(&self) -> &[Said] {
        match self {
            Self::System(_) => &[],
            Self::Pem(said) | Self::SystemAnd(_, said) => said,
        }
    }

    /// What was said: `system` alone, or each reference.
    pub fn said(&self) -> &[Said] {
        match self {
            Self::System(said) => std::slice::from_ref(said),
            Self::Pem(said) | Self::SystemAnd(_, said) => said,
        }
    }

    /// A comma list of references, of which `system` may be one.
    pub(super) fn parse(said: &Said) -> Result<Self, Problem> {
        let is_system = |part: &Said| part.value().eq_ignore_ascii_case("system");
        let (system, own): (Vec<_>, Vec<_>) = Reference::list(said).into_iter().partition(is_system);
        match (system.into_iter().next(), own) {
            (None, own) if own.is_empty() => {
                Err(Problem::new(said, "names no certificate", "write a path, PEM text or base64 of PEM"))
            }
            (None, own) => Ok(Self::Pem(own)),
            (Some(_), own) if own.is_empty() => Ok(Self::System(said.clone())),
            (Some(system), own) => Ok(Self::SystemAnd(system, own)),
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
            Ok(cas @ CaFiles::Pem(_)) => Ok(cas.said().iter().map(|s| s.value().to_owned()).collect()),
            Ok(CaFiles::SystemAnd(system, own)) => {
                Ok([system].iter().chain(&own).map(|s| s.value().to_owned()).collect())
            }
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
        check("system,/a.pem", Ok(&["system", "/a.pem"]));
        check("/a.pem, SYSTEM, /b.pem", Ok(&["SYSTEM", "/a.pem", "/b.pem"]));
        let line = ", (default): names no certificate; write a path, PEM text or base64 of PEM";
        check(",", Err(line));
    }
}
