//! One HTTP exchange with a responder or a CRL server: bounded in size, without redirects.
//!
//! Its time is bounded by the caller, who drops it. Plain HTTP is the rule here: what comes is
//! signed, and https would need a status of its own. Proxies are the operator's word, so their
//! addresses are not judged.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Fetching, Proxy};
use crate::telemetry::cause;
use crate::tls::client::{Dialer, ServerTrust};
use crate::tls::trust::Anchors;

/// To one address, so that a dead one does not take the time of the next.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Addresses of one host that are tried.
const MAX_ADDRESSES: usize = 4;

/// What to get, and from where.
#[derive(Debug)]
pub(super) struct Errand<'a> {
    /// http or https, with a host.
    pub(super) uri: &'a Uri,
    /// An OCSP request to post; `None` gets.
    pub(super) question: Option<Vec<u8>>,
    /// Bytes of an answer that are read at most.
    pub(super) max: usize,
    pub(super) settings: &'a Fetching,
    pub(super) roots: &'a Roots,
}

/// Whom to believe over https: the CAs of the operating system, read when they are first needed.
#[derive(Debug, Default)]
pub(super) struct Roots(OnceLock<Arc<Anchors>>);

impl Roots {
    fn load(&self) -> Arc<Anchors> {
        let read = || Arc::new(Anchors::of_servers(rustls_native_certs::load_native_certs().certs));
        Arc::clone(self.0.get_or_init(read))
    }
}

impl Errand<'_> {
    /// The body of the answer. The error is a part of a sentence for the log.
    pub(super) async fn run(&self) -> Result<Bytes, String> {
        let target = Target::of(self.uri)?;
        let proxy = if target.tls { &self.settings.https_proxy } else { &self.settings.http_proxy };
        let tcp = match proxy {
            Some(proxy) => via(proxy, &target, self.settings).await?,
            None => direct(&target, self.settings).await?,
        };
        match (target.tls, proxy) {
            (false, None) => self.exchange(tcp, path(self.uri), &target).await,
            (false, Some(_)) => self.exchange(tcp, self.uri.clone(), &target).await,
            (true, None) => self.exchange(self.encrypt(tcp, &target).await?, path(self.uri), &target).await,
            (true, Some(_)) => {
                let tunnel = tunnel(tcp, &target).await?;
                self.exchange(self.encrypt(tunnel, &target).await?, path(self.uri), &target).await
            }
        }
    }

    async fn encrypt<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        target: &Target<'_>,
    ) -> Result<tokio_rustls::client::TlsStream<S>, String> {
        let name = ServerName::try_from(target.bare_host().to_owned());
        let name = name.map_err(|_| "its host is no name that a certificate can have")?;
        let trust = ServerTrust::Verify(self.roots.load());
        let dialer = Dialer::new(&trust, None, name.clone())?;
        let (config, _) = dialer.dial(vec![b"http/1.1".to_vec()]);
        let connected = TlsConnector::from(config).connect(name, stream).await;
        connected.map_err(|error| format!("the TLS handshake failed: {}", cause::io(&error)))
    }

    async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        uri: Uri,
        target: &Target<'_>,
    ) -> Result<Bytes, String> {
        let request = self.request(uri, target)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| cause::chain(&error))?;
        let work = async {
            let response = sender.send_request(request).await.map_err(|error| cause::chain(&error))?;
            body(response, self.max).await
        };
        beside(connection, work).await
    }

    fn request(&self, uri: Uri, target: &Target<'_>) -> Result<Request<Full<Bytes>>, String> {
        let method = if self.question.is_some() { Method::POST } else { Method::GET };
        let body = self.question.clone().map(Bytes::from).unwrap_or_default();
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        let host = HeaderValue::try_from(target.authority()).map_err(|_| NO_HOST)?;
        headers.insert(HOST, host);
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if self.question.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/ocsp-request"));
            headers.insert(ACCEPT, HeaderValue::from_static("application/ocsp-response"));
        }
        Ok(request)
    }
}

/// What a URL says about where to go.
struct Target<'a> {
    tls: bool,
    /// As in the URL: an IPv6 address has brackets.
    host: &'a str,
    port: u16,
    /// Whether the port is not that of the scheme.
    odd_port: bool,
}

impl<'a> Target<'a> {
    fn of(uri: &'a Uri) -> Result<Self, String> {
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("its scheme is neither http nor https".into()),
        };
        let authority = uri.authority().ok_or("it has no host")?;
        if authority.as_str().contains('@') {
            return Err("it holds a user name".into());
        }
        let usual = if tls { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(usual);
        Ok(Self { tls, host: authority.host(), port, odd_port: port != usual })
    }

    fn bare_host(&self) -> &'a str {
        let inside = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        inside.unwrap_or(self.host)
    }

    fn authority(&self) -> String {
        if self.odd_port { format!("{}:{}", self.host, self.port) } else { self.host.to_owned() }
    }
}

async fn direct(target: &Target<'_>, settings: &Fetching) -> Result<TcpStream, String> {
    let host = target.bare_host();
    let permission = settings.hosts.judge(host)?;
    let found = addresses(host, target.port).await?;
    let allowed: Vec<_> = found.iter().filter(|address| permission.admits(address.ip())).copied().collect();
    match (allowed.is_empty(), found.first()) {
        (true, Some(address)) => Err(format!(
            "{host} has the address {}, which is not public; list the host in mtls_auth_revocation_hosts if it is yours",
            address.ip()
        )),
        _ => connect(&allowed).await,
    }
}

/// The proxy finds the target's address, and judges it; of addresses in URLs we do.
async fn via(proxy: &Proxy, target: &Target<'_>, settings: &Fetching) -> Result<TcpStream, String> {
    let host = target.bare_host();
    let permission = settings.hosts.judge(host)?;
    if host.parse::<IpAddr>().is_ok_and(|address| !permission.admits(address)) {
        return Err(format!(
            "{host} is not a public address; list it in mtls_auth_revocation_hosts if it is yours"
        ));
    }
    let found = addresses(&proxy.host, proxy.port).await?;
    connect(&found).await.map_err(|error| format!("the proxy {}:{}: {error}", proxy.host, proxy.port))
}

async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let found = lookup_host((host, port)).await.map_err(|error| format!("{host} is not known: {error}"))?;
    Ok(found.collect())
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, String> {
    let mut last = "the name has no address".to_owned();
    for address in addresses.iter().take(MAX_ADDRESSES) {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = format!("{address} cannot be reached: {}", cause::io(&error)),
            Err(_) => last = format!("{address} cannot be reached: no answer in {CONNECT_TIMEOUT:?}"),
        }
    }
    Err(last)
}

/// A tunnel through the proxy at the other end (RFC 9110 section 9.3.6).
async fn tunnel(tcp: TcpStream, target: &Target<'_>) -> Result<TokioIo<hyper::upgrade::Upgraded>, String> {
    let authority = format!("{}:{}", target.host, target.port);
    let mut request = Request::new(Full::<Bytes>::default());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = authority.parse().map_err(|_| NO_HOST)?;
    let host = HeaderValue::try_from(authority).map_err(|_| NO_HOST)?;
    request.headers_mut().insert(HOST, host);
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(tcp)).await.map_err(|error| cause::chain(&error))?;
    let work = async {
        let response = sender.send_request(request).await.map_err(|error| cause::chain(&error))?;
        if response.status() != StatusCode::OK {
            return Err(format!("the proxy answered {} to CONNECT", response.status()));
        }
        hyper::upgrade::on(response).await.map_err(|error| cause::chain(&error))
    };
    beside(connection.with_upgrades(), work).await.map(TokioIo::new)
}

/// Runs `work` while the connection it needs is kept going.
async fn beside<T>(
    connection: impl Future<Output = hyper::Result<()>>,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        done = &mut work => done,
        // What was received before it ended is still to be read; what was not, `work` tells.
        _ = connection => work.await,
    }
}

async fn body(mut response: Response<Incoming>, max: usize) -> Result<Bytes, String> {
    let status = response.status();
    if status.is_redirection() {
        return Err(format!("it answered {status}; redirects are not followed"));
    }
    if status != StatusCode::OK {
        return Err(format!("it answered {status}"));
    }
    let too_large = || format!("its answer has more than {max} bytes");
    let announced = response.headers().get(http::header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max as u64) {
        return Err(too_large());
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = response.frame().await {
        let frame = frame.map_err(|error| cause::chain(&error))?;
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > max {
                return Err(too_large());
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes.freeze())
}

fn path(uri: &Uri) -> Uri {
    uri.path_and_query().map_or_else(|| Uri::from_static("/"), |path| Uri::from(path.clone()))
}

const NO_HOST: &str = "its host cannot be asked for";
