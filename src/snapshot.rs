//! What is loaded: certificates read, keys checked, routes and policies compiled.
//!
//! [`Snapshot::load`] builds one from a [`Config`], or gives every problem of the files at
//! once. It is immutable; the running program holds it behind one swap, and a request loads
//! it once, so that a request never sees half of a change.

mod files;
pub mod watch;

use std::sync::Arc;

use http::HeaderValue;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use self::watch::Stamps;
use crate::config::{
    self, CaFiles, Config, CredentialFiles, Deadlines, Files, Forwarding, Handshake, Limits, Problem,
    Problems, Said, TlsVersions, UpstreamTls,
};
use crate::message::forwarded::RealIp;
use crate::policy::{MtlsAuth, Policy};
use crate::routing::{Route, Router};
use crate::tls::client::{Dialer, ServerTrust};
use crate::tls::credentials::{Credentials, Side};
use crate::tls::server::{self, ClientAuth};
use crate::tls::trust::{self, ChainVerifier};

pub use self::files::certificates;

/// Everything a request needs, ready to use.
#[derive(Debug)]
pub struct Snapshot {
    /// Finds the route; its indices are those of the next two.
    pub router: Router,
    /// Where requests can go.
    pub services: Vec<Arc<Service>>,
    /// Who may pass.
    pub policies: Vec<Arc<Policy>>,
    /// The TLS of our listeners, if any has TLS.
    pub listener_tls: Option<ListenerTls>,
    /// Which headers tell about the caller and the way.
    pub forwarding: Forwarding,
    /// How a believed peer tells the client's address.
    pub real_ip: RealIp,
    /// Sizes and counts that bound a client.
    pub limits: Limits,
    /// Every wait on the client's side.
    pub deadlines: Deadlines,
    stamps: Stamps,
}

/// One server configuration per ALPN list, since listeners differ in that alone.
#[derive(Debug, Clone)]
pub struct ListenerTls {
    /// Offers h2 and http/1.1.
    pub http2: Arc<ServerConfig>,
    /// Offers http/1.1.
    pub http1: Arc<ServerConfig>,
}

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
}

impl Snapshot {
    /// Reads every file the configuration names, at the time `now`.
    ///
    /// # Errors
    /// All problems found: what is missing, unreadable, expired, or does not fit together.
    pub fn load(config: &Config, now: UnixTime) -> Result<Self, Problems> {
        let stamps = Stamps::of(config);
        let mut problems = Problems::default();
        let policy = problems.collect(policy(&config.access, now));
        let service = problems.collect(service(&config.upstream, now));
        let verifier =
            policy.as_ref().and_then(|policy| policy.mtls_auth.as_ref()).map(|auth| &auth.verifier);
        let listener_tls = match &config.server_tls {
            Some(tls) => problems.collect(listener_tls(tls, verifier, now)).map(Some),
            None => Some(None),
        };
        let (Some(policy), Some(service), Some(listener_tls)) = (policy, service, listener_tls) else {
            return Err(problems);
        };
        let everything = Route { name: "everything".into(), paths: vec!["/".into()], service: 0, policy: 0 };
        Ok(Self {
            router: Router::new(vec![everything]),
            services: vec![Arc::new(service)],
            policies: vec![Arc::new(policy)],
            listener_tls,
            real_ip: real_ip(&config.forwarding),
            forwarding: config.forwarding.clone(),
            limits: config.limits,
            deadlines: config.deadlines,
            stamps,
        })
    }
}

/// What is wrong with the files of a configuration that is refused for other reasons.
#[must_use]
pub fn examine(files: &Files, now: UnixTime) -> Problems {
    let mut problems = Problems::default();
    for pair in &files.listeners {
        problems.collect(credentials(pair, Side::Server, now));
    }
    if let Some(cas) = &files.callers {
        problems.collect(caller_cas(cas, now));
    }
    if let Some(cas) = &files.upstream {
        problems.collect(upstream_cas(cas, now));
    }
    if let Some(pair) = &files.client {
        problems.collect(credentials(pair, Side::Client, now));
    }
    problems
}

fn real_ip(forwarding: &Forwarding) -> RealIp {
    RealIp {
        header: forwarding.real_ip_header.clone(),
        recursive: forwarding.real_ip_recursive,
        trusted: forwarding.trusted_ips.clone(),
    }
}

fn policy(access: &config::Access, now: UnixTime) -> Result<Policy, Problems> {
    let mtls_auth = match &access.mtls_auth {
        Some(auth) => Some(MtlsAuth { verifier: Arc::new(verifier(auth, now)?), group_by: auth.group_by }),
        None => None,
    };
    Ok(Policy { mtls_auth, acl: access.acl.clone() })
}

/// The CAs whose clients may come in, at the time `now`.
///
/// # Errors
/// When they cannot be read, or a chain cannot end at them.
pub fn verifier(auth: &config::MtlsAuth, now: UnixTime) -> Result<ChainVerifier, Problems> {
    let said = &auth.ca_certificates;
    let cas = caller_cas(said, now)?;
    ChainVerifier::new(cas, auth.allow_partial_chain, now)
        .map_err(|error| Problem::new(first(said), error.to_string(), CALLERS_ADVICE).into())
}

/// Each reference is judged by itself, so that the wrong one of several is named.
fn caller_cas(cas: &CaFiles, now: UnixTime) -> Result<Vec<CertificateDer<'static>>, Problems> {
    files::certificates_of(cas, |said, found| {
        trust::check(&found, now).map_err(|error| Problem::new(said, error.to_string(), CALLERS_ADVICE))?;
        Ok(found)
    })
}

/// Only what can be an anchor: of bundles with everybody's CAs in them, some expire unnoticed.
fn upstream_cas(cas: &CaFiles, now: UnixTime) -> Result<Vec<CertificateDer<'static>>, Problems> {
    files::certificates_of(cas, |said, found| {
        let advice = "give the CA that issued the upstream's certificate";
        trust::usable(found, now).map_err(|error| Problem::new(said, error.to_string(), advice))
    })
}

fn service(upstream: &config::Upstream, now: UnixTime) -> Result<Service, Problems> {
    let dialer = match &upstream.tls {
        Some(tls) => Some(dialer(tls, now)?),
        None => None,
    };
    let target = &upstream.target;
    Ok(Service { label: target.to_string().into(), host: host(target)?, dialer, upstream: upstream.clone() })
}

fn host(target: &config::Target) -> Result<HeaderValue, Problems> {
    // The URL was parsed, so its host is a legal header value.
    HeaderValue::try_from(target.authority()).map_err(|_| {
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
        Some(files) => problems.collect(credentials(files, Side::Client, now)).map(Some),
        None => Some(None),
    };
    let name = problems.collect(server_name(tls));
    let (Some(trust), Some(credentials), Some(name)) = (trust, credentials, name) else {
        return Err(problems);
    };
    Dialer::new(&trust, credentials, name).map_err(|error| {
        Problems::from(Problem::new(
            first(&tls.ca_certificates),
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

fn credentials(files: &CredentialFiles, side: Side, now: UnixTime) -> Result<Credentials, Problems> {
    let mut problems = Problems::default();
    let chain = problems.collect(certificates(&files.cert));
    let key = problems.collect(files::private_key(&files.key));
    let (Some(chain), Some(key)) = (chain, key) else { return Err(problems) };
    Credentials::new(chain, key, side, now).map_err(|error| {
        use crate::tls::credentials::CredentialError as E;
        let (said, advice) = match error {
            E::KeyMismatch { .. } => (&files.key, "give the key made together with the certificate"),
            E::UnusableKey(_) => (&files.key, "use an RSA (2048 bits or more), ECDSA or Ed25519 key"),
            E::Expired { .. } => (&files.cert, "have a new certificate issued"),
            E::NotYetValid { .. } => (&files.cert, "check this host's clock, or have a new one issued"),
            E::WrongUsage { .. } => (&files.cert, "have one issued for this use"),
            E::Malformed(_) => (&files.cert, "give an X.509 certificate in PEM"),
        };
        Problem::new(said, error.to_string(), advice).into()
    })
}

fn listener_tls(
    tls: &config::ServerTls,
    verifier: Option<&Arc<ChainVerifier>>,
    now: UnixTime,
) -> Result<ListenerTls, Problems> {
    let mut problems = Problems::default();
    let loaded: Vec<_> = tls
        .credentials
        .iter()
        .filter_map(|files| problems.collect(credentials(files, Side::Server, now)))
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

const CALLERS_ADVICE: &str = "give the CA that issues your clients' certificates, its root included";

/// The value to name when a set of CAs as a whole is wrong; there is always one.
fn first(cas: &CaFiles) -> &Said {
    &cas.said()[0]
}
