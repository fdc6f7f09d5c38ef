//! What the pure parts of a request cost, in nanoseconds: route, authorization, header rules, identity.
//!
//! `cargo bench --bench pure` measures and compares with the run before; `cargo test --bench pure` runs
//! each once. Inputs are those of a browser-like request through the chain. What a whole request costs
//! is counted in `instructions`.

#![allow(clippy::unwrap_used, missing_docs)] // a bench fails by panicking, and nobody links to it

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use mtls_bridge::identity::{HeaderFormat, Peer, PeerCertificate, PeerTls};
use mtls_bridge::message::forwarded::{self, Hop, RealIp, Target};
use mtls_bridge::message::{hop_by_hop, identity_headers};
use mtls_bridge::pki::{Authority, Issued, Leaf, San};
use mtls_bridge::policy::{Acl, Decisions, GroupBy, MtlsAuth, Policy, Rule};
use mtls_bridge::routing::{self, Asked, HostPattern, PathPattern, Route, Router, normalise};
use mtls_bridge::tls::trust::ChainVerifier;
use rustls::pki_types::UnixTime;

criterion_group!(benches, routes, authorize, header_rules, identity);
criterion_main!(benches);

/// One of many routes, which differ in their hosts, their prefixes, their expressions, or in two of these.
fn routes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route/find");
    let kinds: [(&str, fn(usize) -> routing::Rule); 4] = [
        ("hosts", |index| rule(Some(index), None)),
        ("prefixes", |index| rule(None, Some(format!("/api/v1/service-{index:05}")))),
        ("expressions", |index| rule(None, Some(format!("~/api/v1/service-{index:05}/[a-z]+/[0-9]+$")))),
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
    let mut group = criterion.benchmark_group("route/normalise");
    for path in ["/api/v1/service-00000/orders/7", "/api/v1/orders/%C3%A9", "/api//v1/./%6Frders/../x"] {
        group.bench_function(BenchmarkId::from_parameter(path), |bencher| {
            bencher.iter(|| normalise(black_box(path)));
        });
    }
}

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
    let callers = Callers::new();
    let now = UnixTime::now();
    let mut group = criterion.benchmark_group("authorize");
    let bench = [("straight", &callers.direct), ("through an intermediate", &callers.intermediate)];
    for (name, issued) in bench {
        let peer = peer(issued);
        let policy = callers.policy(&["billing", "orders-app"]);
        assert!(policy.authorize(&peer, &Decisions::default(), now).is_ok());
        group.bench_function(BenchmarkId::new("first request", name), |bencher| {
            bencher.iter(|| policy.authorize(black_box(&peer), &Decisions::default(), now));
        });
    }
    let peer = peer(&callers.direct);
    for (name, allowed) in [("permit", "orders-app"), ("denial", "billing")] {
        let (policy, decisions) = (callers.policy(&[allowed]), Decisions::default());
        assert_eq!(policy.authorize(&peer, &decisions, now).is_ok(), name == "permit");
        group.bench_function(BenchmarkId::new("later request", name), |bencher| {
            bencher.iter(|| policy.authorize(black_box(&peer), &decisions, now));
        });
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
        bencher.iter(|| identity_headers::scrub(black_box(&mut headers)));
    });
}

fn rules(headers: &mut HeaderMap, hop: &Hop, believed: Option<&RealIp>) -> IpAddr {
    hop_by_hop::strip_request(headers);
    identity_headers::scrub(headers);
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
        let cas = vec![self.authority.certificate().clone()];
        let verifier = Arc::new(ChainVerifier::new(cas, false, UnixTime::now()).unwrap());
        let rule = Rule::Allow(allowed.iter().map(ToString::to_string).collect());
        Arc::new(Policy {
            mtls_auth: Some(MtlsAuth { verifier, group_by: Some(GroupBy::CommonName) }),
            acl: Some(Acl { rule, hide_groups_header: false }),
        })
    }
}

fn peer(issued: &Issued) -> Peer {
    let certificate = PeerCertificate::parse(&issued.chain()).unwrap().map(Arc::new);
    Peer {
        address: ([127, 0, 0, 1], 50_000).into(),
        local: ([127, 0, 0, 1], 8443).into(),
        tls: Some(PeerTls { version: "TLSv1.3", server_name: Some("gateway.example".into()), certificate }),
    }
}
