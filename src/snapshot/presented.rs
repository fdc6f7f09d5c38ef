//! Our own certificates as the other side will see them: what many would refuse is told at start.
//!
//! Used by `Snapshot::load`, after everything was read without a problem.

use rustls::pki_types::CertificateDer;

use super::files;
use crate::config::{Caution, Config, CredentialFiles};
use crate::identity::Certificate;
use crate::tls::credentials::{Side, likely_refused};

/// Of the certificates that the settings name.
pub(super) fn cautions(config: &Config) -> Vec<Caution> {
    let server = config.server_tls.iter().flat_map(|tls| &tls.credentials).map(|pair| (pair, Side::Server));
    let upstream = match &config.upstream {
        Some(upstream) => upstream.tls.as_ref(),
        None => Some(&config.calls.tls),
    };
    let client = upstream.and_then(|tls| tls.credentials.as_ref()).map(|pair| (pair, Side::Client));
    server.chain(client).filter_map(|(pair, side)| of_files(pair, side)).collect()
}

fn of_files(pair: &CredentialFiles, side: Side) -> Option<Caution> {
    let chain = files::certificates(&pair.cert).ok()?;
    Some(Caution::new(&pair.cert, of_chain(&chain, side)?, ADVICE))
}

/// What many would hold against this chain, leaf first, on that side.
pub(super) fn of_chain(chain: &[CertificateDer<'static>], side: Side) -> Option<String> {
    likely_refused(&Certificate::parse(chain.first()?.clone()).ok()?, side)
}

/// What to do about it.
pub(super) const ADVICE: &str =
    "have one issued for this use, or see to it that the other side takes this one";
