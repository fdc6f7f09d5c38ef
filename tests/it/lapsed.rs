//! Certificates outside their dates: each is judged by itself, is left out and named once, and spoils nothing
//! that stands beside it.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use mtls_bridge::pki::{Authority, Issued, KeyKind, Leaf, Validity};
use time::{Duration, OffsetDateTime};

use crate::support::bridge::{Bridge, Setup, gateway, program, reverse_proxy};
use crate::support::client::{Answer, curl, curl_as};
use crate::support::declarative::{CA_ID, declaring};
use crate::support::pki::Pki;
use crate::support::services::Echo;

/// A second CA in declarative files.
const OTHER_ID: &str = "22222222-2222-4222-8222-222222222222";

/// Valid between these seconds from now.
fn between(begin: i64, end: i64) -> Validity {
    let now = OffsetDateTime::now_utc();
    Validity { not_before: now + Duration::seconds(begin), not_after: now + Duration::seconds(end) }
}

/// A root in `NAME.crt`, and a client of it in `NAME-client.{crt,key}`.
fn root(pki: &Pki, name: &str, validity: Validity) -> Authority {
    let root = Authority::with(name, validity, KeyKind::default()).unwrap();
    pki.write(&format!("{name}.crt"), root.certificate_pem());
    pki.keep(&format!("{name}-client"), client_of(&root));
    root
}

fn client_of(root: &Authority) -> Issued {
    root.issue(&Leaf::client("app")).unwrap()
}

fn bundle(pki: &Pki, names: &[&str]) -> std::path::PathBuf {
    pki.write("bundle.crt", names.iter().map(|name| pki.text(name)).collect::<String>())
}

/// The status for a client.
fn status(node: &Bridge, pki: &Pki, name: &str) -> u16 {
    ask(node, pki, name, "/").status
}

fn ask(node: &Bridge, pki: &Pki, name: &str, path: &str) -> Answer {
    curl_as(pki, name, &[&format!("{}{path}", node.https())])
}

/// The lines of the log so far that hold `text`.
fn lines(node: &Bridge, text: &str) -> Vec<String> {
    node.log.so_far().into_iter().filter(|line| line.contains(text)).collect()
}

/// The subject of the certificate that is shown to whoever asks for this name.
fn shown(node: &Bridge, name: &str, more: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &node.address.to_string(), "-servername", name])
        .args(more)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = told.lines().find(|line| line.starts_with("subject=")).unwrap_or_else(|| panic!("{told}"));
    line.trim_start_matches("subject=").replace(' ', "")
}

/// One line with exit code 1: waiting may mend it.
fn refused_for_now(setup: Setup) -> String {
    let refused = setup.refused();
    assert_eq!((refused.code, refused.text.lines().count()), (1, 1), "{}", refused.text);
    refused.text.trim_end().to_owned()
}

#[test]
fn an_expired_ca_among_the_callers_is_left_out_with_one_caution_and_the_rest_is_trusted() {
    let (pki, echo) = (Pki::new(), Echo::start());
    root(&pki, "late", Validity::expired());
    let cas = bundle(&pki, &["late.crt", "ca.crt"]);
    let node = gateway(&pki, echo.address).env("MTLS_AUTH_CA_CERTIFICATES", &cas).start();
    assert_eq!((status(&node, &pki, "client"), status(&node, &pki, "late-client")), (200, 401));
    let told = lines(&node, "certificate 1 (CN=late) expired 24 hours ago, so it is left out");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("mtls_auth_ca_certificates=") && told[0].contains("WARN"), "{told:#?}");
}

#[test]
fn where_no_ca_of_the_callers_is_valid_the_start_fails_for_now() {
    let (pki, echo) = (Pki::new(), Echo::start());
    root(&pki, "late", Validity::expired());
    let setup = gateway(&pki, echo.address).env("MTLS_AUTH_CA_CERTIFICATES", pki.path("late.crt"));
    let line = refused_for_now(setup);
    assert!(line.contains("certificate 1 (CN=late) expired 24 hours ago; put the CA's renewed"), "{line}");
}

#[test]
fn what_waiting_cannot_mend_keeps_its_exit_code_beside_what_it_can() {
    let (pki, echo) = (Pki::new(), Echo::start());
    root(&pki, "late", Validity::expired());
    let setup = gateway(&pki, echo.address)
        .env("MTLS_AUTH_CA_CERTIFICATES", pki.path("late.crt"))
        .env("SSL_CERT_KEY", pki.path("client.key"));
    assert_eq!(setup.refused().lines().len(), 2);
}

#[test]
fn of_two_server_certificates_the_valid_one_is_shown() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let localhost = || Leaf::server(&["localhost"]).unwrap();
    pki.issue("late", &Leaf { validity: Validity::expired(), key_kind: KeyKind::Rsa2048, ..localhost() });
    let both = |suffix: &str| {
        format!(
            "{},{}",
            pki.path(&format!("late.{suffix}")).display(),
            pki.path(&format!("server.{suffix}")).display()
        )
    };
    let node =
        gateway(&pki, echo.address).env("SSL_CERT", both("crt")).env("SSL_CERT_KEY", both("key")).start();
    assert_eq!(status(&node, &pki, "client"), 200);
    let told = lines(&node, "the certificate (CN=localhost) expired 24 hours ago and is left out");
    assert_eq!(told.len(), 1, "{told:#?}");
}

const SERVICE: &str = "services: [{name: s, url: \"http://{{service}}\", routes: [{name: r, paths: [/]}]}]\n";

#[test]
fn a_declared_certificate_that_expired_leaves_its_names_to_another_and_says_so_once() {
    let (pki, echo) = (Pki::new(), Echo::start());
    pki.issue("shop", &Leaf { validity: Validity::expired(), ..Leaf::server(&["shop.test"]).unwrap() });
    pki.issue("good", &Leaf::server(&["good.test"]).unwrap());
    let text = format!(
        "certificates:\n\
         - {{cert: {{{{shop.crt}}}}, key: {{{{shop.key}}}}, snis: [{{name: shop.test}}, {{name: www.shop.test}}]}}\n\
         - {{cert: {{{{good.crt}}}}, key: {{{{good.key}}}}, snis: [{{name: good.test}}]}}\n{SERVICE}"
    );
    let node = declaring(&pki, echo.address, &text).start();
    assert_eq!(shown(&node, "good.test", &[]), "CN=good.test");
    assert_eq!(shown(&node, "shop.test", &[]), "CN=localhost");
    let told = lines(&node, "(CN=shop.test) expired");
    assert_eq!(told.len(), 1, "{told:#?}");
    for word in ["certificates[0] (line 5)", "shop.test, www.shop.test are shown another certificate"] {
        assert!(told[0].contains(word), "no {word:?} in {told:#?}");
    }
}

#[test]
fn of_two_kinds_of_key_the_valid_one_is_shown() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let shop = || Leaf::server(&["shop.test"]).unwrap();
    pki.issue("late", &Leaf { validity: Validity::expired(), ..shop() });
    pki.issue("other", &Leaf { key_kind: KeyKind::Rsa2048, ..shop() });
    let text = format!(
        "certificates:\n- {{cert: {{{{late.crt}}}}, key: {{{{late.key}}}}, cert_alt: {{{{other.crt}}}}, key_alt: {{{{other.key}}}}, snis: [{{name: shop.test}}]}}\n{SERVICE}"
    );
    let node = declaring(&pki, echo.address, &text).start();
    assert_eq!(shown(&node, "shop.test", &[]), "CN=shop.test");
    assert_eq!(lines(&node, "the other kind of key goes on").len(), 1);
}

fn mtls_auth(ids: &str) -> String {
    format!(
        "{{name: mtls-auth, config: {{ca_certificates: [{ids}], skip_consumer_lookup: true, revocation_check_mode: SKIP}}}}"
    )
}

/// A route of its own for each of the two lists of CAs; the second CA is in `FILE`.
fn two_routes(file: &str, first: &str, second: &str) -> String {
    format!(
        "- {{id: {OTHER_ID}, cert: {{{{{file}}}}}}}\nservices:\n- name: s\n  url: \"http://{{{{service}}}}\"\n  routes:\n  \
         - {{name: a, paths: [/a], plugins: [{}]}}\n  - {{name: b, paths: [/b], plugins: [{}]}}\n",
        mtls_auth(first),
        mtls_auth(second)
    )
}

#[test]
fn an_expired_ca_of_a_declarative_file_is_left_out_of_every_list_that_names_it() {
    let (pki, echo) = (Pki::new(), Echo::start());
    root(&pki, "late", Validity::expired());
    let both = format!("{OTHER_ID}, {CA_ID}");
    let node = declaring(&pki, echo.address, &two_routes("late.crt", &both, &both)).start();
    assert_eq!((status_of(&node, &pki, "/a"), status_of(&node, &pki, "/b")), (200, 200));
    let told = lines(&node, "the CA (CN=late) expired 24 hours ago, so it is left out");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("ca_certificates[1] (line 4)"), "{told:#?}");
}

fn status_of(node: &Bridge, pki: &Pki, path: &str) -> u16 {
    ask(node, pki, "client", path).status
}

#[test]
fn a_route_whose_cas_have_all_expired_is_closed_and_the_others_go_on() {
    let (pki, echo) = (Pki::new(), Echo::start());
    root(&pki, "late", Validity::expired());
    let node = declaring(&pki, echo.address, &two_routes("late.crt", OTHER_ID, CA_ID)).start();
    assert_eq!((status_of(&node, &pki, "/a"), status_of(&node, &pki, "/b")), (401, 200));
    assert_eq!(ask(&node, &pki, "late-client", "/a").status, 401);
    assert_eq!(lines(&node, "so nobody comes in where this plugin asks").len(), 1);
}

#[test]
fn a_declarative_file_whose_cas_have_all_expired_fails_for_now() {
    let (pki, echo) = (Pki::new(), Echo::start());
    root(&pki, "late", Validity::expired());
    let line = refused_for_now(declaring(&pki, echo.address, &{
        let list = two_routes("late.crt", OTHER_ID, OTHER_ID);
        list.replace(&format!(", plugins: [{}]}}\n  - {{name: b", mtls_auth(OTHER_ID)), "}\n  - {name: b")
    }));
    let why = "nothing is left of them that is valid now: ca_certificates[1] (line ";
    assert!(line.contains(why) && line.contains(") expired 24 hours ago; write a CA"), "{line}");
}

#[test]
fn a_client_certificate_of_one_service_that_expired_concerns_that_service_alone() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let far = gateway(&pki, echo.address).start();
    pki.issue("late", &Leaf { validity: Validity::expired(), ..Leaf::client("app") });
    let id = "33333333-3333-4333-8333-333333333333";
    let text = format!(
        "certificates:\n- {{id: {id}, cert: {{{{late.crt}}}}, key: {{{{late.key}}}}}}\nservices:\n\
         - {{name: a, url: \"https://localhost:{port}\", client_certificate: {id}, routes: [{{name: a, paths: [/a]}}]}}\n\
         - {{name: b, url: \"https://localhost:{port}\", routes: [{{name: b, paths: [/b]}}]}}\n",
        port = far.address.port()
    );
    let file = crate::support::declarative::written(&pki, &format!("_format_version: \"3.0\"\n{text}"), &[]);
    let node =
        reverse_proxy(&pki, far.address).without("UPSTREAM_URL").env("DECLARATIVE_CONFIG", file).start();
    let ask = |path: &str| curl(&[&format!("{}{path}", node.http())]).status;
    assert_eq!((ask("/a"), ask("/b")), (401, 200), "the gateway sees that it expired");
    assert_eq!(lines(&node, "and is presented all the same").len(), 1);
}

#[test]
fn a_service_whose_cas_have_all_expired_is_not_believed_and_the_others_go_on() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let late = root(&pki, "late", Validity::expired());
    pki.keep("far", late.issue(&Leaf::server(&["localhost"]).unwrap()).unwrap());
    let far = gateway(&pki, echo.address)
        .env("SSL_CERT", pki.path("far.crt"))
        .env("SSL_CERT_KEY", pki.path("far.key"))
        .start();
    let near = gateway(&pki, echo.address).start();
    let text = format!(
        "_format_version: \"3.0\"\nca_certificates:\n- {{id: {OTHER_ID}, cert: {{{{late.crt}}}}}}\nservices:\n\
         - {{name: a, url: \"https://localhost:{}\", ca_certificates: [{OTHER_ID}], routes: [{{name: a, paths: [/a]}}]}}\n\
         - {{name: b, url: \"https://localhost:{}\", routes: [{{name: b, paths: [/b]}}]}}\n",
        far.address.port(),
        near.address.port()
    );
    let file = crate::support::declarative::written(&pki, &text, &[]);
    let node =
        reverse_proxy(&pki, far.address).without("UPSTREAM_URL").env("DECLARATIVE_CONFIG", file).start();
    let ask = |path: &str| curl(&[&format!("{}{path}", node.http())]).status;
    assert_eq!((ask("/a"), ask("/b")), (502, 200));
    let reason = node.access_line("/a")["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("expired"), "{reason}");
}

#[test]
fn a_ca_that_is_not_valid_yet_comes_in_by_itself() {
    let (pki, echo) = (Pki::new(), Echo::start());
    root(&pki, "early", between(6, 600));
    let cas = bundle(&pki, &["ca.crt", "early.crt"]);
    let node = gateway(&pki, echo.address).env("MTLS_AUTH_CA_CERTIFICATES", &cas).start();
    node.log.containing("certificate 2 (CN=early) is not valid before");
    assert_eq!(status(&node, &pki, "client"), 200);
    node.log.containing("certificates that were not valid before are in force");
    // Its leaves are as old as any other.
    assert_eq!((status(&node, &pki, "client"), status(&node, &pki, "early-client")), (200, 200));
}

#[test]
fn what_expires_while_it_is_in_use_is_named_and_holds_up_no_renewal() {
    let (pki, echo) = (Pki::new(), Echo::start());
    root(&pki, "short", between(-60, 8));
    let node = gateway(&pki, echo.address).env("MTLS_AUTH_CA_CERTIFICATES", pki.path("short.crt")).start();
    let line = node.log.containing("certificate 1 (CN=short) expired");
    assert!(line.contains("stays in force until a valid one is there"), "{line}");
    assert_eq!(status(&node, &pki, "short-client"), 401, "it is trusted no longer");
    pki.issue("next", &Leaf::server(&["renewed.test", "localhost"]).unwrap());
    for suffix in ["crt", "key"] {
        std::fs::rename(pki.path(&format!("next.{suffix}")), pki.path(&format!("server.{suffix}"))).unwrap();
    }
    node.log.containing("certificates were replaced");
    assert_eq!(shown(&node, "localhost", &[]), "CN=renewed.test");
    pki.write("new.crt", pki.text("ca.crt"));
    std::fs::rename(pki.path("new.crt"), pki.path("short.crt")).unwrap();
    node.log.wait_times(2, "replaced", |line| line.contains("certificates were replaced").then_some(()));
    assert_eq!(status(&node, &pki, "client"), 200);
    assert_eq!(lines(&node, "(CN=short) expired").len(), 1);
}

#[test]
fn an_intermediate_of_our_own_chain_that_expired_is_named() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let late = pki.authority.intermediate_with("Late", Validity::expired(), KeyKind::default()).unwrap();
    pki.keep("under", late.issue(&Leaf::server(&["localhost"]).unwrap()).unwrap());
    let node = gateway(&pki, echo.address)
        .env("SSL_CERT", pki.path("under.crt"))
        .env("SSL_CERT_KEY", pki.path("under.key"))
        .start();
    let told = lines(&node, "certificate 2 of the chain (CN=Late) expired 24 hours ago");
    assert_eq!(told.len(), 1, "{told:#?}");
}

#[test]
fn check_names_what_would_be_left_out() {
    let pki = Pki::new();
    root(&pki, "late", Validity::expired());
    let output = program()
        .args(["check", "gateway"])
        .env("PROXY_LISTEN", "127.0.0.1:0 ssl")
        .env("UPSTREAM_URL", format!("http://{}", SocketAddr::from(([127, 0, 0, 1], 9))))
        .env("SSL_CERT", pki.path("server.crt"))
        .env("SSL_CERT_KEY", pki.path("server.key"))
        .env("MTLS_AUTH_CA_CERTIFICATES", bundle(&pki, &["ca.crt", "late.crt"]))
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{page}{}", String::from_utf8_lossy(&output.stderr));
    assert!(page.contains("caution: mtls_auth_ca_certificates="), "{page}");
    assert!(page.contains("certificate 2 (CN=late) expired 24 hours ago, so it is left out"), "{page}");
}
