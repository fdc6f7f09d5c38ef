//! What every connection's socket is set to, towards clients and towards upstreams alike.
//!
//! Used by `dial` and by the listeners in `server`. Sources: tcp(7), Linux' `Documentation/networking/ip-sysctl.rst`
//! (`tcp_notsent_lowat`).

use socket2::SockRef;

/// Bytes that the kernel takes of us beyond what is on the way to the peer. Without it, the send buffer of a peer
/// that does not read grows to megabytes (`tcp_wmem`; on loopback, with segments of 64 KiB, at once), and some
/// hundreds of them use up what the host has for all of TCP (`tcp_mem`): then every connection of the host stalls.
/// What is on the way is not counted, so it costs no throughput at any round trip.
pub const NOT_SENT: u32 = 128 * 1024;

/// Sends small messages at once, and leaves at most `NOT_SENT` bytes waiting in the kernel. Failing is no reason to
/// give a connection up: both are a matter of speed and memory.
pub fn set_up(socket: SockRef<'_>) {
    let _ = socket.set_tcp_nodelay(true);
    #[cfg(any(target_os = "android", target_os = "linux"))]
    let _ = socket.set_tcp_notsent_lowat(NOT_SENT);
}
