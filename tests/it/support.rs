//! What every test stands on: the real program as a child process, a PKI per test, an echo
//! service, and clients that speak through real sockets.
//!
//! Nothing here sleeps: whoever waits, waits for a line of the log, an answer or an end, under
//! one deadline ([`PATIENCE`]).

pub mod bridge;
pub mod client;
pub mod declarative;
pub mod docker;
pub mod h2_client;
pub mod http2;
pub mod lines;
pub mod openssl;
pub mod pairs;
pub mod peers;
pub mod pki;
pub mod services;

use std::time::Duration;

/// No test waits longer for anything than this.
pub const PATIENCE: Duration = Duration::from_secs(20);
