//! From a target to a connection: name, TCP, TLS, and the proof that the link is mutual.

use std::cell::Cell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::LazyLock;

use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use super::error::{UpstreamError, tls_error, tls_failure};
use super::shortage::{self, Shortage};
use super::socket;
use crate::lifecycle::deadline::Sweep;
use crate::snapshot::Target;
use crate::telemetry::cause::{self, Told};
use crate::tls::client::Dialer;
use crate::tls::read_ahead::ReadAhead;
use crate::tls::stream::Stream;

/// Which HTTP a dial asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    /// h2 if the other side wants it, else http/1.1.
    Both,
    /// http/1.1, for upgrades and `upstream_http=http1`.
    Http1,
    /// h2 or nothing.
    Http2,
}

impl Offer {
    fn alpn(self) -> Vec<Vec<u8>> {
        let (h2, http1) = (b"h2".to_vec(), b"http/1.1".to_vec());
        match self {
            Self::Both => vec![h2, http1],
            Self::Http1 => vec![http1],
            Self::Http2 => vec![h2],
        }
    }
}

/// A fresh connection.
#[derive(Debug)]
pub(super) struct Dialled {
    pub(super) stream: Stream,
    /// Whether HTTP/2 is spoken on it.
    pub(super) http2: bool,
}

/// Connects, all within `connect_timeout`. A name that is not answered in that time is not known:
/// so it is with docker's names while their container is away.
pub(super) async fn dial(target: &Target, offer: Offer, sweep: &Rc<Sweep>) -> Result<Dialled, UpstreamError> {
    let deadline = sweep.deadline();
    let resolved = Cell::new(false);
    let work = connect(target, offer, &resolved);
    let ended = deadline.limit("connect_timeout", target.terms.connect_timeout, work).await;
    ended.unwrap_or_else(|name| {
        Err(match resolved.get() {
            true => UpstreamError::TimedOut { name, upstream: target.label.as_ref().into() },
            false => {
                name_unknown(target, io::Error::new(io::ErrorKind::TimedOut, Told(format!("{name} passed"))))
            }
        })
    })
}

async fn connect(target: &Target, offer: Offer, resolved: &Cell<bool>) -> Result<Dialled, UpstreamError> {
    let tcp = tcp(target, resolved).await?;
    match &target.dialer {
        None => Ok(Dialled { stream: Stream::Plain(tcp), http2: offer == Offer::Http2 }),
        Some(dialer) => tls(target, dialer, tcp, offer).await,
    }
}

fn name_unknown(target: &Target, cause: io::Error) -> UpstreamError {
    UpstreamError::NameUnknown { host: target.host.clone(), cause: Rc::new(cause) }
}

async fn tcp(target: &Target, resolved: &Cell<bool>) -> Result<TcpStream, UpstreamError> {
    let short = |shortage| UpstreamError::Shortage { upstream: target.label.as_ref().into(), shortage };
    let addresses = lookup_host((target.host.as_str(), target.port)).await;
    let addresses =
        addresses.map_err(|cause| Shortage::now().map_or_else(|| name_unknown(target, cause), short))?;
    resolved.set(true);
    let (mut refused, mut shortage) = (None, None);
    let mut loopback = false;
    for address in addresses {
        loopback = address.ip().to_canonical().is_loopback();
        match shortage::connect(address).await {
            Ok(stream) => {
                socket::set_up(SockRef::from(&stream));
                return Ok(stream);
            }
            Err(error) => match Shortage::of(&error) {
                Some(found) if !found.depends_on_address() => return Err(short(found)),
                Some(found) => shortage = Some(found),
                None => refused = Some(error),
            },
        }
    }
    // An address that answers by refusing tells more than one that cannot be tried.
    match (refused, shortage) {
        (None, Some(shortage)) => Err(short(shortage)),
        (refused, _) => {
            let nothing = || io::Error::new(io::ErrorKind::NotFound, Told("the name has no address".into()));
            let cause = Rc::new(refused.unwrap_or_else(nothing));
            Err(unreachable(target.label.as_ref().into(), cause, loopback && in_container()))
        }
    }
}

fn unreachable(upstream: Rc<str>, cause: Rc<io::Error>, is_itself: bool) -> UpstreamError {
    if is_itself {
        UpstreamError::Itself { upstream, cause }
    } else {
        UpstreamError::Unreachable { upstream, cause }
    }
}

/// Whether loopback is not the host's: what docker and podman put into their containers is there. In a pod of
/// Kubernetes, whose containers share one loopback, it is not.
fn in_container() -> bool {
    static INSIDE: LazyLock<bool> = LazyLock::new(|| {
        let exists = |path: &str| Path::new(path).exists();
        let is_pod = exists("/var/run/secrets/kubernetes.io");
        !is_pod && (exists("/.dockerenv") || exists("/run/.containerenv"))
    });
    *INSIDE
}

async fn tls(
    target: &Target,
    dialer: &Dialer,
    tcp: TcpStream,
    offer: Offer,
) -> Result<Dialled, UpstreamError> {
    let (config, asked) = dialer.dial(offer.alpn());
    let name: ServerName<'static> = dialer.server_name().clone();
    let connector = TlsConnector::from(config);
    let connected = connector.connect(name, ReadAhead::new(tcp)).await;
    let refused = connected.as_ref().err().and_then(tls_error);
    let told_by_them = matches!(refused, Some(rustls::Error::AlertReceived(_)));
    if asked.for_another_kind() && (told_by_them || dialer.is_mutual() && connected.is_ok()) {
        let text = format!(
            "{} verifies no signatures of the kind of key that our client certificate has (RSA, ECDSA or Ed25519), so it was not presented; give one of another kind",
            target.label
        );
        return Err(UpstreamError::Handshake(text.into()));
    }
    let stream = connected.map_err(|error| handshake(target, &error))?;
    if dialer.is_mutual() && !asked.is_true() {
        return Err(UpstreamError::NotMutual(target.label.as_ref().into()));
    }
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if offer == Offer::Http2 && !http2 {
        let text = format!("{} does not speak HTTP/2 (ALPN), which upstream_http demands", target.label);
        return Err(UpstreamError::Protocol(text.into()));
    }
    Ok(Dialled { stream: Stream::Tls(Box::new(stream.into())), http2 })
}

fn handshake(target: &Target, error: &io::Error) -> UpstreamError {
    if let Some(shortage) = Shortage::of(error) {
        return UpstreamError::Shortage { upstream: target.label.as_ref().into(), shortage };
    }
    let text =
        tls_error(error).map(|tls| tls_failure(&target.label, tls)).unwrap_or_else(|| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                format!(
                    "{} closed the connection in the TLS handshake; is its port a TLS port?",
                    target.label
                )
            }
            _ => format!("the TLS handshake with {} broke: {}", target.label, cause::io(error)),
        });
    UpstreamError::Handshake(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_calls_its_own_loopback_is_told_so() {
        let said = |is_itself| {
            let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
            unreachable("http://localhost:8080".into(), Rc::new(refused), is_itself).to_string()
        };
        assert_eq!(
            said(true),
            "http://localhost:8080 cannot be reached: connection refused; is it running, and is the port right? \
             this runs in a container, and that is the container itself: call its host host.docker.internal, \
             and another container by its name"
        );
        assert!(said(false).ends_with("is it running, and is the port right?"), "{}", said(false));
    }
}
