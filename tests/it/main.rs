//! Behaviour through the front door: real files, real sockets on port 0, one binary.

#![allow(clippy::unwrap_used)] // a test fails by panicking
#![allow(clippy::print_stderr)] // tells what the program logged when it does
#![allow(clippy::disallowed_methods)] // and may read the environment and spawn as it likes
#![allow(missing_docs, unreachable_pub)] // a test's name is its sentence, and nobody links to it

mod echo;
mod executable;
mod layers;
mod transcripts;

// These drive the program with curl and make certificates with openssl (tests/programs.rs).
#[cfg(has_clients)]
mod access_lists;
#[cfg(has_clients)]
mod access_log;
#[cfg(has_clients)]
mod articles;
#[cfg(has_clients)]
mod attacks;
#[cfg(has_clients)]
mod bad_files;
#[cfg(has_clients)]
mod bad_input;
#[cfg(has_clients)]
mod balancing;
#[cfg(has_clients)]
mod bodies;
#[cfg(has_clients)]
mod capacity;
#[cfg(has_clients)]
mod chain;
#[cfg(has_clients)]
mod compose;
#[cfg(has_clients)]
mod compose_mounts;
#[cfg(has_clients)]
mod compose_restarts;
#[cfg(has_clients)]
mod configuration;
#[cfg(has_clients)]
mod deadlines;
#[cfg(has_clients)]
mod deadlines_upstream;
#[cfg(has_clients)]
mod declarative;
#[cfg(has_clients)]
mod demo;
#[cfg(has_clients)]
mod deployment;
#[cfg(has_clients)]
mod every_problem;
#[cfg(has_clients)]
mod families;
#[cfg(has_clients)]
mod first_tries;
#[cfg(has_clients)]
mod foreign_client;
#[cfg(has_clients)]
mod foreign_gateway;
#[cfg(has_clients)]
mod grpc;
#[cfg(has_clients)]
mod head_of_line;
#[cfg(has_clients)]
mod http;
#[cfg(has_clients)]
mod identity_headers;
#[cfg(has_clients)]
mod independence;
#[cfg(has_clients)]
mod kong_conf;
#[cfg(has_clients)]
mod kong_names;
#[cfg(has_clients)]
mod lapsed;
#[cfg(has_clients)]
mod life_cycle;
#[cfg(has_clients)]
mod limits;
#[cfg(has_clients)]
mod logs;
#[cfg(has_clients)]
mod pair;
#[cfg(has_clients)]
mod pair_chains;
#[cfg(has_clients)]
mod pair_docker;
#[cfg(has_clients)]
mod pki;
#[cfg(has_clients)]
mod plugins;
#[cfg(has_clients)]
mod possession;
#[cfg(has_clients)]
mod refusals;
#[cfg(has_clients)]
mod replacement;
#[cfg(has_clients)]
mod rest;
#[cfg(has_clients)]
mod revocation;
#[cfg(has_clients)]
mod routes;
#[cfg(has_clients)]
mod secrets;
#[cfg(has_clients)]
mod server_names;
#[cfg(has_clients)]
mod signals;
#[cfg(has_clients)]
mod smuggling;
#[cfg(has_clients)]
mod status;
#[cfg(has_clients)]
mod support;
#[cfg(has_clients)]
mod survival;
#[cfg(has_clients)]
mod third_party_pki;
#[cfg(has_clients)]
mod upstream_failures;
#[cfg(has_clients)]
mod upstream_http2;
#[cfg(has_clients)]
mod upstream_recovery;
#[cfg(has_clients)]
mod upstreams;
#[cfg(has_clients)]
mod websocket;
#[cfg(has_clients)]
mod workers;

#[cfg(not(has_clients))]
#[test]
fn curl_and_openssl_are_missing_so_most_tests_are_left_out() {
    use std::io::Write;
    assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "CI leaves no test out");
    let line =
        "left out: all tests but those of `layers`, `echo` and `transcripts`, for want of curl or openssl";
    // Not by a macro of the standard library: those are silenced in a test that passes.
    writeln!(std::io::stderr(), "{line}").unwrap();
}
