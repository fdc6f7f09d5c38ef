//! What the pure parts of a request cost, in nanoseconds: route, authorization, header rules, identity;
//! what a handshake pays for many server names; and all of these with much of everything.
//!
//! `cargo bench --bench pure` measures and compares with the run before; `cargo test --bench pure` runs
//! each once. Inputs are those of a browser-like request through the chain. What a whole request costs
//! is counted in `instructions`.

#![allow(clippy::unwrap_used, missing_docs)] // a bench fails by panicking, and nobody links to it

#[path = "pure/scale.rs"]
mod scale;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use mtls_bridge::identity::{HeaderFormat, Peer, PeerCertificate, PeerTls};
use mtls_bridge::message::forwarded::{self, Hop, RealIp, Target};
use mtls_bridge::message::hop_by_hop;
use mtls_bridge::message::identity_headers::{self, Reserved};
use mtls_bridge::pki::{Authority, Issued, Leaf, San};
use mtls_bridge::policy::{
    Acl, ConsumerBy, ConsumerId, Consumers, Decisions, GroupBy, Lookup, MtlsAuth, NewConsumer, NobodyKnows,
    Policy, Question, Rule,
};
use mtls_bridge::routing::{self, Asked, HostPattern, PathPattern, Route, Router, normalise};
use mtls_bridge::tls::credentials::{Credentials, Side};
use mtls_bridge::tls::server::{Asks, Hints, Presented, ServerConfigs};
use mtls_bridge::tls::sni::ByName;
use mtls_bridge::tls::trust::ChainVerifier;
use rustls::pki_types::UnixTime;
use rustls::server::{Accepted, Acceptor};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

criterion_group!(benches, routes, authorize, consumers, header_rules, identity, server_names, scale::scale);
criterion_main!(benches);

/// One of many routes, which differ in their hosts, their prefixes, their expressions, or in two of these.
fn routes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route/find");
    let kinds: [(&str, MakeRule); 5] = [
        ("hosts", |index| rule(Some(index), None)),
        ("prefixes", |index| rule(None, Some(format!("/api/v1/service-{index:05}")))),
        ("expressions", |index| rule(None, Some(format!("~/api/v1/service-{index:05}/[a-z]+/[0-9]+$")))),
        ("expressions without a prefix", |index| {
            rule(None, Some(format!("~/[^/]+/v1/service-{index:05}/[a-z]+/[0-9]$")))
        }),
        ("hosts and prefixes", |index| rule(Some(index / 100), Some(format!("/api/v1/service-{index:05}")))),
    ];
    for (kind, rule) in kinds {
        for count in [1, 10_000] {
            let router = Router::new((0..count).map(|index| route(rule(index))).collect());
            let (host, path) = ("host-0.example:8443", "/api/v1/service-00000/orders/7");
            assert!(find(&router, host, path));
            group.bench_function(BenchmarkId::new(kind, count), |bencher| {
                bencher.iter(|| find(&router, black_box(host), black_box(path)));
            });
            group.bench_function(BenchmarkId::new(format!("{kind}, no match"), count), |bencher| {
                bencher.iter(|| find(&router, black_box("nobody.example"), black_box("/api/v2/nobody")));
            });
        }
    }
    group.finish();
    let mut group = criterion.benchmark_group("route/load");
    group.sample_size(10);
    for (kind, rule) in kinds {
        group.bench_function(BenchmarkId::new(kind, 10_000), |bencher| {
            bencher
                .iter_with_large_drop(|| Router::new((0..10_000).map(|index| route(rule(index))).collect()));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("route/normalise");
    for path in ["/api/v1/service-00000/orders/7", "/api/v1/orders/%C3%A9", "/api//v1/./%6Frders/../x"] {
        group.bench_function(BenchmarkId::from_parameter(path), |bencher| {
            bencher.iter(|| normalise(black_box(path)));
        });
    }
}

/// The rule of the route with this number.
type MakeRule = fn(usize) -> routing::Rule;

fn rule(host: Option<usize>, path: Option<String>) -> routing::Rule {
    let host = host.map(|index| HostPattern::parse(&format!("host-{index}.example")).unwrap());
    let path = path.map(|path| PathPattern::parse(&path).unwrap());
    routing::Rule {
        hosts: host.into_iter().collect(),
        paths: path.into_iter().collect(),
        ..routing::Rule::default()
    }
}

fn route(rule: routing::Rule) -> Route {
    Route { rule, ..Route::everything(0, 0) }
}

fn find(router: &Router, host: &str, path: &str) -> bool {
    let asked = Asked {
        method: &Method::GET,
        host: Some(host),
        path,
        headers: &HeaderMap::new(),
        server_name: None,
        tls: true,
        https: true,
        http2: true,
        is_grpc: false,
    };
    router.find(&asked).is_some()
}

/// The first request of a connection, which has its chain verified, and all others.
fn authorize(criterion: &mut Criterion) {
    let (callers, none) = (Callers::new(), HeaderMap::new());
    let now = UnixTime::now();
    let mut group = criterion.benchmark_group("authorize");
    let bench = [("straight", &callers.direct), ("through an intermediate", &callers.intermediate)];
    for (name, issued) in bench {
        let peer = peer(issued);
        let policy = callers.policy(&["billing", "orders-app"]);
        assert!(policy.authorize(&question(&peer, &none, now), &Decisions::default()).is_ok());
        group.bench_function(BenchmarkId::new("first request", name), |bencher| {
            bencher.iter(|| policy.authorize(black_box(&question(&peer, &none, now)), &Decisions::default()));
        });
    }
    let peer = peer(&callers.direct);
    for (name, allowed) in [("permit", "orders-app"), ("denial", "billing")] {
        let (policy, decisions) = (callers.policy(&[allowed]), Decisions::default());
        assert_eq!(policy.authorize(&question(&peer, &none, now), &decisions).is_ok(), name == "permit");
        group.bench_function(BenchmarkId::new("later request", name), |bencher| {
            bencher.iter(|| policy.authorize(black_box(&question(&peer, &none, now)), &decisions));
        });
    }
}

/// The first request of a connection whose chain is known, from one of so many consumers.
fn consumers(criterion: &mut Criterion) {
    let (callers, none, now) = (Callers::new(), HeaderMap::new(), UnixTime::now());
    let peer = peer(&callers.direct);
    let mut group = criterion.benchmark_group("authorize/consumers");
    for count in [1, 100_000] {
        let consumers = Arc::new(Consumers::new((0..count).map(consumer)));
        assert_eq!(consumers.len(), count);
        let policy = callers.policy_of(&consumers);
        let question = question(&peer, &none, now);
        let permit = policy.authorize(&question, &Decisions::default()).unwrap();
        assert!(permit.consumer().is_some());
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| policy.authorize(black_box(&question), &Decisions::default()));
        });
        group.bench_function(BenchmarkId::new("load", count), |bencher| {
            bencher.iter(|| Consumers::new((0..count).map(consumer)));
        });
    }
}

/// The first has the name of the callers' certificates.
fn consumer(index: usize) -> NewConsumer {
    let username =
        if index == 0 { "orders.example".to_owned() } else { format!("client-{index:06}.example") };
    NewConsumer {
        id: ConsumerId(index as u128),
        username: Some(username.into()),
        custom_id: Some(format!("customer-{index}").into()),
        groups: vec!["partners".into()],
        mtls_auth: Vec::new(),
        header_cert_auth: Vec::new(),
    }
}

/// What `proxy` does to every head, in its order: hop-by-hop fields go, forged identities go, ours are set.
fn header_rules(criterion: &mut Criterion) {
    let hop = Hop::new(IpAddr::V4(Ipv4Addr::LOCALHOST), "https", 8443);
    let real_ip =
        RealIp { header: HeaderName::from_static("x-real-ip"), recursive: false, trusted: Vec::new() };
    let mut group = criterion.benchmark_group("headers");
    let heads =
        [("an ordinary request", ordinary()), ("with hop-by-hop fields", hop_by_hop()), ("forged", forged())];
    for (name, head) in heads {
        for (who, believed) in [("a stranger", None), ("a believed peer", Some(&real_ip))] {
            group.bench_function(BenchmarkId::new(name, who), |bencher| {
                bencher.iter_batched_ref(
                    || head.clone(),
                    |headers| rules(headers, &hop, believed),
                    BatchSize::SmallInput,
                );
            });
        }
    }
    let head = ordinary();
    group.bench_function("scrub, nothing forged", |bencher| {
        let mut headers = head.clone();
        bencher.iter(|| identity_headers::scrub(black_box(&mut headers), &Reserved::default()));
    });
}

fn rules(headers: &mut HeaderMap, hop: &Hop, believed: Option<&RealIp>) -> IpAddr {
    hop_by_hop::strip_request(headers);
    identity_headers::scrub(headers, &Reserved::default());
    let target = Target { host: Some("orders.example:8000"), path: "/orders/7", stripped_prefix: None };
    let client = forwarded::set(headers, hop, believed, target);
    forwarded::append_via(headers, Version::HTTP_11);
    client
}

fn ordinary() -> HeaderMap {
    headers(&[
        ("host", "orders.example:8000"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("accept-language", "en-US,en;q=0.5"),
        ("authorization", "Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJvcmRlcnMifQ.c2lnbmF0dXJl"),
        ("cookie", "session=3f2a9c; theme=dark"),
        ("x-request-id", "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"),
        ("cache-control", "no-cache"),
    ])
}

fn hop_by_hop() -> HeaderMap {
    let mut head = ordinary();
    head.extend(headers(&[("connection", "keep-alive, x-mine"), ("x-mine", "1"), ("te", "trailers")]));
    head
}

fn forged() -> HeaderMap {
    let mut head = ordinary();
    head.extend(headers(&[
        ("x-client-cert-dn", "CN=admin"),
        ("x_consumer_username", "admin"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-proto", "http"),
    ]));
    head
}

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let field = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    fields.iter().map(field).collect()
}

/// What a connection pays once: reading the certificate, and the headers that tell of it.
fn identity(criterion: &mut Criterion) {
    let issued = Callers::new().intermediate;
    let mut group = criterion.benchmark_group("identity");
    group.bench_function("parse the certificate", |bencher| {
        bencher.iter(|| PeerCertificate::parse(black_box(&issued.chain())));
    });
    let certificate = PeerCertificate::parse(&issued.chain()).unwrap().unwrap();
    let formats =
        [("kong", HeaderFormat::Kong), ("rfc9440", HeaderFormat::Rfc9440), ("xfcc", HeaderFormat::Xfcc)];
    for (name, format) in formats {
        assert!(!format.headers(&certificate).is_empty());
        group.bench_function(BenchmarkId::new("headers", name), |bencher| {
            bencher.iter(|| format.headers(black_box(&certificate)));
        });
    }
}

/// What a handshake pays to find the certificate and the question for a server name.
fn server_names(criterion: &mut Criterion) {
    let authority = Authority::new("bench CA").unwrap();
    let issued = authority.issue(&Leaf::server(&["*.example"]).unwrap()).unwrap();
    let credentials = Credentials::new(issued.chain(), issued.key(), Side::Server, UnixTime::now()).unwrap();
    let mut group = criterion.benchmark_group("server name");
    let asked = [
        ("its own", "name-00000.gateway.example"),
        ("a wildcard's", "other.gateway-00000.example"),
        ("none", "other.example"),
    ];
    for count in [1, 1_000] {
        let configs = names(&credentials, count);
        for (found, name) in asked {
            let hello = hello(name);
            group.bench_function(BenchmarkId::new(found, count), |bencher| {
                bencher.iter(|| {
                    let hello = black_box(&hello).client_hello();
                    let config = configs.for_name(hello.server_name(), true);
                    config.cert_resolver.resolve(hello)
                });
            });
        }
    }
}

/// So many names with a certificate of their own, and as many wildcards; all are asked for theirs.
fn names(credentials: &Credentials, count: usize) -> ServerConfigs {
    let (mut certificates, mut names) = (ByName::default(), ByName::default());
    for index in 0..count {
        for name in [format!("name-{index:05}.gateway.example"), format!("*.gateway-{index:05}.example")] {
            certificates.insert(name.parse().unwrap(), vec![credentials.clone()]);
            names.insert(name.parse().unwrap(), Hints::default());
        }
    }
    let presented = Presented { default: vec![credentials.clone()], by_name: certificates };
    ServerConfigs::new(&presented, &Asks::Named { names, rest: None }, &[&TLS13]).unwrap()
}

/// A client that asks for this name.
fn hello(name: &str) -> Accepted {
    let config = ClientConfig::builder_with_provider(mtls_bridge::tls::provider())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(config), name.to_owned().try_into().unwrap()).unwrap();
    let mut sent = Vec::new();
    client.write_tls(&mut sent).unwrap();
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut sent.as_slice()).unwrap();
    acceptor.accept().ok().flatten().unwrap()
}

/// A CA, and two who hold certificates of it.
struct Callers {
    authority: Authority,
    direct: Issued,
    intermediate: Issued,
}

impl Callers {
    fn new() -> Self {
        let authority = Authority::new("bench CA").unwrap();
        let leaf = Leaf {
            sans: vec![San::Dns("orders.example".into()), San::Uri("spiffe://example/orders".into())],
            ..Leaf::client("orders-app")
        };
        let direct = authority.issue(&leaf).unwrap();
        let intermediate = authority.intermediate("bench intermediate").unwrap().issue(&leaf).unwrap();
        Self { authority, direct, intermediate }
    }

    /// Lets in those with one of these common names.
    fn policy(&self, allowed: &[&str]) -> Arc<Policy> {
        let rule = Rule::Allow(allowed.iter().map(ToString::to_string).collect());
        let acl = Acl { rule, hide_groups_header: false, always_use_authenticated_groups: false };
        let lookup = Lookup::Skip { group_by: Some(GroupBy::CommonName) };
        let identity_headers = vec![HeaderFormat::Kong];
        let mtls_auth = Some(self.mtls_auth(lookup));
        Arc::new(Policy { mtls_auth, acl: Some(acl), identity_headers, ..Policy::default() })
    }

    /// Lets in whoever is a consumer.
    fn policy_of(&self, consumers: &Arc<Consumers>) -> Arc<Policy> {
        let mtls_auth = self.mtls_auth(Lookup::Consumer { by: ConsumerBy::default(), default: None });
        Arc::new(Policy {
            consumers: Arc::clone(consumers),
            identity_headers: vec![HeaderFormat::Kong],
            mtls_auth: Some(mtls_auth),
            ..Policy::default()
        })
    }

    fn mtls_auth(&self, lookup: Lookup) -> MtlsAuth {
        let cas = vec![self.authority.certificate().clone()];
        let verifier = Arc::new(ChainVerifier::new(cas, false, UnixTime::now()).unwrap());
        MtlsAuth { verifier, lookup, anonymous: None, revocation: None }
    }
}

fn question<'a>(peer: &'a Peer, headers: &'a HeaderMap, now: UnixTime) -> Question<'a> {
    let (client_ip, statuses) = (peer.address.ip(), &NobodyKnows);
    Question { peer, client_ip, from_trusted_ip: false, headers, statuses, now }
}

fn peer(issued: &Issued) -> Peer {
    let certificate = PeerCertificate::parse(&issued.chain()).unwrap().map(Arc::new);
    Peer {
        address: ([127, 0, 0, 1], 50_000).into(),
        local: ([127, 0, 0, 1], 8443).into(),
        tls: Some(PeerTls { version: "TLSv1.3", server_name: Some("gateway.example".into()), certificate }),
    }
}
