//! What a stranger's chain may cost, and that honest ones are not mistaken for it.

use super::super::limits::Work;
use super::anchors::Intermediates;
use super::chain::Case;
use super::issuers::issuers;
use super::*;
use crate::identity::Side;

/// Without the identifiers that tell keys apart.
fn anonymous(params: &mut CertificateParams) {
    params.use_authority_key_identifier_extension = false;
}

/// A leaf with so many CAs of the name of a listed one, each with a key of its own.
fn namesakes(count: usize) -> Vec<CertificateDer<'static>> {
    let mut sent: Vec<_> = (0..count).map(|_| Ca::root("root", &anonymous).der).collect();
    sent.insert(0, Ca::root("root", &anonymous).leaf(&anonymous));
    sent
}

#[test]
fn a_chain_of_namesakes_costs_a_handful_of_signatures() {
    let root = Ca::root("root", &as_it_is);
    let verifier = clients(&[&root.der]);
    let anchors = Anchors::of_servers([root.der.clone()]);
    for count in [1, 9, 40] {
        let sent = namesakes(count);
        let leaf = Certificate::parse(sent[0].clone()).unwrap();
        let case = Case {
            anchors: &anchors,
            listed: &Intermediates::default(),
            leaf: &leaf,
            sent: &sent[1..],
            side: Side::Client,
            depth: None,
            now: UnixTime::now(),
        };
        let work = Work::new();
        let found = issuers(&case, &work).unwrap();
        assert!(found.intermediates.is_empty() && found.anchors.is_empty());
        assert!(work.spent() <= 7, "{count}: {}", work.spent());
        let why = verifier.verify(&peer(&sent.iter().collect::<Vec<_>>()), UnixTime::now()).unwrap_err();
        assert!(why.to_string().contains("of CN=peer"), "{why}");
    }
}

#[test]
fn a_chain_that_goes_round_is_left() {
    let root = Ca::root("root", &as_it_is);
    // Each of them issued by each other, by name.
    let cas: Vec<_> = (0..12).map(|_| Ca::root("x", &anonymous)).collect();
    let mut crossed = Vec::new();
    for (at, ca) in cas.iter().enumerate() {
        crossed.push(ca.intermediate_with(
            KeyPair::generate().unwrap(),
            if at % 2 == 0 { "x" } else { "y" },
            &anonymous,
        ));
    }
    let leaf = crossed[0].leaf(&anonymous);
    let sent: Vec<_> = std::iter::once(&leaf).chain(crossed.iter().map(|ca| &ca.der)).collect();
    assert!(as_client(&[&root.der], &sent).is_err());
    // A chain of new keys for one name, each signed by the one before, that leads to nobody.
    let mut chain = vec![Ca::root("x", &as_it_is)];
    for _ in 0..6 {
        let next = chain[chain.len() - 1].intermediate("x", &as_it_is);
        chain.push(next);
    }
    let leaf = chain[6].leaf(&as_it_is);
    let sent: Vec<_> = std::iter::once(&leaf).chain(chain.iter().rev().map(|ca| &ca.der)).collect();
    assert!(as_client(&[&root.der], &sent).is_err());
}

#[test]
fn the_right_one_of_many_namesakes_is_found() {
    // Listed, without identifiers: all are tried.
    let roots: Vec<_> = (0..12).map(|_| Ca::root("root", &anonymous)).collect();
    let listed: Vec<_> = roots.iter().map(|ca| &ca.der).collect();
    for ca in &roots {
        check(&listed, &[&ca.leaf(&anonymous)], None);
    }
    // Sent, behind others of the same name: the identifiers name it.
    let root = Ca::root("root", &as_it_is);
    let middles: Vec<_> = (0..12).map(|_| root.intermediate("middle", &as_it_is)).collect();
    let leaf = middles[11].leaf(&as_it_is);
    let sent: Vec<_> = std::iter::once(&leaf).chain(middles.iter().map(|ca| &ca.der)).collect();
    check(&[&root.der], &sent, None);
}

#[test]
fn a_long_honest_chain_is_followed_with_the_root_sent_along() {
    let root = Ca::root("root", &as_it_is);
    let mut chain = vec![root];
    for name in ["one", "two", "three", "four", "five", "six"] {
        let next = chain[chain.len() - 1].intermediate(name, &as_it_is);
        chain.push(next);
    }
    let leaf = chain[6].leaf(&as_it_is);
    let sent: Vec<_> = std::iter::once(&leaf).chain(chain.iter().rev().map(|ca| &ca.der)).collect();
    check(&[&chain[0].der], &sent, None);
}

#[test]
fn a_key_that_was_renewed_under_its_name_is_followed_to_the_old_one() {
    let root = Ca::root("root", &as_it_is);
    let renewed = root.intermediate("root", &as_it_is);
    let again = renewed.intermediate("root", &as_it_is);
    check(&[&root.der], &[&again.leaf(&as_it_is), &again.der, &renewed.der], None);
    check(&[&root.der], &[&again.leaf(&as_it_is), &renewed.der, &again.der], None);
}

#[test]
fn what_is_sent_beyond_the_limit_is_told() {
    let root = Ca::root("root", &as_it_is);
    let middle = root.intermediate("middle", &as_it_is);
    let leaf = middle.leaf(&as_it_is);
    let others: Vec<_> = (0..20).map(|at| Ca::root(&format!("other {at}"), &as_it_is).der).collect();
    let first: Vec<_> = [&leaf, &middle.der].into_iter().chain(&others).collect();
    check(&[&root.der], &first, None);
    let last: Vec<_> = std::iter::once(&leaf).chain(&others).chain([&middle.der]).collect();
    let why = as_client(&[&root.der], &last).unwrap_err();
    assert!(why.contains("came with 21 others, of which 16 were looked at"), "{why}");
}

#[test]
fn a_refusal_is_remembered_and_not_beyond_the_time_that_ends_it() {
    let root = Ca::root("root", &as_it_is);
    let stranger = peer(&[&Ca::root("other", &as_it_is).leaf(&as_it_is)]);
    let (verifier, now) = (clients(&[&root.der]), UnixTime::now());
    let first = verifier.verify(&stranger, now).unwrap_err();
    assert!(first.is(&verifier.verify(&stranger, now).unwrap_err()), "judged twice");
    let soon = time::OffsetDateTime::now_utc() + time::Duration::seconds(20);
    let early = peer(&[&root.leaf(&|params| params.not_before = soon)]);
    let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs() + seconds));
    assert!(verifier.verify(&early, now).is_err());
    assert!(verifier.verify(&early, at(10)).is_err());
    assert!(verifier.verify(&early, at(25)).is_ok());
}

#[test]
fn a_long_name_of_a_stranger_is_cut_in_the_sentence() {
    let root = Ca::root("root", &as_it_is);
    let long = |params: &mut CertificateParams| {
        params.distinguished_name.push(DnType::OrganizationName, "o".repeat(3000));
    };
    let why = as_client(&[&root.der], &[&Ca::root("other", &long).leaf(&long)]).unwrap_err();
    assert!(why.len() < 700 && why.contains('…'), "{} {why}", why.len());
}
