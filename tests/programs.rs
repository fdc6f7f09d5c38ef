//! Cargo's build script: tells the tests whether this machine has the programs that nearly all of
//! them use. The program itself is built the same either way.
//!
//! Without them those tests are left out, and one test says so (`tests/it/main.rs`), because a test
//! that has begun can only pass or fail.

#![allow(clippy::print_stdout)] // so a build script speaks with Cargo

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=tests/programs.rs");
    println!("cargo::rerun-if-env-changed=PATH");
    // Looked for again in each build until they are where packages put them.
    println!("cargo::rerun-if-changed=/usr/bin/curl");
    println!("cargo::rerun-if-changed=/usr/bin/openssl");
    println!("cargo::rustc-check-cfg=cfg(has_clients)");
    let runs = |program: &str, argument: &str| {
        Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success())
    };
    if runs("curl", "--version") && runs("openssl", "version") {
        println!("cargo::rustc-cfg=has_clients");
    }
}
