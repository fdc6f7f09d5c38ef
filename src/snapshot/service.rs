//! Where requests go, loaded: the service's address, its TLS, and what it is called.

use std::sync::Arc;

use http::HeaderValue;
use http::uri::Authority;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::files;
use crate::config::{self, CaFiles, Problem, Problems, UpstreamTls};
use crate::tls::client::{Dialer, ServerTrust};
use crate::tls::credentials::Side;
use crate::tls::trust;

/// An upstream with its certificates loaded.
#[derive(Debug)]
pub struct Service {
    /// Address, protocol, deadlines and pool sizes.
    pub upstream: config::Upstream,
    /// `None` where the upstream has no TLS.
    pub dialer: Option<Dialer>,
    /// For logs: `https://gateway:8443`.
    pub label: Arc<str>,
    /// What the service gets as `Host`: its name, and the port unless it is the scheme's own.
    pub host: HeaderValue,
    /// The same for HTTP/2, read once.
    pub authority: Authority,
}

pub(super) fn service(upstream: &config::Upstream, now: UnixTime) -> Result<Service, Problems> {
    let dialer = match &upstream.tls {
        Some(tls) => Some(dialer(tls, now)?),
        None => None,
    };
    let target = &upstream.target;
    let (host, authority) = host(target)?;
    Ok(Service { label: target.to_string().into(), host, authority, dialer, upstream: upstream.clone() })
}

fn host(target: &config::Target) -> Result<(HeaderValue, Authority), Problems> {
    let text = target.authority();
    // The URL was parsed, so its host is legal here and there.
    HeaderValue::try_from(text.as_str()).ok().zip(Authority::try_from(text).ok()).ok_or_else(|| {
        Problem::missing(
            "upstream_url",
            "its host cannot be sent in a header",
            "write a host name or address",
        )
        .into()
    })
}

fn dialer(tls: &UpstreamTls, now: UnixTime) -> Result<Dialer, Problems> {
    let mut problems = Problems::default();
    let trust = problems.collect(server_trust(tls, now));
    let credentials = match &tls.credentials {
        Some(files) => problems.collect(files::credentials(files, Side::Client, now)).map(Some),
        None => Some(None),
    };
    let name = problems.collect(server_name(tls));
    let (Some(trust), Some(credentials), Some(name)) = (trust, credentials, name) else {
        return Err(problems);
    };
    Dialer::new(&trust, credentials, name).map_err(|error| {
        Problems::from(Problem::new(
            files::first(&tls.ca_certificates),
            error,
            "give the CA of the upstream's certificate",
        ))
    })
}

/// The name the upstream's certificate must hold.
///
/// # Errors
/// When it cannot be one.
pub fn server_name(tls: &UpstreamTls) -> Result<ServerName<'static>, Problems> {
    ServerName::try_from(tls.server_name.clone()).map_err(|_| {
        let what = format!("{:?} is neither a DNS name nor an IP address", tls.server_name);
        Problem::missing("upstream_tls_server_name", what, "write the name in the upstream's certificate")
            .into()
    })
}

/// Whom the upstream's certificate must lead to, at the time `now`.
///
/// # Errors
/// When the CAs cannot be read, or none of them is usable.
pub fn server_trust(tls: &UpstreamTls, now: UnixTime) -> Result<ServerTrust, Problems> {
    if !tls.verify {
        return Ok(ServerTrust::Anything);
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(upstream_cas(&tls.ca_certificates, now)?);
    Ok(ServerTrust::Verify(Arc::new(roots)))
}

/// Only what can be an anchor: of bundles with everybody's CAs in them, some expire unnoticed.
pub(super) fn upstream_cas(cas: &CaFiles, now: UnixTime) -> Result<Vec<CertificateDer<'static>>, Problems> {
    files::certificates_of(cas, |said, found| {
        let advice = "give the CA that issued the upstream's certificate";
        trust::usable(found, now).map_err(|error| Problem::new(said, error.to_string(), advice))
    })
}
