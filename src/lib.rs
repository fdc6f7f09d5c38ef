//! mtls-bridge: a mutual-TLS sidecar in two modes.
//!
//! The rooms in reading order, bottom to top; a room names only rooms above it in this list.
//! `docs/architecture.md` tells the story of a request through them.

// Know nothing of configuration: values, rules and mechanisms.
pub mod lifecycle; // waiting, being ready, draining; the process's own limits
pub mod telemetry; // access lines and counts, per worker

pub mod identity; // who is at the other end of a connection
pub mod message; // what may stand in a request or response

pub mod pki; // certificates for demonstrations and tests
pub mod routing; // which service a request is for
pub mod tls; // PEM, credentials, trust, TLS on both sides

pub mod policy; // who may pass: Permit or Denial

// Says what is meant.
pub mod config; // from what was said to a Config, or every Problem

// Holds what is loaded.
pub mod snapshot; // files read, keys checked, routes compiled

// Run.
pub mod proxy; // one request, from head to record
pub mod server; // listeners, workers, connections

pub mod admin; // the status listener

// Wire and command.
pub mod app; // the only file that knows all parts
pub mod cli; // the commands, and the exit codes
