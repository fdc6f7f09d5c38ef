//! Every wait on a client, with its name.
//!
//! Said in [`DeadlineSettings`], meant as [`Deadlines`], used by `server` and `proxy`. The
//! waits on the upstream are in `upstream`.

use std::time::Duration;

use super::problem::{Problems, Said};
use super::value::{self, Unit};

/// How long a client may take. A number without a unit is seconds.
#[derive(Debug, Clone, clap::Args, serde::Deserialize)]
#[command(next_help_heading = "Waiting for clients")]
pub(super) struct DeadlineSettings {
    /// From accepting a connection to the end of the TLS handshake.
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub(super) handshake_timeout: Said,

    /// From the first byte of a request to the end of its head.
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub(super) client_header_timeout: Said,

    /// Between two pieces of a request's body.
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub(super) client_body_timeout: Said,

    /// How long a client's connection may be idle between requests.
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    pub(super) keepalive_timeout: Said,
}

/// How long a client may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// To finish the TLS handshake.
    pub handshake: Duration,
    /// To send the head of a request.
    pub client_header: Duration,
    /// Between two pieces of a request's body.
    pub client_body: Duration,
    /// Between two requests.
    pub keepalive: Duration,
    /// To take the next piece of an answer: `write_timeout`, in both directions.
    pub client_write: Duration,
}

impl Deadlines {
    /// `client_write` is what `write_timeout` allows the upstream, too.
    pub(super) fn compile(
        settings: &DeadlineSettings,
        client_write: Duration,
        problems: &mut Problems,
    ) -> Self {
        let mut wait = |said| problems.value(value::wait(said, Unit::Seconds));
        Self {
            handshake: wait(&settings.handshake_timeout),
            client_header: wait(&settings.client_header_timeout),
            client_body: wait(&settings.client_body_timeout),
            keepalive: wait(&settings.keepalive_timeout),
            client_write,
        }
    }
}
