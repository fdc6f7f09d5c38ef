//! Who is on the other side: values taken from a connection, in reading order.
//!
//! A certificate is parsed once per connection, its names are kept as text that is always a
//! legal header value, and nobody below reads ASN.1 again. Nothing here decides whom to trust:
//! that is `policy`. Values in, values out: no clock, no files, no I/O.

mod certificate;
mod distinguished_name;
mod escape;
mod header_format;
mod known;
mod name;
pub mod nginx;
mod peer;
mod san;

pub use self::certificate::{Certificate, Malformed, Side, Validity};
pub use self::distinguished_name::DistinguishedName;
pub use self::escape::header_value;
pub use self::header_format::HeaderFormat;
pub use self::known::KnownCertificates;
pub use self::name::{CommonName, Fingerprint, SerialNumber};
pub use self::peer::{ChainDigest, Peer, PeerCertificate, PeerTls};
pub use self::san::SubjectAltName;
