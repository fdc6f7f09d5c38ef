//! From an accepted socket to a stream and the peer behind it, under one deadline.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::server::Acceptor;
use rustls::{ProtocolVersion, ServerConnection};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::listener::Speaks;
use crate::identity::{KnownCertificates, Peer, PeerTls};
use crate::telemetry::cause;
use crate::tls::read_ahead::ReadAhead;
use crate::tls::server::{ServerConfigs, handshake_failure};
use crate::tls::sni;
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
    configs: Option<&ServerConfigs>,
    known: &KnownCertificates,
) -> Result<Shaken, String> {
    let local = tcp.local_addr().map_err(|error| format!("the connection is gone: {}", cause::io(&error)))?;
    if !speaks.tls {
        let peer = Peer { address, local, tls: None };
        return Ok(Shaken { stream: Stream::Plain(tcp), peer, http2: None });
    }
    // Never plaintext where TLS was configured.
    let configs = configs.ok_or("the TLS listener has no certificate")?;
    let tcp = ReadAhead::new(tcp);
    let accepted = match configs.for_all(speaks.http2) {
        Some(config) => TlsAcceptor::from(Arc::clone(config)).accept(tcp).await,
        // Boxed, so that handshakes that do not need it have no room for it.
        None => Box::pin(accept_by_name(tcp, configs, speaks.http2)).await,
    };
    let stream = accepted.map_err(|error| handshake_failure(&error))?;
    let connection = stream.get_ref().1;
    let http2 = Some(connection.alpn_protocol() == Some(b"h2"));
    let peer = Peer { address, local, tls: Some(tls(connection, known)?) };
    Ok(Shaken { stream: Stream::Tls(Box::new(stream.into())), peer, http2 })
}

/// Reads the whole ClientHello, in however many pieces it comes, before anything is decided by it.
async fn accept_by_name(
    tcp: ReadAhead,
    configs: &ServerConfigs,
    http2: bool,
) -> io::Result<TlsStream<ReadAhead>> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
    let config = Arc::clone(configs.for_name(start.client_hello().server_name(), http2));
    start.into_stream(config).await
}

fn tls(connection: &ServerConnection, known: &KnownCertificates) -> Result<PeerTls, String> {
    let sent = connection.peer_certificates().unwrap_or_default();
    // The verifier of the handshake has read it already; what cannot be read has no identity.
    let certificate = known.read(sent).map_err(|error| error.to_string())?;
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLSv1.3",
    };
    // Routes are to see the name by which the certificate was chosen and asked for.
    let server_name = connection.server_name().map(|name| sni::normal(name).into_owned());
    Ok(PeerTls { version, server_name, certificate })
}

#[cfg(test)]
mod tests;
