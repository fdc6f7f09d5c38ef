//! `/status`, `/status/ready`, `/status/live` and `/status/health` in plain HTTP, on loopback unless told
//! otherwise.
//!
//! Read by `mtls-bridge healthcheck`, docker and Kubernetes. It changes nothing and tells no
//! names: counts, version, what readiness waits for, and what of the program has ended.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::lifecycle::contact::Contact;
use crate::lifecycle::readiness::Readiness;
use crate::lifecycle::vital::Vitals;
use crate::telemetry::counters::Counters;
use crate::telemetry::output::Queue;
use crate::tls::revocation::Revocation;

/// Probes are few; more connections than this are none.
const MAX_CONNECTIONS: usize = 64;

/// A whole exchange on this listener takes no longer (`status_timeout`, not a setting).
const STATUS_TIMEOUT: Duration = Duration::from_secs(10);

/// The bound listener.
#[derive(Debug)]
pub struct Status {
    socket: TcpListener,
    facts: Facts,
}

/// What it tells.
#[derive(Debug)]
pub struct Facts {
    /// Tells what is pending.
    pub readiness: Readiness,
    /// Tells what ended that must not.
    pub vitals: Vitals,
    /// Tells how long the link is away.
    pub contact: Contact,
    /// How long it may be; `None` for any time.
    pub healthcheck_link_timeout: Option<Duration>,
    /// One per worker.
    pub counters: Vec<Arc<Counters>>,
    /// Counts what could not be told about certificates.
    pub revocation: Arc<Revocation>,
    /// Counts access lines that were lost; `None` when the access log is off.
    pub access_log: Option<Queue>,
    /// Counts lines of the program log that were lost.
    pub program_log: Option<Queue>,
    /// When the program started.
    pub started: Instant,
}

impl Status {
    /// Joins a bound socket and what is told on it. Call within a runtime.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn new(socket: std::net::TcpListener, facts: Facts) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket: TcpListener::from_std(socket)?, facts })
    }

    /// The bound address.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Answers for as long as it is polled, during a drain too.
    pub async fn run(self) {
        let facts = Rc::new(self.facts);
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let accepted = self.socket.accept().await;
            // Beyond the limit the connection is dropped at once: a probe tries again.
            let (Ok((stream, _)), Ok(permit)) = (accepted, Arc::clone(&permits).try_acquire_owned()) else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            let facts = Rc::clone(&facts);
            tokio::task::spawn_local(async move {
                // A probe that breaks off has its answer.
                let _ = tokio::time::timeout(STATUS_TIMEOUT, serve(stream, &facts)).await;
                drop(permit);
            });
        }
    }
}

async fn serve(stream: TcpStream, facts: &Facts) -> Result<(), hyper::Error> {
    let service = service_fn(async |request: Request<Incoming>| Ok::<_, Infallible>(answer(&request, facts)));
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(STATUS_TIMEOUT);
    builder.serve_connection(TokioIo::new(stream), service).await
}

fn answer(request: &Request<Incoming>, facts: &Facts) -> Response<Full<Bytes>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.uri().path() {
        _ if !is_read => page(StatusCode::METHOD_NOT_ALLOWED, &json!({"message": "Method not allowed"})),
        "/status" => page(StatusCode::OK, &facts.status()),
        "/status/ready" => facts.ready(),
        "/status/live" => facts.live(),
        "/status/health" => facts.health(),
        _ => page(StatusCode::NOT_FOUND, &json!({"message": "Not found"})),
    }
}

impl Facts {
    fn status(&self) -> serde_json::Value {
        let totals = Counters::total(self.counters.iter().map(Arc::as_ref));
        let revocation = self.revocation.counts();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": self.started.elapsed().as_secs(),
            "ready": self.is_ready(),
            "workers": self.counters.len(),
            "connections": totals.connections,
            "connections_total": totals.connections_total,
            "connections_failed_total": totals.connections_failed_total,
            "requests_total": totals.requests_total,
            "revocation_unanswered_total": revocation.unanswered,
            "revocation_soft_fails_total": revocation.soft_fails,
            "access_log_lost_total": self.access_log.as_ref().map_or(0, Queue::lost_total),
            "program_log_lost_total": self.program_log.as_ref().map_or(0, Queue::lost_total),
        })
    }

    fn is_ready(&self) -> bool {
        self.readiness.pending().is_empty() && self.ended().is_empty()
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        let mut told = json!({"ready": self.is_ready(), "pending": self.readiness.pending()});
        self.add_ended(&mut told);
        page(fine_if(self.is_ready()), &told)
    }

    /// Alive unless a part of the program has ended by itself; a drain is no reason to kill it.
    fn live(&self) -> Response<Full<Bytes>> {
        let is_live = self.ended().is_empty();
        let mut told = json!({"live": is_live});
        self.add_ended(&mut told);
        page(fine_if(is_live), &told)
    }

    fn ended(&self) -> Vec<String> {
        self.vitals.ended().iter().map(ToString::to_string).collect()
    }

    fn add_ended(&self, told: &mut serde_json::Value) {
        let ended = self.ended();
        if !ended.is_empty() {
            told["ended"] = ended.into();
        }
    }

    /// Ready, and not without its link for too long. Readiness itself does not follow the link: what is
    /// behind a balancer would all be taken out at once when the one gateway of all of them restarts.
    fn health(&self) -> Response<Full<Bytes>> {
        let away =
            self.contact.away().filter(|away| self.healthcheck_link_timeout.is_some_and(|most| *away > most));
        let healthy = self.is_ready() && away.is_none();
        let away = away.map(|away| away.as_secs());
        let pending = self.readiness.pending();
        let mut told = json!({"healthy": healthy, "pending": pending, "link_away_seconds": away});
        self.add_ended(&mut told);
        page(fine_if(healthy), &told)
    }
}

fn fine_if(fine: bool) -> StatusCode {
    if fine { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn page(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{body}\n"))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn facts() -> Facts {
        Facts {
            readiness: Readiness::default(),
            vitals: Vitals::default(),
            contact: Contact::default(),
            healthcheck_link_timeout: None,
            counters: Vec::new(),
            revocation: Arc::default(),
            access_log: None,
            program_log: None,
            started: Instant::now(),
        }
    }

    async fn text(response: Response<Full<Bytes>>) -> (u16, String) {
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn what_ended_makes_it_neither_ready_nor_alive_and_a_drain_only_unready() {
        let facts = facts();
        assert_eq!(text(facts.live()).await, (200, "{\"live\":true}\n".into()));
        let drain = facts.readiness.block("drain");
        assert_eq!(text(facts.live()).await.0, 200);
        assert_eq!(text(facts.ready()).await, (503, "{\"pending\":[\"drain\"],\"ready\":false}\n".into()));
        drop(drain);
        drop(facts.vitals.hold("worker-0"));
        let ended = "\"ended\":[\"worker-0 ended by itself\"]";
        assert_eq!(text(facts.live()).await, (503, format!("{{{ended},\"live\":false}}\n")));
        assert_eq!(text(facts.ready()).await, (503, format!("{{{ended},\"pending\":[],\"ready\":false}}\n")));
        assert_eq!(facts.status()["ready"], false);
    }
}
