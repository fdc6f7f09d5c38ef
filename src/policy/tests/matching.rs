//! Which consumer a certificate belongs to.

use super::*;

/// Asks for the id of the consumer; 0 for nobody.
fn check(world: &World, all: Vec<NewConsumer>, by: ConsumerBy, peer: &Peer, expected: u128) {
    let policy = Arc::new(Policy {
        consumers: Arc::new(Consumers::new(all)),
        mtls_auth: Some(world.mtls_auth(Lookup::Consumer { by, default: None })),
        ..Policy::default()
    });
    let headers = HeaderMap::new();
    let permit = policy.authorize(&world.question(peer, &headers), &Decisions::default());
    let found = permit.ok().and_then(|permit| permit.consumer().map(|consumer| consumer.id.0));
    assert_eq!(found.unwrap_or(0), expected, "{by:?} {:?}", peer.certificate().unwrap().leaf);
}

const BOTH: ConsumerBy = ConsumerBy { username: true, custom_id: true };
const USERNAME: ConsumerBy = ConsumerBy { username: true, custom_id: false };
const CUSTOM_ID: ConsumerBy = ConsumerBy { username: false, custom_id: true };
const NEITHER: ConsumerBy = ConsumerBy { username: false, custom_id: false };

#[test]
fn names_are_tried_by_kind_and_usernames_before_custom_ids() {
    let world = World::new();
    let uri = || San::Uri("spiffe://td/a".into());
    let ip = || San::Ip([192, 0, 2, 7].into());
    let all_kinds = world.peer("cn", &[ip(), uri(), dns("a.example"), email("a@example")]);
    let order = ["a@example", "a.example", "spiffe://td/a", "192.0.2.7"];
    for first in 0..order.len() {
        let usernames = order[first..].iter().rev().zip(1..);
        let with_rest = |at: usize| {
            let mut all: Vec<_> =
                usernames.clone().map(|(name, id)| consumer(id, Some(name), None)).collect();
            all.push(consumer(10, None, Some(order[at])));
            all
        };
        let expected = (order.len() - first) as u128;
        check(&world, with_rest(first), BOTH, &all_kinds, expected);
        check(&world, with_rest(first), CUSTOM_ID, &all_kinds, 10);
        let before = if first == 0 { expected } else { 10 };
        check(&world, with_rest(first.saturating_sub(1)), BOTH, &all_kinds, before);
        check(&world, with_rest(first), NEITHER, &all_kinds, 0);
    }
}

#[test]
fn the_common_name_counts_only_without_alternative_names() {
    let world = World::new();
    let all = || vec![consumer(1, Some("cn"), None), consumer(2, None, Some("cn"))];
    check(&world, all(), BOTH, &world.peer("cn", &[]), 1);
    check(&world, all(), USERNAME, &world.peer("cn", &[]), 1);
    check(&world, all(), CUSTOM_ID, &world.peer("cn", &[]), 2);
    check(&world, all(), BOTH, &world.peer("CN", &[]), 0);
    check(&world, all(), BOTH, &world.peer("cn", &[dns("other.example")]), 0);
    check(&world, all(), BOTH, &world.peer("trusted", &[]), 0);
    let root = vec![consumer(3, Some("trusted"), None)];
    check(&world, root, BOTH, &world.peer("cn", &[]), 0);
}

#[test]
fn manual_mappings_go_before_names_and_those_with_a_ca_before_those_without() {
    let world = World::new();
    let (ca, other) = (world.ca.certificate(), world.stranger.certificate());
    let mapped = |id: u128, name: &str, ca| {
        let mut one = consumer(id, None, Some(&format!("c-{id}")));
        one.mtls_auth = vec![credential(id, name, ca)];
        one
    };
    let named = || consumer(1, Some("a@example"), None);
    let peer = world.peer("cn", &[dns("a.example"), email("a@example")]);
    check(&world, vec![named(), mapped(2, "a.example", None)], BOTH, &peer, 2);
    check(&world, vec![named(), mapped(2, "a.example", None)], NEITHER, &peer, 2);
    check(&world, vec![mapped(2, "a@example", None), mapped(3, "a.example", Some(ca))], BOTH, &peer, 3);
    check(&world, vec![mapped(2, "a.example", None), mapped(3, "a@example", None)], BOTH, &peer, 3);
    check(&world, vec![mapped(2, "a.example", Some(ca)), mapped(3, "a@example", Some(ca))], BOTH, &peer, 3);
    check(&world, vec![named(), mapped(2, "a.example", Some(other))], BOTH, &peer, 1);
    check(&world, vec![mapped(2, "a.example", Some(other))], BOTH, &peer, 0);
    check(&world, vec![mapped(2, "cn", None), mapped(3, "cn", Some(ca))], BOTH, &peer, 0);
    check(&world, vec![mapped(2, "cn", None), mapped(3, "cn", Some(ca))], BOTH, &world.peer("cn", &[]), 3);
}

#[test]
fn any_ca_of_the_path_is_the_issuing_one() {
    let world = World::new();
    let middle = world.ca.intermediate("middle").unwrap();
    let peer = peer(&middle.issue(&Leaf::client("cn")).unwrap().chain());
    for (ca, expected) in [(&world.ca, 2), (&middle, 2), (&world.stranger, 0)] {
        let mut one = consumer(2, Some("two"), None);
        one.mtls_auth = vec![credential(2, "cn", Some(ca.certificate()))];
        check(&world, vec![one], NEITHER, &peer, expected);
    }
}
