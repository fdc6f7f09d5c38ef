//! What is read of a certificate, and what is not taken.

use std::sync::LazyLock;

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
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
    check_purposes(&[Any], (false, false));
    check_purposes(&[Any, ClientAuth], (true, false));
    check_purposes(&[ClientAuth], (true, false));
    check_purposes(&[ServerAuth], (false, true));
    check_purposes(&[CodeSigning], (false, false));
}

fn check_purposes(usages: &[ExtendedKeyUsagePurpose], expected: (bool, bool)) {
    let certificate = issue(|params| params.extended_key_usages = usages.to_vec());
    let meant = [Side::Client, Side::Server].map(|side| certificate.is_meant_for(side));
    assert_eq!(meant, [expected.0, expected.1]);
    assert_eq!(certificate.is_meant_for_anything(), usages.contains(&ExtendedKeyUsagePurpose::Any));
}

#[test]
fn a_key_may_do_what_its_key_usage_says() {
    use KeyUsagePurpose::{CrlSign, DigitalSignature, KeyAgreement, KeyCertSign, KeyEncipherment};
    let check = |usages: &[KeyUsagePurpose], expected: (bool, bool)| {
        let certificate = issue(|params| params.key_usages = usages.to_vec());
        assert_eq!((certificate.may_sign(), certificate.may_certify()), expected, "{usages:?}");
    };
    check(&[], (true, true));
    check(&[DigitalSignature], (true, false));
    check(&[DigitalSignature, KeyCertSign], (true, true));
    check(&[KeyCertSign, CrlSign], (false, true));
    check(&[KeyEncipherment, KeyAgreement], (false, false));
}

#[test]
fn the_path_length_of_a_ca_is_known() {
    let check = |constraints, expected| {
        let certificate = issue(|params| params.is_ca = IsCa::Ca(constraints));
        assert_eq!((certificate.is_ca(), certificate.path_length()), (true, expected));
    };
    check(BasicConstraints::Unconstrained, None);
    check(BasicConstraints::Constrained(0), Some(0));
    check(BasicConstraints::Constrained(7), Some(7));
}

#[test]
fn a_critical_extension_that_the_standard_does_not_define_is_named() {
    let check = |oid: &[u64], critical: bool, expected: Option<&str>| {
        let certificate = issue(|params| {
            let mut extension = CustomExtension::from_oid_content(oid, vec![5, 0]);
            extension.set_criticality(critical);
            params.custom_extensions.push(extension);
        });
        assert_eq!(certificate.unknown_critical(), expected);
    };
    check(&[1, 2, 3, 4], true, Some("1.2.3.4"));
    check(&[1, 2, 3, 4], false, None);
    // Below id-ce, and none of RFC 5280's.
    check(&[2, 5, 29, 99], true, Some("2.5.29.99"));
    check(&[2, 5, 29, 36], true, None);
    check(&[1, 2, 3 << 40, 3 << 40, 3 << 40, 3 << 40, 3 << 40], true, Some("with an unreadable identifier"));
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
    check_malformed(&[2, 5, 29, 17], b"\xff", "its subject alternative names are unreadable or given twice");
    check_malformed(&[2, 5, 29, 19], b"\xff", "its basic constraints are unreadable or given twice");
    check_malformed(&[2, 5, 29, 15], b"\xff", "its key usage is unreadable or given twice");
    check_malformed(&[2, 5, 29, 37], b"\xff", "its extended key usage is unreadable or given twice");
    assert_eq!(parse(b"").unwrap_err(), Malformed("its encoding is broken"));
    assert_eq!(parse(&[ISSUED.as_slice(), b"x"].concat()).unwrap_err(), Malformed("bytes follow its end"));
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
