//! A PKI made with openssl's commands alone, as other people make theirs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Extensions by section; nothing is taken from the machine's own configuration.
const CONFIGURATION: &str = "\
oid_section = oids
[oids]
plant = 1.2.752.99.1
[req]
distinguished_name = subject
utf8 = yes
string_mask = utf8only
[subject]
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[intermediate]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[server]
basicConstraints = CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
[client]
basicConstraints = CA:FALSE
extendedKeyUsage = clientAuth
";

/// What `openssl genpkey` is told.
#[derive(Debug, Clone, Copy)]
pub struct Kind(&'static [&'static str]);

impl Kind {
    pub const RSA_2048: Self = Self(&["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    pub const RSA_4096: Self = Self(&["RSA", "-pkeyopt", "rsa_keygen_bits:4096"]);
    pub const P256: Self = Self(&["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    pub const P384: Self = Self(&["EC", "-pkeyopt", "ec_paramgen_curve:P-384"]);
    pub const ED25519: Self = Self(&["ED25519"]);
}

/// A root, `ca.crt`, an intermediate under it, `intermediate.crt`, and leaves of the intermediate.
#[derive(Debug)]
pub struct OpensslPki {
    folder: TempDir,
    kind: Kind,
}

impl OpensslPki {
    /// A root and an intermediate with keys of this kind, which the leaves have as well.
    pub fn new(kind: Kind) -> Self {
        let pki = Self { folder: tempfile::tempdir().unwrap(), kind };
        pki.write("openssl.cnf", CONFIGURATION);
        pki.root("ca", "/O=Third Party/CN=Third Party Root");
        pki.issue("intermediate", "ca", "intermediate", "/O=Third Party/CN=Third Party Issuing CA");
        pki
    }

    /// The same, with `client.{crt,chain,key}` of `CN=app` and `server.{crt,chain,key}` for localhost.
    pub fn with_leaves(kind: Kind) -> Self {
        let pki = Self::new(kind);
        pki.leaf("client", "client", "/CN=app");
        pki.leaf("server", "server", "/CN=gateway");
        pki
    }

    /// A file in the folder, existing or not.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The text of a file.
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Writes a file.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).unwrap();
        path
    }

    /// Writes several files of the folder one after the other into one.
    pub fn join(&self, name: &str, parts: &[&str]) -> PathBuf {
        self.write(name, parts.iter().map(|part| self.text(part)).collect::<String>())
    }

    /// Runs `openssl` in the folder and gives what it prints.
    pub fn run(&self, arguments: &[&str]) -> String {
        run_in(self.folder.path(), arguments)
    }

    /// `NAME.crt`, signed by its own `NAME.key`.
    pub fn root(&self, name: &str, subject: &str) {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
        self.key(&key);
        let asked = ["req", "-x509", "-new", "-key", &key, "-subj", subject, "-days", "2"];
        let configured = ["-config", "openssl.cnf", "-extensions", "root", "-out", &certificate];
        self.run(&[&asked[..], &configured].concat());
    }

    /// `NAME.crt` and `NAME.key` of the intermediate, with the extensions of that section, and
    /// `NAME.chain`: the certificate and the intermediate behind it.
    pub fn leaf(&self, name: &str, section: &str, subject: &str) {
        self.issue(name, "intermediate", section, subject);
        self.join(&format!("{name}.chain"), &[&format!("{name}.crt"), "intermediate.crt"]);
    }

    /// `NAME.crt` and `NAME.key`, signed by `issuer`.
    pub fn issue(&self, name: &str, issuer: &str, section: &str, subject: &str) {
        self.sign(name, issuer, subject, &["-extfile", "openssl.cnf", "-extensions", section]);
    }

    /// `NAME.crt` and `NAME.key`, signed by `issuer` without any extension: X.509 version 1.
    pub fn issue_version_1(&self, name: &str, issuer: &str, subject: &str) {
        self.sign(name, issuer, subject, &[]);
    }

    fn sign(&self, name: &str, issuer: &str, subject: &str, extensions: &[&str]) {
        let [key, request, certificate] = ["key", "csr", "crt"].map(|suffix| format!("{name}.{suffix}"));
        self.key(&key);
        let asked = ["req", "-new", "-config", "openssl.cnf", "-utf8", "-key", &key];
        self.run(&[&asked[..], &["-subj", subject, "-out", &request]].concat());
        let (ca, ca_key) = (format!("{issuer}.crt"), format!("{issuer}.key"));
        let signed = ["x509", "-req", "-in", &request, "-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial"];
        self.run(&[&signed[..], &["-days", "2", "-out", &certificate], extensions].concat());
    }

    fn key(&self, name: &str) {
        self.run(&[&["genpkey", "-out", name, "-algorithm"], self.kind.0].concat());
    }
}

fn run_in(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}
