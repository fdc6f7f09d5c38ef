//! LastGood of a snapshot that are judged each by itself: what cannot be loaded of one leaves its last good one in
//! force, and holds up none of the others.
//!
//! Filled while a snapshot is loaded (`dates`), kept with it, and given to the next loading.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Problems;
use crate::config::declarative::Model;
use crate::policy::Policy;
use crate::tls::credentials::Credentials;
use crate::tls::trust::Anchors;

/// What the settings and files of one snapshot became, each of which can be replaced without the others.
#[derive(Debug, Clone, Default)]
pub(super) struct LastGood {
    /// `ssl_cert` with its keys.
    pub(super) listeners: Option<Vec<Credentials>>,
    /// `client_ssl_cert` with its key.
    pub(super) client: Option<Vec<Credentials>>,
    /// `upstream_ca_certificates`.
    pub(super) upstream_cas: Option<Arc<Anchors>>,
    /// The callers' CAs with their CRLs, which are theirs: neither is taken without the other.
    pub(super) policy: Option<Arc<Policy>>,
    /// The declarative file.
    pub(super) model: Option<Arc<Model>>,
}

/// LastGood that are those of the snapshot before.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Why.
    pub(super) problems: Problems,
    /// The files that were refused with them.
    pub(super) paths: Vec<PathBuf>,
}
