//! What is asked: a certificate, who issued it, and where they say its status is told.
//!
//! Made by `policy` for each certificate of a chain that was already accepted; nothing of a
//! stranger's certificate is ever asked or dialled. Used by every other file here.

use std::sync::Arc;

use aws_lc_rs::digest;
use http::Uri;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use x509_parser::certificate::{TbsCertificate, X509Certificate};
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::oid_registry::{
    OID_PKIX_ACCESS_DESCRIPTOR_OCSP, OID_PKIX_AUTHORITY_INFO_ACCESS, OID_X509_EXT_CRL_DISTRIBUTION_POINTS,
    Oid,
};
use x509_parser::prelude::FromDer;

use super::{Fetching, Refused};

/// Places of one kind that are tried for one certificate; more would only help who wants to keep us busy.
const MAX_PLACES: usize = 3;

/// The status of one certificate, to be asked.
#[derive(Debug, Clone)]
pub struct Query {
    pub(super) subject: Box<str>,
    pub(super) serial: Serial,
    /// As it is encoded in the certificate.
    pub(super) raw_serial: Box<[u8]>,
    pub(super) is_ca: bool,
    pub(super) issuer: Arc<Issuer>,
    /// OCSP responders, http first.
    pub(super) ocsp: Vec<Uri>,
    /// CRLs, http first.
    pub(super) crls: Vec<Uri>,
    /// Every URI by which the certificate names its CRLs, as written.
    pub(super) crl_names: Vec<Box<str>>,
    pub(super) settings: Arc<Fetching>,
}

/// Whether they ask about the same certificate.
impl PartialEq for Query {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Query {
    /// `issuer` is the certificate that was found to have signed `certificate`; both in DER.
    ///
    /// # Errors
    /// When one of them cannot be read, or where the status is told is unreadable or told twice:
    /// such a certificate must not pass where revocation matters.
    pub fn new(
        certificate: &CertificateDer<'_>,
        issuer: &CertificateDer<'_>,
        settings: Arc<Fetching>,
    ) -> Result<Self, Refused> {
        let (_, x509) = X509Certificate::from_der(certificate).map_err(|_| UNREADABLE)?;
        let issuer = Issuer::new(issuer)?;
        if x509.issuer().as_raw() != issuer.name.as_ref() {
            return Err(Refused("its issuer has another name"));
        }
        let crl_names = crl_names(&x509)?;
        let crls = http_only(crl_names.iter().map(AsRef::as_ref));
        Ok(Self {
            // For the log, where a line must stay one.
            subject: x509.subject().to_string().escape_debug().collect::<String>().into(),
            serial: Serial::new(x509.raw_serial())?,
            raw_serial: x509.raw_serial().into(),
            is_ca: x509.is_ca(),
            issuer: Arc::new(issuer),
            ocsp: http_only(responders(&x509)?.into_iter()),
            crls,
            crl_names,
            settings,
        })
    }

    /// Under what its status is remembered.
    pub(super) fn key(&self) -> Key {
        Key { issuer: self.issuer.id, serial: self.serial }
    }
}

/// A certificate, wherever it turns up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    issuer: IssuerId,
    serial: Serial,
}

/// The digest of an issuer's name and key: a renewed CA certificate is the same issuer.
pub(super) type IssuerId = [u8; 32];

/// Who issued certificates, and answers for them.
#[derive(Debug, Clone)]
pub(super) struct Issuer {
    pub(super) id: IssuerId,
    pub(super) der: CertificateDer<'static>,
    /// The subject, DER.
    pub(super) name: Box<[u8]>,
    pub(super) key: SubjectPublicKeyInfoDer<'static>,
    /// SHA-1 of the subject and of the bare key, by which OCSP names an issuer (RFC 6960 section 4.1.1).
    pub(super) name_hash: [u8; 20],
    pub(super) key_hash: [u8; 20],
    /// No key usage, or one with cRLSign.
    pub(super) signs_crls: bool,
}

impl Issuer {
    pub(super) fn new(der: &CertificateDer<'_>) -> Result<Self, Refused> {
        let (_, x509) = X509Certificate::from_der(der).map_err(|_| UNREADABLE)?;
        let name = x509.subject().as_raw();
        let key = &x509.tbs_certificate.subject_pki;
        let mut id = digest::Context::new(&digest::SHA256);
        id.update(name);
        id.update(key.raw);
        let usage = x509.key_usage().map_err(|_| Refused("its issuer's key usage is unreadable"))?;
        Ok(Self {
            id: array(id.finish().as_ref()),
            name_hash: sha1(name),
            key_hash: sha1(&key.subject_public_key.data),
            signs_crls: usage.is_none_or(|usage| usage.value.crl_sign()),
            name: name.into(),
            key: SubjectPublicKeyInfoDer::from(key.raw).into_owned(),
            der: der.clone().into_owned(),
        })
    }
}

/// A serial number, without the zeros before it; at most 20 bytes (RFC 5280 section 4.1.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Serial {
    length: u8,
    bytes: [u8; 20],
}

impl Serial {
    /// From the content of the INTEGER.
    pub(super) fn new(raw: &[u8]) -> Result<Self, Refused> {
        let digits = &raw[raw.iter().take_while(|byte| **byte == 0).count()..];
        let mut bytes = [0; 20];
        let place =
            bytes.get_mut(..digits.len()).ok_or(Refused("a serial number is longer than 20 bytes"))?;
        place.copy_from_slice(digits);
        Ok(Self { length: digits.len() as u8, bytes })
    }
}

const UNREADABLE: Refused = Refused("the certificate cannot be read");

/// SHA-1 names an issuer here and proves nothing.
pub(super) fn sha1(bytes: &[u8]) -> [u8; 20] {
    array(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref())
}

/// Of a digest with that length.
fn array<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(digest);
    bytes
}

fn responders<'a>(x509: &'a TbsCertificate<'_>) -> Result<Vec<&'a str>, Refused> {
    const BROKEN: Refused = Refused("its authority information access is unreadable or given twice");
    let access = match extension(x509, &OID_PKIX_AUTHORITY_INFO_ACCESS, BROKEN)? {
        None => return Ok(Vec::new()),
        Some(ParsedExtension::AuthorityInfoAccess(access)) => access,
        Some(_) => return Err(BROKEN),
    };
    let ocsp = access.iter().filter(|place| place.access_method == OID_PKIX_ACCESS_DESCRIPTOR_OCSP);
    Ok(ocsp.filter_map(|place| uri(&place.access_location)).collect())
}

/// Points for some reasons only, or of another issuer, cannot show that a certificate is good.
fn crl_names(x509: &TbsCertificate<'_>) -> Result<Vec<Box<str>>, Refused> {
    const BROKEN: Refused = Refused("its CRL distribution points are unreadable or given twice");
    let points = match extension(x509, &OID_X509_EXT_CRL_DISTRIBUTION_POINTS, BROKEN)? {
        None => return Ok(Vec::new()),
        Some(ParsedExtension::CRLDistributionPoints(points)) => points,
        Some(_) => return Err(BROKEN),
    };
    let whole = points.iter().filter(|point| point.reasons.is_none() && point.crl_issuer.is_none());
    let names = whole.filter_map(|point| match &point.distribution_point {
        Some(DistributionPointName::FullName(names)) => Some(names),
        _ => None,
    });
    Ok(names.flatten().filter_map(uri).map(Into::into).collect())
}

fn extension<'a>(
    x509: &'a TbsCertificate<'_>,
    oid: &Oid<'_>,
    broken: Refused,
) -> Result<Option<&'a ParsedExtension<'a>>, Refused> {
    let found = x509.get_extension_unique(oid).map_err(|_| broken)?;
    Ok(found.map(|extension| extension.parsed_extension()))
}

fn uri<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    match name {
        GeneralName::URI(uri) => Some(uri),
        _ => None,
    }
}

/// Those that can be asked (not ldap), http first: it needs no other certificate to be believed.
fn http_only<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Uri> {
    let usable = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    let mut uris: Vec<Uri> = names.filter_map(|name| name.parse().ok()).filter(usable).collect();
    uris.sort_by_key(|uri| uri.scheme_str() != Some("http"));
    uris.truncate(MAX_PLACES);
    uris
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::world::{Ca, access, settings};
    use super::*;

    #[test]
    fn a_certificate_says_where_to_ask_and_ldap_is_not_for_us() {
        let ca = Ca::new("ca");
        let responders = ["https://a.example/", "http://b.example/ocsp", "ldap://c.example/"];
        let lists = ["ldap://d.example/cn=ca", "http://e.example/ca.crl"];
        let query = ca.query(&ca.leaf(1, &responders, &lists));
        let strings = |uris: &[Uri]| uris.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(strings(&query.ocsp), ["http://b.example/ocsp", "https://a.example/"]);
        assert_eq!(strings(&query.crls), ["http://e.example/ca.crl"]);
        assert_eq!(query.crl_names.iter().map(AsRef::as_ref).collect::<Vec<_>>(), lists);
        let silent = ca.query(&ca.leaf(1, &[], &[]));
        assert!(silent.ocsp.is_empty() && silent.crls.is_empty());
        let many: Vec<_> = (0..50).map(|number| format!("http://{number}.example/")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(ca.query(&ca.leaf(1, &many, &[])).ocsp.len(), MAX_PLACES);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let (ca, other) = (Ca::new("ca"), Ca::new("other"));
        let why = |leaf: &CertificateDer<'_>, issuer: &Ca| {
            Query::new(leaf, &issuer.der, Arc::new(settings())).unwrap_err().0
        };
        assert!(why(&ca.leaf(1, &[], &[]), &other).contains("another name"));
        let (twice, _) = ca.responder(|params| {
            params.custom_extensions = vec![access(&["http://a/"]), access(&["http://b/"])];
        });
        assert!(why(&twice, &ca).contains("authority information access"));
        let (broken, _) = ca.responder(|params| {
            let broken =
                rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], vec![0x30, 9]);
            params.custom_extensions = vec![broken];
        });
        assert!(why(&broken, &ca).contains("authority information access"));
    }

    #[test]
    fn serial_numbers_are_numbers() {
        let serial = |raw: &[u8]| Serial::new(raw).unwrap();
        assert_eq!(serial(&[0, 0x80]), serial(&[0x80]));
        assert_ne!(serial(&[1, 0]), serial(&[1]));
        assert_eq!(serial(&[0]), serial(&[]));
        assert!(Serial::new(&[1; 20]).is_ok() && Serial::new(&[1; 21]).is_err());
    }

    proptest! {
        #[test]
        fn a_changed_certificate_makes_no_panic(at in 0_usize..2000, byte: u8) {
            let ca = Ca::new("ca");
            let mut leaf = ca.leaf(1, &["http://a.example/"], &["http://b.example/"]).to_vec();
            let at = at % leaf.len();
            leaf[at] = byte;
            let _ = Query::new(&CertificateDer::from(leaf), &ca.der, Arc::new(settings()));
        }
    }
}
