//! From an accepted socket to a stream and the peer behind it, under one deadline.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::{ProtocolVersion, ServerConnection};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::listener::Speaks;
use crate::identity::{KnownCertificates, Peer, PeerTls};
use crate::snapshot::Snapshot;
use crate::tls::read_ahead::ReadAhead;
use crate::tls::server::handshake_failure;
use crate::tls::stream::Stream;

/// A connection that is ready for requests.
#[derive(Debug)]
pub(super) struct Shaken {
    pub(super) stream: Stream,
    pub(super) peer: Peer,
    /// What ALPN chose; `None` on plaintext, where the first bytes tell.
    pub(super) http2: Option<bool>,
}

/// Shakes hands where the listener has TLS.
///
/// # Errors
/// One sentence for the log.
pub(super) async fn shake(
    tcp: TcpStream,
    address: SocketAddr,
    speaks: Speaks,
    snapshot: &Snapshot,
    known: &KnownCertificates,
) -> Result<Shaken, String> {
    let local = tcp.local_addr().map_err(|error| format!("the connection is gone: {error}"))?;
    let config = match (&snapshot.listener_tls, speaks.tls) {
        (_, false) => {
            let peer = Peer { address, local, tls: None };
            return Ok(Shaken { stream: Stream::Plain(tcp), peer, http2: None });
        }
        (Some(tls), true) if speaks.http2 => &tls.http2,
        (Some(tls), true) => &tls.http1,
        // Never plaintext where TLS was configured.
        (None, true) => return Err("the TLS listener has no certificate".into()),
    };
    let acceptor = TlsAcceptor::from(Arc::clone(config));
    let stream = acceptor.accept(ReadAhead::new(tcp)).await.map_err(|error| handshake_failure(&error))?;
    let connection = stream.get_ref().1;
    let http2 = Some(connection.alpn_protocol() == Some(b"h2"));
    let peer = Peer { address, local, tls: Some(tls(connection, known)?) };
    Ok(Shaken { stream: Stream::Tls(Box::new(stream.into())), peer, http2 })
}

fn tls(connection: &ServerConnection, known: &KnownCertificates) -> Result<PeerTls, String> {
    let sent = connection.peer_certificates().unwrap_or_default();
    // The verifier of the handshake has read it already; what cannot be read has no identity.
    let certificate = known.read(sent).map_err(|error| error.to_string())?;
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLSv1.3",
    };
    Ok(PeerTls { version, server_name: connection.server_name().map(str::to_owned), certificate })
}
