//! A PKI in a folder of its own, per test.

use std::fs;
use std::path::PathBuf;

use mtls_bridge::pki::{Authority, Development, Issued, Leaf, NewFile, create_all};
use tempfile::TempDir;

/// `ca.crt`, `server.{crt,key}` for localhost, `client.{crt,key}` of `CN=app`, and more on demand.
#[derive(Debug)]
pub struct Pki {
    folder: TempDir,
    /// The CA of all of them.
    pub authority: Authority,
}

/// The name in `client.crt`.
pub const CLIENT: &str = "app";

impl Pki {
    /// Makes the usual files.
    pub fn new() -> Self {
        let made = Development::new(&["localhost", "127.0.0.1"], CLIENT, 2).unwrap();
        let folder = tempfile::tempdir().unwrap();
        create_all(&made.files(folder.path())).unwrap();
        Self { folder, authority: made.authority }
    }

    /// A file in the folder, existing or not.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).unwrap();
        path
    }

    /// Issues `NAME.crt` and `NAME.key`.
    pub fn issue(&self, name: &str, leaf: &Leaf) -> Issued {
        self.keep(name, self.authority.issue(leaf).unwrap())
    }

    /// Writes `NAME.crt` and `NAME.key` of a certificate issued elsewhere.
    pub fn keep(&self, name: &str, issued: Issued) -> Issued {
        let files = NewFile::pair(&self.path(name), issued.certificate_pem.clone(), issued.key_pem.clone());
        create_all(&files).unwrap();
        issued
    }

    /// The text of a file.
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}
