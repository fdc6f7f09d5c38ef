//! The TLS of our listeners, loaded.

use std::sync::Arc;

use rustls::pki_types::UnixTime;
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::files;
use crate::config::{self, Handshake, Problem, Problems, TlsVersions};
use crate::tls::credentials::Side;
use crate::tls::server::{self, ClientAuth};
use crate::tls::trust::ChainVerifier;

/// One server configuration per ALPN list, since listeners differ in that alone.
#[derive(Debug, Clone)]
pub struct ListenerTls {
    /// Offers h2 and http/1.1.
    pub http2: Arc<ServerConfig>,
    /// Offers http/1.1.
    pub http1: Arc<ServerConfig>,
}

pub(super) fn listener_tls(
    tls: &config::ServerTls,
    verifier: Option<&Arc<ChainVerifier>>,
    now: UnixTime,
) -> Result<ListenerTls, Problems> {
    let mut problems = Problems::default();
    let loaded: Vec<_> = tls
        .credentials
        .iter()
        .filter_map(|files| problems.collect(files::credentials(files, Side::Server, now)))
        .collect();
    let Some(files) = tls.credentials.first().filter(|_| problems.is_empty()) else { return Err(problems) };
    let auth = client_auth(tls, verifier);
    let versions = versions(tls.versions);
    let build = |http2| {
        server::config(&loaded, &versions, &auth, http2).map(Arc::new).map_err(|error| {
            Problems::from(Problem::new(&files.cert, error.to_string(), "give another certificate"))
        })
    };
    Ok(ListenerTls { http2: build(true)?, http1: build(false)? })
}

/// A verifier that could not be loaded is a problem already reported, never a reason not to ask.
fn client_auth(tls: &config::ServerTls, verifier: Option<&Arc<ChainVerifier>>) -> ClientAuth {
    let hints = match verifier {
        Some(verifier) if tls.send_ca_dn => verifier.subjects(),
        _ => Vec::new(),
    };
    match (tls.handshake, verifier) {
        (None, _) => ClientAuth::None,
        (Some(Handshake::Require), Some(verifier)) => ClientAuth::Require(hints, Arc::clone(verifier)),
        (Some(_), _) => ClientAuth::Request(hints),
    }
}

fn versions(versions: TlsVersions) -> Vec<&'static SupportedProtocolVersion> {
    let wanted = [(versions.tls13, &rustls::version::TLS13), (versions.tls12, &rustls::version::TLS12)];
    wanted.into_iter().filter_map(|(on, version)| on.then_some(version)).collect()
}
