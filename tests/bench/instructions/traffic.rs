//! The two ends of the chain: a client that sends one request at a time, and the echo service.
//!
//! One at a time, because then every node is woken once per message, and what it does in one go is the
//! same in every run.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use mtls_bridge::cli::echo;
use mtls_bridge::pki::Development;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsConnector;

/// A client and a service.
pub struct Traffic {
    /// Where the service listens.
    pub service: SocketAddr,
    runtime: Runtime,
    tls: TlsConnector,
}

impl Traffic {
    /// Starts the service on a thread of its own, which ends with the process.
    pub fn start(pki: &Development) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let service = listener.local_addr()?;
        let runtime = || Builder::new_current_thread().enable_all().build();
        let of_service = runtime()?;
        thread::spawn(move || of_service.block_on(echo::serve(listener, None, std::future::pending())));
        Ok(Self { service, runtime: runtime()?, tls: TlsConnector::from(Arc::new(tls(pki)?)) })
    }

    /// Sends so many requests on one plain connection.
    pub fn send(&self, to: SocketAddr, path: &str, requests: u32) -> anyhow::Result<()> {
        self.runtime.block_on(async {
            let mut connection = handshake(connect(to).await?).await?;
            for _ in 0..requests {
                exchange(&mut connection, path).await?;
            }
            Ok(())
        })
    }

    /// Sends each on a TLS connection of its own, with a full handshake.
    pub fn send_each_on_its_own(&self, to: SocketAddr, path: &str, requests: u32) -> anyhow::Result<()> {
        self.runtime.block_on(async {
            for _ in 0..requests {
                let name = ServerName::try_from("localhost")?;
                let stream = self.tls.connect(name, connect(to).await?).await?;
                exchange(&mut handshake(stream).await?, path).await?;
            }
            Ok(())
        })
    }
}

async fn connect(to: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn handshake<S>(stream: S) -> anyhow::Result<SendRequest<Empty<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its errors are those of the requests on it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// One request and all of its answer.
async fn exchange(connection: &mut SendRequest<Empty<Bytes>>, path: &str) -> anyhow::Result<()> {
    connection.ready().await?;
    let request = Request::get(path)
        .header(header::HOST, "orders.example")
        .header(header::USER_AGENT, "mtls-bridge-bench")
        .header(header::ACCEPT, "*/*")
        .body(Empty::new())?;
    let response = connection.send_request(request).await?;
    let status = response.status();
    let received = response.into_body().collect().await?.to_bytes();
    ensure!(status == 200, "{path} was answered with {status}: {}", String::from_utf8_lossy(&received));
    let wanted: usize = path.strip_prefix("/bytes/").context("what is asked for has no length")?.parse()?;
    ensure!(received.len() == wanted, "{path} was answered with {} bytes", received.len());
    Ok(())
}

fn tls(pki: &Development) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(pki.authority.certificate().clone())?;
    let mut config = ClientConfig::builder_with_provider(mtls_bridge::tls::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(pki.client.chain(), pki.client.key())?;
    config.resumption = Resumption::disabled();
    Ok(config)
}
