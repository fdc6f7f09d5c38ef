//! `demo`, tried as it tells its reader to try it.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::PATIENCE;
use crate::support::bridge::program;
use crate::support::client::{Answer, curl, shell};
use crate::support::lines::Lines;
use crate::support::peers::free_address;

/// A running demonstration. Dropped, it is killed.
struct Demo {
    child: Child,
    page: Lines,
    errors: Lines,
    /// Where it keeps its certificates.
    temporary: TempDir,
}

impl Demo {
    /// Starts it and waits until it has told everything.
    fn start(temporary: TempDir) -> Self {
        let mut child = program()
            .arg("demo")
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let page = Lines::collect(child.stdout.take().unwrap());
        let errors = Lines::collect(child.stderr.take().unwrap());
        page.containing("Ctrl-C ends it.");
        Self { child, page, errors, temporary }
    }

    /// Runs the line printed below the comment that contains `what`.
    fn tried(&self, what: &str) -> Answer {
        let page = self.page.so_far();
        let comment = page.iter().position(|line| line.starts_with('#') && line.contains(what));
        shell(&page[comment.unwrap_or_else(|| panic!("no {what} in {page:?}")) + 1])
    }

    /// Its exit code after that signal, and whether it left anything behind.
    fn ended_by(mut self, signal: &str) -> (Option<i32>, bool) {
        let sent = std::process::Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
        self.page.all();
        let status = self.child.wait().unwrap();
        (status.code(), is_empty(self.temporary.path()))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the demo's errors\n{}", self.errors.so_far().join("\n"));
        }
    }
}

fn is_empty(folder: &Path) -> bool {
    folder.read_dir().unwrap().next().is_none()
}

fn start() -> Demo {
    Demo::start(tempfile::tempdir().unwrap())
}

#[test]
fn through_the_chain_the_service_learns_who_called() {
    let answer = start().tried("through the chain");
    assert_eq!((answer.status, &answer.json()["path"]), (200, &"/hello".into()));
    assert_eq!(answer.received("x-client-cert-dn"), ["CN=demo-app"]);
    assert_eq!(answer.received("x-authenticated-groups"), ["demo-app"]);
}

#[test]
fn straight_to_the_gateway_the_certificate_opens_the_door() {
    let answer = start().tried("straight to the gateway");
    assert_eq!((answer.status, answer.received("x-client-cert-dn")), (200, vec!["CN=demo-app".into()]));
}

#[test]
fn without_a_certificate_the_door_stays_shut() {
    let answer = start().tried("without a certificate");
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json()["message"], "No required TLS certificate was sent");
}

#[test]
fn a_certificate_of_another_ca_opens_nothing() {
    let answer = start().tried("another CA");
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json()["message"], "TLS certificate failed verification");
}

#[test]
fn the_printed_lines_can_be_pasted_whatever_the_temporary_folder_is_called() {
    let temporary = tempfile::Builder::new().prefix("of $HOME & 'friends' ").tempdir().unwrap();
    assert_eq!(Demo::start(temporary).tried("straight to the gateway").status, 200);
}

#[test]
fn ctrl_c_ends_it_and_leaves_nothing_behind() {
    let demo = start();
    assert!(!is_empty(demo.temporary.path()));
    assert_eq!(demo.ended_by("-INT"), (Some(0), true));
    assert_eq!(start().ended_by("-TERM"), (Some(0), true));
}

#[test]
fn it_goes_on_when_nobody_reads_what_it_says() {
    let temporary = tempfile::tempdir().unwrap();
    let address = free_address();
    let mut child = program()
        .args(["demo", "--reverse-proxy-port", &address.port().to_string()])
        .env("TMPDIR", temporary.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let (page, errors) = (Lines::default(), Lines::collect(child.stderr.take().unwrap()));
    let mut demo = Demo { child, page, errors, temporary };
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline && demo.child.try_wait().unwrap().is_none(), "it does not listen");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    // It accepts only after it has spoken.
    assert_eq!(curl(&[&format!("http://{address}/")]).status, 200);
}

#[test]
fn a_taken_port_is_told_with_its_flag_and_nothing_is_left_behind() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (who, flag) in [
        ("the reverse proxy", "--reverse-proxy-port"),
        ("the gateway", "--gateway-port"),
        ("the echo service", "--echo-port"),
    ] {
        let temporary = tempfile::tempdir().unwrap();
        let output = program().args(["demo", flag, &port]).env("TMPDIR", temporary.path()).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), text.lines().count()), (Some(1), 1), "{text}");
        let expected = format!("mtls-bridge: {who} does not start ({flag} {port}): ");
        assert!(text.starts_with(&expected) && text.contains("Address already in use"), "{text}");
        assert!(is_empty(temporary.path()));
    }
}
