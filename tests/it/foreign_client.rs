//! Foreign programs that present a certificate to our gateway: nginx, HAProxy, stunnel, curl, openssl.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use mtls_bridge::pki::{Authority, Leaf};

use crate::support::bridge::{Bridge, gateway};
use crate::support::client::{Answer, curl, curl_anonymous, curl_as};
use crate::support::peers::{Peer, free_address, haproxy, installed, nginx, stunnel};
use crate::support::pki::Pki;
use crate::support::services::Echo;

/// A program that brings plain requests to our gateway over TLS.
#[derive(Debug, Clone, Copy)]
enum Foreign {
    Nginx,
    HaProxy { http2: bool },
    Stunnel,
}

const ALL: [Foreign; 4] =
    [Foreign::Nginx, Foreign::HaProxy { http2: false }, Foreign::HaProxy { http2: true }, Foreign::Stunnel];

impl Foreign {
    fn is_installed(self) -> bool {
        installed(match self {
            Self::Nginx => "nginx",
            Self::HaProxy { .. } => "haproxy",
            Self::Stunnel => "stunnel",
        })
    }

    fn protocol(self) -> &'static str {
        if let Self::HaProxy { http2: true } = self { "HTTP/2.0" } else { "HTTP/1.1" }
    }

    /// Starts it in front of `gateway`, with `NAME.crt` and `NAME.key` or without a certificate.
    /// Each verifies our gateway's certificate and its name.
    fn start(self, pki: &Pki, gateway: SocketAddr, name: Option<&str>) -> Peer {
        let (address, dir) = (free_address(), pki.path("").display().to_string());
        match self {
            Self::Nginx => {
                let certificate = name.map_or_else(String::new, |name| {
                    format!(
                        "proxy_ssl_certificate {dir}{name}.crt; proxy_ssl_certificate_key {dir}{name}.key;"
                    )
                });
                let http = format!(
                    "server {{ listen {address}; client_max_body_size 0; location / {{\n\
                     proxy_pass https://{gateway}; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
                     proxy_ssl_trusted_certificate {dir}ca.crt; proxy_ssl_verify on;\n\
                     proxy_ssl_name localhost; proxy_ssl_server_name on; {certificate} }} }}"
                );
                nginx(&pki.path(""), &http, address)
            }
            Self::HaProxy { http2 } => {
                let certificate = name.map_or_else(String::new, |name| {
                    let pem = pki.text(&format!("{name}.crt")) + &pki.text(&format!("{name}.key"));
                    format!("crt {}", pki.write(&format!("{name}.pem"), pem).display())
                });
                let alpn = if http2 { "h2" } else { "http/1.1" };
                let sections = format!(
                    "listen link\n bind {address}\n server gateway {gateway} ssl ca-file {dir}ca.crt verify \
                     required sni str(localhost) verifyhost localhost alpn {alpn} {certificate}"
                );
                haproxy(&pki.path(""), &sections, address)
            }
            Self::Stunnel => {
                let certificate = name.map_or_else(String::new, |name| {
                    format!("cert = {dir}{name}.crt\nkey = {dir}{name}.key\n")
                });
                let options = format!(
                    "client = yes\nconnect = {gateway}\nCAfile = {dir}ca.crt\nverifyChain = yes\n\
                     checkHost = localhost\nsni = localhost\n{certificate}"
                );
                stunnel(&pki.path(""), &options, address)
            }
        }
    }
}

/// The whole way: a foreign program, our gateway, the echo.
struct Way {
    foreign: Peer,
    gateway: Bridge,
    _echo: Echo,
    _pki: Pki,
}

impl Way {
    /// `None` where the foreign program is missing.
    fn from(foreign: Foreign, pki: Pki, name: Option<&str>) -> Option<Self> {
        foreign.is_installed().then(|| {
            let echo = Echo::start();
            let gateway = gateway(&pki, echo.address).start();
            let peer = foreign.start(&pki, gateway.address, name);
            Self { foreign: peer, gateway, _echo: echo, _pki: pki }
        })
    }

    fn get(&self, path: &str, more: &[&str]) -> Answer {
        let url = format!("{}{path}", self.foreign.http());
        curl(&[more, &[&url]].concat())
    }
}

/// A PKI with `stranger.crt`, a certificate for the same name by a CA that the gateway does not list.
fn with_stranger() -> Pki {
    let pki = Pki::new();
    pki.keep("stranger", Authority::new("another CA").unwrap().issue(&Leaf::client("app")).unwrap());
    pki
}

/// Asserts that the answer is Kong's 401 with this text, byte for byte.
fn check_kongs_401(answer: &Answer, message: &str, who: &str) {
    assert_eq!(answer.status, 401, "{who}");
    let id = answer.json()["request_id"].as_str().unwrap().to_owned();
    assert!(id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{who}: {id}");
    let body = format!("{{\n  \"message\":\"{message}\",\n  \"request_id\":\"{id}\"\n}}");
    assert_eq!(answer.body, body, "{who}");
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"), "{who}");
}

#[test]
fn the_service_learns_the_certificate_of_the_foreign_program() {
    for foreign in ALL {
        let Some(way) = Way::from(foreign, Pki::new(), Some("client")) else { continue };
        let answer = way.get("/orders?x=1", &["-H", "X-Client-Cert-Dn: CN=forged"]);
        assert_eq!((answer.status, &answer.json()["query"]), (200, &"x=1".into()), "{foreign:?}");
        assert_eq!(answer.received("x-client-cert-dn"), ["CN=app"], "{foreign:?}");
        assert_eq!(answer.received("x-client-cert-san"), ["app"], "{foreign:?}");
        let line = way.gateway.access_line("/orders");
        assert_eq!(line["protocol"], foreign.protocol(), "{foreign:?}");
        assert_eq!(line["certificate"], "CN=app", "{foreign:?}");
    }
}

#[test]
fn a_megabyte_goes_both_ways_behind_a_foreign_program() {
    let text: String = (0..131_072).map(|number| format!("{number:07}\n")).collect();
    for foreign in ALL {
        let pki = Pki::new();
        let body = pki.write("body.txt", &text).display().to_string();
        let Some(way) = Way::from(foreign, pki, Some("client")) else { continue };
        let up = way.get("/", &["-H", "Expect:", "--data-binary", &format!("@{body}")]);
        assert_eq!(up.status, 200, "{foreign:?}");
        assert!(up.json()["body"] == text.as_str(), "the body was changed: {foreign:?}");
        let down = way.get("/bytes/1048576?chunked", &[]);
        assert_eq!((down.status, down.exit, down.body.len()), (200, 0, 1_048_576), "{foreign:?}");
    }
}

#[test]
fn a_foreign_program_without_a_certificate_gets_401() {
    for foreign in ALL {
        let Some(way) = Way::from(foreign, Pki::new(), None) else { continue };
        let answer = way.get("/", &[]);
        check_kongs_401(&answer, "No required TLS certificate was sent", &format!("{foreign:?}"));
        let line = way.gateway.access_line("/");
        assert_eq!(line["reason"], "the client sent no certificate", "{foreign:?}");
    }
}

#[test]
fn a_foreign_program_with_a_strangers_certificate_gets_401_and_our_log_names_its_ca() {
    for foreign in ALL {
        let Some(way) = Way::from(foreign, with_stranger(), Some("stranger")) else { continue };
        let answer = way.get("/", &[]);
        check_kongs_401(&answer, "TLS certificate failed verification", &format!("{foreign:?}"));
        let expected = "the certificate of CN=app was issued by CN=another CA, which does not lead to any CA \
                        in mtls-auth's list";
        assert_eq!(way.gateway.access_line("/")["reason"], expected, "{foreign:?}");
    }
}

#[test]
fn a_strangers_request_body_does_not_hide_its_401_from_a_foreign_program() {
    let text = "x".repeat(1_048_576);
    for foreign in ALL {
        let pki = with_stranger();
        let body = pki.write("body.txt", &text).display().to_string();
        let Some(way) = Way::from(foreign, pki, Some("stranger")) else { continue };
        let answer = way.get("/", &["-H", "Expect:", "--data-binary", &format!("@{body}")]);
        check_kongs_401(&answer, "TLS certificate failed verification", &format!("{foreign:?}"));
    }
}

#[test]
fn curl_with_a_certificate_comes_in_over_both_http_versions() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    for (argument, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        for newest in ["1.2", "1.3"] {
            let answer = curl_as(&pki, "client", &[argument, "--tls-max", newest, &gateway.https()]);
            assert_eq!((answer.status, answer.version.as_str()), (200, version), "TLS {newest}");
            assert_eq!(answer.received("x-client-cert-dn"), ["CN=app"], "{argument} TLS {newest}");
        }
    }
}

#[test]
fn curl_without_or_with_a_strangers_certificate_gets_401_over_both_http_versions() {
    let (pki, echo) = (with_stranger(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    for version in ["--http1.1", "--http2"] {
        let answer = curl_anonymous(&pki, &[version, &gateway.https()]);
        check_kongs_401(&answer, "No required TLS certificate was sent", version);
        let answer = curl_as(&pki, "stranger", &[version, &gateway.https()]);
        check_kongs_401(&answer, "TLS certificate failed verification", version);
    }
}

#[test]
fn curl_that_uploads_without_a_certificate_reads_its_401() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let body = pki.write("body.bin", vec![0; 8 * 1024 * 1024]).display().to_string();
    let answer = curl_anonymous(&pki, &["--http1.1", "-H", "Expect:", "-T", &body, &gateway.https()]);
    check_kongs_401(&answer, "No required TLS certificate was sent", "curl");
}

/// What `openssl s_client` printed: about the session, and the answer to a GET.
fn s_client(pki: &Pki, gateway: &Bridge, arguments: &[&str]) -> String {
    let ca = pki.path("ca.crt").display().to_string();
    let address = gateway.address.to_string();
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &address, "-servername", "localhost", "-CAfile", &ca])
        .args(["-verify_return_error", "-ign_eof"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let request = b"GET /s_client HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    // A refused handshake may end it before it reads.
    let _ = child.stdin.take().unwrap().write_all(request);
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn openssl_s_client_with_a_certificate_comes_in_by_tls_1_2_and_1_3() {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let file = |name: &str| pki.path(name).display().to_string();
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let arguments = [version, "-cert", &file("client.crt"), "-key", &file("client.key")];
        let said = s_client(&pki, &gateway, &arguments);
        assert!(said.contains(&format!("New, {name}, Cipher is ")), "{said}");
        assert!(said.contains("HTTP/1.1 200 OK\r\n"), "{said}");
        assert!(said.contains(r#"["x-client-cert-dn","CN=app"]"#), "{said}");
    }
}

#[test]
fn no_client_is_given_a_session_that_it_could_resume_without_its_certificate() {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let file = |name: &str| pki.path(name).display().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        let session = file(version);
        let arguments =
            [version, "-sess_out", &session, "-cert", &file("client.crt"), "-key", &file("client.key")];
        let said = s_client(&pki, &gateway, &arguments);
        assert!(said.contains("HTTP/1.1 200 OK\r\n"), "{said}");
        // openssl writes the file when it has a session id or a ticket.
        assert!(!pki.path(version).exists(), "{said}");
        assert!(
            !said.contains("TLS session ticket") && !said.contains("Post-Handshake New Session"),
            "{said}"
        );
    }
}

#[test]
fn under_require_a_strangers_handshake_fails_and_our_log_says_why() {
    if !installed("openssl") {
        return;
    }
    let (pki, echo) = (with_stranger(), Echo::start());
    let file = |name: &str| pki.path(name).display().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        let gateway = gateway(&pki, echo.address).env("MTLS_AUTH_HANDSHAKE", "require").start();
        let arguments = [version, "-cert", &file("stranger.crt"), "-key", &file("stranger.key")];
        let said = s_client(&pki, &gateway, &arguments);
        assert!(!said.contains("HTTP/1.1"), "{said}");
        gateway
            .log
            .containing("was issued by CN=another CA, which does not lead to any CA in mtls-auth's list");
        assert!(!s_client(&pki, &gateway, &[version]).contains("HTTP/1.1"));
        gateway.log.containing("the client sent no certificate, and one is required");
    }
}
