//! Certificates, keys and CAs that cannot be used: each stops the start with exit code 2 and one
//! line that names the setting, the file, where it was said and what to do. What waiting may mend has
//! exit code 1.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use mtls_bridge::pki::{Authority, KeyKind, Leaf, Usage, Validity};

use time::{Duration, OffsetDateTime};

use crate::executable::executable;
use crate::support::bridge::{Setup, gateway, reverse_proxy};
use crate::support::pki::Pki;

/// Never reached: nothing starts here.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

/// A reverse proxy with one more variable, which is refused: what the line says after the subject.
fn refused(setup: Setup, variable: &str, path: impl AsRef<OsStr>) -> String {
    refused_with(2, setup, variable, path.as_ref())
}

/// The same of what waiting may mend.
fn refused_for_now(setup: Setup, variable: &str, path: impl AsRef<OsStr>) -> String {
    refused_with(1, setup, variable, path.as_ref())
}

fn refused_with(code: i32, setup: Setup, variable: &str, path: &OsStr) -> String {
    let refused = setup.env(variable, path).refused();
    assert_eq!((refused.code, refused.text.lines().count()), (code, 1), "{}", refused.text);
    let subject = format!("{}={} (environment {variable}): ", variable.to_lowercase(), path.display());
    let rest = refused.text.trim_end().strip_prefix(&subject);
    rest.unwrap_or_else(|| panic!("{subject}…, but:\n{}", refused.text)).to_owned()
}

/// The same, of the client certificate.
fn certificate(pki: &Pki, path: impl AsRef<OsStr>) -> String {
    refused(reverse_proxy(pki, NOWHERE), "CLIENT_SSL_CERT", path)
}

/// The same, of its key.
fn key(pki: &Pki, path: impl AsRef<OsStr>) -> String {
    refused(reverse_proxy(pki, NOWHERE), "CLIENT_SSL_CERT_KEY", path)
}

/// The same, of the CAs of a gateway's callers.
fn callers_cas(pki: &Pki, path: impl AsRef<OsStr>) -> String {
    refused(gateway(pki, NOWHERE), "MTLS_AUTH_CA_CERTIFICATES", path)
}

/// The same, of the CAs of the upstream.
fn upstream_cas(pki: &Pki, path: impl AsRef<OsStr>) -> String {
    refused(reverse_proxy(pki, NOWHERE), "UPSTREAM_CA_CERTIFICATES", path)
}

#[test]
fn a_key_of_another_certificate_does_not_match() {
    let pki = Pki::new();
    let line = key(&pki, pki.path("server.key"));
    let expected = "the private key does not belong to the first certificate (CN=app); \
                    give the key made together with the certificate";
    assert_eq!(line, expected);
}

#[test]
fn a_gateways_key_of_another_certificate_does_not_match() {
    let pki = Pki::new();
    let line = refused(gateway(&pki, NOWHERE), "SSL_CERT_KEY", pki.path("client.key"));
    assert!(line.starts_with("the private key does not belong to the first certificate (CN=localhost); "));
}

#[test]
fn an_expired_certificate_is_refused_and_says_since_when() {
    let pki = Pki::new();
    pki.issue("late", &Leaf { validity: Validity::expired(), ..Leaf::client("late") });
    let setup = reverse_proxy(&pki, NOWHERE).env("CLIENT_SSL_CERT_KEY", pki.path("late.key"));
    let line = refused_for_now(setup, "CLIENT_SSL_CERT", pki.path("late.crt"));
    assert_eq!(line, "the certificate (CN=late) expired 24 hours ago; have a new certificate issued");
}

#[test]
fn a_certificate_that_is_not_yet_valid_is_refused_and_doubts_the_clock() {
    let pki = Pki::new();
    let not_before = OffsetDateTime::now_utc() + Duration::hours(250);
    let validity = Validity { not_before, not_after: not_before + Duration::days(1) };
    pki.issue("early", &Leaf { validity, ..Leaf::server(&["localhost"]).unwrap() });
    let setup = gateway(&pki, NOWHERE).env("SSL_CERT_KEY", pki.path("early.key"));
    let line = refused_for_now(setup, "SSL_CERT", pki.path("early.crt"));
    let expected = "the certificate (CN=localhost) is not valid before 10 days from now; \
                    check this host's clock, or have a new one issued";
    assert_eq!(line, expected);
}

#[test]
fn a_certificate_for_servers_is_not_presented_as_a_client() {
    let pki = Pki::new();
    pki.issue("other", &Leaf { usage: Usage::Server, ..Leaf::client("other") });
    let setup = reverse_proxy(&pki, NOWHERE).env("CLIENT_SSL_CERT_KEY", pki.path("other.key"));
    let line = refused(setup, "CLIENT_SSL_CERT", pki.path("other.crt"));
    let expected = "the certificate (CN=other) is not meant for a TLS client: \
                    its extended key usage lacks clientAuth; have one issued for this use";
    assert_eq!(line, expected);
}

#[test]
fn a_missing_file_is_named_whatever_it_should_hold() {
    let pki = Pki::new();
    let missing = pki.path("missing.pem");
    let expected = "there is no such file; check the path, and the volume or secret mounted there";
    assert_eq!(certificate(&pki, &missing), expected);
    assert_eq!(key(&pki, &missing), expected);
    assert_eq!(callers_cas(&pki, &missing), expected);
    assert_eq!(upstream_cas(&pki, &missing), expected);
}

#[test]
fn a_path_through_a_file_is_no_path() {
    let pki = Pki::new();
    let line = certificate(&pki, pki.path("client.crt/client.crt"));
    assert_eq!(line, "it cannot be read: Not a directory (os error 20); check the path");
}

#[test]
fn an_empty_file_is_called_empty_whatever_it_should_hold() {
    let pki = Pki::new();
    let empty = pki.write("empty.pem", "\n");
    let certificates = "it is empty; give a PEM file with -----BEGIN CERTIFICATE-----";
    assert_eq!(certificate(&pki, &empty), certificates);
    assert_eq!(callers_cas(&pki, &empty), certificates);
    assert_eq!(upstream_cas(&pki, &empty), certificates);
    assert_eq!(key(&pki, &empty), "it is empty; give an unencrypted PEM key (PKCS#8, PKCS#1 or SEC1)");
}

#[test]
fn a_directory_hints_at_the_mount_that_made_it() {
    let pki = Pki::new();
    let directory = pki.path("");
    let expected = "it is a directory; \
                    name the file in it; docker makes a directory where the file to mount does not exist";
    assert_eq!(certificate(&pki, &directory), expected);
    assert_eq!(key(&pki, &directory), expected);
    assert_eq!(upstream_cas(&pki, &directory), expected);
}

#[test]
fn garbage_is_no_pem() {
    let pki = Pki::new();
    let garbage = pki.write("garbage.pem", [0x30, 0x82, 0xff, 0x00, b'\n', 0xfe]);
    let what = "it holds no PEM block (a line -----BEGIN …-----); ";
    assert!(certificate(&pki, &garbage).starts_with(what));
    assert!(key(&pki, &garbage).starts_with(what));
    assert!(callers_cas(&pki, &garbage).starts_with(what));
}

#[test]
fn a_certificate_cut_in_half_is_damaged() {
    let pki = Pki::new();
    let text = pki.text("client.crt");
    let cut = pki.write("cut.crt", &text[..text.len() / 2]);
    assert!(certificate(&pki, &cut).starts_with("its PEM is damaged: "), "{}", certificate(&pki, &cut));
}

#[test]
fn pem_around_something_that_is_no_certificate_is_refused() {
    let pki = Pki::new();
    let text = "-----BEGIN CERTIFICATE-----\nZ2FyYmFnZSBpbnNpZGU=\n-----END CERTIFICATE-----\n";
    let strange = pki.write("strange.crt", text);
    assert!(certificate(&pki, &strange).starts_with("the first certificate cannot be read: "));
    assert!(callers_cas(&pki, &strange).starts_with("certificate 1 cannot be read: "));
    assert!(upstream_cas(&pki, &strange).starts_with("certificate 1 cannot be read: "));
}

#[test]
fn a_key_where_certificates_belong_is_recognised() {
    let pki = Pki::new();
    let expected =
        "it holds a private key but no certificate; give a PEM file with -----BEGIN CERTIFICATE-----";
    assert_eq!(certificate(&pki, pki.path("client.key")), expected);
    assert_eq!(callers_cas(&pki, pki.path("ca.key")), expected);
    assert_eq!(upstream_cas(&pki, pki.path("ca.key")), expected);
}

#[test]
fn a_certificate_where_the_key_belongs_is_recognised() {
    let pki = Pki::new();
    let expected = "it holds a certificate but no private key; \
                    give an unencrypted PEM key (PKCS#8, PKCS#1 or SEC1)";
    assert_eq!(key(&pki, pki.path("client.crt")), expected);
}

#[test]
fn a_key_with_a_passphrase_is_not_supported() {
    let pki = Pki::new();
    let encrypted = pki.path("encrypted.key");
    let made = Command::new("openssl")
        .args(["pkcs8", "-topk8", "-passout", "pass:secret", "-in"])
        .args([&pki.path("client.key"), &PathBuf::from("-out"), &encrypted])
        .status();
    assert!(made.unwrap().success());
    let expected = "its private key is encrypted with a passphrase, which is not supported; \
                    take the passphrase off: openssl pkey -in FILE -out new.key";
    assert_eq!(key(&pki, encrypted), expected);
}

#[test]
fn a_certificate_that_is_no_ca_is_named_among_several_cas() {
    let pki = Pki::new();
    let wrong = pki.path("client.crt");
    let both = format!("{},{}", pki.path("ca.crt").display(), wrong.display());
    let line = |setup: Setup, variable: &str| setup.env(variable, &both).refused().line().to_owned();
    let what = "certificate 1 (CN=app) is no CA: its basic constraints lack CA:TRUE";
    let wrong = wrong.display();
    assert_eq!(
        line(gateway(&pki, NOWHERE), "MTLS_AUTH_CA_CERTIFICATES"),
        format!(
            "mtls_auth_ca_certificates={wrong} (environment MTLS_AUTH_CA_CERTIFICATES): {what}; \
             give the CA that issues your clients' certificates, its root included"
        )
    );
    assert_eq!(
        line(reverse_proxy(&pki, NOWHERE), "UPSTREAM_CA_CERTIFICATES"),
        format!(
            "upstream_ca_certificates={wrong} (environment UPSTREAM_CA_CERTIFICATES): {what}; \
             give the CA that issued the upstream's certificate"
        )
    );
}

#[test]
fn an_expired_ca_trusts_nobody() {
    let pki = Pki::new();
    let late = Authority::with("Late Root", Validity::expired(), KeyKind::default()).unwrap();
    let path = pki.write("late.crt", late.certificate_pem());
    let what = "certificate 1 (CN=Late Root) expired 24 hours ago; ";
    let callers = refused_for_now(gateway(&pki, NOWHERE), "MTLS_AUTH_CA_CERTIFICATES", &path);
    assert!(callers.starts_with(what), "{callers}");
    let upstream = refused_for_now(reverse_proxy(&pki, NOWHERE), "UPSTREAM_CA_CERTIFICATES", &path);
    assert!(upstream.starts_with(what), "{upstream}");
}

#[test]
fn one_expired_ca_in_a_bundle_does_not_take_the_upstream_away() {
    let pki = Pki::new();
    let late = Authority::with("Late Root", Validity::expired(), KeyKind::default()).unwrap();
    let bundle = pki.write("bundle.crt", late.certificate_pem() + &pki.text("ca.crt"));
    let bridge = reverse_proxy(&pki, NOWHERE).env("UPSTREAM_CA_CERTIFICATES", &bundle).start();
    assert_ne!(bridge.address.port(), 0);
}

#[test]
fn an_intermediate_alone_is_no_root_for_callers() {
    let pki = Pki::new();
    let upper = pki.authority.intermediate("Upper").unwrap();
    let path = pki.write("upper.crt", upper.certificate_pem());
    let line = callers_cas(&pki, &path);
    assert!(
        line.starts_with("none of them is a root (issued by itself), so no chain can be complete; "),
        "{line}"
    );
}

/// Tests often run as root, whom no mode keeps out: then the program runs as nobody.
#[test]
fn a_file_this_user_may_not_read_says_which_user_must() {
    let pki = Pki::new();
    let key = pki.path("client.key");
    fs::set_permissions(pki.path(""), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o000)).unwrap();
    // Nobody may be kept out of the folder the program was built in.
    let program = pki.path("mtls-bridge");
    let built = executable();
    fs::hard_link(&built, &program).or_else(|_| fs::copy(&built, &program).map(drop)).unwrap();

    let mut command = Command::new(program);
    command.arg("check").env_clear().envs([
        ("MODE", "reverse-proxy".into()),
        ("UPSTREAM_URL", "https://localhost".into()),
        ("CLIENT_SSL_CERT", pki.path("client.crt")),
        ("CLIENT_SSL_CERT_KEY", key.clone()),
        ("UPSTREAM_CA_CERTIFICATES", pki.path("ca.crt")),
    ]);
    if fs::read(&key).is_ok() {
        command.uid(NOBODY);
    }
    let output = command.output().unwrap();
    let expected = format!(
        "client_ssl_cert_key={} (environment CLIENT_SSL_CERT_KEY): this user may not read it; \
         let the user this runs as (65532 in the image) read the file and its folders\n",
        key.display()
    );
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(2), expected));
}

const NOBODY: u32 = 65_534;
