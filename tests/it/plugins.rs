//! Plugins of a declarative file: who may pass, as whom, and what the service is told.

use mtls_bridge::pki::{Authority, Leaf};
use serde_json::json;

use crate::support::bridge::{Bridge, Setup};
use crate::support::client::{Answer, curl, curl_anonymous, curl_as, curl_fails};
use crate::support::declarative::{CA_ID, declaring};
use crate::support::pki::Pki;
use crate::support::services::Echo;

/// Everything goes to the echo; mtls-auth with these fields stands before it.
fn guarded(config: &str, more: &str) -> String {
    format!(
        "plugins:\n- {{name: mtls-auth, config: {{ca_certificates: [{CA_ID}], revocation_check_mode: SKIP, {config}}}}}\n\
         services: [{{name: s, url: \"http://{{{{service}}}}\", routes: [{{name: r, paths: [/]}}]}}]\n{more}"
    )
}

struct Node {
    pki: Pki,
    node: Bridge,
    _echo: Echo,
}

fn node(text: &str) -> Node {
    node_with(text, |setup| setup)
}

fn node_with(text: &str, change: impl FnOnce(Setup) -> Setup) -> Node {
    let (pki, echo) = (Pki::new(), Echo::start());
    let stranger = Authority::new("Another CA").unwrap();
    pki.keep("stranger", stranger.issue(&Leaf::client("app")).unwrap());
    pki.issue("unknown", &Leaf::client("unknown"));
    let node = change(declaring(&pki, echo.address, text)).start();
    Node { pki, node, _echo: echo }
}

impl Node {
    fn url(&self) -> String {
        format!("{}/", self.node.https())
    }

    fn anonymous(&self) -> Answer {
        curl_anonymous(&self.pki, &[&self.url()])
    }

    fn by(&self, name: &str) -> Answer {
        curl_as(&self.pki, name, &[&self.url()])
    }
}

/// Status and message, of a refusal.
fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status, answer.json()["message"].as_str().unwrap_or_default().to_owned())
}

fn not_verified() -> (u16, String) {
    (401, "TLS certificate failed verification".to_owned())
}

#[test]
fn the_access_line_names_the_consumer() {
    let node = node(&guarded("anonymous: guest", "consumers: [{username: guest}, {custom_id: app}]\n"));
    assert_eq!((node.anonymous().status, node.by("client").status), (200, 200));
    let lines = node.node.stopped_access_lines();
    let named: Vec<_> = lines.iter().map(|line| (&line["certificate"], &line["consumer"])).collect();
    assert_eq!(named, [(&json!(null), &json!("guest")), (&json!("CN=app"), &json!("app"))]);
}

#[test]
fn an_anonymous_consumer_takes_the_place_of_every_failure() {
    let node = node(&guarded(
        "anonymous: guest",
        "consumers: [{username: guest}, {username: app, custom_id: \"7\"}]\n",
    ));
    for answer in [node.anonymous(), node.by("stranger"), node.by("unknown")] {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.received("x-consumer-username"), ["guest"]);
        assert_eq!(answer.received("x-anonymous-consumer"), ["true"]);
        assert_eq!(answer.received("x-client-cert-dn"), [""; 0]);
    }
    let known = node.by("client");
    assert_eq!(known.received("x-consumer-username"), ["app"]);
    assert_eq!(known.received("x-consumer-custom-id"), ["7"]);
    assert_eq!(known.received("x-anonymous-consumer"), [""; 0]);
}

#[test]
fn an_anonymous_consumer_that_is_not_there_is_500() {
    let node = node(&guarded("anonymous: ghost", ""));
    let text = "anonymous consumer ghost is configured but doesn't exist".to_owned();
    assert_eq!(refusal(&node.anonymous()), (500, text));
}

#[test]
fn a_default_consumer_is_for_those_who_are_trusted_and_unknown() {
    let node =
        node(&guarded("default_consumer: partner", "consumers: [{username: partner}, {username: app}]\n"));
    let answer = node.by("unknown");
    assert_eq!(answer.received("x-consumer-username"), ["partner"]);
    assert_eq!(answer.received("x-client-cert-dn"), ["CN=unknown"]);
    assert_eq!(node.by("client").received("x-consumer-username"), ["app"]);
    assert_eq!(refusal(&node.by("stranger")), not_verified());
    assert_eq!(node.anonymous().status, 401);
}

#[test]
fn a_default_consumer_that_is_not_there_is_401_unauthorized() {
    let node = node(&guarded("default_consumer: ghost", ""));
    assert_eq!(refusal(&node.by("client")), (401, "Unauthorized".to_owned()));
}

#[test]
fn a_mapping_may_name_the_ca_that_issued() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let other = Authority::new("Another CA").unwrap();
    pki.write("other-ca.crt", other.certificate_pem());
    pki.keep("theirs", other.issue(&Leaf::client("app")).unwrap());
    let text = format!(
        r#"
- {{id: 22222222-2222-4222-8222-222222222222, cert: {{{{other-ca.crt}}}}}}
plugins:
- name: mtls-auth
  config:
    ca_certificates: [{CA_ID}, 22222222-2222-4222-8222-222222222222]
    revocation_check_mode: SKIP
    consumer_by: []
services: [{{name: s, url: "http://{{{{service}}}}", routes: [{{name: r, paths: [/]}}]}}]
consumers:
- username: ours
  mtls_auth_credentials:
  - {{id: 33333333-3333-4333-8333-333333333333, subject_name: app, ca_certificate: {CA_ID}}}
- username: anyones
  mtls_auth_credentials:
  - {{id: 44444444-4444-4444-8444-444444444444, subject_name: app}}
"#
    );
    let node = declaring(&pki, echo.address, text.trim_start_matches('\n')).start();
    let url = format!("{}/", node.https());
    assert_eq!(curl_as(&pki, "client", &[&url]).received("x-consumer-username"), ["ours"]);
    assert_eq!(curl_as(&pki, "theirs", &[&url]).received("x-consumer-username"), ["anyones"]);
}

#[test]
fn with_alternative_names_the_common_name_counts_for_nothing() {
    let node = node(&guarded("", "consumers: [{username: app}, {username: other.example}]\n"));
    let sans = vec!["other.example".parse().unwrap()];
    node.pki.issue("named", &Leaf { sans, ..Leaf::client("app") });
    assert_eq!(node.by("named").received("x-consumer-username"), ["other.example"]);
}

#[test]
fn the_most_specific_plugin_wins_whole() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let other = Authority::new("Another CA").unwrap();
    pki.write("other-ca.crt", other.certificate_pem());
    pki.keep("theirs", other.issue(&Leaf::client("app")).unwrap());
    let of = |id: &str| {
        format!(
            "{{name: mtls-auth, config: {{ca_certificates: [{id}], skip_consumer_lookup: true, revocation_check_mode: SKIP}}}}"
        )
    };
    let other_id = "22222222-2222-4222-8222-222222222222";
    let text = format!(
        "- {{id: {other_id}, cert: {{{{other-ca.crt}}}}}}\nplugins: [{}]\nservices:\n- name: s\n  url: http://{{{{service}}}}\n  \
         routes:\n  - {{name: all, paths: [/]}}\n  - {{name: theirs, paths: [/theirs], plugins: [{}]}}\n",
        of(CA_ID),
        of(other_id)
    );
    let node = declaring(&pki, echo.address, &text).start();
    let status = |name: &str, path: &str| curl_as(&pki, name, &[&format!("{}{path}", node.https())]).status;
    assert_eq!((status("client", "/"), status("theirs", "/")), (200, 401));
    assert_eq!((status("client", "/theirs"), status("theirs", "/theirs")), (401, 200));
}

#[test]
fn consumer_groups_pass_or_do_not() {
    let text = guarded("", "- {name: acl, config: {deny: [blocked]}}\n");
    // The acl belongs to the plugins, before the services.
    let (plugins, services) = text.split_once("services:").unwrap();
    let (services, acl) = services.split_once('\n').unwrap();
    let consumers =
        "consumers:\n- {username: app}\n- {username: unknown, acls: [{group: blocked}, {group: x}]}\n";
    let node = node(&format!("{plugins}{acl}services:{services}\n{consumers}"));
    let answer = node.by("client");
    assert_eq!((answer.status, answer.received("x-consumer-groups")), (200, vec![String::new()]));
    assert_eq!(refusal(&node.by("unknown")), (403, "You cannot consume this service".to_owned()));
}

#[test]
fn identity_headers_of_a_client_never_pass_on_a_route_without_plugins_either() {
    let node = node(r#"services: [{name: s, url: "http://{{service}}", routes: [{name: r, paths: [/]}]}]"#);
    let forged = [
        "X-Consumer-Username: root",
        "x_consumer_username: root",
        "X-Client-Cert-Dn: CN=root",
        "X-Authenticated-Groups: admin",
        "X-Consumer-Groups: admin",
    ];
    let url = node.url();
    let arguments: Vec<_> = forged.iter().flat_map(|header| ["-H", header]).chain([url.as_str()]).collect();
    let answer = curl_anonymous(&node.pki, &arguments);
    assert_eq!(answer.status, 200);
    assert!(!answer.body.contains("root") && !answer.body.contains("admin"), "{}", answer.body);
}

/// A certificate as nginx's `$ssl_client_escaped_cert` and header-cert-auth's `url_encoded` have it.
fn escaped(pem: &str) -> String {
    pem.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn header_cert_auth(more: &str) -> String {
    format!(
        "plugins:\n- {{name: header-cert-auth, config: {{ca_certificates: [{CA_ID}], certificate_header_name: X-Client-Certificate, \
         certificate_header_format: url_encoded, revocation_check_mode: SKIP, {more}}}}}\n\
         services: [{{name: s, url: \"http://{{{{service}}}}\", routes: [{{name: r, paths: [/]}}]}}]\nconsumers: [{{username: app}}]\n"
    )
}

#[test]
fn a_certificate_in_a_header_counts_from_a_trusted_source_alone() {
    let ask = |node: &Node| {
        let header = format!("X-Client-Certificate: {}", escaped(&node.pki.text("client.crt")));
        curl_anonymous(&node.pki, &["-H", &header, &node.url()])
    };
    let trusting = node_with(&header_cert_auth(""), |setup| setup.env("TRUSTED_IPS", "127.0.0.1"));
    let answer = ask(&trusting);
    assert_eq!((answer.status, answer.received("x-consumer-username")), (200, vec!["app".to_owned()]));
    // It has done its work, and the service believes in ours.
    assert_eq!(answer.received("x-client-certificate"), [""; 0]);
    let answer = curl_anonymous(&trusting.pki, &["-H", "X-Client-Certificate: garbage", &trusting.url()]);
    assert_eq!(answer.status, 500);
    assert_eq!(trusting.anonymous().status, 401);
    let distrusting = node(&header_cert_auth(""));
    assert_eq!(ask(&distrusting).status, 401);
}

#[test]
fn tls_metadata_headers_tell_the_certificate() {
    let text = r#"
plugins:
- {name: tls-handshake-modifier}
- {name: tls-metadata-headers, config: {inject_client_cert_details: true}}
services: [{name: s, url: "http://{{service}}", routes: [{name: r, paths: [/]}]}]
"#;
    let node = node(&text.replace("{name: r, paths: [/]}", "{name: r, paths: [/], protocols: [https]}"));
    let answer = node.by("client");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.received("x-client-cert-subject-dn"), ["CN=app"]);
    assert_eq!(answer.received("x-client-cert"), [escaped(&node.pki.text("client.crt"))]);
    assert_eq!(answer.received("x-client-cert-fingerprint")[0].len(), 40);
    assert_eq!(node.anonymous().received("x-client-cert"), [""; 0]);
}

#[test]
fn requests_are_ended_or_kept_out_by_address() {
    let text = r#"
services:
- name: s
  url: http://{{service}}
  routes:
  - {name: ended, paths: [/ended], plugins: [{name: request-termination, config: {status_code: 451, message: Gone home}}]}
  - {name: kept-out, paths: [/kept-out], plugins: [{name: ip-restriction, config: {deny: [127.0.0.0/8]}}]}
  - {name: let-in, paths: [/let-in], plugins: [{name: ip-restriction, config: {allow: ["127.0.0.1"]}}]}
"#;
    let (pki, echo) = (Pki::new(), Echo::start());
    let node = declaring(&pki, echo.address, text).env("PROXY_LISTEN", "127.0.0.1:0").start();
    let ask = |path: &str| curl(&[&format!("{}{path}", node.http())]);
    let ended = ask("/ended");
    assert_eq!((ended.status, &ended.json()["message"]), (451, &json!("Gone home")));
    assert_eq!((ask("/kept-out").status, ask("/let-in").status), (403, 200));
}

#[test]
fn the_protocols_of_a_plugin_exclude_no_route() {
    let text =
        guarded("skip_consumer_lookup: true", "").replace("paths: [/]", "paths: [/], protocols: [http]");
    let node = node(&text.replace("{name: mtls-auth,", "{name: mtls-auth, protocols: [https, grpcs],"));
    // A route for http takes https as well, and must not lose its guard by it.
    assert_eq!((node.anonymous().status, node.by("client").status), (401, 200));
}

#[test]
fn a_host_with_an_empty_label_is_no_host() {
    let node = node(r#"services: [{name: s, url: "http://{{service}}", routes: [{name: r, paths: [/]}]}]"#);
    for host in ["Host: secure.example..", "Host: .secure.example", "Host: a..b:80"] {
        assert_eq!(curl_anonymous(&node.pki, &["-H", host, &node.url()]).status, 400, "{host}");
    }
}

#[test]
fn where_the_handshake_is_to_refuse_a_file_that_cannot_have_it_does_not_start() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let text = guarded("skip_consumer_lookup: true", "");
    let node = declaring(&pki, echo.address, &text).env("MTLS_AUTH_HANDSHAKE", "require").start();
    let arguments =
        ["--cacert", pki.path("ca.crt").to_str().unwrap(), &format!("{}/", node.https())].map(str::to_owned);
    assert_ne!(curl_fails(&arguments.each_ref().map(String::as_str)), 0);
    assert_eq!(curl_as(&pki, "client", &[&format!("{}/", node.https())]).status, 200);
    let open = r#"services: [{name: s, url: "http://{{service}}", routes: [{name: r, paths: [/]}]}]"#;
    let refused = declaring(&pki, echo.address, open).env("MTLS_AUTH_HANDSHAKE", "require").refused();
    assert!(refused.line().contains("one global plugin alone"), "{}", refused.text);
}

#[test]
fn a_plain_request_to_a_guarded_route_is_401() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let node = declaring(&pki, echo.address, &guarded("skip_consumer_lookup: true", ""))
        .env("PROXY_LISTEN", "127.0.0.1:0")
        .start();
    let answer = curl(&[&format!("{}/", node.http())]);
    assert_eq!(refusal(&answer), (401, "No required TLS certificate was sent".to_owned()));
}
