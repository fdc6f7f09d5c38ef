//! Who is on an access list: names that nobody has are told, and callers without a common name have names too.

use mtls_bridge::pki::{Leaf, San};

use crate::support::bridge::{gateway, program};
use crate::support::client::curl_as;
use crate::support::declarative::declaring;
use crate::support::pki::Pki;
use crate::support::services::{Echo, closed_port};

const ORDERS: &str = "spiffe://example.org/ns/shop/orders";

/// What `check` and the log of a start say of these settings of a gateway.
fn cautions(pki: &Pki, settings: &[(&str, &str)]) -> Vec<String> {
    let setup =
        settings.iter().fold(gateway(pki, closed_port()), |setup, (name, value)| setup.env(name, value));
    let node = setup.start();
    let warned = |line: &String| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        (line["level"] == "WARN").then(|| line["message"].as_str().unwrap().to_owned())
    };
    let warned: Vec<_> = node.log.so_far().iter().filter_map(warned).collect();
    let mut check = program();
    check.args(["check", "gateway"]).env("UPSTREAM_URL", "http://127.0.0.1:1").envs(settings.iter().copied());
    check.env("SSL_CERT", pki.path("server.crt")).env("SSL_CERT_KEY", pki.path("server.key"));
    check.env("MTLS_AUTH_CA_CERTIFICATES", pki.path("ca.crt")).env("PROXY_LISTEN", "127.0.0.1:0 ssl");
    let page = String::from_utf8(check.output().unwrap().stdout).unwrap();
    let told: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("caution: ")).collect();
    assert_eq!(told, warned, "check and start say the same");
    warned
}

#[test]
fn a_gateway_without_a_list_says_that_every_certificate_passes() {
    let pki = Pki::new();
    let told = cautions(&pki, &[]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].ends_with(
            "(environment MTLS_AUTH_CA_CERTIFICATES): there is no acl_allow, so everyone passes who has a \
             certificate of these CAs; set ACL_ALLOW to the names that may pass"
        ),
        "{told:?}"
    );
    assert_eq!(cautions(&pki, &[("ACL_ALLOW", "app, O'Brien, orders.example")]), [""; 0]);
    assert_eq!(cautions(&pki, &[("ACL_DENY", "billing")]), [""; 0]);
}

#[test]
fn a_list_is_no_weakness_so_hardened_starts_without_one() {
    let pki = Pki::new();
    gateway(&pki, closed_port()).env("PROFILE", "hardened").start().log.containing("there is no acl_allow");
}

#[test]
fn names_that_nobody_has_are_told_one_by_one() {
    let pki = Pki::new();
    for (settings, what) in [
        (&[("ACL_ALLOW", "\"app\"")][..], "`\"app\"` has a quotation mark"),
        (&[("ACL_ALLOW", "app;billing")], "`app;billing` is one name, with a separator that is none"),
        (&[("ACL_ALLOW", "app billing")], "`app billing` is one name, with a blank in it"),
        (
            &[("ACL_ALLOW", "CN=app")],
            "`CN=app` is compared with the common name alone; write what follows CN=",
        ),
        (&[("ACL_DENY", "CN=app")], "`CN=app` is compared with the common name alone"),
        (&[("ACL_ALLOW", ORDERS)], "MTLS_AUTH_AUTHENTICATED_GROUP_BY=SAN"),
        (
            &[("ACL_ALLOW", "app"), ("TRUSTED_PEERS", "CN=proxy")],
            "`CN=proxy` is no name but a part of a subject",
        ),
        (
            &[("ACL_ALLOW", "app"), ("MTLS_AUTH_AUTHENTICATED_GROUP_BY", "DN")],
            "is compared with the whole subject",
        ),
        (
            &[("ACL_ALLOW", "CN=app,O=Acme"), ("MTLS_AUTH_AUTHENTICATED_GROUP_BY", "DN")],
            "these are 2 names, perhaps the parts of one subject; write `\\,` for a comma in a name",
        ),
    ] {
        let told = cautions(&pki, settings);
        assert!(told.len() == 1 && told[0].contains(what), "{settings:?}: {told:?}");
    }
}

#[test]
fn a_403_shows_the_list_and_that_only_the_case_differs() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let node = gateway(&pki, echo.address).env("ACL_ALLOW", "billing, App").start();
    let answer = curl_as(&pki, "client", &[&format!("{}/case", node.https())]);
    assert_eq!((answer.status, &answer.json()["message"]), (403, &"You cannot consume this service".into()));
    assert_eq!(
        node.access_line("/case")["reason"],
        r#"group "app" is not on the acl's allow list ["App", "billing"], where it is written in another case"#
    );
}

#[test]
fn a_long_list_is_shown_in_part() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let names: Vec<_> = (0..500).map(|index| format!("service-{index}")).collect();
    let node = gateway(&pki, echo.address).env("ACL_ALLOW", names.join(",")).start();
    assert_eq!(curl_as(&pki, "client", &[&format!("{}/long", node.https())]).status, 403);
    let reason = node.access_line("/long")["reason"].as_str().unwrap().to_owned();
    assert!(
        reason.contains(r#"["service-0", "service-1", "#) && reason.ends_with("] and 492 more"),
        "{reason}"
    );
}

#[test]
fn a_caller_without_a_common_name_is_let_in_by_its_spiffe_id() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let workload = |id: &str| Leaf { common_name: None, sans: vec![San::Uri(id.into())], ..Leaf::client("") };
    pki.issue("orders", &workload(ORDERS));
    pki.issue("billing", &workload("spiffe://example.org/ns/shop/billing"));
    let node = gateway(&pki, echo.address)
        .env("MTLS_AUTH_AUTHENTICATED_GROUP_BY", "SAN")
        .env("ACL_ALLOW", ORDERS)
        .start();
    let answer = curl_as(&pki, "orders", &[&format!("{}/orders", node.https())]);
    assert_eq!((answer.status, answer.received("x-authenticated-groups")), (200, vec![ORDERS.to_owned()]));
    assert_eq!(node.access_line("/orders")["group"], ORDERS);
    assert_eq!(curl_as(&pki, "billing", &[&format!("{}/billing", node.https())]).status, 403);
    let reason = node.access_line("/billing")["reason"].as_str().unwrap().to_owned();
    assert_eq!(
        reason,
        format!(
            r#"group "spiffe://example.org/ns/shop/billing" is not on the acl's allow list ["{ORDERS}"]"#
        )
    );
}

#[test]
fn of_several_alternative_names_one_is_enough_to_pass_and_one_to_be_kept_out() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let sans = vec![San::Dns("Orders.Example".into()), San::Uri(ORDERS.into())];
    pki.issue("both", &Leaf { sans, ..Leaf::client("app") });
    let ask = |list: &str, names: &str| {
        let node =
            gateway(&pki, echo.address).env("MTLS_AUTH_AUTHENTICATED_GROUP_BY", "SAN").env(list, names);
        curl_as(&pki, "both", &[&node.start().https()])
    };
    let answer = ask("ACL_ALLOW", "other.example, ORDERS.example");
    let groups = vec![format!("orders.example, {ORDERS}")];
    assert_eq!((answer.status, answer.received("x-authenticated-groups")), (200, groups));
    assert_eq!(ask("ACL_DENY", "orders.EXAMPLE").status, 403);
    assert_eq!(ask("ACL_ALLOW", "app").status, 403, "the common name is no alternative name");
}

#[test]
fn a_declarative_file_says_who_passes_without_a_list_and_which_names_nobody_has() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let file = |plugins: &str| {
        let text = format!(
            "consumers:\n- {{username: app, acls: [{{group: gold}}]}}\n\
             services:\n- {{name: s, url: 'http://{{{{service}}}}', routes: [{{paths: [/]}}]}}\n\
             plugins:\n{plugins}"
        );
        let node = declaring(&pki, echo.address, &text).start();
        let lines = node.log.so_far();
        lines.into_iter().filter(|line| line.contains(r#""level":"WARN""#)).collect::<Vec<_>>()
    };
    let auth = |more: &str| {
        format!(
            "- {{name: mtls-auth, config: {{ca_certificates: [11111111-1111-4111-8111-111111111111]{more}}}}}\n"
        )
    };
    let acl = |names: &str| format!("- {{name: acl, config: {{allow: {names}}}}}\n");
    let check = |plugins: &str, expected: &[&str]| {
        let told = file(plugins);
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.contains(expected), "{told}");
        }
    };
    check(&auth(""), &[]);
    check(&auth(", skip_consumer_lookup: true"), &["skip_consumer_lookup without an acl: everyone passes"]);
    check(&(auth("") + &acl("[gold]")), &[]);
    check(
        &(auth("") + &acl("[Gold, silver]")),
        &["no consumer is in the group `Gold`, but in `gold`", "no consumer is in the group `silver`"],
    );
    check(&(auth(", skip_consumer_lookup: true") + &acl("[app]")), &[]);
    check(
        &(auth(", skip_consumer_lookup: true") + &acl("['CN=app']")),
        &["`CN=app` is compared with the common name alone"],
    );
}

#[test]
fn a_declarative_file_has_kongs_two_words_and_san_is_refused_with_the_way_to_go() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let text = "plugins:\n- name: mtls-auth\n  config:\n    ca_certificates: [11111111-1111-4111-8111-111111111111]\n    \
                skip_consumer_lookup: true\n    authenticated_group_by: SAN\n";
    let refused = declaring(&pki, echo.address, text).refused();
    assert!(
        refused.text.contains("Kong's plugin has no `SAN` here; give the caller a consumer"),
        "{}",
        refused.text
    );
}
