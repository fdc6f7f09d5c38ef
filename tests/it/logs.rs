//! Serving does not depend on a log: whatever happens to standard output and standard error, requests are
//! answered, the end comes in time, and what was lost is told.

use std::fs::{self, File};
use std::io::{PipeReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::bridge::{Bridge, gateway, plain_proxy, program};
use crate::support::client::{connect, curl, exchange, get};
use crate::support::h2_client::{self, H2, block_on};
use crate::support::lines::Lines;
use crate::support::pki::Pki;
use crate::support::services::{Echo, closed_port};

/// Far less than `drain_timeout`, and time for both logs to be given up.
const IN_TIME: Duration = Duration::from_secs(10);

/// A bridge whose output is somebody else's, so that its ports are chosen for it.
struct Node {
    child: Child,
    address: SocketAddr,
    status: SocketAddr,
}

impl Node {
    fn start(service: SocketAddr, level: &str, stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Self {
        let mut command = program();
        command.arg("reverse-proxy").env("UPSTREAM_URL", format!("http://{service}"));
        command.env("CLIENT_SSL", "off").env("LOG_LEVEL", level).env("LOG_FORMAT", "json");
        Self::run(command, stdout, stderr)
    }

    fn run(mut command: Command, stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Self {
        let (address, status) = (closed_port(), closed_port());
        command.env("PROXY_LISTEN", address.to_string()).env("STATUS_LISTEN", status.to_string());
        let child = command.env("WORKERS", "2").stdout(stdout).stderr(stderr).spawn().unwrap();
        let node = Self { child, address, status };
        let url = format!("http://{status}/status/ready");
        assert_eq!(curl(&["--retry", "100", "--retry-delay", "1", "--retry-connrefused", &url]).status, 200);
        node
    }

    fn status(&self) -> Value {
        curl(&[&format!("http://{}/status", self.status)]).json()
    }

    fn is_alive(&self) -> bool {
        ["ready", "live"].map(|page| curl(&[&format!("http://{}/status/{page}", self.status)]).status)
            == [200, 200]
    }

    /// Ends it as an operator would; gives its exit code.
    fn end(mut self) -> Option<i32> {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(asked.elapsed() < IN_TIME, "it does not end");
            thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// A pipe that nobody reads as long as the first is kept.
fn pipe() -> (PipeReader, Stdio) {
    let (reader, writer) = std::io::pipe().unwrap();
    (reader, writer.into())
}

/// Requests on one connection, and junk on others, which is logged.
fn requests(node: &Node, count: usize) {
    let mut client = connect(node.address);
    for index in 0..count {
        assert!(get(&mut client, &format!("/{index}")).0.starts_with("HTTP/1.1 200"), "request {index}");
        if index % 10 == 0 {
            exchange(node.address, b"junk\r\n\r\n");
        }
    }
}

#[test]
fn logs_on_a_full_disk_stop_no_request_and_not_the_end() {
    let echo = Echo::start();
    let node = Node::start(echo.address, "info", full(), full());
    requests(&node, 100);
    assert!(node.is_alive());
    requests(&node, 100);
    assert_eq!(node.status()["requests_total"], 200);
    assert_eq!(node.end(), Some(0));
}

#[test]
fn logs_whose_readers_are_gone_stop_no_request_and_not_the_end() {
    let echo = Echo::start();
    let ((out, stdout), (err, stderr)) = (pipe(), pipe());
    let node = Node::start(echo.address, "debug", stdout, stderr);
    drop((out, err));
    requests(&node, 200);
    assert!(node.is_alive());
    assert_eq!(node.end(), Some(0));
}

#[test]
fn logs_whose_readers_have_stopped_hold_up_no_request_and_not_the_end() {
    let echo = Echo::start();
    let ((_out, stdout), (_err, stderr)) = (pipe(), pipe());
    let node = Node::start(echo.address, "trace", stdout, stderr);
    requests(&node, 600);
    assert!(node.is_alive());
    assert_eq!(node.end(), Some(0));
}

#[test]
fn lines_of_the_program_log_that_were_lost_are_counted_and_told_when_it_is_read_again() {
    let echo = Echo::start();
    let (err, stderr) = pipe();
    let node = Node::start(echo.address, "trace", Stdio::null(), stderr);
    let deadline = Instant::now() + 3 * PATIENCE;
    // 4 MiB of what h2 has to say of its frames.
    while node.status()["program_log_lost_total"] == 0 {
        assert!(Instant::now() < deadline, "nothing is lost");
        block_on(async {
            let client = H2::connect(node.address).await;
            for _ in 0..200 {
                h2_client::read_all(client.get("/").await.unwrap().into_body()).await.unwrap();
            }
        });
    }
    let log = Lines::collect(err);
    let told = log.json("what was lost", |line| line["lost"].as_u64().is_some_and(|lost| lost > 0));
    let text = told["message"].as_str().unwrap();
    assert!(text.ends_with("lines of the program log were lost, because its reader was too slow"), "{text}");
    assert!(node.status()["program_log_lost_total"].as_u64() >= told["lost"].as_u64());
    assert_eq!(node.end(), Some(0));
    assert!(log.all().iter().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

/// Sets how large its files may become; `None`: as large as they like.
fn limit_files(node: &Node, bytes: Option<usize>) {
    let bytes = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
    let process = node.child.id().to_string();
    let set = Command::new("prlimit").args(["--pid", &process, &format!("--fsize={bytes}:")]).status();
    assert!(set.unwrap().success());
}

#[test]
fn a_log_that_has_room_again_is_written_again_and_has_every_line() {
    const LIMIT: usize = 4096;
    let (echo, folder) = (Echo::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join("access.log");
    let (err, stderr) = pipe();
    let log = Lines::collect(err);
    let node = Node::start(echo.address, "info", File::create(&file).unwrap(), stderr);
    limit_files(&node, Some(LIMIT));
    let mut client = connect(node.address);
    for index in 0..50 {
        assert!(get(&mut client, &format!("/{index}")).0.starts_with("HTTP/1.1 200"));
    }
    log.containing("the access log cannot be written: File too large (os error 27); it is tried again");
    assert_eq!(fs::metadata(&file).unwrap().len(), LIMIT as u64);
    limit_files(&node, None);
    log.containing("the access log is written again, without a loss, after: File too large (os error 27)");
    assert_eq!(node.end(), Some(0));
    assert_eq!(paths(&file), (0..50).map(|index| format!("/{index}")).collect::<Vec<_>>());
}

/// The paths of all access lines in a file.
fn paths(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let path = |line| serde_json::from_str::<Value>(line).unwrap()["path"].as_str().unwrap().to_owned();
    text.lines().map(path).collect()
}

#[test]
fn an_access_log_that_is_stalled_at_the_end_is_said_to_be_short_and_no_request_to_be_cut() {
    let echo = Echo::start();
    let ((_out, stdout), (err, stderr)) = (pipe(), pipe());
    let log = Lines::collect(err);
    let node = Node::start(echo.address, "info", stdout, stderr);
    requests(&node, 1000);
    assert_eq!(node.end(), Some(0));
    let log = log.all().join("\n");
    assert!(log.contains("drained: everything in flight was finished"), "{log}");
    assert!(log.contains("access lines: standard output takes none"), "{log}");
    assert!(!log.contains("drain_timeout"), "{log}");
}

/// Lines about strangers, and those that the log says it left out.
fn told_and_left_out(node: &Bridge) -> (u64, u64) {
    let lines = node.log.so_far();
    let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.fold((0, 0), |(told, left_out), line| {
        (
            told + u64::from(line.get("peer").is_some()),
            left_out + line["left_out"].as_u64().unwrap_or_default(),
        )
    })
}

#[test]
fn of_what_strangers_cause_at_most_ten_lines_a_second_are_written_and_the_rest_is_counted() {
    const STRANGERS: u64 = 300;
    let (pki, echo) = (Pki::new(), Echo::start());
    let node = gateway(&pki, echo.address).start();
    let started = Instant::now();
    for number in 0..STRANGERS {
        let mut stranger = connect(node.address);
        match number % 3 {
            // A balancer's health check.
            0 => {}
            1 => stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap(),
            _ => stranger.write_all(&[0x16, 3, 1, 0, 2, 0xff, 0xff]).unwrap(),
        }
    }
    let deadline = Instant::now() + PATIENCE;
    while node.ask_status("/status").1["connections_failed_total"] != STRANGERS {
        assert!(Instant::now() < deadline, "they do not all count");
        thread::park_timeout(Duration::from_millis(20));
    }
    let line = node.log.json("what was left out", |line| line["left_out"].is_u64());
    assert!(line["message"].as_str().unwrap().starts_with("… and "), "{line}");
    while told_and_left_out(&node).0 + told_and_left_out(&node).1 < STRANGERS {
        assert!(Instant::now() < deadline, "{:?}", told_and_left_out(&node));
        thread::park_timeout(Duration::from_millis(20));
    }
    let (told, left_out) = told_and_left_out(&node);
    assert_eq!(told + left_out, STRANGERS);
    assert!(told < 10 * (started.elapsed().as_secs() + 1), "{told} lines");
}

#[test]
fn junk_in_plain_http_is_bounded_as_well() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).start();
    for _ in 0..100 {
        exchange(node.address, b"junk\r\n\r\n");
    }
    node.log.json("what was left out", |line| line["left_out"].is_u64());
    assert_eq!(node.ask_status("/status").1["connections_failed_total"], 100);
}
