//! Name constraints of kinds that webpki refuses, kept or not: on directory names, mail addresses, URIs and
//! others (RFC 5280 section 4.2.1.10 allows that). Looked for only to say so.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::identity::{Certificate, SubjectAltName};

/// The kinds of names that `ca` constrains, that `leaf` has, and that are not evaluated; `None`: there are none.
pub(super) fn not_evaluated(ca: &Certificate, leaf: &Certificate) -> Option<String> {
    let (_, x509) = X509Certificate::from_der(ca.der()).ok()?;
    let constraints = x509.name_constraints().ok()??.value;
    let subtrees = constraints.permitted_subtrees.iter().chain(&constraints.excluded_subtrees).flatten();
    let mut kinds: Vec<_> = subtrees.filter_map(|subtree| kind(&subtree.base, leaf)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    (!kinds.is_empty()).then(|| kinds.join(", "))
}

fn kind(constraint: &GeneralName<'_>, leaf: &Certificate) -> Option<&'static str> {
    let has = |is: fn(&SubjectAltName) -> bool| leaf.sans().iter().any(is);
    match constraint {
        GeneralName::DNSName(_) | GeneralName::IPAddress(_) => None,
        // Every certificate has one: its subject.
        GeneralName::DirectoryName(_) => Some("directory names"),
        GeneralName::RFC822Name(_) => {
            has(|san| matches!(san, SubjectAltName::Email(_))).then_some("mail addresses")
        }
        GeneralName::URI(_) => has(|san| matches!(san, SubjectAltName::Uri(_))).then_some("URIs"),
        _ => has(|san| matches!(san, SubjectAltName::Other(_))).then_some("other names"),
    }
}
