//! The TLS of our listeners, loaded.

use std::sync::Arc;

use rustls::SupportedProtocolVersion;

use super::dates::Dates;
use super::files;
use crate::config::{self, Handshake, Problem, Problems, TlsVersions};
use crate::tls::credentials::{Credentials, Side};
use crate::tls::server::{Asks, Hints, Presented, ServerConfigs};
use crate::tls::sni::ByName;
use crate::tls::trust::ChainVerifier;

/// What a handshake depends on beside the settings of the listeners.
#[derive(Debug)]
pub(super) struct Names {
    /// The certificates of server names that have their own: one per kind of key.
    pub(super) certificates: ByName<Vec<Credentials>>,
    /// Who is asked for a certificate.
    pub(super) asks: Asks,
}

impl Names {
    /// Those of a node that is described by its settings alone: all names are treated alike. `verifier`
    /// has the CAs of `access`.
    ///
    /// A verifier that could not be loaded is a problem already reported, never a reason not to ask.
    pub(super) fn of_settings(
        tls: Option<&config::ServerTls>,
        access: &config::Access,
        verifier: Option<&Arc<ChainVerifier>>,
    ) -> Result<Self, Problem> {
        let Some(tls) = tls else {
            return Ok(Self { certificates: ByName::default(), asks: Asks::Nobody });
        };
        let hints = match (verifier, &access.mtls_auth) {
            (Some(verifier), Some(auth)) if tls.send_ca_dn => hints(verifier, auth)?,
            _ => Hints::default(),
        };
        let asks = match (tls.handshake, verifier) {
            (None, _) => Asks::Nobody,
            (Some(Handshake::Require), Some(verifier)) => Asks::Require(hints, Arc::clone(verifier)),
            (Some(_), _) => Asks::Everybody(hints),
        };
        Ok(Self { certificates: ByName::default(), asks })
    }
}

fn hints(verifier: &ChainVerifier, auth: &config::MtlsAuth) -> Result<Hints, Problem> {
    Hints::new(verifier.subjects()).map_err(|error| {
        let said = files::first(&auth.ca_certificates);
        Problem::new(said, error.to_string(), "trust fewer CAs, or do not send their names")
    })
}

/// Reads the certificates of the settings, and joins them with those of `names`.
pub(super) fn listener_tls(
    tls: &config::ServerTls,
    names: Names,
    dates: &Dates,
) -> Result<ServerConfigs, Problems> {
    let default = files::credentials(&tls.credentials, Side::Server, dates)?;
    let Some(files) = tls.credentials.first() else { return Err(Problems::default()) };
    let presented = Presented { default, by_name: names.certificates };
    ServerConfigs::new(&presented, &names.asks, &versions(tls.versions))
        .map_err(|error| Problem::new(&files.cert, error.to_string(), "give another certificate").into())
}

fn versions(versions: TlsVersions) -> Vec<&'static SupportedProtocolVersion> {
    let wanted = [(versions.tls13, &rustls::version::TLS13), (versions.tls12, &rustls::version::TLS12)];
    wanted.into_iter().filter_map(|(on, version)| on.then_some(version)).collect()
}
