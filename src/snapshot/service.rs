//! Where requests go, loaded: what a service is called, and its targets with their TLS.

use std::sync::Arc;

use http::HeaderValue;
use rustls::pki_types::{ServerName, UnixTime};

use super::authorities::Authorities;
use super::balance::{Balance, named};
use super::dates::{DATES_ASIDE, Dates};
use super::files;
use super::target::{Target, tls_name, verified_name};
use crate::config::{self, CaFiles, Problem, Problems, Terms, UpstreamTls};
use crate::tls::client::{Dialer, ServerTrust};
use crate::tls::credentials::{Credentials, Side};
use crate::tls::trust::{self, Anchors};

/// What a request to this service needs.
#[derive(Debug)]
pub struct Service {
    /// For logs: `https://gateway:8443`.
    pub label: Arc<str>,
    /// What it gets as `Host` where its targets do not differ in that: its name, and the port unless it
    /// is the scheme's own.
    pub host: HeaderValue,
    /// What comes before each request's path: empty, or `/base` without a slash at the end.
    pub path: String,
    /// Further tries of one request.
    pub retries: u32,
    /// Where its connections go; none, where an upstream has no targets.
    pub targets: Vec<Arc<Target>>,
    /// Who of the targets is next, in their order; `None` for the one target of a service's own host.
    pub balance: Option<Arc<Balance>>,
    /// Connect before the first request, so that it pays no handshake.
    pub open_at_start: bool,
}

/// What a service of a declarative file is made of.
#[derive(Debug)]
pub struct ServicePlan {
    /// Scheme, host, port and path.
    pub address: config::Target,
    /// How it is spoken to; gRPC always over HTTP/2.
    pub terms: Terms,
    /// Further tries of one request.
    pub retries: u32,
    /// The certificate it is shown; before the upstream's, before that of [`TlsDefaults`].
    pub client_certificate: Option<Credentials>,
    /// Whether chain and name of its certificate are verified; as in [`TlsDefaults`] where it says nothing.
    pub tls_verify: Option<bool>,
    /// Whom to trust for that, in place of those of [`TlsDefaults`].
    pub ca_certificates: Option<Arc<Anchors>>,
    /// Intermediate certificates allowed in its chain.
    pub tls_verify_depth: Option<u32>,
    /// The upstream of that name as the service's host, if there is one.
    pub balance: Option<Arc<Balance>>,
}

/// The TLS of services that do not say otherwise: `client_ssl`, `upstream_tls_verify` and
/// `upstream_ca_certificates`.
#[derive(Debug, Clone)]
pub struct TlsDefaults {
    /// Whether certificates are verified.
    pub verify: bool,
    /// Whom to trust for that.
    pub ca_certificates: Arc<Anchors>,
    /// What is presented to whoever asks.
    pub credentials: Option<Credentials>,
}

impl TlsDefaults {
    pub(super) fn trust(
        &self,
        verify: Option<bool>,
        cas: Option<&Arc<Anchors>>,
        depth: Option<u32>,
    ) -> ServerTrust {
        let roots = Arc::clone(cas.unwrap_or(&self.ca_certificates));
        match (verify.unwrap_or(self.verify), depth) {
            (false, _) => ServerTrust::Anything,
            (true, None) => ServerTrust::Verify(roots),
            (true, Some(depth)) => ServerTrust::VerifyWithin(roots, depth),
        }
    }
}

impl Service {
    /// Readies a service. One with a certificate that its targets do not ask for works, as in Kong.
    ///
    /// # Errors
    /// When a name cannot be verified or sent, or there is nothing to trust.
    pub fn new(plan: ServicePlan, defaults: &TlsDefaults) -> Result<Self, String> {
        let scheme = plan.address.scheme;
        let terms = Arc::new(plan.terms.clone().to(scheme));
        let host_header = plan.balance.as_ref().and_then(|balance| balance.plan.host_header.as_deref());
        let verify = plan.tls_verify.unwrap_or(defaults.verify);
        let mut base = None;
        let mut target = |address: &config::Target| -> Result<Arc<Target>, String> {
            let dialer = match scheme.is_tls() {
                false => None,
                true => {
                    let name = verified_name(&plan.address.host, host_header, &address.host, verify)?;
                    Some(named(&mut base, name, |name| plan.dialer(defaults, name))?)
                }
            };
            Ok(Arc::new(Target::new(address, host_header, dialer, &terms)?))
        };
        let targets = match &plan.balance {
            None => vec![target(&plan.address)?],
            Some(balance) => {
                let at =
                    |host: &str, port| config::Target { host: host.into(), port, ..plan.address.clone() };
                let members = balance.plan.members.iter();
                members.map(|member| target(&at(&member.host, member.port))).collect::<Result<_, _>>()?
            }
        };
        Ok(Self {
            label: plan.address.to_string().into(),
            host: own_host(&plan.address)?,
            path: plan.address.path,
            retries: plan.retries,
            targets,
            balance: plan.balance,
            open_at_start: false,
        })
    }
}

impl ServicePlan {
    fn dialer(&self, defaults: &TlsDefaults, name: ServerName<'static>) -> Result<Dialer, String> {
        let trust = defaults.trust(self.tls_verify, self.ca_certificates.as_ref(), self.tls_verify_depth);
        let upstreams = self.balance.as_ref().and_then(|balance| balance.plan.client_certificate.as_ref());
        let shown = self.client_certificate.as_ref().or(upstreams).or(defaults.credentials.as_ref());
        Dialer::new(&trust, shown.cloned(), name)
    }
}

fn own_host(address: &config::Target) -> Result<HeaderValue, String> {
    let host = address.authority();
    HeaderValue::try_from(&host).map_err(|_| format!("`{host}` cannot be sent as Host"))
}

/// The one service of `upstream_url`.
pub(super) fn service(upstream: &config::Upstream, dates: &Dates) -> Result<Service, Problems> {
    let dialer = match &upstream.tls {
        Some(tls) => Some(dialer(tls, dates)?),
        None => None,
    };
    let terms = Arc::new(upstream.terms.clone());
    let target = Target::new(&upstream.target, None, dialer, &terms)
        // The URL was parsed, so its host is a legal header value.
        .map_err(|what| Problem::missing("upstream_url", what, "write a host name or address"))?;
    Ok(Service {
        label: Arc::clone(&target.label),
        host: target.host_header.clone(),
        path: upstream.target.path.clone(),
        retries: upstream.retries,
        targets: vec![Arc::new(target)],
        balance: None,
        open_at_start: upstream.open_at_start,
    })
}

fn dialer(tls: &UpstreamTls, dates: &Dates) -> Result<Dialer, Problems> {
    let mut problems = Problems::default();
    let trust = problems.collect(trust_of(tls, dates));
    let credentials = problems.collect(client_credentials(tls, dates));
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

/// What services of a declarative file have in common.
pub(super) fn defaults(tls: &UpstreamTls, dates: &Dates) -> Result<TlsDefaults, Problems> {
    let mut problems = Problems::default();
    let ca_certificates = match tls.verify {
        true => problems.collect(upstream_cas(&tls.ca_certificates, dates)),
        false => Some(Arc::new(Anchors::default())),
    };
    let credentials = problems.collect(client_credentials(tls, dates));
    let (Some(ca_certificates), Some(credentials)) = (ca_certificates, credentials) else {
        return Err(problems);
    };
    Ok(TlsDefaults { verify: tls.verify, ca_certificates, credentials })
}

/// What is presented, if anything.
fn client_credentials(tls: &UpstreamTls, dates: &Dates) -> Result<Option<Credentials>, Problems> {
    let Some(files) = &tls.credentials else { return Ok(None) };
    let usable = files::credentials(std::slice::from_ref(files), Side::Client, dates)?;
    Ok(usable.into_iter().next())
}

/// The name the upstream's certificate must hold.
///
/// # Errors
/// When it cannot be one.
pub fn server_name(tls: &UpstreamTls) -> Result<ServerName<'static>, Problems> {
    tls_name(&tls.server_name, tls.verify).map_err(|what| {
        Problem::missing("upstream_tls_server_name", what, "write the name in the upstream's certificate")
            .into()
    })
}

/// Whom the upstream's certificate must lead to, at the time `now`.
///
/// # Errors
/// When the CAs cannot be read, or none of them is usable.
pub fn server_trust(tls: &UpstreamTls, now: UnixTime) -> Result<ServerTrust, Problems> {
    trust_of(tls, &Dates::at_start(now))
}

fn trust_of(tls: &UpstreamTls, dates: &Dates) -> Result<ServerTrust, Problems> {
    if !tls.verify {
        return Ok(ServerTrust::Anything);
    }
    let anchors = upstream_cas(&tls.ca_certificates, dates)?;
    Ok(match tls.verify_depth {
        None => ServerTrust::Verify(anchors),
        Some(depth) => ServerTrust::VerifyWithin(anchors, depth),
    })
}

/// Only what can be an anchor: bundles with everybody's CAs in them hold more than that.
pub(super) fn upstream_cas(cas: &CaFiles, dates: &Dates) -> Result<Arc<Anchors>, Problems> {
    let advice = "give the CA that issued the upstream's certificate";
    let load = || {
        let usable = |found| trust::usable(found, DATES_ASIDE);
        Authorities::read(cas, Side::Server, dates, advice, usable)?
            .trust(dates, |cas| Ok(Arc::new(Anchors::of_servers(cas))))
    };
    dates.part(|parts| &mut parts.upstream_cas, files::paths(cas.own()), load)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Link, Scheme};
    use crate::pki::{Authority, Leaf};
    use crate::snapshot::balance::{Algorithm, Member, UpstreamPlan, terms};

    fn credentials(name: &str) -> Credentials {
        let issued = Authority::new("ca").unwrap().issue(&Leaf::client(name)).unwrap();
        Credentials::new(issued.chain(), issued.key(), Side::Client, UnixTime::now()).unwrap()
    }

    fn plan(scheme: Scheme, client_certificate: Option<Credentials>) -> ServicePlan {
        let port = scheme.default_port();
        ServicePlan {
            address: config::Target { scheme, host: "orders.internal".into(), port, path: "/base".into() },
            terms: terms(Duration::from_secs(1)),
            retries: 5,
            client_certificate,
            tls_verify: Some(false),
            ca_certificates: None,
            tls_verify_depth: None,
            balance: None,
        }
    }

    fn defaults(verify: bool, credentials: Option<Credentials>) -> TlsDefaults {
        TlsDefaults { verify, ca_certificates: Arc::new(Anchors::default()), credentials }
    }

    fn upstream(client_certificate: Option<Credentials>, targets: &[(&str, u16)]) -> Arc<Balance> {
        let member =
            |(host, port): &(&str, u16)| Member { host: (*host).to_owned(), port: *port, weight: 100 };
        let plan = UpstreamPlan {
            name: "orders.internal".into(),
            members: targets.iter().map(member).collect(),
            algorithm: Algorithm::RoundRobin,
            host_header: None,
            client_certificate,
            health: None,
        };
        Arc::new(Balance::new(plan, &defaults(true, None)).unwrap())
    }

    #[test]
    fn the_services_certificate_goes_before_the_upstreams_and_that_before_the_global_one() {
        let [own, upstreams, global] = ["own", "upstream", "global"].map(credentials);
        for scheme in [Scheme::Https, Scheme::Grpcs] {
            let check = |service: bool, upstream: bool, all: bool, expected: Option<&Credentials>| {
                let balance = self::upstream(upstream.then(|| upstreams.clone()), &[("a.example", 443)]);
                let plan =
                    ServicePlan { balance: Some(balance), ..plan(scheme, service.then(|| own.clone())) };
                let defaults = defaults(true, all.then(|| global.clone()));
                let service = Service::new(plan, &defaults).unwrap();
                let dialer = service.targets[0].dialer.as_ref().unwrap();
                let shown = dialer.credentials().map(Credentials::certified);
                assert_eq!(shown.map(Arc::as_ptr), expected.map(|it| Arc::as_ptr(it.certified())));
                assert!(!dialer.is_mutual(), "who does not ask is served, as in Kong");
            };
            check(true, true, true, Some(&own));
            check(false, true, true, Some(&upstreams));
            check(false, false, true, Some(&global));
            check(false, false, false, None);
        }
    }

    #[test]
    fn verification_is_the_services_word_or_the_global_one() {
        let roots = Arc::new(Anchors::default());
        let check = |global: bool, said: Option<bool>, depth: Option<u32>, expected: &str| {
            let trust = match defaults(global, None).trust(said, Some(&roots), depth) {
                ServerTrust::Verify(used) => {
                    assert!(Arc::ptr_eq(&used, &roots));
                    "verify".to_owned()
                }
                ServerTrust::VerifyWithin(_, depth) => format!("verify within {depth}"),
                ServerTrust::Anything => "anything".to_owned(),
            };
            assert_eq!(trust, expected, "{global} {said:?} {depth:?}");
        };
        check(true, None, None, "verify");
        check(true, None, Some(0), "verify within 0");
        check(true, Some(false), Some(3), "anything");
        check(false, None, None, "anything");
        check(false, Some(true), Some(3), "verify within 3");
        assert!(
            Service::new(
                ServicePlan { tls_verify: None, ..plan(Scheme::Https, None) },
                &defaults(true, None)
            )
            .is_err()
        );
    }

    #[test]
    fn targets_are_the_upstreams_or_the_service_itself() {
        let names = |service: &Service| {
            let name =
                |target: &Arc<Target>| target.dialer.as_ref().unwrap().server_name().to_str().into_owned();
            service.targets.iter().map(|target| (target.label.to_string(), name(target))).collect::<Vec<_>>()
        };
        let alone = Service::new(plan(Scheme::Grpcs, None), &defaults(true, None)).unwrap();
        let expected = ("grpcs://orders.internal/base".to_owned(), "orders.internal".to_owned());
        assert_eq!(names(&alone), [expected]);
        assert_eq!(alone.targets[0].terms.link, Link::Http2);
        assert_eq!((alone.path.as_str(), alone.host.as_bytes()), ("/base", &b"orders.internal"[..]));
        let balance = upstream(None, &[("10.0.0.1", 8443), ("b.example", 443)]);
        let many = ServicePlan { balance: Some(balance), ..plan(Scheme::Https, None) };
        let many = Service::new(many, &defaults(true, None)).unwrap();
        let expected =
            [("https://10.0.0.1:8443/base", "orders.internal"), ("https://b.example/base", "b.example")];
        assert_eq!(names(&many), expected.map(|(label, name)| (label.to_owned(), name.to_owned())));
        assert_eq!(many.targets[0].host_header, "10.0.0.1:8443");
    }
}
