//! Callista's two plugins, value by value.

use http::StatusCode;

use super::*;
use crate::identity::nginx;
use crate::message::RequestId;
use crate::message::reply::{Format, Reply};

fn name(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

/// Nothing is told.
fn plugin(world: &World) -> CallistaMtlsAuth {
    CallistaMtlsAuth {
        revocation: None,
        verifier: world.verifier(),
        error_response_code: StatusCode::UNAUTHORIZED,
        upstream_cert_header: None,
        upstream_cert_fingerprint_header: None,
        upstream_cert_serial_header: None,
        upstream_cert_i_dn_header: None,
        upstream_cert_s_dn_header: None,
        upstream_cert_cn_header: None,
        upstream_cert_org_header: None,
    }
}

/// The names of article B.
fn article(world: &World) -> CallistaMtlsAuth {
    CallistaMtlsAuth {
        upstream_cert_s_dn_header: Some(name("x-client-cert-dn")),
        upstream_cert_cn_header: Some(name("x-client-cert-san")),
        upstream_cert_org_header: Some(name("x-client-cert-organization")),
        ..plugin(world)
    }
}

fn of(callista: CallistaMtlsAuth) -> Policy {
    let identity_headers = vec![HeaderFormat::Kong];
    Policy { callista_mtls_auth: Some(callista), identity_headers, ..Policy::default() }
}

fn client(world: &World, common_name: Option<&str>, organization: Option<&str>) -> Peer {
    let leaf = Leaf {
        common_name: common_name.map(Into::into),
        organization: organization.map(Into::into),
        ..Leaf::client("")
    };
    peer(&world.ca.issue(&leaf).unwrap().chain())
}

fn reply(world: &World, policy: Policy, peer: &Peer) -> Reply {
    let headers = HeaderMap::new();
    match Arc::new(policy).authorize(&world.question(peer, &headers), &Decisions::default()) {
        Err(Refused::Denied(denial)) => denial.reply,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_value_is_nginxs() {
    let world = World::new();
    let peer = client(&world, Some("client1"), Some("Callista Enterprise AB"));
    let leaf = &peer.certificate().unwrap().leaf;
    let said = "x-client-cert-dn=CN=client1,O=Callista Enterprise AB x-client-cert-san=client1 \
                x-client-cert-organization=Callista Enterprise AB";
    assert_eq!(world.ask(of(article(&world)), &peer), said);
    let rest = CallistaMtlsAuth {
        upstream_cert_header: Some(name("a")),
        upstream_cert_fingerprint_header: Some(name("b")),
        upstream_cert_serial_header: Some(name("c")),
        upstream_cert_i_dn_header: Some(name("d")),
        ..plugin(&world)
    };
    let text = |value: HeaderValue| value.to_str().unwrap().to_owned();
    let (a, b) = (text(nginx::escaped_cert(leaf)), text(nginx::fingerprint(leaf)));
    let expected = format!("a={a} b={b} c={} d=CN=trusted", leaf.serial());
    assert_eq!(world.ask(of(rest), &peer), expected);
    assert_eq!(world.ask(of(plugin(&world)), &peer), "");
}

#[test]
fn without_an_accepted_certificate_the_answer_is_the_plugins_own() {
    let world = World::new();
    let untrusted = peer(&world.stranger.issue(&Leaf::client("a")).unwrap().chain());
    let body = r#"{"error":"invalid_request", "error_description": "mTLS client not provided or invalid"}"#;
    for failing in [plain(), peer(&[]), untrusted] {
        for status in [StatusCode::UNAUTHORIZED, StatusCode::IM_A_TEAPOT] {
            let callista = CallistaMtlsAuth { error_response_code: status, ..article(&world) };
            let reply = reply(&world, of(callista), &failing);
            assert_eq!(reply.status, status);
            assert_eq!(reply.body(Format::Html, &RequestId::new(0)), body);
            assert_eq!(reply.content_type(Format::Html).unwrap(), "application/json");
        }
    }
}

#[test]
fn a_name_that_is_wanted_and_missing_is_a_fault() {
    let world = World::new();
    let internal = Reply::INTERNAL;
    assert_eq!(reply(&world, of(article(&world)), &client(&world, Some("a"), None)), internal);
    assert_eq!(reply(&world, of(article(&world)), &client(&world, None, Some("o"))), internal);
    assert_eq!(world.ask(of(plugin(&world)), &client(&world, None, None)), "");
}

#[test]
fn the_acl_judges_what_mtls_auth_sets_and_nothing_else() {
    let world = World::new();
    let own = client(&world, Some("client1"), Some("Callista Enterprise AB"));
    let other = client(&world, Some("other"), Some("Other Corp"));
    let list = || vec!["Callista Enterprise AB".to_owned()];
    let ask = |rule, header, hide_certificate_header, peer: &Peer| {
        let acl = CallistaMtlsAcl { certificate_header_name: name(header), rule, hide_certificate_header };
        let policy = Policy { callista_mtls_acl: Some(acl), ..of(article(&world)) };
        // What a client sends under that name is nobody's.
        let mut forged = HeaderMap::new();
        forged.insert(name(header), HeaderValue::from_static("Callista Enterprise AB"));
        outcome(Arc::new(policy).authorize(&world.question(peer, &forged), &Decisions::default()))
    };
    let (organization, forbidden) = ("x-client-cert-organization", "403 You cannot consume this service");
    let check = |rule: Rule, peer: &Peer, passes: bool| {
        let said = ask(rule.clone(), organization, false, peer);
        assert_eq!(said != forbidden, passes, "{rule:?} {said}");
        assert_eq!(said.contains("organization="), passes);
        assert!(!ask(rule.clone(), organization, true, peer).contains("organization="));
        assert_eq!(ask(rule, "x-unset", false, peer), forbidden);
    };
    check(Rule::Allow(list()), &own, true);
    check(Rule::Allow(list()), &other, false);
    check(Rule::Deny(list()), &own, false);
    check(Rule::Deny(list()), &other, true);
    check(Rule::Deny(list()), &client(&world, Some("a"), Some("")), false);
}

#[test]
fn the_acls_refusal_is_one_line_of_json() {
    let world = World::new();
    let rule = Rule::Allow(vec!["Callista Enterprise AB".into()]);
    let certificate_header_name = name("x-client-cert-organization");
    let acl = CallistaMtlsAcl { certificate_header_name, rule, hide_certificate_header: false };
    for callista_mtls_auth in [None, Some(article(&world))] {
        let policy = Policy { callista_mtls_auth, callista_mtls_acl: Some(acl.clone()), ..Policy::default() };
        let reply = reply(&world, policy, &client(&world, Some("other"), Some("Other Corp")));
        let body = reply.body(Format::Plain, &RequestId::new(0));
        assert_eq!(body, r#"{"message":"You cannot consume this service"}"#);
    }
}
