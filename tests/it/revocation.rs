//! Certificates that were taken back: asked of a real OCSP responder, read from CRLs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use mtls_bridge::pki::{Leaf, Validity};

use crate::support::bridge::{Bridge, Setup, gateway};
use crate::support::client::{Answer, curl_anonymous, curl_as};
use crate::support::declarative::written;
use crate::support::lines::Lines;
use crate::support::openssl::{Kind, OpensslPki};
use crate::support::peers::free_address;
use crate::support::pki::Pki;
use crate::support::services::{Echo, answering, closed_port};

/// Client certificates of an intermediate that name where their status is to be asked.
struct Issued {
    made: OpensslPki,
    /// For the node itself.
    pki: Pki,
    echo: Echo,
}

/// A certificate `good` and one `revoked`, with these extensions beside the usual.
fn issued(extensions: &str) -> Issued {
    let made = OpensslPki::new(Kind::P256);
    let section = format!(
        "[told]\nbasicConstraints = CA:FALSE\nextendedKeyUsage = clientAuth\n{extensions}\n\
         [responder]\nbasicConstraints = CA:FALSE\nextendedKeyUsage = OCSPSigning\n\
         [ca]\ndefault_ca = lists\n[lists]\ndatabase = index.txt\ndefault_md = sha256\ndefault_crl_days = 1\ncrlnumber = crlnumber\n"
    );
    made.write("openssl.cnf", made.text("openssl.cnf") + &section);
    for name in ["good", "revoked"] {
        made.leaf(name, "told", &format!("/CN={name}"));
    }
    made.issue("responder", "intermediate", "responder", "/CN=OCSP");
    let line = |name: &str, state: &str| {
        let serial = made.run(&["x509", "-in", &format!("{name}.crt"), "-noout", "-serial"]);
        format!("{state}\t{}\tunknown\t/CN={name}\n", serial.trim().trim_start_matches("serial="))
    };
    let lines = line("good", "V\t350101000000Z\t") + &line("revoked", "R\t350101000000Z\t240101000000Z");
    made.write("index.txt", lines);
    made.write("crlnumber", "01\n");
    made.write("index.txt.attr", "unique_subject = no\n");
    Issued { made, pki: Pki::new(), echo: Echo::start() }
}

impl Issued {
    fn node(&self, mode: &str) -> Setup {
        let cas = self.made.join("callers.crt", &["ca.crt", "intermediate.crt"]);
        let pem = |name: &str| serde_json::to_string(&self.made.text(name)).unwrap();
        assert!(cas.exists());
        let text = format!(
            "_format_version: \"3.0\"\nca_certificates:\n- {{id: 11111111-1111-4111-8111-111111111111, cert: {}}}\n\
             - {{id: 22222222-2222-4222-8222-222222222222, cert: {}}}\nplugins:\n- name: mtls-auth\n  config:\n    \
             ca_certificates: [11111111-1111-4111-8111-111111111111, 22222222-2222-4222-8222-222222222222]\n    \
             skip_consumer_lookup: true\n    revocation_check_mode: {mode}\n    http_timeout: 2000\n\
             services: [{{name: s, url: \"http://{}\", routes: [{{name: r, paths: [/]}}]}}]\n",
            pem("ca.crt"),
            pem("intermediate.crt"),
            self.echo.address
        );
        Setup::new("gateway")
            .env("PROXY_LISTEN", "127.0.0.1:0 ssl http2")
            .env("SSL_CERT", self.pki.path("server.crt"))
            .env("SSL_CERT_KEY", self.pki.path("server.key"))
            .env("DECLARATIVE_CONFIG", written(&self.pki, &text, &[]))
    }

    fn ask(&self, node: &Bridge, name: &str) -> Answer {
        let file = |suffix: &str| self.made.path(&format!("{name}.{suffix}")).display().to_string();
        let url = format!("{}/", node.https());
        curl_anonymous(&self.pki, &["--cert", &file("chain"), "--key", &file("key"), &url])
    }

    /// A CRL of the intermediate, in DER.
    fn crl(&self) -> PathBuf {
        let signed = ["ca", "-gencrl", "-config", "openssl.cnf", "-keyfile", "intermediate.key"];
        self.made.run(&[&signed[..], &["-cert", "intermediate.crt", "-out", "list.pem"]].concat());
        self.made.run(&["crl", "-in", "list.pem", "-outform", "DER", "-out", "list.der"]);
        self.made.path("list.der")
    }
}

/// openssl's responder. Dropped, it ends.
struct Responder(Child);

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn responder(issued: &Issued, address: SocketAddr, signer: &str) -> Responder {
    let path = |name: &str| issued.made.path(name).display().to_string();
    let port = address.port().to_string();
    let (signing, key) = (path(&format!("{signer}.crt")), path(&format!("{signer}.key")));
    let mut child = Command::new("openssl")
        .args(["ocsp", "-index", &path("index.txt"), "-CA", &path("intermediate.crt"), "-port", &port])
        .args(["-rsigner", &signing, "-rkey", &key, "-nmin", "10"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It serves one connection after the other, so one that only looks whether it is there would be in the way.
    Lines::collect(child.stdout.take().unwrap()).containing("ACCEPT");
    Responder(child)
}

fn ocsp_at(address: SocketAddr) -> String {
    format!("authorityInfoAccess = OCSP;URI:http://{address}/")
}

#[test]
fn a_responder_says_who_was_revoked() {
    let address = free_address();
    let issued = issued(&ocsp_at(address));
    for signer in ["intermediate", "responder"] {
        let _responder = responder(&issued, address, signer);
        let node = issued.node("STRICT").env("MTLS_AUTH_REVOCATION_HOSTS", "127.0.0.1").start();
        assert_eq!(issued.ask(&node, "good").status, 200, "{signer}");
        let answer = issued.ask(&node, "revoked");
        assert_eq!(
            (answer.status, &answer.json()["message"]),
            (401, &"TLS certificate failed verification".into())
        );
        let line = node.access.json("the refusal", |line| line["status"] == 401);
        assert!(line["reason"].as_str().unwrap().contains("revoked"), "{line}");
    }
}

#[test]
fn a_responder_that_another_ca_signs_for_is_not_believed() {
    let address = free_address();
    let issued = issued(&ocsp_at(address));
    issued.made.root("stranger", "/CN=Stranger");
    let _responder = responder(&issued, address, "stranger");
    let node = issued.node("STRICT").env("MTLS_AUTH_REVOCATION_HOSTS", "127.0.0.1").start();
    assert_eq!(issued.ask(&node, "good").status, 401);
}

#[test]
fn a_responder_that_is_down_decides_by_the_mode() {
    let issued = issued(&ocsp_at(closed_port()));
    let node = |mode: &str| issued.node(mode).env("MTLS_AUTH_REVOCATION_HOSTS", "127.0.0.1").start();
    let lenient = node("IGNORE_CA_ERROR");
    assert_eq!(issued.ask(&lenient, "revoked").status, 200);
    lenient.log.containing("revocation");
    assert_eq!(issued.ask(&node("STRICT"), "good").status, 401);
    assert_eq!(issued.ask(&node("SKIP"), "revoked").status, 200);
}

#[test]
fn a_certificate_that_names_no_source_passes_unless_the_mode_is_strict() {
    let issued = issued("subjectAltName = DNS:good.example");
    assert_eq!(issued.ask(&issued.node("IGNORE_CA_ERROR").start(), "good").status, 200);
    assert_eq!(issued.ask(&issued.node("STRICT").start(), "good").status, 401);
}

#[test]
fn a_list_from_its_distribution_point_says_who_was_revoked() {
    // The list can be signed only after the certificates name where it will be.
    let address = free_address();
    let issued = issued(&format!("crlDistributionPoints = URI:http://{address}/list"));
    let list = std::fs::read(issued.crl()).unwrap();
    let listener = std::net::TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = crate::support::services::read_head(&mut stream);
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", list.len());
            let _ = std::io::Write::write_all(&mut stream, &[head.as_bytes(), &list].concat());
        }
    });
    let node = issued.node("STRICT").env("MTLS_AUTH_REVOCATION_HOSTS", "127.0.0.1").start();
    assert_eq!((issued.ask(&node, "good").status, issued.ask(&node, "revoked").status), (200, 401));
}

#[test]
fn a_list_in_a_file_needs_no_network() {
    let issued = issued("subjectAltName = DNS:x.example");
    issued.crl();
    let node = issued.node("STRICT").env("MTLS_AUTH_CRL_FILES", issued.made.path("list.pem")).start();
    assert_eq!((issued.ask(&node, "good").status, issued.ask(&node, "revoked").status), (200, 401));
}

#[test]
fn a_list_of_an_intermediate_counts_where_only_its_root_is_trusted() {
    let issued = issued("subjectAltName = DNS:x.example");
    issued.crl();
    let node = issued.node("IGNORE_CA_ERROR").env("MTLS_AUTH_CRL_FILES", issued.made.path("list.pem"));
    let text = issued.pki.text("kong.yaml");
    let both = "[11111111-1111-4111-8111-111111111111, 22222222-2222-4222-8222-222222222222]";
    assert!(text.contains(both));
    issued.pki.write("kong.yaml", text.replace(both, "[11111111-1111-4111-8111-111111111111]"));
    let node = node.start();
    assert_eq!((issued.ask(&node, "good").status, issued.ask(&node, "revoked").status), (200, 401));
}

#[test]
fn callistas_plugin_checks_what_the_settings_say() {
    let issued = issued("subjectAltName = DNS:x.example");
    issued.crl();
    let cas = issued.made.join("callers.crt", &["ca.crt", "intermediate.crt"]);
    let text = format!(
        "_format_version: \"3.0\"\nplugins: [{{name: mtls-auth, config: {{upstream_cert_cn_header: X-Caller}}}}]\n\
         services: [{{name: s, url: \"http://{}\", routes: [{{name: r, paths: [/]}}]}}]\n",
        issued.echo.address
    );
    let node = issued
        .node("SKIP")
        .env("DECLARATIVE_CONFIG", written(&issued.pki, &text, &[]))
        .env("MTLS_AUTH_CA_CERTIFICATES", cas)
        .env("MTLS_AUTH_REVOCATION_CHECK_MODE", "STRICT")
        .env("MTLS_AUTH_CRL_FILES", issued.made.path("list.pem"))
        .start();
    assert_eq!(issued.ask(&node, "good").received("x-caller"), ["good"]);
    let revoked = issued.ask(&node, "revoked");
    assert_eq!((revoked.status, revoked.body.contains("mTLS client not provided or invalid")), (401, true));
}

#[test]
fn an_address_within_is_not_asked_unless_it_is_listed() {
    let inside = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let issued = issued(&ocsp_at(inside));
    let node = issued.node("STRICT").start();
    assert_eq!(issued.ask(&node, "good").status, 401);
    let line = node.access.json("the refusal", |line| line["status"] == 401);
    assert!(line["reason"].as_str().unwrap().contains("127.0.0.1"), "{line}");
}

#[test]
fn a_list_out_of_date_stops_no_start_and_still_says_who_was_revoked() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let revoked = pki.issue("revoked", &Leaf::client("revoked"));
    pki.write("list.pem", pki.authority.revocation_list(&[&revoked], Validity::expired()).unwrap());
    let node = |mode: &str| {
        gateway(&pki, echo.address)
            .env("MTLS_AUTH_REVOCATION_CHECK_MODE", mode)
            .env("MTLS_AUTH_CRL_FILES", pki.path("list.pem"))
            .start()
    };
    let statuses = |node: &Bridge| {
        ["client", "revoked"].map(|name| curl_as(&pki, name, &[&format!("{}/", node.https())]).status)
    };
    let lenient = node("IGNORE_CA_ERROR");
    let line = lenient.log.containing("its nextUpdate has passed; it says who is revoked");
    assert!(line.contains("mtls_auth_crl_files="), "{line}");
    assert_eq!(statuses(&lenient), [200, 401]);
    assert_eq!(statuses(&node("STRICT")), [401, 401]);
}

#[test]
fn a_file_may_hold_the_lists_of_several_cas_as_nginx_reads_it() {
    let (pki, other, echo) = (Pki::new(), Pki::new(), Echo::start());
    let revoked = pki.issue("revoked", &Leaf::client("revoked"));
    let theirs = other.authority.revocation_list(&[], Validity::days(1)).unwrap();
    let ours = pki.authority.revocation_list(&[&revoked], Validity::days(1)).unwrap();
    let node = gateway(&pki, echo.address)
        .env("MTLS_AUTH_CA_CERTIFICATES", pki.write("cas.crt", other.text("ca.crt") + &pki.text("ca.crt")))
        .env("KONG_NGINX_PROXY_SSL_CRL", pki.write("lists.pem", theirs + &ours))
        .start();
    let status = |name: &str| curl_as(&pki, name, &[&format!("{}/", node.https())]).status;
    assert_eq!((status("client"), status("revoked")), (200, 401));
}
