//! Pairs of folders as `mtls-bridge pair` writes them, changed as people change them, and `check --pair` of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use mtls_bridge::pki::{Authority, Issued};
use mtls_bridge::tls::pem;
use tempfile::TempDir;

use super::bridge::program;

/// A pair for `gateway.example` in a folder of its own, with `orders-app` as the client.
pub struct Made(pub TempDir);

/// What a command did: its exit code, and its lines on both outputs.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub errors: Vec<String>,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let errors = text(output.stderr).lines().map(str::to_owned).collect();
        Self { code: output.status.code().unwrap(), out: text(output.stdout), errors }
    }
}

pub const NEEDED: [&str; 4] = ["--gateway-host", "gateway.example", "--service", "http://service:8080"];

/// Runs `pair` into a folder.
pub fn pair(out: &Path, more: &[&str]) -> Said {
    program().arg("pair").arg("--out").arg(out).args(more).output().unwrap().into()
}

/// What each half is made of.
pub const NEAR_FILE: &str = "reverse-proxy/compose.yaml";
pub const FAR_FILE: &str = "gateway/compose.yaml";
pub const NEAR_ENV: &str = "reverse-proxy/mtls-bridge.env";
pub const FAR_ENV: &str = "gateway/mtls-bridge.env";

impl Made {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let said = pair(folder.path(), &[&NEEDED[..], &["--client-name", "orders-app"]].concat());
        assert_eq!(said.code, 0, "{said:?}");
        Self(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Replaces a part of a file.
    pub fn edit(self, name: &str, from: &str, to: &str) -> Self {
        let text = self.text(name);
        assert!(text.contains(from), "{name} holds no {from}:\n{text}");
        fs::write(self.path(name), text.replace(from, to)).unwrap();
        self
    }

    pub fn write(self, name: &str, contents: &str) -> Self {
        fs::write(self.path(name), contents).unwrap();
        self
    }

    /// Writes a certificate and its key over those of a side.
    pub fn present(self, stem: &str, issued: &Issued) -> Self {
        self.write(&format!("{stem}.crt"), &issued.certificate_pem)
            .write(&format!("{stem}.key"), &issued.key_pem)
    }

    pub fn authority(&self) -> Authority {
        let chain = pem::certificates(self.text("ca/ca.crt").as_bytes()).unwrap();
        Authority::load(chain, &pem::private_key(self.text("ca/ca.key").as_bytes()).unwrap()).unwrap()
    }

    pub fn check(&self, a: &str, b: &str) -> Said {
        let mut command = program();
        command.args(["check", "--pair"]).arg(self.path(a)).arg(self.path(b)).output().unwrap().into()
    }

    /// The only finding there is, without the folder all halves are in.
    pub fn finding(&self) -> String {
        let said = self.check("reverse-proxy", "gateway");
        assert_eq!((said.code, said.errors.len()), (2, 1), "{said:?}");
        said.errors[0].replace(&format!("{}/", self.0.path().display()), "")
    }

    /// What is found beside that openssl's certificates end in 2 days.
    pub fn found(&self) -> Vec<String> {
        let errors = self.check("reverse-proxy", "gateway").errors.into_iter();
        let folder = format!("{}/", self.0.path().display());
        let others = errors.filter(|line| !line.contains(") ends in "));
        others.map(|line| line.replace(&folder, "")).collect()
    }

    /// The variables of a half's environment file, with the container's paths turned into ours.
    pub fn environment(&self, half: &str) -> Vec<(String, String)> {
        let certs = self.path(half).join("certs").display().to_string();
        let text = self.text(&format!("{half}/mtls-bridge.env"));
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let variables = lines.filter_map(|line| line.split_once('='));
        variables.map(|(name, value)| (name.to_owned(), value.replace("/certs", &certs))).collect()
    }
}

/// Every file below a folder, sorted.
pub fn files(folder: &Path) -> Vec<String> {
    fn collect(root: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                collect(root, &entry.path(), found);
            } else {
                found.push(entry.path().strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    collect(folder, folder, &mut found);
    found.sort();
    found
}
