//! A certificate, parsed once: everything the program wants to know of it, as values.
//!
//! Used for peers (once per connection) and for our own credentials (once per snapshot).
//! Promise: hostile input gives [`Malformed`], never a panic. Nothing here is *verified*: a
//! signature, a time or a chain is the business of `policy` and `tls`.

use std::time::Duration;

use http::HeaderValue;
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use x509_parser::certificate::{TbsCertificate, X509Certificate};
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::OID_X509_EXT_BASIC_CONSTRAINTS;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::distinguished_name::{COMMON_NAME, DistinguishedName, ORGANIZATION, last_value};
use super::escape::{header_value, printable, push_escaped};
use super::name::{CommonName, Fingerprint, SerialNumber};
use super::san::SubjectAltName;

/// The bytes are not a certificate that can be read without guessing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the certificate is malformed: {0}")]
pub struct Malformed(pub(super) &'static str);

/// An X.509 certificate and what it says.
#[derive(Debug, Clone)]
pub struct Certificate {
    der: CertificateDer<'static>,
    subject: DistinguishedName,
    issuer: DistinguishedName,
    common_name: Option<CommonName>,
    organization: Option<String>,
    sans: Vec<SubjectAltName>,
    serial: SerialNumber,
    fingerprint: Fingerprint,
    validity: Validity,
    is_ca: bool,
    is_self_issued: bool,
    allows_client_auth: bool,
    allows_server_auth: bool,
}

impl Certificate {
    /// Reads a certificate from its DER.
    ///
    /// # Errors
    /// The DER is broken or followed by more bytes, an extension we rely on is unreadable or
    /// present twice, or a name is unreadable or longer than 4096 bytes.
    pub fn parse(der: CertificateDer<'static>) -> Result<Self, Malformed> {
        let (rest, x509) =
            X509Certificate::from_der(&der).map_err(|_| Malformed("its encoding is broken"))?;
        if !rest.is_empty() {
            return Err(Malformed("bytes follow its end"));
        }
        let (allows_client_auth, allows_server_auth) = purposes(&x509)?;
        let common_name = last_value(x509.subject(), COMMON_NAME)?.map(CommonName::new);
        Ok(Self {
            subject: DistinguishedName::parse(x509.subject())?,
            issuer: DistinguishedName::parse(x509.issuer())?,
            common_name,
            organization: last_value(x509.subject(), ORGANIZATION)?,
            sans: alternative_names(&x509)?,
            serial: SerialNumber::from_der_content(x509.raw_serial()),
            fingerprint: Fingerprint::of(&der),
            validity: Validity::new(&x509.validity),
            is_ca: is_ca(&x509)?,
            is_self_issued: x509.subject().as_raw() == x509.issuer().as_raw(),
            allows_client_auth,
            allows_server_auth,
            der,
        })
    }

    /// The public key in a certificate's DER (SubjectPublicKeyInfo).
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub fn public_key<'a>(der: &'a CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'a>, Malformed> {
        let (_, x509) = X509Certificate::from_der(der).map_err(|_| Malformed("its encoding is broken"))?;
        Ok(SubjectPublicKeyInfoDer::from(x509.tbs_certificate.subject_pki.raw))
    }

    /// The certificate as it was sent.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Whom the certificate is about.
    pub fn subject(&self) -> &DistinguishedName {
        &self.subject
    }

    /// Who says so.
    pub fn issuer(&self) -> &DistinguishedName {
        &self.issuer
    }

    /// The most specific common name of the subject.
    pub fn common_name(&self) -> Option<&CommonName> {
        self.common_name.as_ref()
    }

    /// The most specific organization of the subject, unescaped.
    pub fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }

    /// The subject alternative names in their order; empty exactly when there is no such extension.
    pub fn sans(&self) -> &[SubjectAltName] {
        &self.sans
    }

    /// Every name by which an operator may mean this certificate: the common name, DNS names and
    /// URIs, unescaped (`trusted_peers`).
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let common_name = self.common_name.as_ref().map(CommonName::as_str);
        let alternatives = self.sans.iter().filter_map(|san| match san {
            SubjectAltName::Dns(name) | SubjectAltName::Uri(name) => Some(name.as_str()),
            _ => None,
        });
        common_name.into_iter().chain(alternatives)
    }

    /// The value of `X-Client-Cert-San`: all alternative names joined by `,`, or the common name
    /// when there are none (Kong); `None` when there is neither.
    ///
    /// A comma inside a name is written `\,`, so a reader that splits at bare commas sees the
    /// names of the certificate and no others. How Kong joins several is not documented.
    pub fn san_header_value(&self) -> Option<HeaderValue> {
        if self.sans.is_empty() {
            return self.common_name.as_ref().map(|name| header_value(name.as_str(), ","));
        }
        let mut value = String::new();
        for (at, san) in self.sans.iter().enumerate() {
            if at > 0 {
                value.push(',');
            }
            push_escaped(&mut value, &san.to_string(), ",");
        }
        Some(printable(value))
    }

    /// The serial number its issuer gave it.
    pub fn serial(&self) -> &SerialNumber {
        &self.serial
    }

    /// The SHA-256 of its DER.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// From when until when it may be used.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Whether it may issue others (basic constraints).
    pub fn is_ca(&self) -> bool {
        self.is_ca
    }

    /// Whether subject and issuer are the same name, as in every root.
    pub fn is_self_issued(&self) -> bool {
        self.is_self_issued
    }

    /// Whether it may be presented by a client: no extended key usage, or one that says so.
    pub fn allows_client_auth(&self) -> bool {
        self.allows_client_auth
    }

    /// Whether it may be presented by a server: no extended key usage, or one that says so.
    pub fn allows_server_auth(&self) -> bool {
        self.allows_server_auth
    }
}

/// The time a certificate may be used in, both ends included; times before 1970 count as 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second it is valid.
    pub not_before: UnixTime,
    /// The last second it is valid.
    pub not_after: UnixTime,
}

impl Validity {
    fn new(validity: &x509_parser::certificate::Validity) -> Self {
        Self { not_before: unix_time(validity.not_before), not_after: unix_time(validity.not_after) }
    }
}

fn unix_time(time: ASN1Time) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0)))
}

fn alternative_names(x509: &TbsCertificate<'_>) -> Result<Vec<SubjectAltName>, Malformed> {
    let extension = x509
        .subject_alternative_name()
        .map_err(|_| Malformed("its subject alternative names are unreadable or given twice"))?;
    let Some(extension) = extension else {
        return Ok(Vec::new());
    };
    if extension.value.general_names.is_empty() {
        // Forbidden by RFC 5280 section 4.2.1.6; accepting it would revive the common name.
        return Err(Malformed("its list of subject alternative names is empty"));
    }
    extension.value.general_names.iter().map(SubjectAltName::parse).collect()
}

fn is_ca(x509: &TbsCertificate<'_>) -> Result<bool, Malformed> {
    const UNREADABLE: Malformed = Malformed("its basic constraints are unreadable or given twice");
    // Not `basic_constraints()`: that one takes an unreadable extension for an absent one.
    let extension = x509.get_extension_unique(&OID_X509_EXT_BASIC_CONSTRAINTS).map_err(|_| UNREADABLE)?;
    match extension.map(|extension| extension.parsed_extension()) {
        None => Ok(false),
        Some(ParsedExtension::BasicConstraints(constraints)) => Ok(constraints.ca),
        Some(_) => Err(UNREADABLE),
    }
}

/// Whether clients and whether servers may present it.
fn purposes(x509: &TbsCertificate<'_>) -> Result<(bool, bool), Malformed> {
    let extension = x509
        .extended_key_usage()
        .map_err(|_| Malformed("its extended key usage is unreadable or given twice"))?;
    Ok(extension.map_or((true, true), |extension| {
        let usage = extension.value;
        (usage.any || usage.client_auth, usage.any || usage.server_auth)
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use rcgen::{
        BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
        SanType,
    };

    use super::*;

    #[test]
    fn a_certificate_says_who_it_is() {
        let certificate = issue(|params| {
            params.distinguished_name.push(DnType::OrganizationName, "Callista, AB");
            params.distinguished_name.push(DnType::CommonName, "client1");
            params.serial_number = Some(vec![0x0a, 0xbc].into());
            params.not_before = rcgen::date_time_ymd(1960, 1, 1);
            params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        });
        assert_eq!(certificate.subject().as_str(), r"CN=client1,O=Callista\, AB");
        assert_eq!(certificate.issuer(), certificate.subject());
        assert_eq!(certificate.common_name().unwrap().as_str(), "client1");
        assert_eq!(certificate.organization(), Some("Callista, AB"));
        assert_eq!(certificate.serial().as_str(), "0ABC");
        assert_eq!(certificate.fingerprint(), &Fingerprint::of(certificate.der()));
        assert_eq!(certificate.validity().not_before.as_secs(), 0);
        assert_eq!(certificate.validity().not_after.as_secs(), 1_893_456_000);
        assert!(certificate.is_self_issued());
        assert!(!certificate.is_ca());
    }

    #[test]
    fn alternative_names_are_one_header_value() {
        check_san(&[], "", None);
        check_san(&[], "client1", Some("client1"));
        check_san(&[], "a,b\n", Some(r"a\,b\0A"));
        check_san(&[dns("a.example")], "client1", Some("a.example"));
        check_san(&[dns("a.example"), uri("spiffe://td/a")], "", Some("a.example,spiffe://td/a"));
        check_san(&[SanType::IpAddress([10, 0, 0, 1].into())], "", Some("10.0.0.1"));
        check_san(&[dns("a,b\\\r\n"), dns(" c ")], "", Some(r"a\,b\\\0D\0A,\ c\20"));
    }

    fn check_san(sans: &[SanType], common_name: &str, expected: Option<&str>) {
        let certificate = issue(|params| {
            params.subject_alt_names = sans.to_vec();
            if !common_name.is_empty() {
                params.distinguished_name.push(DnType::CommonName, common_name);
            }
        });
        let value = certificate.san_header_value();
        assert_eq!(value.as_ref().map(|value| value.to_str().unwrap()), expected);
    }

    #[test]
    fn its_names_are_the_common_name_and_dns_and_uri_names() {
        let certificate = issue(|params| {
            params.distinguished_name.push(DnType::CommonName, "client1");
            let mail = SanType::Rfc822Name("a@example".try_into().unwrap());
            params.subject_alt_names = vec![dns("a.example"), mail, uri("spiffe://td/a")];
        });
        assert_eq!(certificate.names().collect::<Vec<_>>(), ["client1", "a.example", "spiffe://td/a"]);
    }

    #[test]
    fn purposes_are_those_of_the_extended_key_usage() {
        use ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, ServerAuth};
        check_purposes(&[], (true, true));
        check_purposes(&[Any], (true, true));
        check_purposes(&[ClientAuth], (true, false));
        check_purposes(&[ServerAuth], (false, true));
        check_purposes(&[CodeSigning], (false, false));
    }

    fn check_purposes(usages: &[ExtendedKeyUsagePurpose], expected: (bool, bool)) {
        let certificate = issue(|params| params.extended_key_usages = usages.to_vec());
        assert_eq!((certificate.allows_client_auth(), certificate.allows_server_auth()), expected);
    }

    #[test]
    fn a_ca_is_known_by_its_basic_constraints() {
        assert!(issue(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)).is_ca());
        assert!(!issue(|params| params.is_ca = IsCa::ExplicitNoCa).is_ca());
    }

    #[test]
    fn what_cannot_be_read_is_malformed() {
        check_malformed(&[2, 5, 29, 17], b"\x30\x00", "its list of subject alternative names is empty");
        check_malformed(&[2, 5, 29, 17], b"\x30\x03\x82\x01\xff", "a subject alternative name is unreadable");
        check_malformed(
            &[2, 5, 29, 17],
            b"\xff",
            "its subject alternative names are unreadable or given twice",
        );
        check_malformed(&[2, 5, 29, 19], b"\xff", "its basic constraints are unreadable or given twice");
        check_malformed(&[2, 5, 29, 37], b"\xff", "its extended key usage is unreadable or given twice");
        assert_eq!(parse(b"").unwrap_err(), Malformed("its encoding is broken"));
        assert_eq!(
            parse(&[ISSUED.as_slice(), b"x"].concat()).unwrap_err(),
            Malformed("bytes follow its end")
        );
    }

    fn check_malformed(oid: &[u64], content: &[u8], expected: &'static str) {
        let params = |params: &mut CertificateParams| {
            params.custom_extensions = vec![CustomExtension::from_oid_content(oid, content.to_vec())];
        };
        assert_eq!(parse(&der(params)).unwrap_err(), Malformed(expected));
    }

    proptest! {
        #[test]
        fn a_damaged_certificate_is_refused_without_a_panic(
            damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
            length in any::<proptest::sample::Index>(),
            cut in any::<bool>(),
        ) {
            let mut bytes = ISSUED.clone();
            for (at, byte) in damage {
                bytes[at.index(ISSUED.len())] = byte;
            }
            if cut {
                bytes.truncate(length.index(ISSUED.len()));
            }
            if let Ok(certificate) = parse(&bytes) {
                certificate.san_header_value();
                certificate.subject().header_value();
            }
        }
    }

    static ISSUED: LazyLock<Vec<u8>> = LazyLock::new(|| {
        der(|params| {
            params.distinguished_name.push(DnType::CommonName, "client1");
            params.subject_alt_names =
                vec![dns("a.example"), uri("spiffe://td/a"), SanType::IpAddress([1; 4].into())];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.is_ca = IsCa::ExplicitNoCa;
        })
    });

    fn issue(change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        parse(&der(change)).unwrap()
    }

    fn parse(der: &[u8]) -> Result<Certificate, Malformed> {
        Certificate::parse(CertificateDer::from(der.to_vec()))
    }

    fn der(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn dns(name: &str) -> SanType {
        SanType::DnsName(name.try_into().unwrap())
    }

    fn uri(name: &str) -> SanType {
        SanType::URI(name.try_into().unwrap())
    }
}
