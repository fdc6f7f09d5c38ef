//! Which route a request takes, and the path its service sees.

use serde_json::json;

use crate::support::bridge::{Bridge, program};
use crate::support::client::{Answer, curl, curl_anonymous, curl_as};
use crate::support::declarative::{CA_ID, declaring};
use crate::support::pki::Pki;
use crate::support::services::Echo;

/// A node for `text`, in plain HTTP as well as TLS: its plain address is the first it tells.
struct Node {
    pki: Pki,
    node: Bridge,
    _echo: Echo,
}

fn node(text: &str) -> Node {
    let (pki, echo) = (Pki::new(), Echo::start());
    let node = declaring(&pki, echo.address, text).start();
    Node { pki, node, _echo: echo }
}

impl Node {
    fn ask(&self, arguments: &[&str], path: &str) -> Answer {
        let url = format!("{}{path}", self.node.https());
        let all: Vec<_> = ["--path-as-is"].iter().chain(arguments).copied().chain([url.as_str()]).collect();
        curl_anonymous(&self.pki, &all)
    }

    /// Status, and the path behind it.
    fn path(&self, arguments: &[&str], path: &str) -> (u16, String) {
        let answer = self.ask(arguments, path);
        let behind = if answer.status == 200 {
            answer.json()["path"].as_str().unwrap().to_owned()
        } else {
            String::new()
        };
        (answer.status, behind)
    }
}

fn found(path: &str) -> (u16, String) {
    (200, path.to_owned())
}

const NOT_FOUND: (u16, String) = (404, String::new());

#[test]
fn host_path_method_and_header_each_choose_a_route() {
    let node = node(
        r#"
services:
- name: echo
  url: http://{{service}}/none
  routes:
  - {name: host, hosts: [a.example], paths: [/x]}
- {name: wild, url: "http://{{service}}/wild", routes: [{name: wild, hosts: ["*.example"], paths: [/x]}]}
- {name: path, url: "http://{{service}}/path", routes: [{name: path, paths: [/x]}]}
- {name: method, url: "http://{{service}}/method", routes: [{name: method, paths: [/x], methods: [PUT]}]}
- {name: header, url: "http://{{service}}/header", routes: [{name: header, paths: [/x], headers: {version: ["2", "3"]}}]}
- {name: regex, url: "http://{{service}}/regex", routes: [{name: regex, paths: ["~/r/(?<id>[0-9]+)$"]}]}
"#,
    );
    assert_eq!(node.path(&[], "/x"), found("/path"));
    assert_eq!(node.path(&["-H", "Host: a.example"], "/x/y"), found("/none/y"));
    assert_eq!(node.path(&["-H", "Host: A.Example:1234"], "/x"), found("/none"));
    assert_eq!(node.path(&["-H", "Host: b.c.example"], "/x"), found("/wild"));
    assert_eq!(node.path(&["-X", "PUT"], "/x"), found("/method"));
    assert_eq!(node.path(&["-H", "Version: 3"], "/x"), found("/header"));
    assert_eq!(node.path(&["-H", "Version: 4"], "/x"), found("/path"));
    assert_eq!(node.path(&[], "/r/12"), found("/regex"));
    assert_eq!(node.path(&[], "/r/12x"), NOT_FOUND);
    assert_eq!(node.path(&[], "/"), NOT_FOUND);
    assert_eq!(node.ask(&[], "/").json()["message"], "no Route matched with those values");
}

#[test]
fn paths_are_joined_as_kong_joins_them() {
    let node = node(
        r#"
services:
- name: s
  url: http://{{service}}/s
  routes:
  - {name: kept, hosts: [kept], paths: [/r], strip_path: false}
  - {name: stripped, hosts: [stripped], paths: [/r]}
  - {name: slash, hosts: [slash], paths: [/r/]}
"#,
    );
    for (host, path, behind) in [
        ("kept", "/r/x", "/s/r/x"),
        ("kept", "/r", "/s/r"),
        ("stripped", "/r/x", "/s/x"),
        ("stripped", "/r", "/s"),
        ("stripped", "/rest", "/s/est"),
        ("slash", "/r/x", "/s/x"),
        ("slash", "/r/", "/s/"),
    ] {
        assert_eq!(node.path(&["-H", &format!("Host: {host}")], path), found(behind), "{host}{path}");
    }
}

#[test]
fn the_path_that_is_judged_is_the_path_that_is_forwarded() {
    let node = node(&format!(
        r#"
services:
- name: s
  url: http://{{{{service}}}}
  routes:
  - {{name: open, paths: [/open], strip_path: false}}
  - name: closed
    paths: [/closed]
    strip_path: false
    plugins:
    - {{name: mtls-auth, config: {{ca_certificates: [{CA_ID}], revocation_check_mode: SKIP}}}}
"#
    ));
    assert_eq!(node.path(&[], "/open/a"), found("/open/a"));
    for disguised in [
        "/open/../closed",
        "/open/%2e%2e/closed",
        "/open/./%2E./closed/x",
        "//closed",
        "/%63losed",
        "/open/..//closed",
    ] {
        assert_eq!(node.path(&[], disguised).0, 401, "{disguised}");
    }
    // An encoded slash separates nothing, here or behind.
    assert_eq!(node.path(&[], "/open/..%2fclosed"), found("/open/..%2Fclosed"));
    assert_eq!(node.path(&[], "/open/%7Euser/%41"), found("/open/~user/A"));
}

#[test]
fn no_route_is_404_before_401_unless_the_setting_turns_it_round() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let text = format!(
        r#"
plugins: [{{name: mtls-auth, config: {{ca_certificates: [{CA_ID}], skip_consumer_lookup: true, revocation_check_mode: SKIP}}}}]
services: [{{name: s, url: "http://{{{{service}}}}", routes: [{{name: r, paths: [/r]}}]}}]
"#
    );
    let node = declaring(&pki, echo.address, &text).start();
    let status =
        |node: &Bridge, path: &str| curl_anonymous(&pki, &[&format!("{}{path}", node.https())]).status;
    assert_eq!((status(&node, "/r"), status(&node, "/other")), (401, 404));
    let node = declaring(&pki, echo.address, &text).env("AUTHENTICATE_BEFORE_ROUTING", "on").start();
    assert_eq!((status(&node, "/r"), status(&node, "/other")), (401, 401));
    assert_eq!(curl_as(&pki, "client", &[&format!("{}/other", node.https())]).status, 404);
}

#[test]
fn a_route_without_a_service_is_503_and_only_for_those_who_may_pass() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let text = format!(
        r#"
routes:
- name: lonely
  paths: [/lonely]
  plugins: [{{name: mtls-auth, config: {{ca_certificates: [{CA_ID}], skip_consumer_lookup: true, revocation_check_mode: SKIP}}}}]
"#
    );
    let node = declaring(&pki, echo.address, &text).start();
    let url = format!("{}/lonely", node.https());
    assert_eq!(curl_anonymous(&pki, &[&url]).status, 401);
    let answer = curl_as(&pki, "client", &[&url]);
    assert_eq!(
        (answer.status, &answer.json()["message"]),
        (503, &json!("no Service found with those values"))
    );
}

#[test]
fn a_route_for_https_alone_sends_plain_requests_there() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let text = r#"
services:
- name: s
  url: http://{{service}}
  routes:
  - {name: upgrade, paths: [/upgrade], protocols: [https]}
  - {name: moved, paths: [/moved], protocols: [https], https_redirect_status_code: 301}
  - {name: both, paths: [/both]}
"#;
    let node = declaring(&pki, echo.address, text).env("PROXY_LISTEN", "127.0.0.1:0").start();
    let ask = |path: &str| curl(&["-H", "Host: shop.example", &format!("{}{path}", node.http())]);
    let answer = ask("/upgrade?x=1");
    assert_eq!((answer.status, &answer.json()["message"]), (426, &json!("Please use HTTPS protocol")));
    assert_eq!(answer.header("upgrade"), Some("TLS/1.2, HTTP/1.1"));
    let answer = ask("/moved?x=1");
    assert_eq!((answer.status, answer.header("location")), (301, Some("https://shop.example/moved?x=1")));
    assert_eq!(ask("/both").status, 200);
}

#[test]
fn a_kept_host_and_the_services_own() {
    let node = node(
        r#"
services:
- name: s
  url: http://{{service}}
  routes:
  - {name: kept, paths: [/kept], preserve_host: true}
  - {name: own, paths: [/own]}
"#,
    );
    let host = |path: &str| node.ask(&["-H", "Host: shop.example"], path).received("host");
    assert_eq!(host("/kept"), ["shop.example"]);
    let own = host("/own");
    assert!(own[0].starts_with("127.0.0.1:"), "{own:?}");
}

/// The policy of one who has to show a certificate.
fn mtls_auth() -> String {
    format!("{{name: mtls-auth, config: {{ca_certificates: [{CA_ID}], revocation_check_mode: SKIP}}}}")
}

#[test]
fn a_rule_for_a_port_is_kept_beside_an_equal_route_without_one() {
    let node = node(&format!(
        r#"
services:
- name: s
  url: http://{{{{service}}}}
  routes:
  - {{name: open, hosts: [x.test]}}
  - {{name: closed, hosts: ["x.test:8443"], plugins: [{0}]}}
  - {{name: wild, hosts: ["*.w.test"]}}
  - {{name: closed-wild, hosts: ["*.w.test:8443"], plugins: [{0}]}}
"#,
        mtls_auth()
    ));
    let status = |host: &str| node.ask(&["-H", &format!("Host: {host}")], "/").status;
    assert_eq!((status("x.test:8443"), status("x.test"), status("x.test:1")), (401, 200, 200));
    assert_eq!((status("a.w.test:8443"), status("a.w.test")), (401, 200));
}

#[test]
fn of_equal_routes_the_one_with_the_higher_id_is_taken() {
    let node = node(
        r#"
services:
- {name: first, url: "http://{{service}}/first", routes: [{name: low, id: 00000000-0000-4000-8000-000000000001, paths: [/given]}]}
- {name: second, url: "http://{{service}}/second", routes: [{name: high, id: 00000000-0000-4000-8000-000000000002, created_at: 1, paths: [/given]}]}
"#,
    );
    assert_eq!(node.path(&[], "/given"), found("/second"));
}

#[test]
fn patterns_that_kongs_router_takes_are_taken_by_the_program() {
    let node = node(
        r#"
services:
- {name: path, url: "http://{{service}}/path", routes: [{name: path, paths: ['~/orders/\d+$', '~/(?i)items/\w+$', '~/b\b', '~/\S+\.css$']}]}
- {name: header, url: "http://{{service}}/header", routes: [{name: header, headers: {x-t: [one, '~*^t\d+$', '~*^\w\s$']}, paths: [/h]}]}
- {name: host, url: "http://{{service}}/host", routes: [{name: host, hosts: [api.v1.1, '10.*', '*a.test', 'b.t*'], paths: [/o]}]}
- {name: every, url: "http://{{service}}/every", routes: [{name: every, hosts: ['*'], paths: [/every]}]}
- {name: sni, url: "http://{{service}}/sni", routes: [{name: sni, snis: ['*.host', 'local*'], paths: [/sni]}]}
- {name: none, url: "http://{{service}}/none", routes: [{name: none, snis: ['*.none'], paths: [/none]}]}
- {name: numbered, url: "http://backend.1/numbered", routes: [{name: numbered, paths: [/numbered]}]}
upstreams: [{name: backend.1, targets: [{target: "{{service}}"}]}]
"#,
    );
    for (path, expected) in [
        ("/orders/12", found("/path")),
        ("/orders/x", NOT_FOUND),
        ("/ITEMS/a_1", found("/path")),
        ("/b/c", found("/path/c")),
        ("/bc", NOT_FOUND),
        ("/x/y.css", found("/path")),
        ("/every", found("/every")),
        ("/sni", found("/sni")),
        ("/none", NOT_FOUND),
        ("/numbered", found("/numbered")),
    ] {
        assert_eq!(node.path(&[], path), expected, "{path}");
    }
    for (value, status) in [("ONE", 200), ("T7", 200), ("two", 404)] {
        assert_eq!(node.ask(&["-H", &format!("X-T: {value}")], "/h").status, status, "{value}");
    }
    for (host, status) in [
        ("api.v1.1", 200),
        ("10.0.0.1:80", 200),
        ("a.test", 200),
        ("xa.test.", 200),
        ("B.TEST", 200),
        ("c.test", 404),
    ] {
        assert_eq!(node.ask(&["-H", &format!("Host: {host}")], "/o").status, status, "{host}");
    }
}

#[test]
fn check_cautions_where_equal_routes_let_different_callers_in() {
    let pki = Pki::new();
    let checked = |routes: &str| {
        let text = format!(
            "_format_version: '3.0'\nca_certificates: [{{id: {CA_ID}, cert: {{{{ca.crt}}}}}}]\nplugins: [{{name: ip-restriction, config: {{deny: [192.0.2.1]}}}}]\nroutes:\n{routes}"
        );
        let file = crate::support::declarative::written(&pki, &text, &[]);
        let mut command = program();
        command
            .args(["check", "gateway"])
            .env("PROXY_LISTEN", "127.0.0.1:0 ssl")
            .env("DECLARATIVE_CONFIG", file);
        command.env("SSL_CERT", pki.path("server.crt")).env("SSL_CERT_KEY", pki.path("server.key"));
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        text.lines().filter(|line| line.contains("equal by priority")).map(str::to_owned).collect::<Vec<_>>()
    };
    let closed = mtls_auth();
    let lines = checked(&format!(
        "- {{name: a, hosts: [x.test]}}\n- {{name: b, hosts: ['x.test:8443'], plugins: [{closed}]}}\n"
    ));
    let [line] = &lines[..] else { panic!("{lines:?}") };
    let expected = "routes[0] (line 5): equal by priority to `b` at routes[1] (line 6), which takes what fits both, and the two let different callers in; give both the same plugins, or tell them apart by one more host, path, method or header";
    assert!(line.ends_with(expected), "{line}");
    for (first, second, cautions) in [
        ("paths: ['~/a/\\d+$']", "paths: ['~/a/[0-9]']", 1),
        ("paths: ['~/a/\\d+$']", "paths: ['~/a/[a-z]+$']", 0),
        ("paths: [/a]", "paths: [/b]", 0),
        ("paths: [/a]", "paths: [/ab]", 0),
        ("paths: [/a], methods: [GET]", "paths: [/a], methods: [PUT, GET]", 1),
        ("paths: [/a], methods: [GET]", "paths: [/a], methods: [PUT]", 0),
        ("hosts: ['*.a.test']", "hosts: ['*.b.a.test']", 1),
        ("headers: {x-a: [b]}", "headers: {x-a: [c]}", 0),
        ("protocols: [https], snis: [a.test]", "methods: [GET]", 1),
    ] {
        let one_closed = checked(&format!("- {{{first}}}\n- {{{second}, plugins: [{closed}]}}\n"));
        assert_eq!(one_closed.len(), cautions, "{first} {second}: {one_closed:?}");
        let alike =
            checked(&format!("- {{{first}, plugins: [{closed}]}}\n- {{{second}, plugins: [{closed}]}}\n"));
        assert_eq!(alike.len(), 0, "{first} {second}: {alike:?}");
    }
}
