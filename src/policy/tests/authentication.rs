//! The outcomes of `mtls-auth` and the headers that go with them, row by row.

use super::*;
use crate::pki::Validity;
use crate::tls::revocation::{Check, Doubt, Fetching, Hosts, Status};

const NO_CERTIFICATE: &str = "401 No required TLS certificate was sent";
const NOT_VERIFIED: &str = "401 TLS certificate failed verification";

fn consumers() -> Arc<Consumers> {
    let mut alice = consumer(1, Some("alice"), Some("a-1"));
    alice.mtls_auth = vec![credential(9, "mapped", None)];
    Arc::new(Consumers::new([alice, consumer(2, Some("guest"), None), consumer(3, None, Some("only-id"))]))
}

fn policy(world: &World, mtls_auth: MtlsAuth) -> Policy {
    let _ = world;
    let identity_headers = vec![HeaderFormat::Kong];
    Policy { consumers: consumers(), mtls_auth: Some(mtls_auth), identity_headers, ..Policy::default() }
}

#[test]
fn every_outcome_is_kongs() {
    let world = World::new();
    let skip = || Lookup::Skip { group_by: Some(GroupBy::CommonName) };
    let default = |name: &str| Lookup::Consumer { by: ConsumerBy::default(), default: Some(name.into()) };
    let expired = Leaf { validity: Validity::expired(), ..Leaf::client("alice") };
    let expired = peer(&world.ca.issue(&expired).unwrap().chain());
    let untrusted = peer(&world.stranger.issue(&Leaf::client("alice")).unwrap().chain());
    let (alice, nobody, none) = (world.peer("alice", &[]), world.peer("nobody", &[]), peer(&[]));
    let mapped = world.peer("mapped", &[]);
    let check = |peer: &Peer, lookup: Lookup, anonymous: Option<&str>, expected: &str| {
        let mtls_auth = MtlsAuth { anonymous: anonymous.map(Into::into), ..world.mtls_auth(lookup.clone()) };
        let said = world.ask(policy(&world, mtls_auth), peer);
        assert_eq!(said, expected, "{lookup:?} {anonymous:?} {:?}", peer.certificate().map(|it| &it.leaf));
    };

    check(&plain(), by_name(), None, NO_CERTIFICATE);
    check(&none, by_name(), None, NO_CERTIFICATE);
    check(&none, skip(), None, NO_CERTIFICATE);
    for bad in [&untrusted, &expired] {
        check(bad, by_name(), None, NOT_VERIFIED);
        check(bad, skip(), None, NOT_VERIFIED);
        check(bad, default("guest"), None, NOT_VERIFIED);
    }
    check(&nobody, by_name(), None, NOT_VERIFIED);

    let (one, two) = (id(1), id(2));
    let consumer = format!("x-consumer-id={one} x-consumer-custom-id=a-1 x-consumer-username=alice");
    check(&alice, by_name(), None, &consumer);
    check(&alice, default("guest"), None, &consumer);
    check(&alice, by_name(), Some("guest"), &consumer);
    check(&mapped, by_name(), None, &format!("{consumer} x-credential-identifier={}", id(9)));
    check(&alice, skip(), None, "x-client-cert-dn=CN=alice x-client-cert-san=alice");

    let guest = format!("x-consumer-id={two} x-consumer-username=guest");
    let anonymous = format!("{guest} x-anonymous-consumer=true");
    for failing in [&plain(), &none, &untrusted, &expired] {
        check(failing, by_name(), Some("guest"), &anonymous);
        check(failing, by_name(), Some(&two), &anonymous);
        check(failing, skip(), Some("guest"), &anonymous);
    }
    check(&nobody, by_name(), Some("guest"), &anonymous);
    for missing in ["ghost", "only-id", &id(77)] {
        let expected = format!("500 anonymous consumer {missing} is configured but doesn't exist");
        check(&none, by_name(), Some(missing), &expected);
        check(&alice, by_name(), Some(missing), &consumer);
        check(&nobody, default(missing), None, "401 Unauthorized");
        check(&nobody, default(missing), Some("guest"), &anonymous);
    }
    let both = format!("x-client-cert-dn=CN=nobody x-client-cert-san=nobody {guest}");
    check(&nobody, default("guest"), None, &both);
    check(&nobody, default(&two), Some("guest"), &both);
}

#[test]
fn the_other_formats_tell_of_the_accepted_certificate_and_of_nothing_else() {
    let world = World::new();
    let ask = |lookup, peer: &Peer, anonymous: Option<&str>| {
        let mtls_auth = MtlsAuth { anonymous: anonymous.map(Into::into), ..world.mtls_auth(lookup) };
        let formats = vec![HeaderFormat::Rfc9440, HeaderFormat::Xfcc];
        world.ask(Policy { identity_headers: formats, ..policy(&world, mtls_auth) }, peer)
    };
    let alice = world.peer("alice", &[]);
    for lookup in [by_name(), Lookup::Skip { group_by: None }] {
        let said = ask(lookup, &alice, None);
        assert!(
            said.starts_with("client-cert=:") && said.contains(" x-forwarded-client-cert=Hash="),
            "{said}"
        );
    }
    let untrusted = peer(&world.stranger.issue(&Leaf::client("alice")).unwrap().chain());
    assert_eq!(ask(by_name(), &untrusted, Some("guest")), "");
}

#[test]
fn names_of_consumers_are_one_header_line() {
    let world = World::new();
    let mtls_auth =
        world.mtls_auth(Lookup::Consumer { by: ConsumerBy::default(), default: Some("a\r\nb: c".into()) });
    let consumers = Arc::new(Consumers::new([consumer(1, Some("a\r\nb: c"), Some("å"))]));
    let said = world.ask(Policy { consumers, ..policy(&world, mtls_auth) }, &world.peer("x", &[]));
    assert!(said.ends_with(r"x-consumer-custom-id=\C3\A5 x-consumer-username=a\0D\0Ab: c"), "{said}");
}

/// Says the same of every certificate.
struct All(Option<Status>);

impl Statuses for All {
    fn status(&self, _: &Query, _: UnixTime) -> Option<Status> {
        self.0.clone()
    }
}

fn fetching(check: Check) -> Arc<Fetching> {
    Arc::new(Fetching {
        check,
        timeout: Duration::from_secs(1),
        ttl: Duration::from_secs(60),
        crl_files: Arc::default(),
        hosts: Hosts::new([]),
        http_proxy: None,
        https_proxy: None,
    })
}

#[test]
fn revocation_decides_as_its_mode_says() {
    let world = World::new();
    let (alice, headers) = (world.peer("alice", &[]), HeaderMap::new());
    let check = |status: Option<Status>, check: Option<Check>, passes: Option<bool>| {
        let lookup = Lookup::Skip { group_by: None };
        let mtls_auth = MtlsAuth { revocation: check.map(fetching), ..world.mtls_auth(lookup) };
        let question = Question { statuses: &All(status.clone()), ..world.question(&alice, &headers) };
        let said = outcome(Arc::new(policy(&world, mtls_auth)).authorize(&question, &Decisions::default()));
        let expected = match passes {
            Some(true) => "x-client-cert-dn=CN=alice x-client-cert-san=alice",
            Some(false) => NOT_VERIFIED,
            None => "1 questions",
        };
        assert_eq!(said, expected, "{status:?} {check:?}");
    };
    let until = later(world.now, Duration::from_secs(60));
    let unknown = |why| Some(Status::Unknown { why, until });
    for (status, ignoring, strict) in [
        (Some(Status::Good { until }), Some(true), Some(true)),
        (Some(Status::Revoked { at: world.now, reason: None, until }), Some(false), Some(false)),
        (unknown(Doubt::NowhereToAsk), Some(true), Some(false)),
        (unknown(Doubt::NoAnswer("nobody is there".into())), Some(true), Some(false)),
        // An answer, and not a good one.
        (unknown(Doubt::NotKnown), Some(false), Some(false)),
        (None, None, None),
    ] {
        check(status.clone(), None, Some(true));
        check(status.clone(), Some(Check::IgnoreCaError), ignoring);
        check(status, Some(Check::Strict), strict);
    }
}

#[test]
fn an_open_question_is_not_taken_for_a_failure_and_is_about_leaf_and_issuer() {
    let world = World::new();
    let (alice, headers) = (world.peer("alice", &[]), HeaderMap::new());
    let mtls_auth = MtlsAuth {
        revocation: Some(fetching(Check::Strict)),
        anonymous: Some("guest".into()),
        ..world.mtls_auth(by_name())
    };
    let (policy, decisions) = (Arc::new(policy(&world, mtls_auth)), Decisions::default());
    let ask = |statuses: &All| {
        policy.authorize(&Question { statuses, ..world.question(&alice, &headers) }, &decisions)
    };
    let Err(Refused::Undecided(queries)) = ask(&All(None)) else { panic!("decided") };
    let leaf = alice.certificate().unwrap().leaf.der();
    let asked = Query::new(leaf, world.ca.certificate(), fetching(Check::Strict)).unwrap();
    assert!(queries == [asked]);
    let until = later(world.now, Duration::from_secs(60));
    assert!(outcome(ask(&All(Some(Status::Good { until })))).contains("username=alice"));
}
