//! Services with many targets: who gets a request, who gets it next, and who gets none.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use http::HeaderMap;
use mtls_bridge::app::{self, App, Process};
use mtls_bridge::config::{self, Layers, Mode};
use mtls_bridge::pki::Leaf;
use mtls_bridge::snapshot::balance::{
    Active, Algorithm, Balance, Counting, HashOn, HealthChecks, Member, Question, UpstreamPlan,
};
use mtls_bridge::snapshot::{Service, ServicePlan, TlsDefaults};
use mtls_bridge::tls::credentials::{Credentials, Side};
use mtls_bridge::tls::trust::Anchors;
use rustls::pki_types::UnixTime;
use tokio::sync::oneshot;

use crate::support::PATIENCE;
use crate::support::bridge::gateway;
use crate::support::client::{Answer, curl};
use crate::support::pki::Pki;
use crate::support::services::{Echo, closed_port, raw, read_head};

/// A target that answers with its name, and with the status it is told to.
struct Named {
    address: SocketAddr,
    status: Arc<AtomicU16>,
    heads: Arc<Mutex<Vec<String>>>,
}

fn named(name: &'static str) -> Named {
    let (status, heads) = (Arc::new(AtomicU16::new(200)), Arc::new(Mutex::new(Vec::new())));
    let (answers, notes) = (Arc::clone(&status), Arc::clone(&heads));
    let address = raw(move |mut stream| {
        loop {
            let head = read_head(&mut stream);
            if head.is_empty() {
                return;
            }
            notes.lock().unwrap().push(head);
            let status = answers.load(Ordering::Relaxed);
            let answer = format!("HTTP/1.1 {status} so\r\nContent-Length: {}\r\n\r\n{name}", name.len());
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    Named { address, status, heads }
}

impl Named {
    fn last_head(&self) -> String {
        self.heads.lock().unwrap().last().unwrap().to_ascii_lowercase()
    }
}

/// An upstream called `orders.internal` with these targets, each with its weight.
fn upstream(targets: &[(SocketAddr, u16)]) -> UpstreamPlan {
    let member = |(address, weight): &(SocketAddr, u16)| Member {
        host: address.ip().to_string(),
        port: address.port(),
        weight: *weight,
    };
    UpstreamPlan {
        name: "orders.internal".into(),
        members: targets.iter().map(member).collect(),
        algorithm: Algorithm::RoundRobin,
        host_header: None,
        client_certificate: None,
        health: None,
    }
}

fn passive(passive: Counting) -> Option<HealthChecks> {
    Some(HealthChecks { threshold: 0, passive, active: None })
}

fn no_tls() -> TlsDefaults {
    TlsDefaults { verify: true, ca_certificates: Arc::new(Anchors::default()), credentials: None }
}

/// A bridge in this process whose one service has these targets. Dropped, it ends.
struct Running {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Running {
    fn start(upstream: UpstreamPlan) -> Self {
        Self::start_with(upstream, "http", "off", no_tls())
    }

    fn start_with(
        upstream: UpstreamPlan,
        scheme: &'static str,
        preserve_host: &'static str,
        defaults: TlsDefaults,
    ) -> Self {
        let (tell, address) = channel();
        let (stop, stopped) = oneshot::channel::<()>();
        thread::spawn(move || {
            app::runtime().unwrap().block_on(async {
                let app = start(upstream, scheme, preserve_host, &defaults);
                tell.send(app.addresses[0]).unwrap();
                drop(stopped.await);
                app.drain().await;
            });
        });
        Self { address: address.recv_timeout(PATIENCE).unwrap(), _stop: stop }
    }

    fn curl(&self, arguments: &[&str]) -> Answer {
        let url = format!("http://{}/", self.address);
        curl(&[arguments, &[&url]].concat())
    }

    /// Who answers so many requests, in order.
    fn answers(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.curl(&[]).body).collect()
    }
}

fn start(upstream: UpstreamPlan, scheme: &str, preserve_host: &str, defaults: &TlsDefaults) -> App {
    let said = [
        ("PROXY_LISTEN", "127.0.0.1:0"),
        ("STATUS_LISTEN", "off"),
        ("UPSTREAM_URL", "http://orders.internal"),
        ("CLIENT_SSL", "off"),
        ("WORKERS", "1"),
        ("READY_WITHOUT_UPSTREAM", "on"),
        ("ACCESS_LOG", "off"),
        ("PRESERVE_HOST", preserve_host),
    ];
    let environment = said.map(|(name, value)| (name.to_owned(), value.into())).to_vec();
    let layers = Layers { mode: Some(Mode::ReverseProxy), environment, flags: Vec::new() };
    let (loaded, mut snapshot) = app::load(&layers).unwrap();
    let upstream_url = loaded.config.upstream.as_ref().unwrap();
    let mut address = upstream_url.target.clone();
    if scheme == "https" {
        address = config::Target { scheme: config::Scheme::Https, port: 443, ..address };
    }
    let plan = ServicePlan {
        address,
        terms: upstream_url.terms.clone(),
        retries: 2,
        client_certificate: None,
        tls_verify: None,
        ca_certificates: None,
        tls_verify_depth: None,
        balance: Some(Arc::new(Balance::new(upstream, defaults).unwrap())),
    };
    snapshot.services = vec![Arc::new(Service::new(plan, defaults).unwrap())];
    App::start(&loaded.config, snapshot, &Process::default()).unwrap()
}

/// Waits until `holds`.
fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "never: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn targets_get_requests_by_their_weight() {
    let (one, other, none) = (named("one"), named("other"), named("none"));
    let bridge = Running::start(upstream(&[(one.address, 3), (other.address, 1), (none.address, 0)]));
    let answers = bridge.answers(12);
    let count = |name: &str| answers.iter().filter(|answer| *answer == name).count();
    assert_eq!([count("one"), count("other"), count("none")], [9, 3, 0]);
}

#[test]
fn what_one_target_cannot_be_sent_another_gets_with_its_body_and_its_own_host() {
    let alive = named("alive");
    let bridge = Running::start(upstream(&[(closed_port(), 100), (alive.address, 100)]));
    for _ in 0..4 {
        let answer = bridge.curl(&["-d", "body"]);
        assert_eq!((answer.status, answer.body.as_str()), (200, "alive"));
        assert!(alive.last_head().contains(&format!("host: {}\r\n", alive.address)), "{}", alive.last_head());
    }
}

#[test]
fn the_host_is_the_upstreams_or_the_clients() {
    let target = named("target");
    let mut plan = upstream(&[(target.address, 100)]);
    plan.host_header = Some("api.example".into());
    let bridge = Running::start(plan.clone());
    bridge.curl(&[]);
    let expected = format!("host: api.example:{}\r\n", target.address.port());
    assert!(target.last_head().contains(&expected), "{}", target.last_head());
    let preserving = Running::start_with(plan, "http", "on", no_tls());
    preserving.curl(&["-H", "Host: asked.example"]);
    assert!(target.last_head().contains("host: asked.example\r\n"), "{}", target.last_head());
}

#[test]
fn without_targets_there_is_no_peer() {
    let answer = Running::start(upstream(&[])).curl(&[]);
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["message"], "failure to get a peer from the ring-balancer");
}

#[test]
fn a_target_that_fails_often_enough_gets_no_more_requests() {
    let (good, bad) = (named("good"), named("bad"));
    bad.status.store(500, Ordering::Relaxed);
    let mut plan = upstream(&[(good.address, 100), (bad.address, 100)]);
    let counting = Counting { unhealthy_statuses: vec![500], http_failures: 2, ..Counting::default() };
    plan.health = passive(counting);
    let bridge = Running::start(plan);
    let bad_ones = bridge.answers(12).iter().filter(|answer| *answer == "bad").count();
    assert_eq!(bad_ones, 2);
}

#[test]
fn a_client_that_breaks_its_body_off_does_not_make_a_target_unhealthy() {
    let target = named("target");
    let mut plan = upstream(&[(target.address, 100)]);
    plan.health = passive(Counting { tcp_failures: 1, ..Counting::default() });
    let bridge = Running::start(plan);
    let mut client = TcpStream::connect(bridge.address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    client.write_all(b"no size\r\n").unwrap();
    // To its end, so that whatever comes of it has come.
    let _ = client.read_to_end(&mut Vec::new());
    assert_eq!(bridge.curl(&[]).status, 200);
}

#[test]
fn with_every_target_unhealthy_there_is_no_peer() {
    let mut plan = upstream(&[(closed_port(), 100), (closed_port(), 100)]);
    plan.health = passive(Counting { tcp_failures: 1, ..Counting::default() });
    let bridge = Running::start(plan);
    assert_eq!(bridge.curl(&[]).status, 502);
    let answer = bridge.curl(&[]);
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["message"], "failure to get a peer from the ring-balancer");
}

fn active(question: Question) -> HealthChecks {
    let every = Some(Duration::from_millis(100));
    let counting = Counting {
        healthy_statuses: vec![200],
        successes: 1,
        unhealthy_statuses: vec![401, 500],
        http_failures: 1,
        tcp_failures: 1,
        timeouts: 1,
    };
    let active = Active {
        question,
        timeout: Duration::from_secs(5),
        concurrency: 10,
        healthy_every: every,
        unhealthy_every: every,
        counting,
    };
    HealthChecks { threshold: 0, passive: Counting::default(), active: Some(active) }
}

#[test]
fn a_target_that_is_well_again_is_found_out_by_asking() {
    let (steady, moody) = (named("steady"), named("moody"));
    let mut plan = upstream(&[(steady.address, 100), (moody.address, 100)]);
    let headers = HeaderMap::from_iter([("x-probe".parse().unwrap(), "yes".parse().unwrap())]);
    plan.health = Some(active(Question::Http { path: "/healthz?deep".into(), headers }));
    let bridge = Running::start(plan);
    let gets_requests = || bridge.answers(2).iter().any(|answer| answer == "moody");
    assert!(gets_requests());
    moody.status.store(500, Ordering::Relaxed);
    eventually("it gets no requests", || !gets_requests());
    moody.status.store(200, Ordering::Relaxed);
    eventually("it gets requests again", gets_requests);
    let heads = steady.heads.lock().unwrap();
    let probe = heads.iter().find(|head| head.contains("/healthz")).unwrap().to_ascii_lowercase();
    assert!(probe.starts_with("get /healthz?deep http/1.1\r\n") && probe.contains("x-probe: yes"), "{probe}");
}

#[test]
fn a_connection_is_enough_where_that_is_the_question() {
    let (up, down) = (named("up"), closed_port());
    let mut plan = upstream(&[(up.address, 100), (down, 100)]);
    plan.algorithm = Algorithm::LeastConnections;
    plan.health = Some(active(Question::Tcp));
    let bridge = Running::start(plan);
    eventually("only the one that is up gets requests", || {
        bridge.answers(4).iter().all(|answer| answer == "up")
    });
}

#[test]
fn health_checks_present_the_certificate_of_the_upstream_and_not_of_the_service() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let issued = pki.authority.issue(&Leaf::client("checker")).unwrap();
    let checker = Credentials::new(issued.chain(), issued.key(), Side::Client, UnixTime::now()).unwrap();
    let roots = Anchors::of_servers([pki.authority.certificate().clone()]);
    let defaults = TlsDefaults { ca_certificates: Arc::new(roots), ..no_tls() };
    let question = || Question::Https {
        path: "/".into(),
        headers: HeaderMap::new(),
        verify: true,
        server_name: Some("localhost".into()),
    };
    let mut plan = upstream(&[(gateway.address, 100)]);
    plan.host_header = Some("localhost".into());
    plan.health = Some(active(question()));
    let stranger = Running::start_with(plan.clone(), "https", "off", defaults.clone());
    eventually("who presents nothing is answered 401", || stranger.curl(&[]).status == 503);
    plan.client_certificate = Some(checker);
    let known = Running::start_with(plan, "https", "off", defaults);
    for _ in 0..10 {
        let answer = known.curl(&[]);
        assert_eq!(answer.received("x-client-cert-dn"), ["CN=checker"]);
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_cookie_leads_back_to_the_same_target() {
    let targets: Vec<_> = ["a", "b", "c", "d"].map(named).into();
    let addresses: Vec<_> = targets.iter().map(|target| (target.address, 100)).collect();
    let mut plan = upstream(&addresses);
    let on = HashOn::Cookie { name: "sticky".into(), path: "/shop".into() };
    plan.algorithm = Algorithm::ConsistentHashing { on, fallback: HashOn::None };
    let bridge = Running::start(plan);
    for _ in 0..4 {
        let first = bridge.curl(&[]);
        let set = first.header("set-cookie").unwrap();
        assert!(set.ends_with("; Path=/shop; SameSite=Lax; HttpOnly"), "{set}");
        let cookie = set.split(';').next().unwrap();
        for _ in 0..3 {
            let next = bridge.curl(&["-b", cookie]);
            assert_eq!(next.body, first.body);
            assert_eq!(next.header("set-cookie"), None);
        }
    }
}
