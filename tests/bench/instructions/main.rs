//! The guard against slipping back: instructions per request, counted and compared with `baseline.json`.
//!
//! `cargo test --bench instructions` builds the program as released, runs a gateway and two reverse
//! proxies of it under valgrind's callgrind, sends requests one at a time, and fails when a node takes
//! over 3 % more instructions per request than the baseline. Times on shared machines are noise, counts
//! are not. `UPDATE_BASELINE=1` writes the baseline anew.
//!
//! Client and service run in this process, outside valgrind, so that the counts are ours alone. A count
//! begins after requests that warm the nodes up, so start, links and caches are no part of it.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a bench reports
#![allow(clippy::unwrap_used)] // a bench fails by panicking
#![allow(clippy::disallowed_methods)] // and may read the environment
#![allow(missing_docs, unreachable_pub)] // nobody links to it

mod baseline;
mod node;
mod profile;
mod traffic;

use std::collections::BTreeMap;
use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, ensure};
use mtls_bridge::pki::{Development, create_all};
use serde_json::Value;

use self::baseline::{Baseline, Counts, Made};
use self::node::Node;
use self::traffic::Traffic;

/// The name in the reverse proxies' certificate.
const CLIENT: &str = "orders-app";

/// One kind of request, and through what it is sent.
struct Scenario {
    name: &'static str,
    through: Through,
    path: &'static str,
    warm_up: u32,
    requests: u32,
}

/// Where the client sends its requests.
#[derive(Clone, Copy)]
enum Through {
    Http2Link,
    Http1Link,
    /// To the gateway, on a connection of its own each.
    Handshakes,
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "small request, HTTP/2 link",
        through: Through::Http2Link,
        path: "/bytes/12",
        warm_up: 200,
        requests: 1000,
    },
    Scenario {
        name: "small request, HTTP/1.1 link",
        through: Through::Http1Link,
        path: "/bytes/12",
        warm_up: 200,
        requests: 1000,
    },
    Scenario {
        name: "mTLS handshake and a small request",
        through: Through::Handshakes,
        path: "/bytes/12",
        warm_up: 10,
        requests: 100,
    },
];

fn main() -> ExitCode {
    match guard() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the instructions could not be counted: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn guard() -> anyhow::Result<bool> {
    let made = Made::here()?;
    let program = build()?;
    let counted = Baseline { made, per_request: count(&program)? };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/instructions/baseline.json");
    if env::var_os("UPDATE_BASELINE").is_some_and(|value| value == "1") {
        counted.write(&path)?;
        println!("{counted}\nwritten to {}", path.display());
        return Ok(true);
    }
    let comparison = counted.compare(&Baseline::read(&path)?);
    print!("{comparison}");
    Ok(comparison.passed())
}

/// The program as it is released; nested in `cargo test`, whose own build is done by now.
fn build() -> anyhow::Result<PathBuf> {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--profile", "counted", "--bin", "mtls-bridge"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(built.status.success(), "the program could not be built");
    let messages = String::from_utf8(built.stdout)?;
    let mut programs = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    programs.next().context("cargo named no program")
}

fn count(program: &Path) -> anyhow::Result<BTreeMap<String, BTreeMap<String, Counts>>> {
    let folder = tempfile::tempdir()?;
    let pki = Development::new(&["localhost", "127.0.0.1"], CLIENT, 2)?;
    create_all(&pki.files(folder.path()))?;
    let traffic = Traffic::start(&pki)?;
    let mut chain = Chain::start(program, folder.path(), traffic.service)?;
    let mut counted = BTreeMap::new();
    for scenario in SCENARIOS {
        eprintln!("counting: {} …", scenario.name);
        counted.insert(scenario.name.to_owned(), chain.count(&traffic, scenario)?);
    }
    Ok(counted)
}

/// The nodes under valgrind. Those that a scenario does not use are idle meanwhile.
struct Chain {
    gateway: Node,
    http2_link: Node,
    http1_link: Node,
}

impl Chain {
    fn start(program: &Path, folder: &Path, service: SocketAddr) -> anyhow::Result<Self> {
        let file = |name: &str| folder.join(name).display().to_string();
        let settings = [
            ("PROXY_LISTEN", "127.0.0.1:0 ssl http2".to_owned()),
            ("UPSTREAM_URL", format!("http://{service}")),
            ("SSL_CERT", file("server.crt")),
            ("SSL_CERT_KEY", file("server.key")),
            ("MTLS_AUTH_CA_CERTIFICATES", file("ca.crt")),
            ("ACL_ALLOW", CLIENT.to_owned()),
            ("TRUSTED_PEERS", CLIENT.to_owned()),
        ];
        let gateway = Node::start(program, folder, "gateway", "gateway", &settings)?;
        let reverse_proxy = |name: &str, http: &str| {
            let settings = [
                ("PROXY_LISTEN", "127.0.0.1:0".to_owned()),
                ("UPSTREAM_URL", format!("https://localhost:{}", gateway.address.port())),
                ("UPSTREAM_HTTP", http.to_owned()),
                ("UPSTREAM_CA_CERTIFICATES", file("ca.crt")),
                ("CLIENT_SSL_CERT", file("client.crt")),
                ("CLIENT_SSL_CERT_KEY", file("client.key")),
            ];
            Node::start(program, folder, "reverse-proxy", name, &settings)
        };
        Ok(Self {
            http2_link: reverse_proxy("reverse-proxy-http2", "http2")?,
            http1_link: reverse_proxy("reverse-proxy-http1", "http1")?,
            gateway,
        })
    }

    /// Instructions per request of each node that the scenario uses.
    fn count(&mut self, traffic: &Traffic, scenario: &Scenario) -> anyhow::Result<BTreeMap<String, Counts>> {
        let gateway = self.gateway.address;
        let reverse_proxy = match scenario.through {
            Through::Http2Link => Some(&mut self.http2_link),
            Through::Http1Link => Some(&mut self.http1_link),
            Through::Handshakes => None,
        };
        let first = reverse_proxy.as_ref().map(|node| node.address);
        let send = |requests| match first {
            Some(reverse_proxy) => traffic.send(reverse_proxy, scenario.path, requests),
            None => traffic.send_each_on_its_own(gateway, scenario.path, requests),
        };
        let mut nodes = vec![("gateway", &mut self.gateway)];
        nodes.extend(reverse_proxy.map(|node| ("reverse-proxy", node)));
        send(scenario.warm_up)?;
        for (_, node) in &mut nodes {
            node.count()?;
        }
        send(scenario.requests)?;
        nodes
            .iter_mut()
            .map(|(name, node)| {
                Ok(((*name).to_owned(), Counts::per_request(&node.count()?, scenario.requests)))
            })
            .collect()
    }
}
