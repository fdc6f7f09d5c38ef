//! A private CA and its certificates, made on the spot.
//!
//! For trying things, for two hosts that trust nobody else, and for the tests: `mtls-bridge pki`, `demo`
//! and every integration test issue from here. Nothing that serves requests uses it.
//!
//! Promises: chains that strict verifiers accept, unless the caller asked for a fault (expired, self-signed,
//! the wrong usage); keys that OpenSSL reads; no file ever overwritten.
//!
//! In reading order: an [`Authority`] issues a [`Leaf`] (names: [`San`], time: [`Validity`], key:
//! [`KeyKind`]) as [`Issued`], and takes it back in a revocation list. [`Development`] is the usual set of
//! three, and [`NewFile`] puts it on disk.

mod authority;
mod development;
mod error;
mod files;
mod issued;
mod key;
mod leaf;
mod revocation_list;
mod san;
mod validity;

pub use self::authority::Authority;
pub use self::development::Development;
pub use self::error::Error;
pub use self::files::{Access, NewFile, create_all};
pub use self::issued::Issued;
pub use self::key::KeyKind;
pub use self::leaf::{Leaf, Usage};
pub use self::san::San;
pub use self::validity::Validity;
