//! The two modes. A mode decides what is compiled into the `Config`, and is gone afterwards.

use super::problem::{Problem, Said};
use super::value;

/// On which side of the link this process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Beside an application: presents a client certificate for it.
    ReverseProxy,
    /// In front of services: asks callers for a certificate.
    Gateway,
}

impl Mode {
    /// Both, in the order of a request.
    pub const ALL: [Self; 2] = [Self::ReverseProxy, Self::Gateway];

    /// The word for it: the subcommand, the value of `mode`, the name of its profile.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReverseProxy => "reverse-proxy",
            Self::Gateway => "gateway",
        }
    }

    pub(super) fn parse(said: &Said) -> Result<Self, Problem> {
        value::word(said, &Self::ALL.map(|mode| (mode.name(), mode)))
    }
}
