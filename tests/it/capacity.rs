//! What this host gives: `max_connections=auto`, room for newcomers, and what is short is told as such.

use std::io::Write;
use std::net::TcpStream;

use crate::support::bridge::{Bridge, Setup, plain_proxy, program};
use crate::support::client::{connect, get, is_closed, read_answer};
use crate::support::h2_client::{self, kind, next_frame};
use crate::support::services::{Echo, raw, read_head};

const OK: &str = "HTTP/1.1 200";
const FEW: &str = "of 1024 file descriptors, each client may need a second one to the upstream";

/// A proxy to `service` that inherits what the shell sets.
fn limited(line: &str, service: std::net::SocketAddr) -> Setup {
    Setup::after(line, "reverse-proxy")
        .env("PROXY_LISTEN", "127.0.0.1:0")
        .env("UPSTREAM_URL", format!("http://{service}"))
        .env("CLIENT_SSL", "off")
}

fn rests(node: &Bridge, connections: usize) {
    let rest = |line: &str| line.contains("a connection rests").then_some(());
    node.log.wait_times(connections, "a connection rests", rest);
}

#[test]
fn auto_is_what_the_descriptors_hold_and_the_log_says_so() {
    let echo = Echo::start();
    let node = limited("ulimit -n 1024", echo.address).start();
    node.log.containing(&format!("max_connections is 384: {FEW}"));
    assert!(get(&mut connect(node.address), "/").0.starts_with(OK));
}

#[test]
fn the_soft_limit_of_descriptors_is_raised_to_the_hard_one() {
    let echo = Echo::start();
    let node = limited("ulimit -Sn 256 && ulimit -Hn 1024", echo.address).start();
    node.log.containing("max_connections is 384: ");
}

#[test]
fn check_shows_what_auto_comes_to() {
    let mut shell = std::process::Command::new("sh");
    let run = "ulimit -n 1024 && exec \"$0\" check reverse-proxy";
    shell.args(["-c", run]).arg(program().get_program()).env_clear();
    shell.env("UPSTREAM_URL", "http://127.0.0.1:1").env("CLIENT_SSL", "off");
    let page = String::from_utf8(shell.output().unwrap().stdout).unwrap();
    let line = page.lines().find(|line| line.starts_with("max_connections ")).unwrap();
    assert!(line.ends_with(&format!("= auto: 384 ({FEW})   (default)")), "{line}");
}

#[test]
fn a_number_that_the_descriptors_cannot_hold_is_named_at_start_and_serves() {
    let echo = Echo::start();
    let node = limited("ulimit -n 1024", echo.address).env("MAX_CONNECTIONS", "5000").start();
    node.log
        .containing(&format!("max_connections=5000 (environment MAX_CONNECTIONS): {FEW}, so 384 is as far"));
    node.log.containing("max_connections is 5000: as written");
    assert!(get(&mut connect(node.address), "/").0.starts_with(OK));
}

#[test]
fn when_full_the_longest_idle_connection_makes_room_whichever_worker_has_it() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address)
        .env("MAX_CONNECTIONS", "3")
        .env("WORKERS", "2")
        .env("LOG_LEVEL", "debug")
        .start();
    let mut clients: Vec<TcpStream> = Vec::new();
    for index in 0..3 {
        let mut client = connect(node.address);
        assert!(get(&mut client, "/").0.starts_with(OK));
        clients.push(client);
        // A second apart, that is.
        rests(&node, index + 1);
    }
    assert!(get(&mut clients[0], "/again").0.starts_with(OK), "now the second is the longest idle");
    let mut newcomer = connect(node.address);
    assert!(get(&mut newcomer, "/new").0.starts_with(OK));
    assert!(is_closed(&mut clients[1]));
    for client in [0, 2] {
        assert!(get(&mut clients[client], "/still").0.starts_with(OK), "client {client} was closed as well");
    }
    node.log.containing("it was the longest idle of max_connections, and another came");
}

#[test]
fn an_idle_http2_connection_makes_room_with_a_goaway() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("MAX_CONNECTIONS", "1").start();
    let mut idle = h2_client::raw(node.address);
    next_frame(&mut idle, kind::SETTINGS).unwrap();
    let mut newcomer = connect(node.address);
    // It never acknowledges, and is closed all the same.
    assert!(get(&mut newcomer, "/").0.starts_with(OK));
    assert!(next_frame(&mut idle, kind::GOAWAY).is_some());
}

#[test]
fn hundreds_of_newcomers_pass_through_a_full_house() {
    let echo = Echo::start();
    let node = plain_proxy(echo.address).env("MAX_CONNECTIONS", "2").env("WORKERS", "2").start();
    let mut kept = Vec::new();
    for index in 0..300 {
        let mut newcomer = connect(node.address);
        assert!(get(&mut newcomer, "/").0.starts_with(OK), "newcomer {index}");
        kept.push(newcomer);
    }
    let lines = node.log.so_far();
    let notices = lines.iter().filter(|line| line.contains("max_connections reached")).count();
    assert!((1..=5).contains(&notices), "{notices} notices");
}

#[test]
fn idle_clients_give_way_before_the_descriptors_run_out_and_status_answers() {
    let echo = Echo::start();
    let node = limited("ulimit -n 64", echo.address).env("MAX_CONNECTIONS", "1000").start();
    let mut kept = Vec::new();
    for index in 0..80 {
        let mut client = connect(node.address);
        assert!(get(&mut client, "/").0.starts_with(OK), "client {index}");
        kept.push(client);
    }
    assert_eq!(node.ask_status("/status").0, 200);
    node.log.containing("this process has used up its file descriptors");
    assert!(node.descriptors() < 64 - 8, "{}", node.descriptors());
}

#[test]
fn a_shortage_of_descriptors_is_503_with_its_reason_and_status_answers() {
    let service = raw(|mut stream| {
        read_head(&mut stream);
        let _ = std::io::Read::read(&mut stream, &mut [0]);
    });
    let node = limited("ulimit -n 64", service)
        .env("MAX_CONNECTIONS", "1000")
        .env("READY_WITHOUT_UPSTREAM", "on")
        .start();
    let mut clients: Vec<_> = (0..40).map(|_| connect(node.address)).collect();
    for client in &mut clients {
        client.write_all(b"GET /short HTTP/1.1\r\nHost: node\r\n\r\n").unwrap();
    }
    let line = node.access.json("a 503", |line| line["status"] == 503);
    let reason = line["reason"].as_str().unwrap();
    assert!(reason.contains("can be opened from here: this process has no file descriptor left"), "{reason}");
    assert_eq!(node.ask_status("/status").0, 200);
    assert!(node.access.so_far().iter().all(|line| !line.contains(r#""status":502"#)));
    // Whoever got a connection is answered as if nothing had been.
    drop(clients);
    node.wait_for_connections(0);
}

#[test]
fn after_a_shortage_requests_are_served_again() {
    let service = raw(|mut stream| {
        if read_head(&mut stream).contains("/stay") {
            let _ = std::io::Read::read(&mut stream, &mut [0]);
        } else {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    let node = limited("ulimit -n 64", service).env("MAX_CONNECTIONS", "1000").start();
    let mut clients: Vec<_> = (0..40).map(|_| connect(node.address)).collect();
    for client in &mut clients {
        client.write_all(b"GET /stay HTTP/1.1\r\nHost: node\r\n\r\n").unwrap();
    }
    node.access.json("a 503", |line| line["status"] == 503);
    drop(clients);
    node.wait_for_connections(0);
    let mut client = connect(node.address);
    client.write_all(b"GET /after HTTP/1.1\r\nHost: node\r\n\r\n").unwrap();
    assert!(read_answer(&mut client).0.starts_with(OK));
}
