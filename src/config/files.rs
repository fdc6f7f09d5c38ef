//! The files a configuration names, as far as they can be told when the rest of it is refused.
//!
//! Made from what was said, past every problem; `snapshot` reads them, so that what is wrong
//! with a file is told together with what is wrong with a setting.

use super::compile::as_far_as_told;
use super::credentials::{CaFiles, CredentialFiles};
use super::mode::Mode;
use super::problem::{Problems, Said};
use super::reference::Reference;
use super::settings::Settings;
use super::source::{self, Layers};
use super::target::Target;
use super::{Config, listen};
use super::{access, server_tls, upstream_tls, value};

/// What a start would have read.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Presented by the listeners.
    pub listeners: Vec<CredentialFiles>,
    /// The CAs of the callers.
    pub callers: Option<CaFiles>,
    /// The CRLs of the callers' CAs.
    pub crls: Vec<Said>,
    /// Presented to the upstream.
    pub client: Option<CredentialFiles>,
    /// The CAs of the upstream.
    pub upstream: Option<CaFiles>,
    /// With a declarative file: the configuration around it, as far as it was told.
    pub declared: Option<Box<Config>>,
}

impl Files {
    /// Those that were named, however broken the settings around them are.
    pub fn named(layers: &Layers) -> Self {
        let (settings, mode, _) = source::lenient(layers);
        let ca_certificates = settings.access.mtls_auth_ca_certificates.as_ref();
        let crls = settings.revocation.mtls_auth_crl_files.as_ref();
        let mut files = Self {
            callers: ca_certificates.and_then(|said| access::cas(said).ok()),
            crls: crls.map(Reference::list).unwrap_or_default(),
            ..Self::default()
        };
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
                files.upstream = cas.filter(|cas| !matches!(cas, CaFiles::System(_)));
            }
        }
        if settings.declarative.said().is_some() {
            let mode = mode.unwrap_or(Mode::ReverseProxy);
            files.declared = Some(Box::new(as_far_as_told(mode, &settings)));
        }
        files
    }

    /// Those of a configuration that is right; its declarative file is for others to read.
    pub fn of(config: &Config) -> Self {
        let tls = config.upstream.as_ref().map_or(Some(&config.calls.tls), |upstream| upstream.tls.as_ref());
        let named = |cas: &&CaFiles| !matches!(cas, CaFiles::System(_));
        Self {
            listeners: config.server_tls.iter().flat_map(|tls| tls.credentials.clone()).collect(),
            callers: config.access.mtls_auth.as_ref().map(|auth| auth.ca_certificates.clone()),
            crls: config.access.revocation.crl_files.clone(),
            client: tls.and_then(|tls| tls.credentials.clone()),
            upstream: tls.filter(|tls| tls.verify).map(|tls| &tls.ca_certificates).filter(named).cloned(),
            declared: None,
        }
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
