//! The services of a file, and the upstreams that stand behind them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Loading;
use crate::config::declarative::Place;
use crate::config::declarative::model::{self, ActiveChecks, CheckKind, Counts, Upstream};
use crate::config::{Problem, Problems, Said, Target, Terms};
use crate::snapshot::balance::{
    Active, Algorithm, Balance, Counting, HashOn, HealthChecks, Member, Question, UpstreamPlan,
};
use crate::snapshot::service::{Service, ServicePlan, TlsDefaults, defaults};
use crate::tls::credentials::{Credentials, Side};
use crate::tls::trust::Anchors;

/// Makes services, each trust store once.
pub(super) struct Services<'a> {
    loading: &'a Loading<'a>,
    defaults: TlsDefaults,
    upstreams: HashMap<&'a str, Arc<Balance>>,
    stores: HashMap<&'a [usize], Arc<Anchors>>,
    clients: HashMap<usize, Option<Credentials>>,
}

impl<'a> Services<'a> {
    /// All of the model, in its order.
    pub(super) fn load(loading: &'a Loading<'a>, problems: &mut Problems) -> Vec<Arc<Service>> {
        let Some(defaults) = tls_defaults(loading, problems) else { return Vec::new() };
        let (upstreams, stores, clients) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut services = Self { loading, defaults, upstreams, stores, clients };
        for upstream in &loading.model.upstreams {
            if let Some(balance) = services.balance(upstream, problems) {
                services.upstreams.insert(&upstream.name, Arc::new(balance));
            }
        }
        if let Some(said) = &loading.config.calls.tls.unmet {
            problems.extend(nothing_to_present(loading, said));
        }
        let each = loading.model.services.iter();
        each.filter_map(|service| services.service(service, problems).map(Arc::new)).collect()
    }

    fn service(&mut self, said: &'a model::Service, problems: &mut Problems) -> Option<Service> {
        let client_certificate = match said.client_certificate {
            Some(at) => Some(self.client_certificate(at, problems)?),
            None => None,
        };
        let plan = ServicePlan {
            address: Target { path: said.path.to_string(), ..said.target.clone() },
            terms: self.terms(said),
            retries: said.retries.unwrap_or(self.loading.config.calls.retries),
            client_certificate,
            tls_verify: said.tls_verify,
            ca_certificates: said.ca_certificates.as_deref().map(|positions| self.store(positions)),
            tls_verify_depth: said.tls_verify_depth.or(self.loading.config.calls.tls.verify_depth),
            balance: self.upstreams.get(said.target.host.as_str()).cloned(),
        };
        let made = Service::new(plan, &self.defaults);
        self.note(&said.place, made, problems)
    }

    fn terms(&self, said: &model::Service) -> Terms {
        let usual = &self.loading.config.calls.terms;
        Terms {
            connect_timeout: said.connect_timeout.unwrap_or(usual.connect_timeout),
            read_timeout: said.read_timeout.unwrap_or(usual.read_timeout),
            write_timeout: said.write_timeout.unwrap_or(usual.write_timeout),
            ..usual.clone()
        }
    }

    fn balance(&mut self, said: &Upstream, problems: &mut Problems) -> Option<Balance> {
        let client_certificate = match said.client_certificate {
            Some(at) => Some(self.client_certificate(at, problems)?),
            None => None,
        };
        let algorithm = match said.algorithm {
            model::Algorithm::RoundRobin => Algorithm::RoundRobin,
            model::Algorithm::LeastConnections => Algorithm::LeastConnections,
            model::Algorithm::Latency => Algorithm::Latency,
            model::Algorithm::ConsistentHashing => Algorithm::ConsistentHashing {
                on: hash_on(&said.hash_on, &said.hash_on_cookie_path),
                fallback: hash_on(&said.hash_fallback, &said.hash_on_cookie_path),
            },
        };
        let member = |target: &model::UpstreamTarget| Member {
            host: target.host.to_string(),
            port: target.port,
            weight: u16::try_from(target.weight).unwrap_or(u16::MAX),
        };
        let plan = UpstreamPlan {
            name: said.name.as_ref().into(),
            members: said.targets.iter().map(member).collect(),
            algorithm,
            host_header: said.host_header.clone(),
            client_certificate,
            health: health(said),
        };
        let made = Balance::new(plan, &self.defaults);
        self.note(&said.place, made, problems)
    }

    fn client_certificate(&mut self, at: usize, problems: &mut Problems) -> Option<Credentials> {
        let loading = self.loading;
        let loaded = self.clients.entry(at).or_insert_with(|| {
            let mut loaded = problems.note(loading.credentials(at, Side::Client))?;
            // Of two kinds of key the first is presented: what a server can verify is known only when it asks.
            loaded.sort_by_key(|(_, lapse)| lapse.is_some());
            let (credentials, lapse) = loaded.into_iter().next()?;
            if let Some(lapse) = lapse {
                // Another one would be another identity, and it is one service's matter.
                let consequence =
                    "and is presented all the same: the services that ask for it will refuse it";
                loading.caution_lapsed(at, &credentials, lapse, consequence);
            }
            Some(credentials)
        });
        loaded.clone()
    }

    fn store(&mut self, positions: &'a [usize]) -> Arc<Anchors> {
        let loading = self.loading;
        let store = self
            .stores
            .entry(positions)
            .or_insert_with(|| Arc::new(Anchors::of_servers(loading.cas.trust(positions).cas)));
        Arc::clone(store)
    }

    fn note<T>(&self, place: &Place, made: Result<T, String>, problems: &mut Problems) -> Option<T> {
        let advice = "write a host name or an address that can be verified, and CAs to trust";
        problems.note(made.map_err(|what| self.loading.problem(place, what, advice)))
    }
}

/// A certificate is to be presented and none is named: then every service with TLS needs one of its own.
fn nothing_to_present(loading: &Loading<'_>, said: &Said) -> Option<Problem> {
    let model = loading.model;
    let upstream = |service: &model::Service| {
        let upstream = model.upstreams.iter().find(|upstream| *upstream.name == *service.target.host);
        upstream.and_then(|upstream| upstream.client_certificate)
    };
    let without = |service: &&model::Service| {
        service.target.scheme.is_tls() && service.client_certificate.or_else(|| upstream(service)).is_none()
    };
    let places: Vec<_> =
        model.services.iter().filter(without).map(|service| service.place.to_string()).collect();
    let (first, others) = places.split_first()?;
    let others = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
    let what = format!("there is no certificate to present to {first}{others}");
    let advice = "set CLIENT_SSL_CERT and CLIENT_SSL_CERT_KEY, give each of these a client_certificate, \
                  or CLIENT_SSL=off";
    Some(Problem::new(said, what, advice))
}

/// What services with TLS have in common; nothing is read where no service has TLS.
fn tls_defaults(loading: &Loading<'_>, problems: &mut Problems) -> Option<TlsDefaults> {
    let services = loading.model.services.iter().any(|service| service.target.scheme.is_tls());
    let is_https = |upstream: &Upstream| upstream.healthchecks.active.kind == CheckKind::Https;
    if services || loading.model.upstreams.iter().any(is_https) {
        return problems.collect(defaults(&loading.config.calls.tls, loading.dates));
    }
    Some(TlsDefaults { verify: true, ca_certificates: Arc::new(Anchors::default()), credentials: None })
}

fn hash_on(said: &model::HashOn, cookie_path: &str) -> HashOn {
    match said {
        model::HashOn::None => HashOn::None,
        model::HashOn::Consumer => HashOn::Consumer,
        model::HashOn::Ip => HashOn::Ip,
        model::HashOn::Path => HashOn::Path,
        model::HashOn::QueryArg(name) => HashOn::QueryArg(name.clone()),
        model::HashOn::Cookie(name) => HashOn::Cookie { name: name.clone(), path: cookie_path.into() },
        // The reader of the file has seen to it that it is one.
        model::HashOn::Header(name) => HeaderName::try_from(&**name).map_or(HashOn::None, HashOn::Header),
    }
}

/// `None` where nothing is counted.
fn health(said: &Upstream) -> Option<HealthChecks> {
    let checks = &said.healthchecks;
    let passive = counting(&checks.passive.counts);
    let active = active(&checks.active);
    let counts = active.is_some() || passive != without_limits(&passive);
    // In percent, and Kong's schema ends at 100.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let threshold = checks.threshold.clamp(0.0, 100.0) as u8;
    counts.then_some(HealthChecks { threshold, passive, active })
}

fn without_limits(counting: &Counting) -> Counting {
    Counting { successes: 0, http_failures: 0, tcp_failures: 0, timeouts: 0, ..counting.clone() }
}

fn active(said: &ActiveChecks) -> Option<Active> {
    let every = |interval: Duration| (!interval.is_zero()).then_some(interval);
    let (healthy_every, unhealthy_every) = (every(said.healthy_interval), every(said.unhealthy_interval));
    if healthy_every.is_none() && unhealthy_every.is_none() {
        return None;
    }
    let path = said.http_path.clone();
    let question = match said.kind {
        CheckKind::Tcp => Question::Tcp,
        CheckKind::Http => Question::Http { path, headers: headers(&said.headers) },
        CheckKind::Https => Question::Https {
            path,
            headers: headers(&said.headers),
            verify: said.https_verify_certificate,
            server_name: said.https_sni.clone(),
        },
    };
    Some(Active {
        question,
        timeout: said.timeout,
        concurrency: said.concurrency as usize,
        healthy_every,
        unhealthy_every,
        counting: counting(&said.counts),
    })
}

fn headers(said: &[(Box<str>, Vec<Box<str>>)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, values) in said {
        for value in values {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(&**name), HeaderValue::try_from(&**value)) {
                headers.append(name, value);
            }
        }
    }
    headers
}

fn counting(said: &Counts) -> Counting {
    let limit = |count: u32| u8::try_from(count).unwrap_or(u8::MAX);
    Counting {
        healthy_statuses: said.healthy_statuses.clone(),
        successes: limit(said.successes),
        unhealthy_statuses: said.unhealthy_statuses.clone(),
        http_failures: limit(said.http_failures),
        tcp_failures: limit(said.tcp_failures),
        timeouts: limit(said.timeouts),
    }
}
