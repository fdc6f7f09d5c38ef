//! A declarative file: read whole, refused whole, and taken over while the program runs.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::executable::executable;
use crate::support::bridge::{Bridge, program};
use crate::support::client::{curl_anonymous, curl_as};
use crate::support::declarative::{CA_ID, declaring, filled, service, written};
use crate::support::pki::Pki;
use crate::support::services::Echo;

const TAKEN_OVER: &str = "were replaced";

/// The lines of a configuration that is refused because of its declarative file.
fn refused(pki: &Pki, file: &Path) -> Vec<String> {
    refused_by(program(), pki, file)
}

/// The same by this command of the program.
fn refused_by(mut command: Command, pki: &Pki, file: &Path) -> Vec<String> {
    let output = command
        .args(["check", "gateway"])
        .env("PROXY_LISTEN", "127.0.0.1:0 ssl")
        .env("SSL_CERT", pki.path("server.crt"))
        .env("SSL_CERT_KEY", pki.path("server.key"))
        .env("DECLARATIVE_CONFIG", file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}{}", String::from_utf8_lossy(&output.stdout));
    text.lines().map(str::to_owned).collect()
}

/// One line, about this file, that holds each of these words.
fn check(text: &str, words: &[&str]) {
    let pki = Pki::new();
    let file = written(&pki, text, &[]);
    let lines = refused(&pki, &file);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].starts_with(&format!("declarative_config={}", file.display())), "{lines:#?}");
    for word in words {
        assert!(lines[0].contains(word), "no {word:?} in {lines:#?}");
    }
}

const HEAD: &str = "_format_version: \"3.0\"\n";

#[test]
fn every_problem_is_told_with_its_place() {
    let with = |text: &str, words: &[&str]| check(&format!("{HEAD}{text}"), words);
    check("services: []\n", &["_format_version"]);
    check("_format_version: 3.0\n", &["_format_version", "line 1", "quot"]);
    with("servces: []\n", &["servces", "line 2", "services"]);
    with("services:\n- name: a\n  hots: b\n  host: c\n", &["services[0].hots", "line 4", "host"]);
    with("services:\n- {name: a, host: b, port: high}\n", &["services[0].port", "line 3"]);
    with("services:\n- {name: a}\n", &["services[0].host", "line 3"]);
    with("routes:\n- {name: a, paths: [/a], service: nobody}\n", &["routes[0].service", "nobody", "line 3"]);
    with("services:\n- {name: a, host: b}\n- {name: a, host: c}\n", &["services[1].name", "line 4"]);
    with("routes:\n- {name: a, paths: [\"~/(\"]}\n", &["routes[0].paths[0]", "line 3"]);
    with("plugins:\n- {name: rate-limiting, config: {minute: 5}}\n", &["rate-limiting", "line 3"]);
    with(
        "plugins:\n- {name: acl, config: {allow: [a], deny: [b]}}\n",
        &["plugins[0].config", "line 3", "allow", "deny"],
    );
    with(
        "plugins:\n- {name: mtls-auth, config: {ca_certificates: [11111111-1111-4111-8111-111111111111]}}\n",
        &["plugins[0].config.ca_certificates[0]", "line 3"],
    );
    with("ca_certificates:\n- cert: {{client.crt}}\n", &["ca_certificates[0].cert", "line 3", "CA"]);
}

#[test]
fn a_gateway_that_asks_nobody_is_warned_about() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let node = declaring(&pki, echo.address, &routes("/")).start();
    node.log.containing("no plugin asks callers for certificates, so everybody comes in");
    let refused = declaring(&pki, echo.address, &routes("/")).env("PROFILE", "hardened").refused();
    assert!(refused.text.contains("everybody comes in (refused by insecure=refuse"), "{}", refused.text);
}

#[test]
fn a_header_that_requests_need_is_no_plugins_header() {
    check(
        &format!("{HEAD}plugins:\n- {{name: mtls-auth, config: {{upstream_cert_cn_header: Host}}}}\n"),
        &["plugins[0].config.upstream_cert_cn_header", "line 3", "`host`"],
    );
}

#[test]
fn a_folder_of_manifests_is_read_and_its_problems_name_the_file() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let manifests = fs::read_to_string(filled(&pki, "articles/a-kubernetes.yaml", &service(echo.address)));
    let folder = pki.path("manifests");
    fs::create_dir(&folder).unwrap();
    for (number, document) in manifests.unwrap().split("\n---\n").enumerate() {
        fs::write(folder.join(format!("{number}.yaml")), document).unwrap();
    }
    let node = declaring(&pki, echo.address, "").env("DECLARATIVE_CONFIG", &folder).start();
    let url = format!("{}/mtls", node.https());
    assert_eq!(curl_as(&pki, "client", &[&url]).received("x-consumer-username"), ["mtls-user"]);
    // One more file, and it is taken over like any other change.
    let plugin = "apiVersion: configuration.konghq.com/v1\nkind: KongClusterPlugin\nmetadata:\n  name: end\n  \
                  labels: {global: \"true\"}\nplugin: request-termination\nconfig: {status_code: 418}\n";
    fs::write(folder.join("more.yaml"), plugin).unwrap();
    node.log.containing(TAKEN_OVER);
    assert_eq!(curl_as(&pki, "client", &[&url]).status, 418);
    fs::write(folder.join("more.yaml"), plugin.replace("status_code", "\n  statuscode")).unwrap();
    let line = node.log.containing("the last good");
    assert!(line.contains("statuscode") && line.contains("of more.yaml"), "{line}");
}

#[test]
fn two_plugins_of_a_name_on_one_route_are_refused() {
    let plugin = format!("{{name: mtls-auth, config: {{ca_certificates: [{CA_ID}]}}}}");
    let text = format!(
        "{HEAD}ca_certificates:\n- {{id: {CA_ID}, cert: {{{{ca.crt}}}}}}\nroutes:\n- name: r\n  paths: [/]\n  plugins:\n  - {plugin}\n  - {plugin}\n"
    );
    check(&text, &["routes[0].plugins[1]", "line 9", "mtls-auth"]);
}

#[test]
fn all_problems_are_told_at_once() {
    let pki = Pki::new();
    let text = format!(
        "{HEAD}services:\n- {{name: a}}\n- {{name: b, host: c, port: 70000}}\nroutes:\n- {{name: r}}\n"
    );
    let lines = refused(&pki, &written(&pki, &text, &[]));
    assert_eq!(lines.len(), 3, "{lines:#?}");
}

#[test]
fn bombs_and_bottomless_files_are_refused_at_once() {
    let pki = Pki::new();
    let mut bomb = "_format_version: \"3.0\"\na0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [before.as_str(); 9].join(", "));
    }
    let deep = format!("{HEAD}services: {}\n", "[".repeat(100_000));
    let huge = format!("{HEAD}services:\n{}", "- {name: x, host: y}\n".repeat(3_000_000));
    for text in [bomb, deep, huge] {
        // In time of its own: how long that takes, other programs decide too. Built for debugging it takes a third.
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -t 30; exec \"$0\" \"$@\""]).arg(executable()).env_clear();
        let lines = refused_by(limited, &pki, &written(&pki, &text, &[]));
        assert!(!lines.is_empty() && lines.iter().all(|line| line.len() < 1000), "{lines:#?}");
    }
}

#[test]
fn check_prints_the_routes_with_their_plugins() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let file = filled(&pki, "articles/a-acl.yaml", &service(echo.address));
    let output = program()
        .args(["check", "gateway"])
        .env("PROXY_LISTEN", "127.0.0.1:0 ssl")
        .env("SSL_CERT", pki.path("server.crt"))
        .env("SSL_CERT_KEY", pki.path("server.key"))
        .env("DECLARATIVE_CONFIG", file)
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{page}{}", String::from_utf8_lossy(&output.stderr));
    let line = page.lines().find(|line| line.contains("mtls-route")).unwrap_or_else(|| panic!("{page}"));
    for word in ["/mtls", "mtls-service", "mtls-auth", "acl"] {
        assert!(line.contains(word), "no {word} in {line:?}");
    }
}

fn routes(paths: &str) -> String {
    format!(
        "services:\n- {{name: s, url: \"http://{{{{service}}}}\", routes: [{{name: r, paths: [{paths}]}}]}}\n"
    )
}

fn replace(pki: &Pki, echo: &Echo, text: &str) {
    let text = text.replace("{{service}}", &echo.address.to_string());
    let ca = serde_json::to_string(&pki.text("ca.crt")).unwrap();
    let cas = format!("ca_certificates: [{{id: {CA_ID}, cert: {ca}}}]\n");
    let new = pki.write("new.yaml", format!("{HEAD}{cas}{text}"));
    fs::rename(new, pki.path("kong.yaml")).unwrap();
}

#[test]
fn a_new_file_is_taken_over_and_a_broken_one_changes_nothing() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let node = declaring(&pki, echo.address, &routes("/a")).start();
    let status =
        |node: &Bridge, path: &str| curl_anonymous(&pki, &[&format!("{}{path}", node.https())]).status;
    assert_eq!((status(&node, "/a"), status(&node, "/b")), (200, 404));
    replace(&pki, &echo, &routes("/b"));
    node.log.containing(TAKEN_OVER);
    assert_eq!((status(&node, "/a"), status(&node, "/b")), (404, 200));
    replace(&pki, &echo, "services: 7\n");
    let line = node.log.containing("the last good");
    assert!(line.contains("services") && line.contains("line 3"), "{line}");
    assert_eq!((status(&node, "/a"), status(&node, "/b")), (404, 200));
}

#[test]
fn a_file_given_as_text_is_as_good() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let text = serde_json::json!({
        "_format_version": "3.0",
        "ca_certificates": [{"cert": pki.text("ca.crt")}],
        "services": [{
            "name": "s",
            "url": format!("http://{}", echo.address),
            "routes": [{"name": "r", "paths": ["/json"]}],
        }],
    });
    let node = declaring(&pki, echo.address, "")
        .without("DECLARATIVE_CONFIG")
        .env("DECLARATIVE_CONFIG_STRING", text.to_string())
        .start();
    assert_eq!(curl_anonymous(&pki, &[&format!("{}/json", node.https())]).status, 200);
}

#[test]
fn a_consumer_taken_out_of_the_file_is_refused_on_his_live_connection() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let plugin = format!(
        "plugins: [{{name: mtls-auth, config: {{ca_certificates: [{CA_ID}], revocation_check_mode: SKIP}}}}]\n"
    );
    let with = format!("{}{plugin}consumers: [{{username: app}}]\n", routes("/"));
    let node = declaring(&pki, echo.address, &with).start();
    let url = format!("{}/", node.https());
    assert_eq!(curl_as(&pki, "client", &[&url]).status, 200);
    replace(&pki, &echo, &format!("{}{plugin}consumers: [{{username: another}}]\n", routes("/")));
    node.log.containing(TAKEN_OVER);
    assert_eq!(curl_as(&pki, "client", &[&url]).status, 401);
}
