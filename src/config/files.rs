//! The files a configuration names, as far as they can be told when the rest of it is refused.
//!
//! Made from what was said, past every problem; `snapshot` reads them, so that what is wrong
//! with a file is told together with what is wrong with a setting.

use super::credentials::{CaFiles, CredentialFiles};
use super::listen;
use super::problem::Problems;
use super::settings::Settings;
use super::source::{self, Layers};
use super::target::Target;
use super::{access, server_tls, upstream_tls, value};

/// What a start would have read.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Presented by the listeners.
    pub listeners: Vec<CredentialFiles>,
    /// The CAs of the callers.
    pub callers: Option<CaFiles>,
    /// Presented to the upstream.
    pub client: Option<CredentialFiles>,
    /// The CAs of the upstream.
    pub upstream: Option<CaFiles>,
}

impl Files {
    /// Those that were named, however broken the settings around them are.
    pub fn named(layers: &Layers) -> Self {
        let (settings, _) = source::lenient(layers);
        let ca_certificates = settings.access.mtls_auth_ca_certificates.as_ref();
        let mut files =
            Self { callers: ca_certificates.and_then(|said| access::cas(said).ok()), ..Self::default() };
        // The problems of these settings were told already.
        let mut told = Problems::default();
        if listens_with_tls(&settings) {
            files.listeners = server_tls::credentials(&settings.server_tls, &mut told);
        }
        let upstream = &settings.upstream_tls;
        if calls_with_tls(&settings) {
            if upstream_tls::presents(upstream).unwrap_or(true) {
                files.client = upstream_tls::pair(upstream);
            }
            if value::switch(&upstream.upstream_tls_verify).unwrap_or(true) {
                let cas = CaFiles::parse(&upstream.upstream_ca_certificates).ok();
                // Nobody named those of the system, and perhaps nobody needs them.
                files.upstream = cas.filter(|cas| matches!(cas, CaFiles::Pem(_)));
            }
        }
        files
    }
}

/// Where it cannot be told, what was named is looked at.
fn listens_with_tls(settings: &Settings) -> bool {
    let listeners = listen::listeners(&settings.listen, &mut Problems::default());
    listeners.is_empty() || listeners.iter().any(|listener| listener.tls)
}

fn calls_with_tls(settings: &Settings) -> bool {
    let target = settings.upstream.upstream_url.as_ref().and_then(|said| Target::parse(said).ok());
    target.is_none_or(|target| target.scheme.is_tls())
}
