//! What this host has run out of: told as such, never as the fault of an upstream.
//!
//! Used by `dial` and wherever an I/O error becomes an `UpstreamError`. Sources: connect(2), socket(2), ip(7).

use std::error::Error;
use std::fmt;
use std::io;

use rustix::io::Errno;
use tokio::net::{TcpSocket, TcpStream};

use crate::lifecycle::descriptors::Purpose;

/// What there is too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// EMFILE, or all but those that are kept back.
    Descriptors,
    /// ENFILE.
    DescriptorsOfHost,
    /// ENOMEM.
    Memory,
    /// ENOBUFS.
    Buffers,
    /// EADDRNOTAVAIL, EADDRINUSE: no port, or no address of the family that is needed.
    Ports,
}

impl Shortage {
    /// `None` where the error is not ours.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        match Errno::from_io_error(error)? {
            Errno::MFILE => Some(Self::Descriptors),
            Errno::NFILE => Some(Self::DescriptorsOfHost),
            Errno::NOMEM => Some(Self::Memory),
            Errno::NOBUFS => Some(Self::Buffers),
            Errno::ADDRNOTAVAIL | Errno::ADDRINUSE => Some(Self::Ports),
            _ => None,
        }
    }

    /// The same of an I/O error that a library has wrapped.
    #[must_use]
    pub fn behind(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(found) = error.downcast_ref().and_then(Self::of) {
                return Some(found);
            }
            cause = error.source();
        }
        None
    }

    /// What is short now, as far as opening one socket tells: for errors of a resolver, which hides its own.
    pub(super) fn now() -> Option<Self> {
        match TcpSocket::new_v4() {
            Ok(socket) => (!Purpose::Upstream.may_use(&socket)).then_some(Self::Descriptors),
            Err(error) => Self::of(&error),
        }
    }

    /// Whether another address of the same upstream may do.
    pub(super) fn depends_on_address(self) -> bool {
        self == Self::Ports
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descriptors => {
                "this process has no file descriptor left (EMFILE); raise its limit (ulimit -n), or lower \
                 max_connections or upstream_keepalive_pool_size"
            }
            Self::DescriptorsOfHost => "this host has no file descriptor left (ENFILE); raise fs.file-max",
            Self::Memory => "this host has no memory left for a socket (ENOMEM)",
            Self::Buffers => "this host has no socket buffers left (ENOBUFS)",
            Self::Ports => {
                "this host has no local port or address left to connect from (EADDRNOTAVAIL); widen \
                 net.ipv4.ip_local_port_range, or let more requests share a connection"
            }
        })
    }
}

/// A connection to this address, within what upstreams may use of this process's descriptors.
pub(super) async fn connect(address: std::net::SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if !Purpose::Upstream.may_use(&socket) {
        return Err(Errno::MFILE.into());
    }
    socket.connect(address).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("broken")]
    struct Wrapped(#[source] io::Error);

    #[test]
    fn what_is_ours_is_known_however_deep_it_is() {
        let check = |errno: Errno, expected| {
            let error = || io::Error::from(errno);
            assert_eq!(Shortage::of(&error()), expected);
            assert_eq!(Shortage::behind(&Wrapped(error())), expected);
        };
        check(Errno::MFILE, Some(Shortage::Descriptors));
        check(Errno::NFILE, Some(Shortage::DescriptorsOfHost));
        check(Errno::NOMEM, Some(Shortage::Memory));
        check(Errno::NOBUFS, Some(Shortage::Buffers));
        check(Errno::ADDRNOTAVAIL, Some(Shortage::Ports));
        for theirs in [Errno::CONNREFUSED, Errno::CONNRESET, Errno::TIMEDOUT, Errno::HOSTUNREACH] {
            check(theirs, None);
        }
        assert_eq!(Shortage::of(&io::Error::other("no number")), None);
    }
}
