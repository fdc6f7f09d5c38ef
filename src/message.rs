//! What happens to a message on its way, as pure functions over its head, in reading order.
//!
//! `proxy` calls them in this order for every request: hop-by-hop fields go, identity headers go,
//! then ours are set. So a client can neither forge nor delete what we say about it.

pub mod compression;
pub mod forwarded;
pub mod grpc;
pub mod hop_by_hop;
pub mod identity_headers;
pub mod reply;
pub mod request_id;
pub mod trailers;

pub use self::reply::Reply;
pub use self::request_id::RequestId;
