//! What is meant: the typed configuration, complete and free of contradictions.
//!
//! [`load`] turns what was said (defaults, profiles, file, environment, flags) into a
//! [`Config`], or into every [`Problem`] at once. Files are named here and read by
//! `snapshot`; nothing below this room knows a key's name or the mode.

mod settings;

mod names;
mod source;

mod passing;

mod problem;
mod reference;
mod shown;
mod value;

mod access;
mod capacity;
mod credentials;
mod deadlines;
pub mod declarative;
mod forwarding;
mod limits;
mod listen;
mod process;
mod revocation;
mod server_tls;
mod target;
mod upstream;
mod upstream_tls;

mod cautions;
mod compile;
mod files;
mod mode;

mod reference_page;

use std::time::Duration;

use crate::identity::HeaderFormat;
use crate::policy::{Acl, GroupBy};

pub use self::access::unmatched::why_unmatched;
pub use self::capacity::Bound;
pub use self::credentials::{CaFiles, CredentialFiles};
pub use self::deadlines::Deadlines;
pub use self::declarative::DeclarativeSource;
pub use self::files::Files;
pub use self::limits::Limits;
pub use self::listen::Listener;
pub use self::mode::Mode;
pub use self::passing::is_passing;
pub use self::problem::{Caution, Origin, Problem, Problems, Said};
pub use self::process::{LogFormat, LogSettings};
pub use self::reference::Reference;
pub use self::reference_page::reference;
pub use self::revocation::Revocation;
pub use self::server_tls::{Handshake, ServerTls, TlsVersions};
pub use self::settings::{Settings, Sources, flags};
pub use self::source::{Layers, Loaded, load, status_listen};
pub use self::target::{Scheme, Target};
pub use self::upstream::{Calls, Link, Terms, Upstream};
pub use self::upstream_tls::UpstreamTls;

/// Everything the program needs to know, before any file is read.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where requests are accepted; never empty.
    pub listeners: Vec<Listener>,
    /// Where `/status` answers; `None` when switched off.
    pub status: Option<Listener>,
    /// Certificates and client-certificate handshake of the TLS listeners; `Some` when there is one.
    pub server_tls: Option<ServerTls>,
    /// Who may pass.
    pub access: Access,
    /// Where requests go; `None` where the declarative file says it.
    pub upstream: Option<Upstream>,
    /// How services are called that say nothing else.
    pub calls: Calls,
    /// Services, routes, consumers and plugins.
    pub declarative: Option<DeclarativeSource>,
    /// What said that callers are judged before a route is found; `None`: they are not.
    pub authenticate_before_routing: Option<Said>,
    /// Which headers tell the service about the caller and the way.
    pub forwarding: Forwarding,
    /// Sizes and counts that bound a client.
    pub limits: Limits,
    /// Every wait on the client's side, by name.
    pub deadlines: Deadlines,
    /// Worker threads, at least 1.
    pub workers: usize,
    /// How long work in flight may go on after a stop signal.
    pub drain_timeout: Duration,
    /// Whether one JSON line per request is written to standard output.
    pub access_log: bool,
    /// How long the link may be away before the health check fails; `None` for any time.
    pub healthcheck_link_timeout: Option<Duration>,
    /// Not ready before the upstream was reached once.
    pub ready_needs_upstream: bool,
    /// Settings that work but weaken security, or were probably meant otherwise; each is named once at start.
    pub cautions: Vec<Caution>,
    /// What said that such settings do not work; `None`: they do.
    pub refuse_insecure: Option<Said>,
}

/// Who may pass, before the CA files are read.
#[derive(Debug, Clone)]
pub struct Access {
    /// Kong's `mtls-auth`; `None` when callers need no certificate.
    pub mtls_auth: Option<MtlsAuth>,
    /// Kong's `acl`.
    pub acl: Option<Acl>,
    /// Whether and how it is asked if a certificate was taken back; of a declarative file's plugins, where.
    pub revocation: Revocation,
    /// Whether this node is for callers with certificates: then somebody's must be accepted.
    pub certificate_required: bool,
    /// What said that the handshake is to refuse whoever has no good certificate, if somebody wrote it for this
    /// deployment and not for all.
    pub handshake_refuses: Option<Said>,
}

/// The `mtls-auth` plugin without consumers.
#[derive(Debug, Clone)]
pub struct MtlsAuth {
    /// Whose certificates are accepted.
    pub ca_certificates: CaFiles,
    /// An intermediate listed among the CAs is enough as an anchor.
    pub allow_partial_chain: bool,
    /// Intermediate CAs allowed between a certificate and the CA it leads to; `None` for any number.
    pub verify_depth: Option<u32>,
    /// What of the certificate becomes the caller's group; `None` for no group.
    pub group_by: Option<GroupBy>,
}

/// What is told about the caller and the way of a request.
#[derive(Debug, Clone)]
pub struct Forwarding {
    /// Formats of identity headers sent upstream.
    pub identity_headers: Vec<HeaderFormat>,
    /// Networks whose forwarding headers are believed.
    pub trusted_ips: Vec<ipnet::IpNet>,
    /// Lower-case name of the header that carries the client's address (`x-real-ip`).
    pub real_ip_header: http::HeaderName,
    /// Skip trusted addresses from the right when the header lists several.
    pub real_ip_recursive: bool,
    /// Names (CN, DNS or URI SAN) of certificates whose forwarding headers are believed.
    pub trusted_peers: Vec<String>,
    /// Keep the client's `Host` towards the upstream.
    pub preserve_host: bool,
    /// Which of our response headers are sent to the client.
    pub response_headers: ResponseHeaders,
    /// Whether `X-Kong-Request-Id` is sent upstream.
    pub request_id_upstream: bool,
}

/// The tokens of Kong's `headers` setting, as switches.
/// Source: kong.conf.default, `headers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseHeaders {
    /// `Server` on our own answers, and where the upstream sent none.
    pub server: bool,
    /// `Via`.
    pub via: bool,
    /// `X-Kong-Proxy-Latency`, in ms.
    pub proxy_latency: bool,
    /// `X-Kong-Response-Latency`, in ms, on our own answers.
    pub response_latency: bool,
    /// `X-Kong-Upstream-Latency`, in ms.
    pub upstream_latency: bool,
    /// `X-Kong-Upstream-Status`.
    pub upstream_status: bool,
    /// `X-Kong-Request-Id`.
    pub request_id: bool,
}
