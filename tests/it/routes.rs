//! Which route a request takes, and the path its service sees.

use serde_json::json;

use crate::support::bridge::Bridge;
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
