//! An HTTP/2 client that sends frame by frame what a test tells it to, polite or not.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::PATIENCE;
use super::pki::Pki;

/// An open connection; its frames move as long as the test's runtime runs.
#[derive(Debug, Clone)]
pub struct Http2(SendRequest<Bytes>);

/// An answer with all that came after its head.
#[derive(Debug)]
pub struct Whole {
    /// The head.
    pub head: Response<()>,
    /// The body.
    pub body: Vec<u8>,
    /// What came after it.
    pub trailers: Option<HeaderMap>,
}

impl Whole {
    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Every value of a header that the echo received.
    pub fn received(&self, name: &str) -> Vec<String> {
        pairs(&self.json()["headers"], name)
    }

    /// Every value of a trailer that the echo received.
    pub fn received_trailer(&self, name: &str) -> Vec<String> {
        pairs(&self.json()["trailers"], name)
    }
}

fn pairs(fields: &serde_json::Value, name: &str) -> Vec<String> {
    let fields = fields.as_array().unwrap().iter();
    fields.filter(|field| field[0] == name).map(|field| field[1].as_str().unwrap().to_owned()).collect()
}

impl Http2 {
    /// With prior knowledge, on a plain connection.
    pub async fn plain(address: SocketAddr) -> Self {
        Self::on(TcpStream::connect(address).await.unwrap()).await
    }

    /// By ALPN, to `localhost`, with `NAME.crt` of that PKI or none.
    pub async fn tls(address: SocketAddr, pki: &Pki, name: Option<&str>) -> Self {
        Self::on(tls(address, pki, name, &[b"h2"]).await).await
    }

    #[allow(clippy::disallowed_methods)] // the rule is for workers; this is a client
    async fn on(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (send, connection) = soon(h2::client::handshake(stream)).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Self(send)
    }

    /// Sends a head; with `end`, nothing follows.
    pub async fn send(&self, request: Request<()>, end: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let mut ready = soon(self.0.clone().ready()).await.unwrap();
        ready.send_request(request, end).unwrap()
    }

    /// Sends a request without a body and gives the whole answer.
    pub async fn whole(&self, request: Request<()>) -> Whole {
        let (response, _stream) = self.send(request, true).await;
        collect(response).await.unwrap()
    }
}

/// A TLS connection to `localhost` with `NAME.crt` of that PKI or none, offering these protocols.
pub async fn tls(
    address: SocketAddr,
    pki: &Pki,
    name: Option<&str>,
    protocols: &[&[u8]],
) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pki.path("ca.crt")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.unwrap().with_root_certificates(roots);
    let mut config = match name {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let chain = CertificateDer::pem_file_iter(pki.path(&format!("{name}.crt"))).unwrap();
            let key = PrivateKeyDer::from_pem_file(pki.path(&format!("{name}.key"))).unwrap();
            builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
        }
    };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let tcp = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    soon(connector.connect("localhost".try_into().unwrap(), tcp)).await.unwrap()
}

/// The whole answer, or what broke it.
pub async fn collect(response: ResponseFuture) -> Result<Whole, h2::Error> {
    let (head, mut stream) = soon(response).await?.into_parts();
    let (body, trailers) = drain(&mut stream).await?;
    Ok(Whole { head: Response::from_parts(head, ()), body, trailers })
}

/// All that comes on a stream, or what broke it.
pub async fn drain(stream: &mut RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut body = Vec::new();
    while let Some(data) = soon(stream.data()).await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    Ok((body, soon(stream.trailers()).await?))
}

/// Sends all of `data`, waiting for the other side's window.
pub async fn upload(stream: &mut SendStream<Bytes>, mut data: Bytes, end: bool) {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let window = soon(std::future::poll_fn(|cx| stream.poll_capacity(cx))).await.unwrap().unwrap();
        let piece = data.split_to(window.min(data.len()));
        stream.send_data(piece, end && data.is_empty()).unwrap();
    }
}

/// What is awaited comes soon, or the test fails.
pub async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("it takes too long")
}
