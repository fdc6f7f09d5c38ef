//! The words between `-----BEGIN ` and `-----`: what each says is inside.
//!
//! Used by `armor` and `pem`. Sources: RFC 7468, and OpenSSL's include/openssl/pem.h (PEM_STRING_…).

use strsim::damerau_levenshtein;

use super::format::Format;

/// A known label.
#[derive(Debug)]
pub(super) struct Label {
    pub(super) name: &'static str,
    pub(super) inside: Inside,
}

/// What a block of some label holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    /// An X.509 certificate.
    Certificate,
    /// One with OpenSSL's trust settings behind it.
    Trusted,
    /// A private key of any form: which one, its DER tells.
    Key,
    /// A certificate revocation list.
    Crl,
    /// Something else, which has a sentence of its own.
    Other(Format),
    /// Nothing that matters: files have it beside certificates and keys.
    Nothing,
}

/// The label that is written so, whatever became of its spaces.
pub(super) fn of(written: &str) -> Option<&'static Label> {
    let packed = packed(written);
    KNOWN.iter().find(|label| label.name.bytes().filter(|byte| *byte != b' ').eq(packed.bytes()))
}

/// The name of the known label that was meant by something near it.
pub(super) fn near(written: &str) -> Option<&'static str> {
    let packed = packed(written).to_ascii_uppercase();
    let could_be = |label: &&Label| label.name.len().abs_diff(written.trim().len()) <= SLIPS;
    let distance = |label: &Label| damerau_levenshtein(&label.name.replace(' ', ""), &packed);
    let nearest = KNOWN.iter().filter(could_be).map(|label| (distance(label), label.name)).min()?;
    (nearest.0 <= SLIPS).then_some(nearest.1)
}

/// Whether something begins with a known label: what follows it has taken the place of its dashes.
pub(super) fn begins(written: &str) -> bool {
    let packed = packed(written).to_ascii_uppercase();
    KNOWN.iter().any(|label| packed.starts_with(&label.name.replace(' ', "")))
}

fn packed(written: &str) -> String {
    written.split_whitespace().collect()
}

/// Two slips in a label still leave no doubt about what was meant.
const SLIPS: usize = 2;

const KNOWN: [Label; 29] = [
    Label { name: "CERTIFICATE", inside: Inside::Certificate },
    Label { name: "X509 CERTIFICATE", inside: Inside::Certificate },
    Label { name: "X.509 CERTIFICATE", inside: Inside::Certificate },
    Label { name: "TRUSTED CERTIFICATE", inside: Inside::Trusted },
    Label { name: "PRIVATE KEY", inside: Inside::Key },
    Label { name: "RSA PRIVATE KEY", inside: Inside::Key },
    Label { name: "EC PRIVATE KEY", inside: Inside::Key },
    Label { name: "ANY PRIVATE KEY", inside: Inside::Key },
    Label { name: "DSA PRIVATE KEY", inside: Inside::Other(Format::DsaKey) },
    Label { name: "ENCRYPTED PRIVATE KEY", inside: Inside::Other(Format::EncryptedKey) },
    Label { name: "OPENSSH PRIVATE KEY", inside: Inside::Other(Format::OpenSshKey) },
    Label { name: "SSH2 ENCRYPTED PRIVATE KEY", inside: Inside::Other(Format::OpenSshKey) },
    Label { name: "SSH2 PUBLIC KEY", inside: Inside::Other(Format::SshPublicKey) },
    Label { name: "PUBLIC KEY", inside: Inside::Other(Format::PublicKey) },
    Label { name: "RSA PUBLIC KEY", inside: Inside::Other(Format::PublicKey) },
    Label { name: "CERTIFICATE REQUEST", inside: Inside::Other(Format::Request) },
    Label { name: "NEW CERTIFICATE REQUEST", inside: Inside::Other(Format::Request) },
    Label { name: "X509 CRL", inside: Inside::Crl },
    Label { name: "PKCS7", inside: Inside::Other(Format::Pkcs7Pem) },
    Label { name: "PKCS #7 SIGNED DATA", inside: Inside::Other(Format::Pkcs7Pem) },
    Label { name: "CMS", inside: Inside::Other(Format::Pkcs7Pem) },
    Label { name: "PKCS12", inside: Inside::Other(Format::Pkcs12) },
    Label { name: "ATTRIBUTE CERTIFICATE", inside: Inside::Nothing },
    Label { name: "EC PARAMETERS", inside: Inside::Nothing },
    Label { name: "DSA PARAMETERS", inside: Inside::Nothing },
    Label { name: "DH PARAMETERS", inside: Inside::Nothing },
    Label { name: "X9.42 DH PARAMETERS", inside: Inside::Nothing },
    Label { name: "PARAMETERS", inside: Inside::Nothing },
    Label { name: "SSL SESSION PARAMETERS", inside: Inside::Nothing },
];
