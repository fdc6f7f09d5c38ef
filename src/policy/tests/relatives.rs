//! `header-cert-auth`, alone and beside `mtls-auth`, and `tls-metadata-headers`.

use proptest::prelude::*;

use super::*;
use crate::identity::nginx;

const HEADER: &str = "x-cert";
const NO_CERTIFICATE: &str = "401 No required TLS certificate was sent";

fn plugin(mtls_auth: MtlsAuth, format: CertificateFormat, secure_source: bool) -> HeaderCertAuth {
    HeaderCertAuth {
        mtls_auth,
        certificate_header_name: HeaderName::from_static(HEADER),
        certificate_header_format: format,
        secure_source,
    }
}

fn consumers() -> Arc<Consumers> {
    let mut mapped = consumer(5, Some("five"), None);
    mapped.mtls_auth = vec![credential(50, "a", None)];
    let mut other = consumer(6, Some("six"), None);
    other.header_cert_auth = vec![credential(60, "a", None)];
    Arc::new(Consumers::new([mapped, other, consumer(7, Some("guest"), None)]))
}

fn policy(header_cert_auth: HeaderCertAuth) -> Policy {
    let header_cert_auth = Some(header_cert_auth);
    Policy {
        consumers: consumers(),
        header_cert_auth,
        identity_headers: vec![HeaderFormat::Kong],
        ..Policy::default()
    }
}

fn ask(world: &World, policy: &Arc<Policy>, values: &[&str], trusted: bool, decisions: &Decisions) -> String {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(HEADER, HeaderValue::from_str(value).unwrap());
    }
    let peer = plain();
    let question = Question { from_trusted_ip: trusted, ..world.question(&peer, &headers) };
    outcome(policy.authorize(&question, decisions))
}

fn url_encoded(issued: &Issued) -> String {
    let leaf = Certificate::parse(issued.leaf().clone()).unwrap();
    nginx::escaped_cert(&leaf).to_str().unwrap().to_owned()
}

fn base64_encoded(issued: &Issued) -> String {
    let lines = issued.certificate_pem.lines().take_while(|line| !line.starts_with("-----END"));
    lines.skip(1).collect()
}

#[test]
fn the_certificate_of_a_header_counts_from_trusted_sources() {
    use CertificateFormat::{Base64Encoded, UrlEncoded};
    let world = World::new();
    let (issued, strange) = (world.issue("a", &[]), world.stranger.issue(&Leaf::client("a")).unwrap());
    let six = format!("x-consumer-id={} x-consumer-username=six x-credential-identifier={}", id(6), id(60));
    for (format, write) in
        [(Base64Encoded, base64_encoded as fn(&Issued) -> String), (UrlEncoded, url_encoded)]
    {
        let (good, untrusted) = (write(&issued), write(&strange));
        let check = |values: &[&str], trusted, secure, expected: &str| {
            let policy = Arc::new(policy(plugin(world.mtls_auth(by_name()), format, secure)));
            let said = ask(&world, &policy, values, trusted, &Decisions::default());
            assert_eq!(said, expected, "{format:?} {values:?} {trusted} {secure}");
        };
        check(&[&good], true, true, &six);
        check(&[&good], false, true, NO_CERTIFICATE);
        check(&[&good], false, false, &six);
        check(&[], true, true, NO_CERTIFICATE);
        check(&[&untrusted], true, true, "401 TLS certificate failed verification");
        for malformed in [&[""][..], &["nonsense"], &["%00"], &[&good[..40]], &[&good, &good]] {
            check(malformed, true, true, "500 An unexpected error occurred");
        }
    }
}

#[test]
fn a_plus_in_a_percent_encoded_certificate_is_a_digit() {
    let world = World::new();
    let policy = Arc::new(policy(plugin(world.mtls_auth(by_name()), CertificateFormat::UrlEncoded, true)));
    let issued = world.issue("a", &[]);
    let sparing = issued.certificate_pem.replace('\n', "%0A").replace(' ', "%20");
    let said = ask(&world, &policy, &[&sparing], true, &Decisions::default());
    assert!(said.contains("username=six"), "{said}");
}

#[test]
fn callers_of_one_balancer_are_told_apart_on_one_connection() {
    let world = World::new();
    let lookup = Lookup::Skip { group_by: None };
    let policy = Arc::new(policy(plugin(world.mtls_auth(lookup), CertificateFormat::UrlEncoded, true)));
    let (a, b) = (url_encoded(&world.issue("a", &[])), url_encoded(&world.issue("b", &[])));
    let decisions = Decisions::default();
    for _ in ["decided", "remembered"] {
        for (value, name) in [(&a, "CN=a"), (&b, "CN=b")] {
            let said = ask(&world, &policy, &[value], true, &decisions);
            assert!(said.starts_with(&format!("x-client-cert-dn={name} ")), "{said}");
        }
        assert_eq!(ask(&world, &policy, &[&a], false, &decisions), NO_CERTIFICATE);
        assert_eq!(ask(&world, &policy, &[], true, &decisions), NO_CERTIFICATE);
    }
    assert_eq!(decisions.len(), 2);
}

/// `mtls-auth` and `header-cert-auth` on one route, with and without `anonymous`.
#[test]
fn two_authentications_are_alternatives_with_anonymous_and_both_needed_without() {
    let world = World::new();
    let (direct, none) = (world.peer("a", &[]), peer(&[]));
    let good = url_encoded(&world.issue("a", &[]));
    let check = |anonymous: [bool; 2], peer: &Peer, sent: bool, expected: &str| {
        let auth = |at: usize| MtlsAuth {
            anonymous: anonymous[at].then(|| "guest".into()),
            ..world.mtls_auth(by_name())
        };
        let both = Policy {
            mtls_auth: Some(auth(0)),
            ..policy(plugin(auth(1), CertificateFormat::UrlEncoded, false))
        };
        let mut headers = HeaderMap::new();
        if sent {
            headers.insert(HEADER, HeaderValue::from_str(&good).unwrap());
        }
        let result = Arc::new(both).authorize(&world.question(peer, &headers), &Decisions::default());
        let said = match result {
            Ok(permit) => permit.consumer().and_then(|it| it.username.clone()).unwrap().into_string(),
            refused => outcome(refused),
        };
        assert_eq!(said, expected, "{anonymous:?} {sent}");
    };
    check([false, false], &direct, true, "six");
    check([false, false], &direct, false, NO_CERTIFICATE);
    check([false, false], &none, true, NO_CERTIFICATE);
    check([true, true], &direct, true, "five");
    check([true, true], &direct, false, "five");
    check([true, true], &none, true, "six");
    check([true, true], &none, false, "guest");
    check([false, true], &direct, false, "five");
    check([false, true], &none, true, NO_CERTIFICATE);
    check([true, false], &none, true, "six");
    check([true, false], &none, false, NO_CERTIFICATE);
}

#[test]
fn metadata_tell_of_the_connections_certificate_unless_it_was_not_accepted() {
    let world = World::new();
    let ask = |inject, mtls_auth, peer: &Peer| {
        let plugin = TlsMetadataHeaders { inject_client_cert_details: inject, ..Default::default() };
        let tls_metadata_headers = Some(plugin);
        world.ask(
            Policy { consumers: consumers(), mtls_auth, tls_metadata_headers, ..Policy::default() },
            peer,
        )
    };
    let (known, strange) =
        (world.peer("a", &[]), peer(&world.stranger.issue(&Leaf::client("a")).unwrap().chain()));
    let leaf = &known.certificate().unwrap().leaf;
    let text = |value: HeaderValue| value.to_str().unwrap().to_owned();
    let expected = format!(
        "x-client-cert={} x-client-cert-serial={} x-client-cert-issuer-dn=CN=trusted \
         x-client-cert-subject-dn=CN=a x-client-cert-fingerprint={}",
        text(nginx::escaped_cert(leaf)),
        leaf.serial(),
        text(nginx::fingerprint(leaf)),
    );
    assert_eq!(ask(true, None, &known), expected);
    assert_eq!(ask(false, None, &known), "");
    assert_eq!(ask(true, None, &peer(&[])), "");
    assert!(ask(true, None, &strange).contains("issuer-dn=CN=stranger"));
    let open = || Some(MtlsAuth { anonymous: Some("guest".into()), ..world.mtls_auth(by_name()) });
    assert_eq!(ask(true, open(), &known), expected);
    assert_eq!(ask(true, open(), &strange), "");
}

#[test]
fn reserved_are_the_names_that_plugins_were_told() {
    let world = World::new();
    let metadata = TlsMetadataHeaders {
        client_serial_header_name: HeaderName::from_static("x-serial"),
        ..Default::default()
    };
    let policy = Policy {
        tls_metadata_headers: Some(metadata),
        ..policy(plugin(world.mtls_auth(by_name()), CertificateFormat::UrlEncoded, true))
    };
    let names: Vec<_> = policy.reserved().map(HeaderName::as_str).collect();
    assert!(names.contains(&HEADER) && names.contains(&"x-serial"), "{names:?}");
    assert_eq!(Policy::default().reserved().count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_header_lets_anyone_in_by_chance(value in "[ -~]{0,200}", base64 in any::<bool>()) {
        static WORLD: std::sync::LazyLock<World> = std::sync::LazyLock::new(World::new);
        let format = if base64 { CertificateFormat::Base64Encoded } else { CertificateFormat::UrlEncoded };
        let policy = Arc::new(policy(plugin(WORLD.mtls_auth(by_name()), format, false)));
        let said = ask(&WORLD, &policy, &[&value], true, &Decisions::default());
        prop_assert!(said.starts_with("500"), "{said}");
    }
}
