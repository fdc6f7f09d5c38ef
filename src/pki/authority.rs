//! A certificate authority: a root, or an intermediate under one.

use std::collections::HashSet;
use std::fmt;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use time::OffsetDateTime;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::issued::{certificates_pem, key_pem};
use super::leaf::serial_number;
use super::{Error, Issued, KeyKind, Leaf, Validity};

/// Issues certificates. `Debug` shows its subject and never the key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    /// What is sent along with each issued leaf: this authority and those above it, without the root.
    intermediates: Vec<CertificateDer<'static>>,
    key_pem: String,
    not_after: OffsetDateTime,
}

impl Authority {
    /// A root of that CN with a P-256 key, valid for a year.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(common_name: &str) -> Result<Self, Error> {
        Self::with(common_name, Validity::days(Self::DAYS), KeyKind::default())
    }

    /// A root with everything said. An expired one is made as willingly.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn with(common_name: &str, validity: Validity, key_kind: KeyKind) -> Result<Self, Error> {
        let key = key_kind.generate()?;
        let parameters = parameters(common_name, validity)?;
        let certificate = parameters.self_signed(&key)?.into();
        Ok(Self::from_parts(parameters, certificate, Vec::new(), key))
    }

    /// An authority issued by this one, valid for a year. What it issues carries it in the chain.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn intermediate(&self, common_name: &str) -> Result<Self, Error> {
        self.intermediate_with(common_name, Validity::days(Self::DAYS), KeyKind::default())
    }

    /// An authority issued by this one, with everything said.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn intermediate_with(
        &self,
        common_name: &str,
        validity: Validity,
        key_kind: KeyKind,
    ) -> Result<Self, Error> {
        let key = key_kind.generate()?;
        let parameters = parameters(common_name, validity)?;
        let certificate: CertificateDer<'static> = parameters.signed_by(&key, &self.issuer)?.into();
        let mut intermediates = vec![certificate.clone()];
        intermediates.extend_from_slice(&self.intermediates);
        Ok(Self::from_parts(parameters, certificate, intermediates, key))
    }

    /// An authority that was made before: its certificate first, then any intermediates above it, and its key.
    ///
    /// # Errors
    /// When either cannot be read, they do not belong together, or the certificate is not a CA's.
    pub fn load(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'_>) -> Result<Self, Error> {
        let certificate = chain.first().cloned().ok_or(Error::CaCertificate)?;
        let key_pem = key_pem(key);
        let key = KeyPair::try_from(key).map_err(|_| Error::CaKey)?;

        let not_after = issuing_until(&certificate, &key)?;
        Ok(Self {
            issuer: Issuer::from_ca_cert_der(&certificate, key)?,
            certificate,
            intermediates: chain.into_iter().filter(|der| !is_self_issued(der)).collect(),
            key_pem,
            not_after,
        })
    }

    /// Makes a key and a certificate for it.
    ///
    /// # Errors
    /// When a name cannot be written, or no key can be made.
    pub fn issue(&self, leaf: &Leaf) -> Result<Issued, Error> {
        let key = leaf.key_kind.generate()?;
        let certificate = leaf.parameters()?.signed_by(&key, &self.issuer)?;
        Ok(Issued::new(certificate.into(), &self.intermediates, &key))
    }

    /// PEM of this authority's certificate alone: for a root, what others put into their trust.
    pub fn certificate_pem(&self) -> String {
        certificates_pem(std::slice::from_ref(&self.certificate))
    }

    /// This authority's certificate, DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// PEM of the private key: PKCS#8, or as it was loaded.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// The last second of this authority's own certificate.
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// How many days an authority is good for unless something else is said.
    pub const DAYS: u16 = 365;

    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    fn from_parts(
        parameters: CertificateParams,
        certificate: CertificateDer<'static>,
        intermediates: Vec<CertificateDer<'static>>,
        key: KeyPair,
    ) -> Self {
        Self {
            certificate,
            intermediates,
            key_pem: key.serialize_pem(),
            not_after: parameters.not_after,
            issuer: Issuer::new(parameters, key),
        }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

fn parameters(common_name: &str, validity: Validity) -> Result<CertificateParams, Error> {
    let mut parameters = CertificateParams::default();
    parameters.not_before = validity.not_before;
    parameters.not_after = validity.not_after;
    parameters.serial_number = Some(serial_number()?);
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.use_authority_key_identifier_extension = true;
    Ok(parameters)
}

/// Checks that `key` may issue in the name of `certificate`, and tells until when.
fn issuing_until(certificate: &CertificateDer<'_>, key: &KeyPair) -> Result<OffsetDateTime, Error> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| Error::CaCertificate)?;
    if !parsed.is_ca() {
        return Err(Error::NotAnAuthority);
    }
    if parsed.public_key().raw != key.subject_public_key_info() {
        return Err(Error::KeyMismatch);
    }
    // rcgen keeps one value of each attribute, and would drop the others from the issuer's name.
    let mut seen = HashSet::new();
    if !parsed.subject().iter_attributes().all(|attribute| seen.insert(attribute.attr_type().clone())) {
        return Err(Error::RepeatedAttribute);
    }
    Ok(parsed.validity().not_after.to_datetime())
}

fn is_self_issued(der: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(der)
        .is_ok_and(|(_, parsed)| parsed.subject().as_raw() == parsed.issuer().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::pem;

    fn load(certificate_pem: &str, key_pem: &str) -> Result<Authority, Error> {
        let chain = pem::certificates(certificate_pem.as_bytes()).unwrap();
        Authority::load(chain, &pem::private_key(key_pem.as_bytes()).unwrap())
    }

    #[test]
    fn an_authority_is_read_back_as_it_was_made() {
        let made = Authority::new("Example CA").unwrap();
        let loaded = load(&made.certificate_pem(), made.key_pem()).unwrap();
        assert_eq!(loaded.certificate(), made.certificate());
        assert_eq!(loaded.not_after().unix_timestamp(), made.not_after().unix_timestamp());
        assert_eq!(loaded.issue(&Leaf::client("billing")).unwrap().chain().len(), 1);
    }

    #[test]
    fn a_chain_carries_every_intermediate_and_no_root() {
        let root = Authority::new("Root").unwrap();
        let lower = root.intermediate("Upper").unwrap().intermediate("Lower").unwrap();
        let chain = lower.issue(&Leaf::client("billing")).unwrap().chain();
        assert_eq!(chain.len(), 3);
        assert_eq!(&chain[1], lower.certificate());
        assert!(!chain.contains(root.certificate()));
    }

    #[test]
    fn a_loaded_intermediate_still_sends_itself_and_not_the_root() {
        let root = Authority::new("Root").unwrap();
        let lower = root.intermediate("Lower").unwrap();
        let pem = lower.certificate_pem() + &root.certificate_pem();
        let chain = load(&pem, lower.key_pem()).unwrap().issue(&Leaf::client("x")).unwrap().chain();
        assert_eq!(chain[1..], [lower.certificate().clone()]);
    }

    fn check_refused(certificate_pem: &str, key_pem: &str, expected: &str) {
        let refusal = load(certificate_pem, key_pem).unwrap_err().to_string();
        assert!(refusal.contains(expected), "{refusal}");
    }

    #[test]
    fn what_cannot_issue_is_not_loaded() {
        let ca = Authority::new("Example CA").unwrap();
        let other = Authority::new("Example CA").unwrap();
        let leaf = ca.issue(&Leaf::client("billing")).unwrap();
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        check_refused(garbage, ca.key_pem(), "CA certificate cannot be read");
        let garbage = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        check_refused(&ca.certificate_pem(), garbage, "CA key cannot be read");
        check_refused(&ca.certificate_pem(), other.key_pem(), "does not belong");
        check_refused(&leaf.certificate_pem, &leaf.key_pem, "is not a CA");
    }

    #[test]
    fn debug_shows_no_key() {
        let ca = Authority::new("Example CA").unwrap();
        let secret: String = ca.key_pem().lines().nth(1).unwrap().to_owned();
        assert!(!format!("{ca:?}").contains(&secret));
        assert!(!format!("{:?}", ca.issue(&Leaf::client("billing")).unwrap()).contains("PRIVATE"));
    }
}
