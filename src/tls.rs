//! Certificates and TLS: everything between PEM text and an encrypted stream.
//!
//! In reading order: [`pem`] text → [`credentials`] we present and [`trust`] we judge by →
//! [`server`] (by the name asked for, [`sni`]) and [`client`] configurations → the [`stream`] both sides read
//! and write. Whether an accepted certificate was taken back since is the business of [`revocation`].
//! Used by `policy` (judging chains), `snapshot` (loading), `server` and `proxy` (handshakes).

pub mod client;
pub mod credentials;
pub mod lapse;
pub mod pem;
mod possession;
pub mod read_ahead;
pub mod revocation;
pub mod server;
pub mod sni;
pub mod stream;
pub mod trust;
mod verdicts;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The one provider of cryptography (aws-lc-rs), named here so that nothing depends on a
/// process-wide default.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
