//! Certificates, judged by OpenSSL rather than by the libraries that made them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use mtls_bridge::cli::pki::{Pki, make};
use mtls_bridge::pki::{Authority, Issued, KeyKind, Leaf, San, Usage, Validity};
use mtls_bridge::tls::pem;
use tempfile::TempDir;

/// A directory with `ca.crt`, and each certificate under its name.
struct Files(TempDir);

impl Files {
    fn new(root: &Authority) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write("ca.crt", &root.certificate_pem());
        files
    }

    fn write(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, contents).unwrap();
        path
    }

    /// What `openssl verify` says to the chain for `purpose` (`sslclient`, `sslserver`).
    fn verify(&self, issued: &Issued, purpose: &str) -> Result<String, String> {
        let chain = self.write("chain.pem", &issued.certificate_pem);
        let ca = self.0.path().join("ca.crt");
        openssl(
            &["verify", "-x509_strict", "-purpose", purpose, "-CAfile"],
            &[&ca, Path::new("-untrusted"), &chain, &chain],
        )
    }

    fn text(&self, issued: &Issued) -> String {
        let path = self.write("text.pem", &issued.certificate_pem);
        openssl(&["x509", "-noout", "-text", "-nameopt", "RFC2253", "-in"], &[&path]).unwrap()
    }
}

/// The output, or the complaint of a command that failed.
fn openssl(arguments: &[&str], paths: &[&Path]) -> Result<String, String> {
    let output = Command::new("openssl").args(arguments).args(paths).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
fn openssl_accepts_a_client_of_every_key_kind_and_reads_its_key() {
    let root = Authority::new("Example Root").unwrap();
    let files = Files::new(&root);
    for key_kind in [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519, KeyKind::Rsa2048] {
        let issued = root.issue(&Leaf { key_kind, ..Leaf::client("billing") }).unwrap();
        files.verify(&issued, "sslclient").unwrap();
        let key = files.write("leaf.key", &issued.key_pem);
        let public = openssl(&["pkey", "-pubout", "-in"], &[&key]).unwrap();
        let certified = openssl(&["x509", "-pubkey", "-noout", "-in"], &[&files.0.path().join("chain.pem")]);
        assert_eq!(public, certified.unwrap(), "{key_kind}");
    }
}

#[test]
fn openssl_accepts_an_authority_of_every_key_kind() {
    for key_kind in [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519, KeyKind::Rsa2048] {
        let root = Authority::with("Example Root", Validity::days(1), key_kind).unwrap();
        let chain = pem::certificates(root.certificate_pem().as_bytes()).unwrap();
        let loaded = Authority::load(chain, &pem::private_key(root.key_pem().as_bytes()).unwrap()).unwrap();
        let issued = loaded.issue(&Leaf::client("billing")).unwrap();
        Files::new(&root).verify(&issued, "sslclient").unwrap();
    }
}

#[test]
fn openssl_follows_a_chain_of_intermediates_to_the_root() {
    let root = Authority::new("Example Root").unwrap();
    let lower = root.intermediate("Upper").unwrap().intermediate("Lower").unwrap();
    let server = lower.issue(&Leaf::server(&["gateway", "10.0.0.1"]).unwrap()).unwrap();
    Files::new(&root).verify(&server, "sslserver").unwrap();
}

#[test]
fn a_certificate_is_good_for_its_usage_and_no_other() {
    let root = Authority::new("Example Root").unwrap();
    let files = Files::new(&root);
    let accepted = |usage, purpose| {
        let issued = root.issue(&Leaf { usage, ..Leaf::client("billing") }).unwrap();
        files.verify(&issued, purpose).is_ok()
    };
    for (usage, as_client, as_server) in [
        (Usage::Client, true, false),
        (Usage::Server, false, true),
        (Usage::Both, true, true),
        (Usage::Unstated, true, true),
    ] {
        assert_eq!(accepted(usage, "sslclient"), as_client, "{usage:?} as client");
        assert_eq!(accepted(usage, "sslserver"), as_server, "{usage:?} as server");
    }
}

#[test]
fn openssl_refuses_what_was_made_to_be_refused() {
    let root = Authority::new("Example Root").unwrap();
    let files = Files::new(&root);
    let refused = |issued: Issued, expected: &str| {
        let complaint = files.verify(&issued, "sslclient").unwrap_err();
        assert!(complaint.contains(expected), "{complaint}");
    };
    let leaf = |validity| Leaf { validity, ..Leaf::client("billing") };
    refused(root.issue(&leaf(Validity::expired())).unwrap(), "certificate has expired");
    refused(root.issue(&leaf(Validity::not_yet())).unwrap(), "certificate is not yet valid");
    refused(Leaf::client("billing").self_signed().unwrap(), "self-signed certificate");
    let namesake = Authority::new("Example Root").unwrap();
    refused(namesake.issue(&Leaf::client("billing")).unwrap(), "unable to get local issuer certificate");
    let late = root.intermediate_with("Late", Validity::expired(), KeyKind::P256).unwrap();
    refused(late.issue(&Leaf::client("billing")).unwrap(), "certificate has expired");
}

#[test]
fn an_expired_authority_is_no_trust() {
    let root = Authority::with("Example Root", Validity::expired(), KeyKind::P256).unwrap();
    let issued = root.issue(&Leaf::client("billing")).unwrap();
    let complaint = Files::new(&root).verify(&issued, "sslclient").unwrap_err();
    assert!(complaint.contains("certificate has expired"), "{complaint}");
}

#[test]
fn a_certificate_says_what_was_asked_for() {
    let root = Authority::new("Example Root").unwrap();
    let issued = root
        .issue(&Leaf {
            organization: Some("Acme".into()),
            organizational_unit: Some("Payments".into()),
            email_address: Some("ops@example.org".into()),
            sans: vec![
                San::Dns("billing".into()),
                San::Ip([10, 0, 0, 1].into()),
                San::Uri("spiffe://example.org/billing".into()),
                San::Email("billing@example.org".into()),
            ],
            ..Leaf::client("billing")
        })
        .unwrap();
    let text = Files::new(&root).text(&issued);
    for expected in [
        "Subject: emailAddress=ops@example.org,CN=billing,OU=Payments,O=Acme",
        "DNS:billing, IP Address:10.0.0.1, URI:spiffe://example.org/billing, email:billing@example.org",
        "TLS Web Client Authentication",
        "X509v3 Subject Key Identifier",
        "X509v3 Authority Key Identifier",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
}

#[test]
fn hostile_text_is_written_into_a_certificate_as_it_is() {
    let root = Authority::new("Example Root").unwrap();
    let name = "a;b,c=\"d\"\\\r\ne\0f";
    let issued = root.issue(&Leaf { sans: vec![San::Dns(name.into())], ..Leaf::client(name) }).unwrap();
    let occurrences = issued.leaf().windows(name.len()).filter(|bytes| *bytes == name.as_bytes()).count();
    assert_eq!(occurrences, 2);
    let beyond_ascii = Leaf { sans: vec![San::Dns("bücher".into())], ..Leaf::client("billing") };
    assert!(root.issue(&beyond_ascii).is_err());
}

#[test]
fn openssl_refuses_a_revoked_certificate_and_no_other() {
    let root = Authority::new("Example Root").unwrap();
    let files = Files::new(&root);
    let [good, revoked] = ["good", "revoked"].map(|name| root.issue(&Leaf::client(name)).unwrap());
    let list = files.write("ca.crl", &root.revocation_list(&[&revoked], Validity::days(7)).unwrap());
    let verify = |issued: &Issued| {
        let leaf = files.write("leaf.pem", &issued.certificate_pem);
        let ca = files.0.path().join("ca.crt");
        openssl(&["verify", "-crl_check", "-CAfile"], &[&ca, Path::new("-CRLfile"), &list, &leaf])
    };
    verify(&good).unwrap();
    assert!(verify(&revoked).unwrap_err().contains("certificate revoked"));
}

/// The command line after `mtls-bridge pki`.
#[derive(Debug, Parser)]
struct Line {
    #[command(subcommand)]
    pki: Pki,
}

/// What the command prints, or its complaint with all its reasons.
fn pki(line: &[&str]) -> Result<String, String> {
    let line = Line::try_parse_from(["pki"].iter().chain(line)).map_err(|error| error.to_string())?;
    make(&line.pki).map_err(|error| format!("{error:#}"))
}

/// An empty directory, and its path as text.
fn directory() -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap().to_owned();
    (directory, path)
}

fn verify(ca: &str, purpose: &[&str], certificate: &str) -> Result<String, String> {
    let ca = format!("{ca}/ca.crt");
    let arguments =
        [&["verify", "-x509_strict", "-CAfile", &ca, "-purpose"], purpose, &[certificate]].concat();
    openssl(&arguments, &[])
}

#[test]
fn init_makes_a_pair_that_openssl_accepts_in_a_directory_that_was_missing() {
    let (_kept, path) = directory();
    let dir = format!("{path}/deep/pki");
    let report = pki(&["init", &dir, "--server-name", "bridge.example.com,10.0.0.7"]).unwrap();
    assert!(report.contains("UPSTREAM_URL=https://bridge.example.com:8443"), "{report}");

    let server = format!("{dir}/server.crt");
    verify(&dir, &["sslserver", "-verify_hostname", "bridge.example.com"], &server).unwrap();
    verify(&dir, &["sslserver", "-verify_ip", "10.0.0.7"], &server).unwrap();
    assert!(verify(&dir, &["sslserver", "-verify_hostname", "localhost"], &server).is_err());
    verify(&dir, &["sslclient"], &format!("{dir}/client.crt")).unwrap();
    assert!(verify(&dir, &["sslserver"], &format!("{dir}/client.crt")).is_err());
}

#[test]
fn init_names_the_server_as_neighbours_call_it() {
    let (_kept, dir) = directory();
    pki(&["init", &dir]).unwrap();
    for name in ["localhost", "gateway"] {
        verify(&dir, &["sslserver", "-verify_hostname", name], &format!("{dir}/server.crt")).unwrap();
    }
    for address in ["127.0.0.1", "::1"] {
        verify(&dir, &["sslserver", "-verify_ip", address], &format!("{dir}/server.crt")).unwrap();
    }
}

#[test]
fn keys_are_for_their_owner_alone() {
    let (_kept, dir) = directory();
    pki(&["init", &dir]).unwrap();
    pki(&["issue", "--ca", &dir, "--name", "billing", "--out", &dir]).unwrap();
    for name in ["ca", "server", "client", "billing"] {
        let mode = fs::metadata(format!("{dir}/{name}.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}.key");
    }
}

#[test]
fn init_writes_nothing_when_one_file_is_in_the_way() {
    let (kept, dir) = directory();
    let precious = format!("{dir}/client.key");
    fs::write(&precious, "precious").unwrap();
    let refusal = pki(&["init", &dir]).unwrap_err();
    assert_eq!(refusal, format!("{precious} exists already: nothing was written"));
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert_eq!(fs::read_dir(kept.path()).unwrap().count(), 1);
}

#[test]
fn issue_refuses_to_overwrite() {
    let (_kept, dir) = directory();
    pki(&["init", &dir]).unwrap();
    let again = ["issue", "--ca", &dir, "--name", "billing", "--out", &dir];
    pki(&again).unwrap();
    let before = fs::read(format!("{dir}/billing.crt")).unwrap();
    assert!(pki(&again).unwrap_err().contains("billing.crt exists already"));
    assert_eq!(fs::read(format!("{dir}/billing.crt")).unwrap(), before);
}

#[test]
fn issue_makes_what_its_flags_say() {
    let (_kept, dir) = directory();
    pki(&["init", &dir]).unwrap();
    let issue = |name: &str, flags: &[&str]| {
        let out = format!("{dir}/{name}");
        pki(&[&["issue", "--ca", &dir, "--name", name, "--out", &out], flags].concat()).unwrap();
        format!("{out}.crt")
    };
    let server = issue("api.example.com", &["--server"]);
    verify(&dir, &["sslserver", "-verify_hostname", "api.example.com"], &server).unwrap();
    let both = issue("both", &["--client", "--server", "--key-type", "rsa2048", "--organization", "Acme"]);
    verify(&dir, &["sslserver"], &both).unwrap();
    verify(&dir, &["sslclient"], &both).unwrap();
    let text = openssl(&["x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", &both], &[]).unwrap();
    assert_eq!(text, "subject=CN=both,O=Acme\n");
    let expired = issue("late", &["--expired", "--san", "spiffe://example.org/late"]);
    assert!(verify(&dir, &["sslclient"], &expired).unwrap_err().contains("has expired"));
    let early = issue("early", &["--not-yet-valid"]);
    assert!(verify(&dir, &["sslclient"], &early).unwrap_err().contains("not yet valid"));
}

#[test]
fn issue_says_in_one_sentence_why_it_cannot() {
    let (_kept, dir) = directory();
    pki(&["init", &dir]).unwrap();
    let refused = |flags: &[&str], expected: &str| {
        let refusal = pki(&[&["issue", "--ca", &dir, "--out", &dir], flags].concat()).unwrap_err();
        assert!(refusal.contains(expected), "{refusal}");
    };
    refused(&["--name", "billing", "--days", "400"], "--days can be 36");
    refused(&["--name", "../billing"], "cannot be a file name");
    refused(&["--name", "billing", "--san", "ip:gateway"], "it is not an IP address");
    refused(&["--name", "billing", "--key-type", "dsa"], "p256, p384, ed25519 or rsa2048");
    refused(&["--name", "billing", "--expired", "--days", "3"], "cannot be used with");
    let elsewhere = pki(&["issue", "--ca", "/nonexistent", "--name", "billing", "--out", &dir]).unwrap_err();
    assert!(elsewhere.starts_with("/nonexistent/ca.crt cannot be read: No such file"), "{elsewhere}");
}
