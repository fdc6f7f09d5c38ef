//! `mtls-bridge echo`: a service that answers any request with what it received.
//!
//! Used where a service is needed to look at: by `demo`, the compose files and the integration tests. Not for
//! production, and yet every wait has a deadline and every size a limit, because tests misbehave on purpose.
//!
//! Paths: `/status/NNN` echoes with that status (200 to 599), `/status/ready` and `/status/health` with 200,
//! so that `healthcheck` works on it; `/bytes/N` sends N bytes, with `?delay_ms=` between blocks of 64 KiB and `?chunked` without
//! announcing the length; any other path echoes with 200.

mod answer;
mod facts;
mod idle;
mod repeat;
mod tls;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use self::answer::answer;
use self::facts::TlsFacts;
use self::idle::IdleLimit;
use super::console::say;
use crate::lifecycle::signal::Signals;
use crate::telemetry::cause;

/// Answers any request with what it received, as JSON.
///
/// /status/NNN answers with that status; /bytes/N with N bytes, with ?delay_ms=MS between blocks of 64 KiB.
/// Speaks HTTP/1.1 and HTTP/2, without TLS too (prior knowledge).
#[derive(Debug, clap::Args)]
pub struct Echo {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,

    /// Certificate to serve TLS with, PEM: the leaf, then its chain
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of that certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// CA certificates, PEM: only clients with a certificate from one of them come in
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,
}

/// Serves until SIGTERM, SIGINT or SIGQUIT, on a runtime of its own.
///
/// # Errors
/// When a file cannot be used, or the address cannot be listened on.
pub fn run(echo: &Echo) -> anyhow::Result<()> {
    let tls = match (&echo.tls_cert, &echo.tls_key) {
        (Some(certificate), Some(key)) => {
            Some(tls::server_config(certificate, key, echo.tls_client_ca.as_deref())?)
        }
        _ => None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let listener = TcpListener::bind(echo.listen)
            .with_context(|| format!("echo cannot listen on {}", echo.listen))?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        say(&format!("echo listening on {scheme}://{}", listener.local_addr()?));
        let stop = async {
            signals.stop().await;
        };
        Ok(serve(listener, tls, stop).await?)
    })
}

/// Serves on `listener` until `stop` is done; then lets the requests under way finish.
///
/// HTTP/1.1 and HTTP/2, by their first bytes or, with `tls`, by whatever that configuration negotiates.
///
/// # Errors
/// When the listener cannot be handed to the runtime. A failing connection ends alone.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let acceptor = tls.map(TlsAcceptor::from);
    let (stopping, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, acceptor.clone(), stopped.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "echo cannot accept");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop((listener, stopping));
    // What is not done by then is cut off as the set is dropped.
    let _ = timeout(DRAIN_TIMEOUT, async { while connections.join_next().await.is_some() {} }).await;
    Ok(())
}

/// One connection; ends by itself soon after the sender of `stopping` is gone.
async fn connection(stream: TcpStream, acceptor: Option<TlsAcceptor>, stopping: watch::Receiver<()>) {
    let _ = stream.set_nodelay(true); // a matter of speed alone
    let stream = IdleLimit::new(stream, IDLE_TIMEOUT);
    let Some(acceptor) = acceptor else {
        return http(stream, None, stopping).await;
    };
    match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let facts = TlsFacts::of(stream.get_ref().1);
            http(stream, Some(Arc::new(facts)), stopping).await;
        }
        Ok(Err(error)) => tracing::debug!("echo: the handshake failed: {}", cause::io(&error)),
        Err(_) => tracing::debug!("echo: the handshake was not done within {HANDSHAKE_TIMEOUT:?}"),
    }
}

async fn http<S>(stream: S, tls: Option<Arc<TlsFacts>>, mut stopping: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES);
    let service = service_fn(move |request| answer(request, tls.clone()));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));

    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopping.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("echo: the connection failed: {}", cause::chain(&*error));
    }
}

/// A TLS handshake, from the first byte to the last.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// An HTTP/1.1 request head, counted from the end of the exchange before it. Longer than a proxy keeps an
/// idle connection (60 seconds), so that the proxy is the one to close it.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);
/// A connection on which no byte moves, either way.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// What is under way when the end comes.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// After a failed accept, most often for want of file descriptors: some will have been closed by then.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// More wait in the listener's backlog.
const MAX_CONNECTIONS: usize = 1024;
/// Per HTTP/2 connection.
const MAX_CONCURRENT_STREAMS: u32 = 256;
/// Fields of an HTTP/1.1 head: what a proxy takes (100), and what it adds.
const MAX_HEADERS: usize = 256;
/// The same for HTTP/2, in bytes: twice what a proxy takes.
const MAX_HEADER_BYTES: u32 = 128 * 1024;
