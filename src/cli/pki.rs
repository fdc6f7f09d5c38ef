//! `mtls-bridge pki`: certificates for people who have no CA, and for trying things.
//!
//! Each command makes files, never overwrites one, and prints what it made.

mod init;
mod issue;

use anyhow::Context;

use super::console::print;

pub use self::init::Init;
pub(super) use self::init::shell_word;
pub use self::issue::Issue;

/// Make a private CA and certificates from it
#[derive(Debug, clap::Subcommand)]
pub enum Pki {
    /// Make a private CA, a certificate for the gateway and one for its client
    ///
    /// Writes six files. For the reverse proxy: ca.crt, client.crt, client.key. For the gateway: ca.crt,
    /// server.crt, server.key. For neither: ca.key, which is needed only to issue more.
    ///
    /// Keys are readable by the owner alone (mode 0600). Nothing is ever overwritten: if one of the files
    /// exists, none is written.
    Init(Init),
    /// Make one more certificate from that CA
    ///
    /// Writes the certificate (with the intermediates, if the CA is one) and its key. Without --server it is
    /// for a client; with both --client and --server it is good for both. Nothing is ever overwritten.
    Issue(Issue),
}

/// Makes the files and prints what they are.
///
/// # Errors
/// When a file is in the way or cannot be written, or a certificate cannot be made as asked.
pub fn run(pki: &Pki) -> anyhow::Result<()> {
    print(&make(pki)?).context("the files are made, but the report is lost")
}

/// Makes the files; what [`run`] prints is returned.
///
/// # Errors
/// As [`run`].
pub fn make(pki: &Pki) -> anyhow::Result<String> {
    match pki {
        Pki::Init(init) => init::make(init),
        Pki::Issue(issue) => issue::make(issue),
    }
}
