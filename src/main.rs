//! The program: an allocator, and the command line.

use std::process::ExitCode;

/// Many small, short-lived allocations on a few threads are what it is best at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    mtls_bridge::cli::run()
}
