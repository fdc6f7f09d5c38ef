//! RFC 5280 section 6.1 and RFC 8446 section 4.4.2.2: what webpki leaves out.

use super::*;

fn usages(of: &'static [KeyUsagePurpose]) -> impl Fn(&mut CertificateParams) {
    move |params| params.key_usages = of.to_vec()
}

#[test]
fn a_leaf_signs_handshakes_only_if_its_key_usage_lets_it() {
    use KeyUsagePurpose::{DigitalSignature, KeyAgreement, KeyCertSign, KeyEncipherment};
    let root = Ca::root("root", &as_it_is);
    let refused =
        Some("the certificate of CN=peer may not sign a TLS handshake: its key usage lacks digitalSignature");
    let check_usage = |of, refused| check(&[&root.der], &[&root.leaf(&usages(of))], refused);
    check_usage(&[], None);
    check_usage(&[DigitalSignature], None);
    check_usage(&[DigitalSignature, KeyEncipherment], None);
    check_usage(&[KeyCertSign], refused);
    check_usage(&[KeyEncipherment], refused);
    check_usage(&[KeyAgreement], refused);
}

#[test]
fn a_ca_issues_only_if_its_key_usage_lets_it() {
    use KeyUsagePurpose::{CrlSign, DigitalSignature, KeyCertSign};
    let root = Ca::root("root", &as_it_is);
    let check_usage = |of, refused: bool| {
        let middle = root.intermediate("middle", &usages(of));
        let part = "the CA CN=middle in the chain of CN=peer may not issue certificates: its key usage lacks keyCertSign";
        check(&[&root.der], &[&middle.leaf(&as_it_is), &middle.der], refused.then_some(part));
        let root = Ca::root("listed", &usages(of));
        let part = "the CA CN=listed in the chain of CN=peer may not issue certificates";
        check(&[&root.der], &[&root.leaf(&as_it_is)], refused.then_some(part));
    };
    check_usage(&[], false);
    check_usage(&[KeyCertSign, CrlSign], false);
    check_usage(&[DigitalSignature, CrlSign], true);
}

#[test]
fn the_path_length_of_a_listed_root_is_kept() {
    let limit = |length| {
        move |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(length))
    };
    let chain_under = |root: &Ca, refused| {
        check(&[&root.der], &[&root.leaf(&as_it_is)], None);
        let one = root.intermediate("one", &as_it_is);
        check(&[&root.der], &[&one.leaf(&as_it_is), &one.der], refused);
        // A CA that issued itself for a new key does not count.
        let again = root.intermediate("root", &as_it_is);
        check(&[&root.der], &[&again.leaf(&as_it_is), &again.der], None);
    };
    chain_under(&Ca::root("root", &limit(1)), None);
    let refused = "the CA CN=root allows 0 CAs below it (pathlen), and the chain of CN=peer has 1";
    chain_under(&Ca::root("root", &limit(0)), Some(refused));
}

#[test]
fn a_listed_ca_with_a_critical_extension_that_is_not_known_is_no_end_of_a_chain() {
    let with = |oid: &'static [u64]| {
        let root = Ca::root("root", &|params| params.custom_extensions = vec![critical(oid, &[5, 0])]);
        (root.der.clone(), root.leaf(&as_it_is))
    };
    let (root, leaf) = with(&[1, 2, 3, 4]);
    check(
        &[&root],
        &[&leaf],
        Some("the CA CN=root of the certificate of CN=peer has the critical extension 1.2.3.4"),
    );
    // policyConstraints, which say nothing where nobody asks for a policy.
    let (root, leaf) = with(&[2, 5, 29, 36]);
    check(&[&root], &[&leaf], None);
}

#[test]
fn a_listed_ca_issues_for_what_its_extended_key_usage_names() {
    let root = Ca::root("root", &|params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let leaf = root.leaf(&as_it_is);
    assert_eq!(as_server(&[&root.der], &[&leaf]), Ok(()));
    let why = as_client(&[&root.der], &[&leaf]).unwrap_err();
    assert!(why.contains("the CA CN=root") && why.contains("lacks clientAuth"), "{why}");
}

#[test]
fn one_path_that_keeps_the_rules_is_enough() {
    let root = Ca::root("root", &as_it_is);
    let key = KeyPair::generate().unwrap();
    let bad_key = KeyPair::try_from(key.serialize_der()).unwrap();
    let good = root.intermediate_with(key, "middle", &as_it_is);
    let bad = root.intermediate_with(bad_key, "middle", &usages(&[KeyUsagePurpose::CrlSign]));
    let leaf = good.leaf(&as_it_is);
    for sent in [[&leaf, &good.der, &bad.der], [&leaf, &bad.der, &good.der]] {
        check(&[&root.der], &sent, None);
    }
    check(&[&root.der], &[&leaf, &bad.der], Some("lacks keyCertSign"));
    // Forms of a root, too.
    let key = KeyPair::generate().unwrap();
    let again = KeyPair::try_from(key.serialize_der()).unwrap();
    let good = Ca::root_with(key, "root", &as_it_is);
    let bad = Ca::root_with(again, "root", &usages(&[KeyUsagePurpose::CrlSign]));
    check(&[&bad.der, &good.der], &[&good.leaf(&as_it_is)], None);
    check(&[&bad.der], &[&good.leaf(&as_it_is)], Some("lacks keyCertSign"));
}

#[test]
fn a_server_that_signed_itself_vouches_for_nobody_else() {
    let key = KeyPair::generate().unwrap();
    let params = leaf(&as_it_is);
    let own = params.self_signed(&key).unwrap().der().clone();
    assert_eq!(as_server(&[&own], &[&own]), Ok(()));
    let issuer = Issuer::new(params, key);
    let other = leaf(&|params| params.distinguished_name.push(DnType::OrganizationName, "other"));
    let other = other.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone();
    let why = as_server(&[&own], &[&other]).unwrap_err();
    assert!(why.contains("which is listed and is no CA"), "{why}");
}

#[test]
fn a_renewed_root_counts_beside_its_old_one_whichever_comes_first() {
    let key = || KeyPair::try_from(KEY.as_slice()).unwrap();
    static KEY: std::sync::LazyLock<Vec<u8>> =
        std::sync::LazyLock::new(|| KeyPair::generate().unwrap().serialize_der());
    let until = |days| move |params: &mut CertificateParams| params.not_after = from_now(days);
    let (old, new) = (Ca::root_with(key(), "root", &until(1)), Ca::root_with(key(), "root", &until(300)));
    let leaf = peer(&[&new.leaf(&as_it_is)]);
    for cas in [[&old.der, &new.der], [&new.der, &old.der]] {
        let verifier = clients(&cas);
        assert!(verifier.verify(&leaf, UnixTime::now()).is_ok());
        assert!(verifier.verify(&leaf, later(10)).is_ok());
    }
    let untrusted = clients(&[&old.der]).verify(&leaf, later(10)).unwrap_err();
    assert!(
        untrusted.to_string().contains("the CA CN=root of the certificate of CN=peer expired 9 days ago"),
        "{untrusted}"
    );
}

#[test]
fn limits_of_the_library_are_told_as_limits() {
    // Permitted: directory names below C=SE, as the subject is.
    let subtree = [
        0x30, 0x17, 0xa0, 0x15, 0x30, 0x13, 0xa4, 0x11, 0x30, 0x0f, 0x31, 0x0d, 0x30, 0x0b, 0x06, 0x03, 0x55,
        0x04, 0x06, 0x13, 0x04, b'p', b'e', b'e', b'r',
    ];
    let root =
        Ca::root("root", &|params| params.custom_extensions = vec![critical(&[2, 5, 29, 30], &subtree)]);
    let told = Some(
        "the CA CN=root of the certificate of CN=peer has name constraints on directory names, which are not evaluated here",
    );
    check(&[&root.der], &[&root.leaf(&as_it_is)], told);
    let mail = [0x30, 0x0b, 0xa0, 0x09, 0x30, 0x07, 0x81, 0x05, b'a', b'@', b'b', b'.', b'c'];
    let root = Ca::root("root", &|params| params.custom_extensions = vec![critical(&[2, 5, 29, 30], &mail)]);
    check(&[&root.der], &[&root.leaf(&as_it_is)], None);
    let has_mail = root.leaf(&|params| {
        params.subject_alt_names.push(SanType::Rfc822Name("a@b.c".try_into().unwrap()));
    });
    check(
        &[&root.der],
        &[&has_mail],
        Some("has name constraints on mail addresses, which are not evaluated"),
    );
    // A violation that is one.
    let root = Ca::root("root", &|params| {
        params.name_constraints = Some(rcgen::NameConstraints {
            permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("other.example".to_owned())],
            excluded_subtrees: Vec::new(),
        });
    });
    check(&[&root.der], &[&root.leaf(&as_it_is)], Some("is not permitted by the name constraints of a CA"));
    // certificatePolicies, anyPolicy.
    let policies = [0x30, 0x08, 0x30, 0x06, 0x06, 0x04, 0x55, 0x1d, 0x20, 0x00];
    let root = Ca::root("root", &as_it_is);
    let with = |params: &mut CertificateParams| {
        params.custom_extensions = vec![critical(&[2, 5, 29, 32], &policies)];
    };
    let middle = root.intermediate("middle", &with);
    let told = Some(
        "the CA CN=middle in the chain of CN=peer has a critical extension on policies or names of issuers, which is not evaluated here",
    );
    check(&[&root.der], &[&middle.leaf(&as_it_is), &middle.der], told);
    let told = Some("the certificate of CN=peer has a critical extension on policies");
    check(&[&root.der], &[&root.leaf(&with)], told);
}

#[test]
fn what_a_stranger_wrote_is_not_in_the_sentence() {
    let root = Ca::root("root", &as_it_is);
    let mut leaf = root.leaf(&as_it_is).to_vec();
    // ecdsa-with-SHA256 becomes an algorithm that nobody knows, in both places.
    let known = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    let places: Vec<_> = (0..leaf.len() - known.len()).filter(|at| leaf[*at..].starts_with(&known)).collect();
    assert_eq!(places.len(), 2);
    places.iter().for_each(|at| leaf[at + 7] = 0x77);
    let leaf = CertificateDer::from(leaf);
    check(&[&root.der], &[&leaf], Some("is signed with an algorithm that is not accepted (SHA-1"));
    let why = as_client(&[&root.der], &[&leaf]).unwrap_err();
    assert!(why.len() < 200, "{why}");
}

#[test]
fn an_intermediate_that_is_not_read_is_named() {
    let root = Ca::root("root", &as_it_is);
    let middle = root.intermediate("middle", &|params| {
        params.custom_extensions = vec![critical(&[1, 2, 3], &[5, 0])];
    });
    let told =
        Some("the CA CN=middle in the chain of CN=peer has the critical extension 1.2.3, which is not known");
    check(&[&root.der], &[&middle.leaf(&as_it_is), &middle.der], told);
}

#[test]
fn a_certificate_without_a_subject_is_called_by_its_alternative_names() {
    let (root, other) = (Ca::root("root", &as_it_is), Ca::root("other", &as_it_is));
    let nameless =
        |params: &mut CertificateParams| params.distinguished_name = rcgen::DistinguishedName::new();
    let why = as_client(&[&root.der], &[&other.leaf(&nameless)]).unwrap_err();
    assert!(why.starts_with("the certificate of peer.example was issued by CN=other"), "{why}");
    let without_names = |params: &mut CertificateParams| {
        nameless(params);
        params.subject_alt_names.clear();
        params.serial_number = Some(vec![0x4d, 0x2a].into());
    };
    let why = as_client(&[&root.der], &[&other.leaf(&without_names)]).unwrap_err();
    assert!(why.starts_with("the certificate of serial number 4D2A was issued by CN=other"), "{why}");
}
