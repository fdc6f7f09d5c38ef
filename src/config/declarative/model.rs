//! What a declarative file means: its entities, typed, with references as positions in these lists.
//!
//! Made by `read`, used by `snapshot`. Whoever has one knows that nothing in the file was ignored, that every
//! reference leads somewhere, and that what is disabled is gone. Field by field: Kong's schemas of 3.9.

use std::fmt;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::CertificateDer;

use super::id::Id;
use super::plugins::PluginConfig;
use super::report::Place;
use crate::config::Target;
use crate::routing::{Protocol, Rule};

/// A whole file.
#[derive(Debug, Default)]
pub struct Model {
    /// Where requests can go.
    pub services: Vec<Service>,
    /// Which requests go where.
    pub routes: Vec<Route>,
    /// Who may be known.
    pub consumers: Vec<Consumer>,
    /// What is done on the way; only enabled ones.
    pub plugins: Vec<Plugin>,
    /// Whom to trust.
    pub ca_certificates: Vec<CaCertificate>,
    /// What can be presented, to clients and to services.
    pub certificates: Vec<Certificate>,
    /// Which certificate is presented for which name.
    pub snis: Vec<Sni>,
    /// Services of several targets.
    pub upstreams: Vec<Upstream>,
}

/// Where requests can go. Source: kong/db/schema/entities/services.lua.
#[derive(Debug)]
pub struct Service {
    /// Where it is written.
    pub place: Place,
    /// Given or derived.
    pub id: Id,
    /// Unique.
    pub name: Option<Box<str>>,
    /// Protocol, host and port. The host may be the name of an upstream.
    pub target: Target,
    /// As written, with a slash at its end if it has one (which decides how paths are joined); or empty.
    pub path: Box<str>,
    /// Further attempts; `None` where the setting `retries` decides.
    pub retries: Option<u32>,
    /// `None` where the setting of that name decides.
    pub connect_timeout: Option<Duration>,
    /// Likewise.
    pub read_timeout: Option<Duration>,
    /// Likewise.
    pub write_timeout: Option<Duration>,
    /// Presented to the service; in `certificates`.
    pub client_certificate: Option<usize>,
    /// Trusted for the service, instead of the setting; in `ca_certificates`.
    pub ca_certificates: Option<Vec<usize>>,
    /// `None` where the setting `upstream_tls_verify` decides.
    pub tls_verify: Option<bool>,
    /// Certificates allowed between the service's own and a CA, 0 to 64.
    pub tls_verify_depth: Option<u32>,
    /// For people.
    pub tags: Vec<Box<str>>,
}

/// Which requests go where. Source: kong/db/schema/entities/routes.lua.
#[derive(Debug)]
pub struct Route {
    /// Where it is written.
    pub place: Place,
    /// Given or derived.
    pub id: Id,
    /// Unique.
    pub name: Option<Box<str>>,
    /// What a request must be. Paths of formats before 3.0 are migrated.
    pub rule: Rule,
    /// Remove what matched from the path.
    pub strip_path: bool,
    /// Keep the client's `Host`.
    pub preserve_host: bool,
    /// For a route of https only, asked for without TLS: 426, 301, 302, 307 or 308.
    pub https_redirect: u16,
    /// In `services`.
    pub service: Option<usize>,
    /// For people.
    pub tags: Vec<Box<str>>,
}

/// Somebody known by name. Source: kong/db/schema/entities/consumers.lua.
#[derive(Debug)]
pub struct Consumer {
    /// Where it is written.
    pub place: Place,
    /// Given or derived.
    pub id: Id,
    /// Unique; this or `custom_id` is there.
    pub username: Option<Box<str>>,
    /// Unique.
    pub custom_id: Option<Box<str>>,
    /// Of `acls`, in their order.
    pub groups: Vec<Box<str>>,
    /// Manual mappings of `mtls-auth`.
    pub credentials: Vec<Credential>,
    /// Manual mappings of `header-cert-auth`.
    pub header_credentials: Vec<Credential>,
    /// For people.
    pub tags: Vec<Box<str>>,
}

/// One manual mapping of a certificate to a consumer.
#[derive(Debug, PartialEq, Eq)]
pub struct Credential {
    /// Given or derived.
    pub id: Id,
    /// A name (SAN, or CN) in the certificate.
    pub subject_name: Box<str>,
    /// Only for certificates of this CA; in `ca_certificates`.
    pub ca_certificate: Option<usize>,
}

/// What is done on the way.
#[derive(Debug)]
pub struct Plugin {
    /// Where it is written.
    pub place: Place,
    /// Given or derived.
    pub id: Id,
    /// For which requests.
    pub scope: Scope,
    /// Requests of other protocols pass it by.
    pub protocols: Vec<Protocol>,
    /// Which plugin, and its fields.
    pub config: PluginConfig,
}

/// For which requests a plugin is. The most specific one of a name wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All.
    Global,
    /// Those to a service; in `services`.
    Service(usize),
    /// Those on a route; in `routes`.
    Route(usize),
}

/// Somebody to trust: one CA, whatever its dates.
#[derive(Debug)]
pub struct CaCertificate {
    /// Where it is written.
    pub place: Place,
    /// Given or derived.
    pub id: Id,
    /// The certificate.
    pub der: CertificateDer<'static>,
}

/// A chain with its key, not yet looked at.
#[derive(Debug)]
pub struct Certificate {
    /// Where it is written.
    pub place: Place,
    /// Given or derived.
    pub id: Id,
    /// The chain and its key.
    pub pair: Pair,
    /// Of another algorithm (RSA beside ECDSA), for clients that need it.
    pub alternative: Option<Pair>,
}

/// PEM texts of a chain and its key.
pub struct Pair {
    /// The leaf first.
    pub cert: Box<str>,
    /// The leaf's.
    pub key: Box<str>,
}

/// Nothing of a key is ever printed.
impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair(***)")
    }
}

/// A name that clients ask for. Source: kong/db/schema/entities/snis.lua.
#[derive(Debug)]
pub struct Sni {
    /// Where it is written.
    pub place: Place,
    /// Given or derived.
    pub id: Id,
    /// Lower case; `*`, or with `*` as its first or last label.
    pub name: Box<str>,
    /// In `certificates`.
    pub certificate: usize,
}

/// A service of several targets. Source: kong/db/schema/entities/upstreams.lua.
#[derive(Debug)]
pub struct Upstream {
    /// Where it is written.
    pub place: Place,
    /// Given or derived.
    pub id: Id,
    /// What a service names as its host.
    pub name: Box<str>,
    /// Who gets the next request.
    pub algorithm: Algorithm,
    /// What is hashed; used by consistent hashing alone.
    pub hash_on: HashOn,
    /// What is hashed where there is nothing to hash.
    pub hash_fallback: HashOn,
    /// Of the cookie that is set where a client sent none.
    pub hash_on_cookie_path: Box<str>,
    /// What targets get as `Host`, instead of the target's name.
    pub host_header: Option<Box<str>>,
    /// Presented where the service names none; in `certificates`.
    pub client_certificate: Option<usize>,
    /// Which targets are well.
    pub healthchecks: HealthChecks,
    /// Where requests go; those of weight 0 are here too.
    pub targets: Vec<UpstreamTarget>,
}

/// One place to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTarget {
    /// Given or derived.
    pub id: Id,
    /// A name or an address; IPv6 without brackets.
    pub host: Box<str>,
    /// 8000 unless written.
    pub port: u16,
    /// Its part of the requests, up to 65535; 0 for none.
    pub weight: u32,
}

/// Who gets the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// One after the other, by weight.
    RoundRobin,
    /// Whoever has the fewest requests, by weight.
    LeastConnections,
    /// The same for the same hash.
    ConsistentHashing,
    /// Whoever answered fastest of late.
    Latency,
}

/// What is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashOn {
    /// Nothing: round robin.
    None,
    /// The consumer, or what it was known by.
    Consumer,
    /// The client's address.
    Ip,
    /// A header; its name in lower case.
    Header(Box<str>),
    /// A cookie.
    Cookie(Box<str>),
    /// The path.
    Path,
    /// An argument of the query.
    QueryArg(Box<str>),
}

/// Active and passive health checks.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthChecks {
    /// Requests of our own.
    pub active: ActiveChecks,
    /// What becomes of requests anyway.
    pub passive: PassiveChecks,
    /// The least part of all weight that must be well, in percent, for the upstream to be.
    pub threshold: f64,
}

/// Requests of our own.
#[derive(Debug, Clone, PartialEq)]
pub struct ActiveChecks {
    /// How.
    pub kind: CheckKind,
    /// For one check.
    pub timeout: Duration,
    /// How many at a time.
    pub concurrency: u32,
    /// What is asked for.
    pub http_path: Box<str>,
    /// The name for SNI, instead of the target's.
    pub https_sni: Option<Box<str>>,
    /// Whether the target's certificate is verified.
    pub https_verify_certificate: bool,
    /// Sent with each check.
    pub headers: Vec<(Box<str>, Vec<Box<str>>)>,
    /// Time between checks of what is well; zero for no checks.
    pub healthy_interval: Duration,
    /// Time between checks of what is not; zero for no checks.
    pub unhealthy_interval: Duration,
    /// What counts.
    pub counts: Counts,
}

/// What becomes of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassiveChecks {
    /// How.
    pub kind: CheckKind,
    /// What counts.
    pub counts: Counts,
}

/// How a target is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckKind {
    /// Whether it can be reached.
    Tcp,
    /// What it answers.
    Http,
    /// What it answers over TLS.
    Https,
}

/// How many of what make a target well or not; 0 for never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Answers that are good.
    pub healthy_statuses: Vec<u16>,
    /// Good ones in a row.
    pub successes: u32,
    /// Answers that are bad.
    pub unhealthy_statuses: Vec<u16>,
    /// Connections that failed.
    pub tcp_failures: u32,
    /// Waits in vain.
    pub timeouts: u32,
    /// Bad answers.
    pub http_failures: u32,
}
