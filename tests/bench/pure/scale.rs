//! What a gateway with much of everything decides in, beside one with one of each: loaded from a file as
//! a user's is.

use std::fmt::Write;
use std::fs;
use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion};
use http::{HeaderMap, Method};
use mtls_bridge::app;
use mtls_bridge::config::{Layers, Mode};
use mtls_bridge::identity::Peer;
use mtls_bridge::pki::{Authority, Issued, Leaf, San};
use mtls_bridge::policy::Decisions;
use mtls_bridge::routing::Asked;
use mtls_bridge::snapshot::Snapshot;
use rustls::pki_types::UnixTime;
use tempfile::TempDir;

use super::{hello, peer, question};

/// How many there are of each.
struct Size {
    name: &'static str,
    routes: usize,
    consumers: usize,
    server_names: usize,
    cas: usize,
}

const SIZES: [Size; 2] = [
    Size { name: "one of each", routes: 1, consumers: 1, server_names: 1, cas: 1 },
    Size { name: "many", routes: 10_000, consumers: 100_000, server_names: 1_000, cas: 100 },
];

/// Requests of one caller to one of the routes, the connection, and the load.
pub(super) fn scale(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scale");
    for size in SIZES {
        let gateway = Gateway::new(&size);
        let snapshot = gateway.load();
        let peer = peer(&gateway.caller);
        let known = Decisions::default();
        assert!(pass(&snapshot, &peer, &known), "the caller may pass");
        group.bench_function(BenchmarkId::new("a request", size.name), |bencher| {
            bencher.iter(|| pass(black_box(&snapshot), black_box(&peer), &known));
        });
        group.bench_function(BenchmarkId::new("the first request", size.name), |bencher| {
            bencher.iter(|| pass(black_box(&snapshot), black_box(&peer), &Decisions::default()));
        });
        let configs = snapshot.listener_tls.as_ref().unwrap();
        let hello = hello("name-00000.gateway.example");
        group.bench_function(BenchmarkId::new("a server name", size.name), |bencher| {
            bencher.iter(|| {
                let hello = black_box(&hello).client_hello();
                let config = configs.for_name(hello.server_name(), true);
                config.cert_resolver.resolve(hello)
            });
        });
        group.sample_size(10);
        group.bench_function(BenchmarkId::new("load", size.name), |bencher| {
            bencher.iter_with_large_drop(|| gateway.load());
        });
        group.sample_size(100);
    }
}

/// Finds the route and asks its policy.
fn pass(snapshot: &Snapshot, peer: &Peer, decisions: &Decisions) -> bool {
    let headers = HeaderMap::new();
    let asked = Asked {
        method: &Method::GET,
        host: Some("host-000.example:8443"),
        path: "/api/v1/service-00000/orders/7",
        headers: &headers,
        server_name: Some("name-00000.gateway.example"),
        tls: true,
        https: true,
        http2: true,
        is_grpc: false,
    };
    let Some(found) = snapshot.router.find(&asked) else { return false };
    let policy = &snapshot.policies[found.route.policy];
    policy.authorize(&question(peer, &headers, UnixTime::now()), decisions).is_ok()
}

/// A folder with all that a gateway reads.
struct Gateway {
    folder: TempDir,
    caller: Issued,
}

impl Gateway {
    fn new(size: &Size) -> Self {
        let folder = TempDir::new().unwrap();
        let cas: Vec<_> =
            (0..size.cas).map(|at| Authority::new(&format!("bench CA {at}")).unwrap()).collect();
        let server = cas[0].issue(&Leaf::server(&["localhost"]).unwrap()).unwrap();
        fs::write(folder.path().join("server.crt"), &server.certificate_pem).unwrap();
        fs::write(folder.path().join("server.key"), &server.key_pem).unwrap();
        fs::write(folder.path().join("kong.yml"), declared(size, &cas)).unwrap();
        let leaf = Leaf { sans: vec![San::Dns("orders.example".into())], ..Leaf::client("orders-app") };
        Self { folder, caller: cas[size.cas - 1].issue(&leaf).unwrap() }
    }

    fn load(&self) -> Snapshot {
        let path = |name| Path::new(self.folder.path()).join(name).to_str().unwrap().to_owned();
        let environment = [
            ("PROXY_LISTEN", "127.0.0.1:0 ssl http2".to_owned()),
            ("SSL_CERT", path("server.crt")),
            ("SSL_CERT_KEY", path("server.key")),
            ("DECLARATIVE_CONFIG", path("kong.yml")),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.into())).to_vec();
        let layers = Layers { mode: Some(Mode::Gateway), environment, flags: Vec::new() };
        app::load(&layers).unwrap().1
    }
}

/// Routes by host and prefix, a hundred to a host; consumers in a group, of whom the first is the caller.
fn declared(size: &Size, cas: &[Authority]) -> String {
    let mut text = "_format_version: \"3.0\"\nservices:\n".to_owned();
    for route in 0..size.routes {
        if route % 100 == 0 {
            let host = route / 100;
            writeln!(text, "- name: service-{host:03}\n  url: http://127.0.0.1:9000\n  routes:").unwrap();
        }
        let host = route / 100;
        writeln!(text, "  - name: route-{route:05}\n    hosts: [host-{host:03}.example]").unwrap();
        writeln!(text, "    paths: [/api/v1/service-{route:05}]").unwrap();
    }
    text += "consumers:\n";
    for at in 0..size.consumers {
        let username = if at == 0 { "orders.example".into() } else { format!("client-{at:06}.example") };
        writeln!(text, "- username: {username}\n  custom_id: customer-{at:06}").unwrap();
        writeln!(text, "  acls:\n  - group: partners").unwrap();
    }
    text += "certificates:\n";
    for at in 0..size.server_names {
        let name = format!("name-{at:05}.gateway.example");
        let issued = cas[0].issue(&Leaf::server(&[&name]).unwrap()).unwrap();
        let (cert, key) = (quoted(&issued.certificate_pem), quoted(&issued.key_pem));
        writeln!(text, "- cert: {cert}\n  key: {key}\n  snis:\n  - name: {name}").unwrap();
    }
    text += "ca_certificates:\n";
    let mut ids = Vec::new();
    for (at, authority) in cas.iter().enumerate() {
        let id = format!("11111111-1111-4111-8111-{at:012}");
        writeln!(text, "- id: {id}\n  cert: {}", quoted(&authority.certificate_pem())).unwrap();
        ids.push(id);
    }
    let ids = ids.join(", ");
    let auth = format!("{{ca_certificates: [{ids}], revocation_check_mode: SKIP}}");
    writeln!(text, "plugins:\n- name: mtls-auth\n  config: {auth}").unwrap();
    writeln!(text, "- name: acl\n  config: {{allow: [partners]}}").unwrap();
    text
}

/// JSON's quoted strings are YAML's.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}
