//! An upstream with many targets, loaded: who they are, who is next, and how their health is told.
//!
//! Made from Kong's upstreams; services whose host is the upstream's name share one. What happens to it
//! while the program runs (turns, counts, health) is `proxy`'s.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName};

use super::service::TlsDefaults;
use super::target::{Target, verified_name};
use crate::config::{self, Link, Scheme, Terms};
use crate::tls::client::Dialer;
use crate::tls::credentials::Credentials;

/// What an upstream is made of.
#[derive(Debug, Clone)]
pub struct UpstreamPlan {
    /// Its name, which is the host of the services that use it.
    pub name: Arc<str>,
    /// Its targets; those of weight 0 are left out.
    pub members: Vec<Member>,
    /// Who is next.
    pub algorithm: Algorithm,
    /// Sent as `Host`, asked for and verified in place of a target's own name.
    pub host_header: Option<Box<str>>,
    /// Presented to the targets by services that have no certificate of their own.
    pub client_certificate: Option<Credentials>,
    /// `None` where every target always counts as healthy.
    pub health: Option<HealthChecks>,
}

/// One target of an upstream (kong/db/schema/entities/targets.lua).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// A name or an IP address; IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its share, of the sum of all; 0 for none.
    pub weight: u16,
}

/// Who of several targets is next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Algorithm {
    /// Each in turn, by weight.
    RoundRobin,
    /// The one with the fewest requests in flight, by weight.
    LeastConnections,
    /// The same for the same value; [`Algorithm::RoundRobin`] for requests that have neither.
    ConsistentHashing {
        /// What is hashed.
        on: HashOn,
        /// What is hashed where there is no such value.
        fallback: HashOn,
    },
    /// The one that answered faster lately, of two taken at random.
    Latency,
}

/// What of a request is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashOn {
    /// Nothing.
    None,
    /// Who called.
    Consumer,
    /// The client's address, as a trusted peer tells it.
    Ip,
    /// The values of a header.
    Header(HeaderName),
    /// The value of a cookie; a client without it gets one.
    Cookie {
        /// Its name.
        name: Box<str>,
        /// Its path when we set it.
        path: Box<str>,
    },
    /// The path of the request as the client sent it.
    Path,
    /// The first value of an argument in the query.
    QueryArg(Box<str>),
}

/// Kong's `healthchecks`: at least one of its limits is not zero.
#[derive(Debug, Clone)]
pub struct HealthChecks {
    /// Below this share of healthy weight, in percent, the whole upstream counts as unhealthy.
    pub threshold: u8,
    /// What real traffic tells. It never makes a target healthy again.
    pub passive: Counting,
    /// What our own questions tell.
    pub active: Option<Active>,
}

/// What is counted, and how often makes a change. A limit of 0 counts nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counting {
    /// Statuses that speak for a target.
    pub healthy_statuses: Vec<u16>,
    /// So many of them make it healthy.
    pub successes: u8,
    /// Statuses that speak against it.
    pub unhealthy_statuses: Vec<u16>,
    /// So many of them make it unhealthy.
    pub http_failures: u8,
    /// So many connections that failed or broke do.
    pub tcp_failures: u8,
    /// So many waits that were too long do.
    pub timeouts: u8,
}

/// Asking targets how they are.
#[derive(Debug, Clone)]
pub struct Active {
    /// What is asked.
    pub question: Question,
    /// One question, from name to status, takes at most this long.
    pub timeout: Duration,
    /// Targets of one upstream that are asked at the same time, at least 1.
    pub concurrency: usize,
    /// How often a healthy target is asked; `None` for never.
    pub healthy_every: Option<Duration>,
    /// How often an unhealthy one is.
    pub unhealthy_every: Option<Duration>,
    /// What the answers count.
    pub counting: Counting,
}

/// What a target is asked.
#[derive(Debug, Clone)]
pub enum Question {
    /// Whether it takes a connection.
    Tcp,
    /// `GET path`.
    Http {
        /// With a leading slash.
        path: Box<str>,
        /// Sent along.
        headers: HeaderMap,
    },
    /// The same over TLS.
    Https {
        /// With a leading slash.
        path: Box<str>,
        /// Sent along.
        headers: HeaderMap,
        /// Whether chain and name of the target's certificate are verified.
        verify: bool,
        /// Asked for and verified in place of the target's name.
        server_name: Option<Box<str>>,
    },
}

/// An upstream, ready to use.
#[derive(Debug)]
pub struct Balance {
    /// As it was planned, without targets of weight 0.
    pub plan: UpstreamPlan,
    /// How each target is asked, in the order of the members; empty where none is.
    pub probes: Vec<Arc<Target>>,
}

impl Balance {
    /// Readies an upstream. Its health checks present its certificate, else that of `defaults`; never a
    /// service's (kong/runloop/balancer/healthcheckers.lua).
    ///
    /// # Errors
    /// When a name cannot be verified or sent, or the TLS of the health checks cannot be made.
    pub fn new(mut plan: UpstreamPlan, defaults: &TlsDefaults) -> Result<Self, String> {
        plan.members.retain(|member| member.weight > 0);
        let probes = match plan.health.as_ref().and_then(|health| health.active.as_ref()) {
            Some(active) => probes(&plan, active, defaults)?,
            None => Vec::new(),
        };
        Ok(Self { plan, probes })
    }

    /// How targets are asked, if they are.
    #[must_use]
    pub fn active(&self) -> Option<&Active> {
        self.plan.health.as_ref()?.active.as_ref()
    }
}

fn probes(plan: &UpstreamPlan, active: &Active, defaults: &TlsDefaults) -> Result<Vec<Arc<Target>>, String> {
    let (scheme, tls) = match &active.question {
        Question::Tcp | Question::Http { .. } => (Scheme::Http, None),
        Question::Https { verify, server_name, .. } => (Scheme::Https, Some((*verify, server_name))),
    };
    let credentials = plan.client_certificate.as_ref().or(defaults.credentials.as_ref());
    let terms = Arc::new(terms(active.timeout));
    let mut base = None;
    let probe = |member: &Member| {
        let dialer = match tls {
            None => None,
            Some((verify, said)) => {
                let name = match said {
                    Some(said) => verified_name(said, None, said, verify)?,
                    None => verified_name(&member.host, plan.host_header.as_deref(), &member.host, verify)?,
                };
                Some(named(&mut base, name, |name| {
                    Dialer::new(&defaults.trust(Some(verify), None, None), credentials.cloned(), name)
                })?)
            }
        };
        let address =
            config::Target { scheme, host: member.host.clone(), port: member.port, path: String::new() };
        Ok(Arc::new(Target::new(&address, plan.host_header.as_deref(), dialer, &terms)?))
    };
    plan.members.iter().map(probe).collect()
}

/// A dialer for `name`; all names share what the first one was made of.
pub(super) fn named(
    base: &mut Option<Dialer>,
    name: rustls::pki_types::ServerName<'static>,
    make: impl FnOnce(rustls::pki_types::ServerName<'static>) -> Result<Dialer, String>,
) -> Result<Dialer, String> {
    if let Some(base) = base {
        return Ok(base.named(name));
    }
    Ok(base.insert(make(name)?.if_asked()).clone())
}

/// Probes keep no connection, so only the waits have a meaning.
pub(super) fn terms(timeout: Duration) -> Terms {
    Terms {
        link: Link::Http1,
        connect_timeout: timeout,
        read_timeout: timeout,
        write_timeout: timeout,
        link_timeout: timeout,
        keepalive_pool_size: 0,
        keepalive_max_requests: 1,
        keepalive_idle_timeout: Duration::ZERO,
    }
}
