//! Which service a request is for: values in, values out.
//!
//! `snapshot` compiles a [`Router`]; `proxy` asks it once per request. Routes match and outrank each
//! other as with Kong 3.9's default router (`traditional_compatible`: kong/router/transform.lua), and
//! the path a route is chosen by is the path that is sent on.

mod equals;
mod fit;
mod header_rule;
mod host;
mod hosts;
mod literals;
mod name_pattern;
mod normal;
mod order;
pub mod path;
mod path_pattern;
mod prefixes;
mod protocols;
mod router;
mod rule;
mod sni;

use std::sync::Arc;

use http::{HeaderMap, Method};

pub use self::equals::equals;
pub use self::fit::Fit;
pub use self::header_rule::HeaderRule;
pub use self::host::HostPattern;
pub use self::name_pattern::is_host;
pub use self::normal::normalise;
pub use self::path_pattern::PathPattern;
pub use self::protocols::{Protocol, Protocols};
pub use self::router::Router;
pub use self::rule::{PathHandling, Rule};
pub use self::sni::Sni;

/// Where requests of one kind go, and who may send them.
#[derive(Debug, Clone)]
pub struct Route {
    /// For logs.
    pub name: Arc<str>,
    /// Its UUID: of routes of the same priority, the higher goes first.
    pub id: u128,
    /// Which requests.
    pub rule: Rule,
    /// Whether the part of the path that matched is left out on the way to the service.
    pub strip_path: bool,
    /// Whether the service sees the client's `Host`.
    pub preserve_host: bool,
    /// What a plain request to a route for TLS is answered with: 426, or the status of a redirect.
    pub https_redirect: u16,
    /// Index of the service in the snapshot; `None` answers 503 to who may pass.
    pub service: Option<usize>,
    /// Index of the policy in the snapshot.
    pub policy: usize,
}

impl Route {
    /// What `upstream_url` means: any path, sent on in the bytes it came in.
    #[must_use]
    pub fn everything(service: usize, policy: usize) -> Self {
        Self {
            name: "everything".into(),
            id: 0,
            rule: Rule { path_handling: PathHandling::Kept, ..Rule::default() },
            strip_path: false,
            preserve_host: false,
            https_redirect: 426,
            service: Some(service),
            policy,
        }
    }
}

/// What a route is chosen by.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a Method,
    /// The authority or `Host`, with its port if it has one.
    pub host: Option<&'a str>,
    /// The path as it was sent, without the query; `*` of `OPTIONS *` matches no route.
    pub path: &'a str,
    /// All fields; several lines of one name are several values.
    pub headers: &'a HeaderMap,
    /// The name the client asked for in its TLS handshake.
    pub server_name: Option<&'a str>,
    /// Whether this connection is TLS: without it no SNI is asked for, and a `Host` without a port
    /// means 80 instead of 443.
    pub tls: bool,
    /// Whether the client used https, by this connection or by the word of a believed peer.
    pub https: bool,
    /// Whether the connection speaks HTTP/2.
    pub http2: bool,
    /// Whether the body is gRPC by its `content-type`.
    pub is_grpc: bool,
}

/// The route of a request.
#[derive(Debug, Clone)]
pub struct Found<'r> {
    /// The route.
    pub route: &'r Route,
    /// Whether the route takes what the client speaks. If not, the request is answered, not forwarded.
    pub fit: Fit,
    /// The path it was chosen by, where that is not the one that was sent.
    normalised: Option<String>,
    /// How much of that path matched; `None` if the route has no paths.
    matched: Option<usize>,
}

impl Found<'_> {
    /// What is left out of the path on the way to the service, for `X-Forwarded-Prefix`
    /// (kong/runloop/handler.lua). `sent` is the path that was asked for; `None` if nothing is left
    /// out but a slash.
    #[must_use]
    pub fn stripped_prefix<'a>(&'a self, sent: &'a str) -> Option<&'a str> {
        let matched = self.matched.filter(|_| self.route.strip_path)?;
        self.path(sent).get(..matched).filter(|prefix| !matches!(*prefix, "" | "/"))
    }

    /// The path the route was chosen by.
    fn path<'a>(&'a self, sent: &'a str) -> &'a str {
        self.normalised.as_deref().unwrap_or(sent)
    }
}

/// What is wrong with a part of a rule, and what to do.
///
/// What was written is not quoted: where a sentence needs it, it begins with `it`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {advice}")]
pub struct Invalid {
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub advice: &'static str,
}

impl Invalid {
    fn new(what: impl Into<String>, advice: &'static str) -> Self {
        Self { what: what.into(), advice }
    }
}
