//! The usual set: a private CA, a certificate for the gateway, one for its client.

use std::path::Path;

use super::{Authority, Error, Issued, Leaf, NewFile, Validity};

/// What two nodes need to trust each other and nobody else. Made by `mtls-bridge pki init` and `demo`.
#[derive(Debug)]
pub struct Development {
    /// The CA both sides trust.
    pub authority: Authority,
    /// What the gateway shows to its callers.
    pub server: Issued,
    /// What the reverse proxy shows to the gateway.
    pub client: Issued,
}

impl Development {
    /// Makes all three. `server_names` are read as [`San`](super::San)s; `days` is the life of the two
    /// leaves, and the CA's where that is longer than a year.
    ///
    /// # Errors
    /// When a name cannot be written, or no key can be made.
    pub fn new(server_names: &[&str], client_name: &str, days: u16) -> Result<Self, Error> {
        let authority = Authority::with(
            "mtls-bridge private CA",
            Validity::days(days.max(Authority::DAYS)),
            super::KeyKind::default(),
        )?;
        let validity = Validity::days(days);
        let server = authority.issue(&Leaf { validity, ..Leaf::server(server_names)? })?;
        let client = authority.issue(&Leaf { validity, ..Leaf::client(client_name) })?;
        Ok(Self { authority, server, client })
    }

    /// As files in `directory`: `ca.crt`, `ca.key`, `server.crt`, `server.key`, `client.crt`, `client.key`.
    pub fn files(&self, directory: &Path) -> Vec<NewFile> {
        let authority = (self.authority.certificate_pem(), self.authority.key_pem().to_owned());
        let pair = |issued: &Issued| (issued.certificate_pem.clone(), issued.key_pem.clone());
        [("ca", authority), ("server", pair(&self.server)), ("client", pair(&self.client))]
            .into_iter()
            .flat_map(|(name, (certificate, key))| NewFile::pair(&directory.join(name), certificate, key))
            .collect()
    }
}
