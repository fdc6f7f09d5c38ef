//! What is remembered of a connection, and what must not be.

use http::StatusCode;

use super::*;

fn skipping(world: &World) -> Policy {
    let mtls_auth = Some(world.mtls_auth(Lookup::Skip { group_by: None }));
    Policy { mtls_auth, identity_headers: vec![HeaderFormat::Kong], ..Policy::default() }
}

#[test]
fn each_of_several_routes_is_decided_once() {
    let world = World::new();
    let (peer, headers, decisions) = (world.peer("a", &[]), HeaderMap::new(), Decisions::default());
    let policies: Vec<_> = (0..12).map(|_| Arc::new(skipping(&world))).collect();
    let ask = |policy| Policy::authorize(policy, &world.question(&peer, &headers), &decisions).unwrap();
    for few in [&policies[..8], &policies[4..]] {
        let first: Vec<_> = few.iter().map(ask).collect();
        let again: Vec<_> = few.iter().map(ask).collect();
        assert!(first.iter().zip(&again).all(|(first, again)| Arc::ptr_eq(first, again)));
        assert_eq!(decisions.len(), 8);
    }
}

#[test]
fn what_an_old_snapshot_decided_is_forgotten_and_keeps_nothing_alive() {
    let world = World::new();
    let (peer, headers, decisions) = (world.peer("a", &[]), HeaderMap::new(), Decisions::default());
    let old = Arc::new(skipping(&world));
    old.authorize(&world.question(&peer, &headers), &decisions).unwrap();
    let consumers = Arc::downgrade(&old.consumers);
    drop(old);
    assert!(consumers.upgrade().is_none());
    let new = Arc::new(skipping(&world));
    new.authorize(&world.question(&peer, &headers), &decisions).unwrap();
    assert_eq!(decisions.len(), 1);
}

#[test]
fn a_denial_is_looked_at_again_soon_and_a_permit_when_the_chain_ends() {
    let world = World::new();
    let (headers, decisions) = (HeaderMap::new(), Decisions::default());
    let policy = Arc::new(skipping(&world));
    let at = |peer: &Peer, seconds| {
        let now = later(world.now, Duration::from_secs(seconds));
        policy.authorize(&Question { now, ..world.question(peer, &headers) }, &decisions)
    };
    let peer = world.peer("a", &[]);
    let permit = at(&peer, 0).unwrap();
    assert!(Arc::ptr_eq(&permit, &at(&peer, 86_400).unwrap()));
    assert!(outcome(at(&peer, 200 * 86_400)).starts_with("401"));

    let decisions = Decisions::default();
    let none = super::peer(&[]);
    let reason = |seconds| {
        let now = later(world.now, Duration::from_secs(seconds));
        match policy.authorize(&Question { now, ..world.question(&none, &headers) }, &decisions) {
            Err(Refused::Denied(denial)) => denial.reason,
            other => panic!("{other:?}"),
        }
    };
    let first = reason(0);
    assert!(Arc::ptr_eq(&first, &reason(10)) && !Arc::ptr_eq(&first, &reason(11)));
}

#[test]
fn the_address_is_judged_per_request_after_who_and_before_what() {
    let world = World::new();
    let (headers, decisions) = (HeaderMap::new(), Decisions::default());
    let deny = vec!["10.0.0.0/8".parse().unwrap()];
    let status = StatusCode::FORBIDDEN;
    let ip_restriction = Some(IpRestriction { allow: Vec::new(), deny, status, message: None });
    let rule = Rule::Allow(vec!["a".into()]);
    let acl = Some(Acl { rule, hide_groups_header: true, always_use_authenticated_groups: false });
    let mtls_auth = Some(world.mtls_auth(Lookup::Skip { group_by: Some(GroupBy::CommonName) }));
    let policy = Arc::new(Policy { mtls_auth, ip_restriction, acl, ..Policy::default() });
    let decisions_of_b = Decisions::default();
    let (a, b, none) = (world.peer("a", &[]), world.peer("b", &[]), peer(&[]));
    let ask = |peer: &Peer, client: [u8; 4], decisions: &Decisions| {
        let question = Question { client_ip: client.into(), ..world.question(peer, &headers) };
        outcome(policy.authorize(&question, decisions))
    };
    let (inside, outside) = ([10, 0, 0, 1], [192, 0, 2, 1]);
    let refused = "403 IP address not allowed: 10.0.0.1";
    for _ in ["decided", "remembered"] {
        assert_eq!(ask(&a, outside, &decisions), "");
        assert_eq!(ask(&a, inside, &decisions), refused);
        assert_eq!(ask(&b, outside, &decisions_of_b), "403 You cannot consume this service");
        assert_eq!(ask(&b, inside, &decisions_of_b), refused);
    }
    assert_eq!(ask(&none, inside, &Decisions::default()), "401 No required TLS certificate was sent");
}

#[test]
fn a_terminated_route_still_asks_who_calls() {
    let world = World::new();
    let content = Content::Message(Some("gone".into()));
    let policy = || Policy {
        request_termination: Some(RequestTermination { status: StatusCode::GONE, content: content.clone() }),
        ..skipping(&world)
    };
    assert_eq!(world.ask(policy(), &world.peer("a", &[])), "410 gone");
    assert_eq!(world.ask(policy(), &peer(&[])), "401 No required TLS certificate was sent");
}
