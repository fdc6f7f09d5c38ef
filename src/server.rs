//! The client's side: from a listening socket to requests.
//!
//! [`listener`] accepts under a connection permit and hands the socket to the worker with
//! the fewest connections; a [`worker`] is a thread of its own that runs [`handshake`],
//! [`connection`], and then [`http1`] or [`http2`] until the client leaves.

pub mod connection;
pub mod handshake;
mod http1;
mod http2;
mod keep_open;
mod linger;
pub mod listener;
mod watched;
pub mod worker;
