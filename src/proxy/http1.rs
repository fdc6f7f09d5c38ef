//! An HTTP/1.1 connection to an upstream, used by one request at a time.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

use super::attempt::Failed;
use super::body::Body;
use super::error::{UpstreamError, tls_error, tls_failure};
use super::exchange::UpstreamWait;
use super::flow_control::http1_buffer;
use super::interim::{Heads, Interim};
use super::shortage::Shortage;
use super::version;
use crate::snapshot::Target;
use crate::telemetry::cause::chain;
use crate::tls::stream::Stream;

/// A connection that is idle or in use, never shared.
#[derive(Debug)]
pub struct Http1 {
    send: SendRequest<Body>,
    target: Arc<Target>,
    uses: u64,
    /// Interim heads that came for the request on it.
    heads: Arc<Heads>,
    driver: Driver,
}

/// The task that reads and writes a connection; ends with the handle on it. Gives back the
/// stream, and what was read beyond the answer, when the other side switched protocols.
#[derive(Debug)]
struct Driver(JoinHandle<Option<(Stream, Bytes)>>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Http1 {
    /// Speaks HTTP/1.1 on `stream`; a task reads and writes it from here on.
    pub(super) async fn open(
        target: &Arc<Target>,
        stream: Stream,
        max_header_bytes: usize,
    ) -> Result<Self, UpstreamError> {
        let (send, mut connection) = Builder::new()
            .max_header_size(max_header_bytes)
            .max_buf_size(http1_buffer(max_header_bytes))
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(target, &error))?;
        let driver = tokio::task::spawn_local(async move {
            // What went wrong reaches the request that was on it.
            (&mut connection).await.ok()?;
            let parts = connection.into_parts();
            Some((parts.io.into_inner(), parts.read_buf))
        });
        Ok(Self { send, target: Arc::clone(target), uses: 1, heads: Arc::default(), driver: Driver(driver) })
    }

    /// Lives until the request that is still being sent ends, or the upstream takes too long.
    pub(super) async fn linger(mut self, wait: &UpstreamWait) {
        tokio::select! {
            _ = &mut self.driver.0 => {}
            _ = wait.expired() => {}
        }
    }

    /// The stream below, after a 101; `None` when it broke.
    pub(super) async fn into_stream(mut self) -> Option<(Stream, Bytes)> {
        (&mut self.driver.0).await.ok()?
    }

    /// Requests sent on it, the present one included.
    pub(super) fn uses(&self) -> u64 {
        self.uses
    }

    /// Counts one more request.
    pub(super) fn reuse(&mut self) {
        self.uses += 1;
    }

    /// Whether the other side has left it open, as far as we know.
    pub(super) fn is_usable(&self) -> bool {
        !self.send.is_closed()
    }

    /// Sends a request and waits for the head of its answer. Deadlines are the caller's.
    pub(super) async fn send(
        &mut self,
        request: &mut Request<Body>,
        interim: Option<&Interim>,
    ) -> Result<Response<Body>, Failed> {
        let reused = self.uses > 1;
        if let Err(error) = self.send.ready().await {
            return Err(Failed { reused, ..Failed::unsent(broken(&self.target, &error)) });
        }
        version::http1(request);
        if interim.is_some() {
            let heads = Arc::clone(&self.heads);
            // hyper calls back from the connection's task.
            hyper::ext::on_informational(request, move |head| heads.push(head.status(), head.headers()));
        }
        let mut answer = pin!(self.send.try_send_request(std::mem::take(request)));
        let result = poll_fn(|cx| {
            if let Some(interim) = interim {
                self.heads.pass_on(interim, cx);
            }
            answer.as_mut().poll(cx)
        })
        .await;
        self.heads.clear();
        match result {
            Ok(response) => Ok(response.map(Body::http1)),
            Err(mut failed) => {
                let unsent = failed.take_message().map(|message| {
                    *request = message;
                    version::neither(request);
                });
                let (unsent, error) = (unsent.is_some(), broken(&self.target, failed.error()));
                Err(Failed { unsent, reused, ..Failed::from(error) })
            }
        }
    }
}

/// hyper's error in our words.
pub(super) fn broken(target: &Target, error: &hyper::Error) -> UpstreamError {
    let label = &target.label;
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    if let Some(tls) = io.and_then(tls_error) {
        return UpstreamError::Handshake(tls_failure(label, tls).into());
    }
    if let Some(shortage) = Shortage::behind(error) {
        return UpstreamError::Shortage { upstream: label.as_ref().into(), shortage };
    }
    if error.is_parse() {
        return UpstreamError::Protocol(
            format!("{label} did not answer in HTTP/1.1: {}", chain(error)).into(),
        );
    }
    UpstreamError::Broken { upstream: label.as_ref().into(), cause: chain(error).into() }
}
