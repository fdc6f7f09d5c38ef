//! Certificates that are themselves listed, and the CAs of a path.

use super::*;

/// As `openssl req -x509` makes it: a CA, without a key usage.
fn own(change: Change<'_>) -> CertificateDer<'static> {
    let params = leaf(&|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        change(params);
    });
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
}

#[test]
fn a_certificate_that_signed_itself_is_accepted_where_it_is_listed_itself() {
    let (listed, other) = (own(&as_it_is), own(&as_it_is));
    check(&[&listed], &[&listed], None);
    // The same names and another key; a root that is listed beside it.
    check(&[&listed], &[&other], Some("which cannot be a"));
    check(&[&other, &listed], &[&listed], None);
}

#[test]
fn what_is_listed_itself_is_still_looked_at() {
    let check_own = |change: Change<'_>, part: &str| check(&[&own(change)], &[&own(change)], Some(part));
    let usage = |params: &mut CertificateParams| params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let own_usage = own(&usage);
    check(&[&own_usage], &[&own_usage], Some("may not sign a TLS handshake"));
    let early = own(&|params| params.not_before = from_now(2));
    check(&[&early], &[&early], Some("not valid"));
    let purpose = own(&|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]);
    check(&[&purpose], &[&purpose], Some("is not meant for TLS"));
    check_own(&usage, "cannot be a");
    let name = own(&as_it_is);
    let why = as_server_named("other.example", &[&name], &[&name]).unwrap_err();
    assert!(why.contains("not valid for name"), "{why}");
}

#[test]
fn what_is_listed_itself_ends_when_it_expires() {
    let listed = own(&|params| params.not_after = from_now(3));
    let (verifier, peer) = (clients(&[&listed]), peer(&[&listed]));
    assert!(verifier.verify(&peer, UnixTime::now()).is_ok());
    let untrusted = verifier.verify(&peer, later(5)).unwrap_err();
    assert!(
        untrusted.to_string().contains("expired 47 hours ago")
            || untrusted.to_string().contains("expired 2 days ago"),
        "{untrusted}"
    );
}

#[test]
fn nobody_is_asked_whether_what_is_listed_itself_was_revoked() {
    let listed = own(&as_it_is);
    let (verifier, peer) = (clients(&[&listed]), peer(&[&listed]));
    let accepted = verifier.verify(&peer, UnixTime::now()).unwrap();
    assert_eq!(verifier.links(&peer, &accepted).count(), 0);
    assert_eq!(verifier.issuers(&peer, &accepted).collect::<Vec<_>>(), [&listed]);
}

#[test]
fn the_cas_of_a_path_are_told_whether_sent_or_listed() {
    let root = Ca::root("root", &as_it_is);
    let middle = root.intermediate("middle", &as_it_is);
    let leaf = middle.leaf(&as_it_is);
    // Sent along, with something that does not belong; listed; sent and listed.
    let unrelated = Ca::root("other", &as_it_is).der;
    let chains = [vec![&leaf, &unrelated, &middle.der], vec![&leaf], vec![&leaf, &middle.der]];
    let listed = [vec![&root.der], vec![&root.der, &middle.der], vec![&root.der, &middle.der]];
    for (sent, listed) in chains.iter().zip(listed) {
        let (peer, verifier) = (peer(sent), clients(&listed));
        for _ in ["judged", "remembered"] {
            let accepted = verifier.verify(&peer, UnixTime::now()).unwrap();
            let issuers: Vec<_> = verifier.issuers(&peer, &accepted).collect();
            assert_eq!(issuers, [&middle.der, &root.der]);
            assert_eq!(verifier.links(&peer, &accepted).collect::<Vec<_>>(), [&middle.der, &root.der]);
        }
    }
    let partial = ChainVerifier::new(vec![middle.der.clone()], true, UnixTime::now()).unwrap();
    let peer = peer(&[&leaf]);
    let accepted = partial.verify(&peer, UnixTime::now()).unwrap();
    assert_eq!(partial.issuers(&peer, &accepted).collect::<Vec<_>>(), [&middle.der]);
}

#[test]
fn a_client_that_signed_itself_and_is_no_ca_vouches_for_itself_alone() {
    let params = leaf(&|params| params.is_ca = IsCa::ExplicitNoCa);
    let key = KeyPair::generate().unwrap();
    let listed = params.self_signed(&key).unwrap().der().clone();
    let twin = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone();
    let below = Ca { der: listed.clone(), issuer: Issuer::new(params, key) }.leaf(&as_it_is);
    check(&[&listed], &[&listed], None);
    for judged in [as_client(&[&listed], &[&twin]), as_server(&[&listed], &[&twin])] {
        assert!(judged.is_err());
    }
    check(&[&listed], &[&below], Some("which is listed and is no CA"));
    let error = super::super::check(std::slice::from_ref(&listed), UnixTime::now()).unwrap_err();
    assert_eq!(error.to_string(), "certificate 1 (CN=peer) is no CA: its basic constraints lack CA:TRUE");
}
