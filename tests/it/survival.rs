//! What must not end is noticed when it does, and what is printed to nobody is no reason to panic.

use std::fs::File;
use std::process::{Command, Output, Stdio};

use crate::support::bridge::program;
use crate::support::pki::Pki;
use crate::support::services::{Echo, closed_port};

/// Runs a command of the program with its output going nowhere.
fn run(arguments: &[&str], stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Output {
    program().args(arguments).stdout(stdout).stderr(stderr).spawn().unwrap().wait_with_output().unwrap()
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// A pipe whose reader has had enough.
fn gone() -> Stdio {
    std::io::pipe().unwrap().1.into()
}

const CHECK: [&str; 6] =
    ["check", "reverse-proxy", "--upstream-url", "http://127.0.0.1:1", "--client-ssl", "off"];

#[test]
fn commands_whose_reader_has_had_enough_have_done_their_work() {
    for arguments in [&CHECK[..], &["--help"], &["gateway", "--help"], &["--version"]] {
        let output = run(arguments, gone(), Stdio::piped());
        assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]), "{arguments:?}");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_a_failure_and_no_panic() {
    let output = run(&CHECK, full(), Stdio::piped());
    let text = String::from_utf8(output.stderr).unwrap();
    let expected = "mtls-bridge: printing to standard output: No space left on device (os error 28)\n";
    assert_eq!((output.status.code(), text.as_str()), (Some(1), expected));
}

#[test]
fn a_refusal_that_nobody_can_read_keeps_its_exit_code() {
    for stderr in [gone(), full().into()] {
        let refused = program().args(["check", "reverse-proxy"]).stderr(stderr).status().unwrap();
        assert_eq!(refused.code(), Some(2));
    }
    for stderr in [gone(), full().into()] {
        let mut asking = program();
        asking.arg("healthcheck").env("STATUS_LISTEN", closed_port().to_string()).stderr(stderr);
        assert_eq!(asking.status().unwrap().code(), Some(1));
    }
}

#[test]
fn files_are_made_although_nobody_reads_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("pki");
    let made = run(&["pki", "init", out.to_str().unwrap()], gone(), Stdio::piped());
    assert_eq!((made.status.code(), made.stderr), (Some(0), vec![]));
    assert!(out.join("ca.crt").exists());
}

#[test]
fn a_worker_that_ends_ends_the_program_with_one_line() {
    // Descriptors for the program and some of its workers; those that come too late have no runtime.
    const DESCRIPTORS: &str = "--nofile=64:64";
    let (pki, echo) = (Pki::new(), Echo::start());
    let mut command = Command::new("prlimit");
    command.arg(DESCRIPTORS).arg(env!("CARGO_BIN_EXE_mtls-bridge")).arg("gateway");
    command.env_clear().env("WORKERS", "64").env("PROXY_LISTEN", "127.0.0.1:0 ssl").env("LOG_FORMAT", "json");
    command.env("UPSTREAM_URL", format!("http://{}", echo.address)).env("STATUS_LISTEN", "off");
    command.env("SSL_CERT", pki.path("server.crt")).env("SSL_CERT_KEY", pki.path("server.key"));
    command.env("MTLS_AUTH_CA_CERTIFICATES", pki.path("ca.crt"));
    let output = command.output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{log}");
    let told = log.lines().filter(|line| line.contains("ended by itself, so the program ends"));
    assert_eq!(told.count(), 1, "{log}");
    assert!(log.contains("has no runtime: "), "{log}");
}
