//! `mtls-bridge healthcheck`: asks the own status listener whether the node is healthy.
//!
//! For container images without a shell or curl, so it has to be small and fast: one blocking socket, no
//! runtime.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};

/// Asks `GET /status/health` of the status listener at that address; the unspecified address (`0.0.0.0`,
/// `::`) is reached by loopback.
///
/// # Errors
/// One sentence, when the answer is not 200 or there is none within five seconds.
pub fn run(status_listen: SocketAddr) -> anyhow::Result<()> {
    let address = reachable(status_listen);
    let answer = ask(address, Instant::now() + TOTAL_TIMEOUT).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            anyhow!("nothing answers at {address} within {TOTAL_TIMEOUT:?}")
        }
        _ => anyhow!("nothing answers at {address}: {error}"),
    })?;
    match Answer::read(&answer) {
        Some(Answer { status: "200", .. }) => Ok(()),
        Some(Answer { status: "503", body }) => bail!("{}", unhealthy(body)),
        Some(Answer { status, .. }) => bail!("{address} answers {status}: is it the status listener?"),
        None => bail!("{address} does not answer with HTTP: is it the status listener?"),
    }
}

/// Whether something listens there.
#[must_use]
pub fn is_anybody_at(status_listen: SocketAddr) -> bool {
    TcpStream::connect_timeout(&reachable(status_listen), TOTAL_TIMEOUT).is_ok()
}

fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        _ => listen,
    }
}

/// All that comes until the other side closes. HTTP/1.0, so that it does, and does not send chunks.
fn ask(address: SocketAddr, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, time_left(deadline)?)?;
    stream.set_write_timeout(Some(time_left(deadline)?))?;
    stream.write_all(format!("GET /status/health HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;

    let mut answer = Vec::new();
    let mut block = [0; 4096];
    while answer.len() < MAX_ANSWER {
        stream.set_read_timeout(Some(time_left(deadline)?))?;
        match stream.read(&mut block)? {
            0 => break,
            length => answer.extend_from_slice(&block[..length]),
        }
    }
    Ok(answer)
}

fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// What matters of an HTTP/1 response.
struct Answer<'a> {
    /// The three digits.
    status: &'a str,
    body: &'a str,
}

impl<'a> Answer<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, body) = std::str::from_utf8(bytes).ok()?.split_once("\r\n\r\n")?;
        let (version, rest) = head.split_once(' ')?;
        version
            .starts_with("HTTP/1.")
            .then(|| Self { status: rest.split([' ', '\r']).next().unwrap_or(rest), body })
    }
}

/// What is missing, from `{"healthy":false,"pending":["upstream"],"link_away_seconds":null}`, or what of the
/// program has ended; nothing more than the fact from anything else.
fn unhealthy(body: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Health {
        pending: Vec<String>,
        #[serde(default)]
        ended: Vec<String>,
        link_away_seconds: Option<u64>,
    }
    match serde_json::from_str::<Health>(body) {
        Ok(health) if !health.ended.is_empty() => {
            format!("not ready: {}, so the program ends", health.ended.join(", "))
        }
        Ok(health) if !health.pending.is_empty() => {
            format!("not ready: still waiting for {}", health.pending.join(", "))
        }
        Ok(Health { link_away_seconds: Some(seconds), .. }) => format!(
            "not healthy: the link to the upstream has been away for {seconds} s, longer than \
             healthcheck_link_timeout; the program log says why"
        ),
        _ => "not ready".to_owned(),
    }
}

/// Everything together, from the first packet on; container runtimes allow thirty seconds unless told
/// otherwise.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Readiness is a few hundred bytes; whoever sends more is something else.
const MAX_ANSWER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// What the check says to a listener that answers so.
    fn check(answer: &'static str) -> Result<(), String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let everywhere = SocketAddr::from(([0, 0, 0, 0], listener.local_addr().unwrap().port()));
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let said = run(everywhere).map_err(|error| format!("{error:#}"));
        assert!(server.join().unwrap().starts_with("GET /status/health HTTP/1.0\r\n"));
        said
    }

    #[test]
    fn a_ready_node_is_healthy() {
        check("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
    }

    #[test]
    fn a_node_that_is_not_ready_says_what_it_waits_for() {
        let body = "HTTP/1.1 503 Service Unavailable\r\n\r\n\
                    {\"healthy\":false,\"pending\":[\"upstream\",\"dns\"],\"link_away_seconds\":null}";
        assert_eq!(check(body).unwrap_err(), "not ready: still waiting for upstream, dns");
        let body = "HTTP/1.1 503 Service Unavailable\r\n\r\n\
                    {\"healthy\":false,\"pending\":[],\"link_away_seconds\":42}";
        let expected = "not healthy: the link to the upstream has been away for 42 s, longer than \
                        healthcheck_link_timeout; the program log says why";
        assert_eq!(check(body).unwrap_err(), expected);
        assert_eq!(check("HTTP/1.1 503\r\n\r\nlater").unwrap_err(), "not ready");
    }

    #[test]
    fn another_service_is_not_taken_for_the_status_listener() {
        assert!(check("HTTP/1.1 404 Not Found\r\n\r\n").unwrap_err().contains("answers 404"));
        assert!(check("SSH-2.0-OpenSSH_9.2\r\n").unwrap_err().contains("does not answer with HTTP"));
        assert!(check("").unwrap_err().contains("does not answer with HTTP"));
    }

    #[test]
    fn a_port_without_a_listener_is_named() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let said = run(address).unwrap_err().to_string();
        assert!(said.starts_with(&format!("nothing answers at {address}: Connection refused")), "{said}");
    }

    #[test]
    fn a_listener_that_never_answers_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let deadline = Instant::now() + Duration::from_millis(20);
        let error = ask(listener.local_addr().unwrap(), deadline).unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock), "{error}");
    }
}
