//! The decision table of the acl, row by row (kong/plugins/acl/handler.lua).

use super::*;
use crate::policy::permit::Headers;

/// What is known of the caller.
#[derive(Debug, Clone, Copy)]
struct Row {
    consumer: Option<&'static [&'static str]>,
    credential: bool,
    group: Option<&'static str>,
}

const FORBIDDEN: &str = "403 You cannot consume this service";
const UNAUTHORIZED: &str = "401 Unauthorized";

fn judge(row: Row, acl: &Acl) -> String {
    let consumers = row.consumer.map(|groups| {
        let groups = groups.iter().map(|group| (*group).into()).collect();
        Consumers::new([NewConsumer { groups, ..consumer(1, Some("one"), None) }])
    });
    let who = Authenticated {
        consumer: consumers.and_then(|all| all.by_id(ConsumerId(1)).cloned()),
        is_proven: row.credential,
        groups: row.group.map(Into::into).into_iter().collect(),
        ..Authenticated::nobody(World::new().now)
    };
    let mut headers = Headers::default();
    match acl.judge(&who, &mut headers) {
        Ok(()) => outcome(Ok(Arc::new(Permit::new(None, None, headers)))),
        Err(denial) => outcome(Err(denial.into())),
    }
}

fn acl(rule: Rule) -> Acl {
    Acl { rule, hide_groups_header: false, always_use_authenticated_groups: false }
}

fn check(row: Row, allow: &str, deny: &str) {
    let listed = || vec!["other".to_owned(), "listed".to_owned()];
    assert_eq!(judge(row, &acl(Rule::Allow(listed()))), allow, "allow {row:?}");
    assert_eq!(judge(row, &acl(Rule::Deny(listed()))), deny, "deny {row:?}");
    // Hiding hides the header and decides nothing.
    for (rule, expected) in [(Rule::Allow(listed()), allow), (Rule::Deny(listed()), deny)] {
        let expected = if expected.starts_with('4') { expected } else { "" };
        assert_eq!(judge(row, &Acl { hide_groups_header: true, ..acl(rule) }), expected, "{row:?}");
    }
}

#[test]
fn whoever_is_no_consumer_is_judged_by_the_authenticated_group() {
    let told = "x-authenticated-groups=listed";
    for credential in [true, false] {
        let row = |group| Row { consumer: None, credential, group: Some(group) };
        check(row("listed"), told, FORBIDDEN);
        check(row("foreign"), FORBIDDEN, "");
        check(row("Listed"), FORBIDDEN, "");
    }
    check(Row { consumer: None, credential: false, group: None }, UNAUTHORIZED, UNAUTHORIZED);
    check(Row { consumer: None, credential: true, group: None }, FORBIDDEN, FORBIDDEN);
}

#[test]
fn a_consumer_is_judged_by_its_groups() {
    let row = |groups| Row { consumer: Some(groups), credential: true, group: None };
    check(row(&["a", "listed"]), "x-consumer-groups=a, listed", FORBIDDEN);
    check(row(&["a", "b,c"]), FORBIDDEN, r"x-consumer-groups=a, b\,c");
    check(row(&[]), FORBIDDEN, "x-consumer-groups=");
    let with_group = Row { group: Some("listed"), ..row(&["a"]) };
    check(with_group, FORBIDDEN, "x-consumer-groups=a");
}

#[test]
fn the_anonymous_are_judged_by_the_authenticated_group_and_then_by_the_consumers() {
    let row = |groups, group| Row { consumer: Some(groups), credential: false, group };
    check(row(&["listed"], None), "x-consumer-groups=listed", FORBIDDEN);
    check(row(&["a"], None), FORBIDDEN, "x-consumer-groups=a");
    check(row(&[], None), UNAUTHORIZED, "x-consumer-groups=");
    check(row(&["a"], Some("listed")), "x-authenticated-groups=listed", FORBIDDEN);
    check(row(&["listed"], Some("a")), FORBIDDEN, "");
}

#[test]
fn authenticated_groups_can_go_before_the_consumers_own() {
    let always = |rule| Acl { always_use_authenticated_groups: true, ..acl(rule) };
    let row = |group| Row { consumer: Some(&["own"]), credential: true, group };
    let allow = |name: &str| always(Rule::Allow(vec![name.into()]));
    assert_eq!(judge(row(Some("cn")), &allow("cn")), "x-authenticated-groups=cn");
    assert_eq!(judge(row(Some("cn")), &allow("own")), FORBIDDEN);
    assert_eq!(judge(row(None), &allow("own")), "x-consumer-groups=own");
    assert_eq!(judge(row(Some("cn")), &acl(Rule::Allow(vec!["own".into()]))), "x-consumer-groups=own");
}

#[test]
fn the_common_name_or_the_subject_is_the_group_when_nobody_is_looked_up() {
    let world = World::new();
    let ask = |group_by, name: &str| {
        let mtls_auth = Some(world.mtls_auth(Lookup::Skip { group_by }));
        let acl = Some(acl(Rule::Allow(vec![name.into()])));
        world.ask(Policy { mtls_auth, acl, ..Policy::default() }, &world.peer("a,b", &[]))
    };
    assert_eq!(ask(Some(GroupBy::CommonName), "a,b"), r"x-authenticated-groups=a\,b");
    assert_eq!(ask(Some(GroupBy::DistinguishedName), r"CN=a\,b"), r"x-authenticated-groups=CN=a\,b");
    assert_eq!(ask(Some(GroupBy::CommonName), r"CN=a\,b"), FORBIDDEN);
    assert_eq!(ask(None, "a,b"), FORBIDDEN);
}

#[test]
fn each_dns_name_and_uri_is_a_group_when_alternative_names_are() {
    let world = World::new();
    let sans = [dns("Api.Example"), San::Uri("spiffe://td/ns/orders".into()), email("a@example")];
    let ask = |rule: Rule, sans: &[San]| {
        let lookup = Lookup::Skip { group_by: Some(GroupBy::SubjectAltName) };
        let mtls_auth = Some(world.mtls_auth(lookup));
        world.ask(Policy { mtls_auth, acl: Some(acl(rule)), ..Policy::default() }, &world.peer("app", sans))
    };
    let list = |name: &str| vec!["other".to_owned(), name.to_owned()];
    let told = "x-authenticated-groups=api.example, spiffe://td/ns/orders";
    for name in ["api.example", "spiffe://td/ns/orders"] {
        assert_eq!(ask(Rule::Allow(list(name)), &sans), told, "{name}");
        assert_eq!(ask(Rule::Deny(list(name)), &sans), FORBIDDEN, "{name}");
    }
    for name in ["app", "a@example", "spiffe://td/ns/Orders", "spiffe://td/ns"] {
        assert_eq!(ask(Rule::Allow(list(name)), &sans), FORBIDDEN, "{name}");
        assert_eq!(ask(Rule::Deny(list(name)), &sans), "", "{name}");
    }
    assert_eq!(ask(Rule::Allow(list("app")), &[]), FORBIDDEN, "without alternative names there is no group");
    assert_eq!(ask(Rule::Deny(list("app")), &[]), FORBIDDEN, "nobody knows who that is");
    let disguised = [dns("spiffe://td/admin")];
    assert_eq!(ask(Rule::Allow(list("spiffe://td/admin")), &disguised), FORBIDDEN, "a DNS name is no URI");
}
