//! For the tests: CAs that issue certificates which name responders and lists, and answer for them.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CrlDistributionPoint, CrlIssuingDistributionPoint, CustomExtension,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber,
    SigningKey,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use time::OffsetDateTime;

use super::der::{
    BIT_STRING, ENUMERATED, GENERALIZED_TIME, INTEGER, NULL, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE,
    constructed, element, primitive,
};
use super::{Check, Fetching, Hosts, Query, question};

/// All that these CAs made is from before this moment.
pub(super) fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(NOW as u64))
}

/// 2026-01-01.
pub(super) const NOW: i64 = 1_767_225_600;
pub(super) const HOUR: i64 = 3600;

pub(super) fn date(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

pub(super) struct Ca {
    pub(super) der: CertificateDer<'static>,
    pub(super) key: KeyPair,
    params: CertificateParams,
}

impl Ca {
    pub(super) fn new(name: &str) -> Self {
        Self::with(
            name,
            &[KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature],
        )
    }

    pub(super) fn with(name: &str, usages: &[KeyUsagePurpose]) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = usages.to_vec();
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { der: certificate.der().clone(), key, params }
    }

    /// A client's certificate that names these.
    pub(super) fn leaf(&self, serial: u64, responders: &[&str], lists: &[&str]) -> CertificateDer<'static> {
        let mut params = params("client");
        params.serial_number = Some(SerialNumber::from(serial));
        if !responders.is_empty() {
            params.custom_extensions.push(access(responders));
        }
        let uris = |uri: &&str| CrlDistributionPoint { uris: vec![(*uri).to_owned()] };
        params.crl_distribution_points = lists.iter().map(uris).collect();
        self.sign(&params).0
    }

    /// A responder's certificate and its key.
    pub(super) fn responder(
        &self,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (CertificateDer<'static>, KeyPair) {
        let mut params = params("responder");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
        change(&mut params);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.params, &self.key);
        (params.signed_by(&key, &issuer).unwrap().der().clone(), key)
    }

    /// A list that takes back these serial numbers.
    pub(super) fn list(
        &self,
        revoked: &[u64],
        change: impl FnOnce(&mut rcgen::CertificateRevocationListParams),
    ) -> Vec<u8> {
        let entry = |serial: &u64| rcgen::RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date(NOW - 24 * HOUR),
            reason_code: Some(rcgen::RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let mut params = rcgen::CertificateRevocationListParams {
            this_update: date(NOW - HOUR),
            next_update: date(NOW + HOUR),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        change(&mut params);
        params.signed_by(&Issuer::from_params(&self.params, &self.key)).unwrap().der().to_vec()
    }

    /// What is asked about a leaf of this CA.
    pub(super) fn query(&self, leaf: &CertificateDer<'_>) -> Query {
        self.query_with(leaf, settings())
    }

    pub(super) fn query_with(&self, leaf: &CertificateDer<'_>, settings: Fetching) -> Query {
        Query::new(leaf, &self.der, Arc::new(settings)).unwrap()
    }
}

pub(super) fn settings() -> Fetching {
    Fetching {
        check: Check::Strict,
        timeout: Duration::from_secs(5),
        ttl: Duration::from_secs(60),
        crl_files: Arc::default(),
        hosts: Hosts::new(["127.0.0.1".to_owned()]),
        http_proxy: None,
        https_proxy: None,
    }
}

/// An issuing distribution point of that one name.
pub(super) fn point(uri: &str, scope: Option<rcgen::CrlScope>) -> Option<CrlIssuingDistributionPoint> {
    let distribution_point = CrlDistributionPoint { uris: vec![uri.to_owned()] };
    Some(CrlIssuingDistributionPoint { distribution_point, scope })
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date(NOW - 48 * HOUR);
    params.not_after = date(NOW + 24 * 365 * HOUR);
    params
}

/// AuthorityInfoAccess with responders.
pub(super) fn access(responders: &[&str]) -> CustomExtension {
    let ocsp = element(OBJECT_IDENTIFIER, &[&[0x2b, 6, 1, 5, 5, 7, 0x30, 1]]);
    let place = |uri: &&str| element(SEQUENCE, &[&ocsp, &element(primitive(6), &[uri.as_bytes()])]);
    let places: Vec<_> = responders.iter().map(place).collect();
    let content = element(SEQUENCE, &places.iter().map(Vec::as_slice).collect::<Vec<_>>());
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], content)
}

/// A responder's answer in the making.
pub(super) struct Answer<'a> {
    /// The choice of CertStatus.
    pub(super) status: Vec<u8>,
    pub(super) this_update: i64,
    pub(super) next_update: Option<i64>,
    pub(super) nonce: Option<&'a [u8]>,
    /// Extensions of the one answer.
    pub(super) extensions: Option<Vec<u8>>,
    /// CertIDs, with one answer each.
    pub(super) ids: Vec<Vec<u8>>,
    pub(super) signer: &'a KeyPair,
    /// `None` names the issuer of the query.
    pub(super) responder: Option<Vec<u8>>,
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

impl<'a> Answer<'a> {
    /// Good, for one hour more, by the CA itself.
    pub(super) fn good(query: &Query, ca: &'a Ca) -> Self {
        Self {
            status: element(primitive(0), &[]),
            this_update: NOW - HOUR,
            next_update: Some(NOW + HOUR),
            nonce: None,
            extensions: None,
            ids: vec![id(query)],
            signer: &ca.key,
            responder: None,
            certificates: Vec::new(),
        }
    }

    pub(super) fn der(&self, query: &Query) -> Vec<u8> {
        let next = self.next_update.map_or_else(Vec::new, |at| element(constructed(0), &[&time(at)]));
        let extra = self.extensions.clone().unwrap_or_default();
        let single =
            |id: &Vec<u8>| element(SEQUENCE, &[id, &self.status, &time(self.this_update), &next, &extra]);
        let singles = element(SEQUENCE, &[&self.ids.iter().flat_map(single).collect::<Vec<_>>()]);
        let by = self.responder.clone().unwrap_or_else(|| by_key(&query.issuer.key_hash));
        let nonce = self.nonce.map_or_else(Vec::new, |nonce| {
            let value = element(OCTET_STRING, &[&element(OCTET_STRING, &[nonce])]);
            extensions(&[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2], false, &value)
        });
        let data = element(SEQUENCE, &[&by, &time(self.this_update), &singles, &nonce]);
        let signature = self.signer.sign(&data).unwrap();
        let algorithm = element(SEQUENCE, &[&element(OBJECT_IDENTIFIER, &[ECDSA_SHA256])]);
        let certificates: Vec<u8> = self.certificates.iter().flat_map(|der| der.to_vec()).collect();
        let certificates = match certificates.is_empty() {
            true => Vec::new(),
            false => element(constructed(0), &[&element(SEQUENCE, &[&certificates])]),
        };
        let bits = element(BIT_STRING, &[&[0], &signature]);
        successful(&element(SEQUENCE, &[&data, &algorithm, &bits, &certificates]))
    }
}

const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

fn successful(basic: &[u8]) -> Vec<u8> {
    let kind = element(OBJECT_IDENTIFIER, &[&[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1]]);
    let bytes = element(SEQUENCE, &[&kind, &element(OCTET_STRING, &[basic])]);
    element(SEQUENCE, &[&element(ENUMERATED, &[&[0]]), &element(constructed(0), &[&bytes])])
}

/// `[1] EXPLICIT Extensions` with one in it; `value` is the OCTET STRING.
pub(super) fn extensions(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    let extension = element(SEQUENCE, &[&element(OBJECT_IDENTIFIER, &[oid]), critical, value]);
    element(constructed(1), &[&element(SEQUENCE, &[&extension])])
}

pub(super) fn by_key(hash: &[u8]) -> Vec<u8> {
    element(constructed(2), &[&element(OCTET_STRING, &[hash])])
}

/// The ResponderID of whoever has this certificate.
pub(super) fn by(certificate: &CertificateDer<'_>) -> Vec<u8> {
    by_key(&question::Issuer::new(certificate).unwrap().key_hash)
}

pub(super) fn time(seconds: i64) -> Vec<u8> {
    let format = time::macros::format_description!("[year][month][day][hour][minute][second]Z");
    element(GENERALIZED_TIME, &[date(seconds).format(format).unwrap().as_bytes()])
}

pub(super) fn revoked(at: i64) -> Vec<u8> {
    element(constructed(1), &[&time(at), &element(constructed(0), &[&element(ENUMERATED, &[&[1]])])])
}

/// The CertID that the query asks with.
pub(super) fn id(query: &Query) -> Vec<u8> {
    id_of(&query.issuer.name_hash, &query.issuer.key_hash, &query.raw_serial)
}

pub(super) fn id_of(name: &[u8], key: &[u8], serial: &[u8]) -> Vec<u8> {
    let sha1 = element(OBJECT_IDENTIFIER, &[&[0x2b, 0x0e, 3, 2, 0x1a]]);
    let algorithm = element(SEQUENCE, &[&sha1, &element(NULL, &[])]);
    let (name, key) = (element(OCTET_STRING, &[name]), element(OCTET_STRING, &[key]));
    element(SEQUENCE, &[&algorithm, &name, &key, &element(INTEGER, &[serial])])
}
