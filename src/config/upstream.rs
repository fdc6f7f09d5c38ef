//! The upstream: where requests go, how they get there, and how long that may take.
//!
//! Said in [`UpstreamSettings`], meant as [`Calls`] and [`Upstream`], used by `snapshot` and `proxy`.

use std::time::Duration;

use super::problem::{Problem, Problems, Said};
use super::target::{Scheme, Target};
use super::upstream_tls::{UpstreamTls, UpstreamTlsSettings};
use super::value::{self, Unit};

/// Where requests go.
#[derive(Debug, Clone, clap::Args, serde::Deserialize)]
#[command(next_help_heading = "Upstream")]
pub(super) struct UpstreamSettings {
    /// Where everything goes: `http`, `https`, `grpc` or `grpcs`, with a host, and a path that is
    /// put before each request's path. Needed where there is no declarative file.
    #[arg(long, value_name = "URL")]
    pub(super) upstream_url: Option<Said>,

    /// `auto` (TLS agrees on HTTP/2 or HTTP/1.1; HTTP/1.1 without TLS), `http1` or `http2`.
    #[arg(long, value_name = "auto|http1|http2", default_value = "auto")]
    pub(super) upstream_http: Said,

    /// To reach the upstream, handshake included. A bare number is milliseconds.
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    pub(super) connect_timeout: Said,

    /// Between two pieces of an answer. A bare number is milliseconds.
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub(super) read_timeout: Said,

    /// Until the upstream takes the next piece of a request, or a client the next piece of an
    /// answer. A bare number is milliseconds.
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub(super) write_timeout: Said,

    /// An HTTP/2 connection that answers no PING for so long is dead.
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    pub(super) link_timeout: Said,

    /// How often a request is tried again: only where nothing was sent, or where the method is
    /// idempotent and nothing was answered.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(super) retries: Said,

    /// Idle connections kept for the next request; 0 for none.
    #[arg(long, value_name = "N", default_value = "512")]
    pub(super) upstream_keepalive_pool_size: Said,

    /// Requests after which a connection is not used again; 0 for any number.
    #[arg(long, value_name = "N", default_value = "10000")]
    pub(super) upstream_keepalive_max_requests: Said,

    /// How long an idle connection is kept.
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub(super) upstream_keepalive_idle_timeout: Said,

    /// Whether a reverse proxy is ready before it has reached its upstream once.
    #[arg(long, value_name = "on|off", default_value = "off")]
    pub(super) ready_without_upstream: Said,
}

/// Where requests go, and how.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// The address.
    pub target: Target,
    /// `Some` for `https` and `grpcs`.
    pub tls: Option<UpstreamTls>,
    /// How it is spoken to.
    pub terms: Terms,
    /// Further tries of one request.
    pub retries: u32,
    /// Connect before the first request, so that it pays no handshake.
    pub open_at_start: bool,
}

/// How a service is spoken to: which HTTP, how long everything may take, how much is kept.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Which HTTP; never [`Link::Auto`] for gRPC once the service is known.
    pub link: Link,
    /// To reach a target, handshake included.
    pub connect_timeout: Duration,
    /// Between two pieces of an answer.
    pub read_timeout: Duration,
    /// Until the next piece of a request is taken.
    pub write_timeout: Duration,
    /// Without a PING answered, a connection is dead.
    pub link_timeout: Duration,
    /// Idle connections kept per target.
    pub keepalive_pool_size: usize,
    /// Requests per connection; 0 for any number.
    pub keepalive_max_requests: u64,
    /// How long an idle connection is kept.
    pub keepalive_idle_timeout: Duration,
}

impl Terms {
    /// For a service of that scheme: gRPC is always HTTP/2.
    #[must_use]
    pub fn to(mut self, scheme: Scheme) -> Self {
        if scheme.is_grpc() {
            self.link = Link::Http2;
        }
        self
    }
}

/// Which HTTP is spoken to the upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Link {
    /// What ALPN agrees on; HTTP/1.1 where there is no TLS.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only; with prior knowledge where there is no TLS.
    Http2,
}

/// How services are called, before it is known where.
#[derive(Debug, Clone)]
pub struct Calls {
    /// Of services with TLS; `server_name` is empty where it is the service's host.
    pub tls: UpstreamTls,
    /// How they are spoken to; its link counts if the service leaves a choice.
    pub terms: Terms,
    /// Further tries of one request.
    pub retries: u32,
    /// Connect before the first request, so that it pays no handshake.
    pub open_at_start: bool,
    /// Whether services are on other hosts, so that plain HTTP to them is a caution.
    pub leave_this_host: bool,
}

impl Calls {
    /// After a problem, as far as it was told. TLS settings are read for plain upstreams too, so that they
    /// are right on the day the URL changes. `target` is that of `upstream_url`; `declared`: a file says where
    /// requests go.
    pub(super) fn compile(
        settings: &UpstreamSettings,
        tls: &UpstreamTlsSettings,
        (target, declared): (Option<&Target>, bool),
        open_at_start: bool,
        problems: &mut Problems,
    ) -> Self {
        let tls = UpstreamTls::compile(tls, "", declared, problems);
        let link = link(&settings.upstream_http, target, problems);
        let milliseconds = |said| value::wait(said, Unit::Milliseconds);
        let seconds = |said| value::wait(said, Unit::Seconds);
        let connect_timeout = problems.value(milliseconds(&settings.connect_timeout));
        let read_timeout = problems.value(milliseconds(&settings.read_timeout));
        let write_timeout = problems.value(milliseconds(&settings.write_timeout));
        let link_timeout = problems.value(seconds(&settings.link_timeout));
        let retries = problems.value(value::count(&settings.retries, 0..=RETRIES));
        let keepalive_pool_size =
            problems.value(value::count(&settings.upstream_keepalive_pool_size, 0..=MANY));
        let keepalive_max_requests =
            problems.value(value::count(&settings.upstream_keepalive_max_requests, 0..=u64::MAX));
        let keepalive_idle_timeout = problems.value(seconds(&settings.upstream_keepalive_idle_timeout));
        Self {
            tls,
            terms: Terms {
                link,
                connect_timeout,
                read_timeout,
                write_timeout,
                link_timeout,
                keepalive_pool_size,
                keepalive_max_requests,
                keepalive_idle_timeout,
            },
            retries,
            open_at_start,
            leave_this_host: open_at_start,
        }
    }

    /// The upstream at that address, called like this.
    #[must_use]
    pub fn to(&self, target: Target) -> Upstream {
        let mut tls = target.scheme.is_tls().then(|| self.tls.clone());
        if let Some(tls) = tls.as_mut().filter(|tls| tls.server_name.is_empty()) {
            tls.server_name.clone_from(&target.host);
        }
        Upstream {
            tls,
            terms: self.terms.clone().to(target.scheme),
            target,
            retries: self.retries,
            open_at_start: self.open_at_start,
        }
    }
}

/// Where everything goes; with a declarative file, it says so, and nothing else may.
pub(super) fn target(
    settings: &UpstreamSettings,
    declarative: Option<&Said>,
    problems: &mut Problems,
) -> Option<Target> {
    match (&settings.upstream_url, declarative) {
        (Some(said), None) => return problems.note(Target::parse(said)),
        (Some(said), Some(file)) => {
            let what = format!("{} is set too, and says where requests go", file.key());
            problems.push(Problem::new(said, what, "keep one of the two"));
        }
        (None, Some(_)) => {}
        (None, None) => {
            let what = "not set, so there is nowhere to send requests";
            let advice = "set UPSTREAM_URL, for example to https://gateway.example:8443";
            problems.push(Problem::missing("upstream_url", what, advice));
        }
    }
    None
}

/// What is about `upstream_url` alone, and says nothing where a declarative file names the services.
pub(super) fn undeclared(settings: &UpstreamSettings, tls: &UpstreamTlsSettings, problems: &mut Problems) {
    let name = tls.upstream_tls_server_name.as_ref().map(|said| {
        (said, "the declarative file says which names are verified", "write the service's `host` there")
    });
    let ready = Some(&settings.ready_without_upstream)
        .map(|said| (said, "with a declarative file no upstream is waited for", "remove it"));
    for (said, what, advice) in name.into_iter().chain(ready).filter(|(said, ..)| said.origin().is_chosen()) {
        problems.push(Problem::new(said, what, advice));
    }
}

/// gRPC needs HTTP/2, so `auto` means that there.
fn link(said: &Said, target: Option<&Target>, problems: &mut Problems) -> Link {
    let words = [("auto", Link::Auto), ("http1", Link::Http1), ("http2", Link::Http2)];
    let link = problems.value(value::word(said, &words));
    if !target.is_some_and(|target| target.scheme.is_grpc()) {
        return link;
    }
    if link == Link::Http1 {
        problems.push(Problem::new(
            said,
            "gRPC needs HTTP/2",
            "write http2 or auto, or an http or https URL",
        ));
    }
    Link::Http2
}

/// Kong's bound.
const RETRIES: u32 = 32_767;

/// More connections than a process may open.
const MANY: usize = 10_000_000;
