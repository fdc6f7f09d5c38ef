//! An HTTP/1 stream under watch: when a head begins, when the client takes no bytes, and
//! where an interim answer may be put between two others.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::Response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::lifecycle::deadline::Deadline;
use crate::proxy::client::Client;
use crate::tls::stream::Stream;

/// Interim answers that may wait for a slow client; more are dropped.
const MAX_INTERIM_BYTES: usize = 16 * 1024;

/// What hyper reads and writes.
#[derive(Debug)]
pub(super) struct Watched {
    stream: Stream,
    /// Read already, before a rest.
    read: Bytes,
    watch: Rc<Watch>,
}

/// What the connection's loop looks at, beside hyper.
#[derive(Debug)]
pub(super) struct Watch {
    client: Rc<Client>,
    write: Deadline,
    write_timeout: Duration,
    interim: RefCell<BytesMut>,
    /// hyper has nothing half written: bytes may be put in.
    at_boundary: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Watched {
    pub(super) fn new(stream: Stream, watch: &Rc<Watch>) -> Self {
        Self { stream, read: Bytes::new(), watch: Rc::clone(watch) }
    }

    /// With bytes that are to be read once more.
    pub(super) fn with(mut self, read: Bytes) -> Self {
        self.read = read;
        self
    }

    /// Whether there is something to read, or the end; else the task is woken when there is.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.read.is_empty() { self.stream.poll_readable(cx) } else { Poll::Ready(()) }
    }

    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }

    /// Writes waiting interim answers; hyper's own bytes come after them.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let waiting: Bytes = self.watch.interim.borrow_mut().split().freeze();
            if waiting.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let written = Pin::new(&mut self.stream).poll_write(cx, &waiting);
            let written = self.watch.wrote(written);
            let taken = if let Poll::Ready(Ok(taken)) = &written { *taken } else { 0 };
            self.put_back(&waiting, taken);
            ready!(written)?;
        }
    }

    fn put_back(&self, waiting: &Bytes, taken: usize) {
        let mut rest = BytesMut::from(&waiting[taken..]);
        let mut interim = self.watch.interim.borrow_mut();
        rest.extend_from_slice(interim.chunk());
        *interim = rest;
    }
}

impl Watch {
    pub(super) fn new(client: &Rc<Client>, write: Deadline, write_timeout: Duration) -> Rc<Self> {
        Rc::new(Self {
            client: Rc::clone(client),
            write,
            write_timeout,
            interim: RefCell::default(),
            at_boundary: Cell::new(true),
            waker: RefCell::default(),
        })
    }

    /// Puts an interim answer into the stream, if no other answer has begun.
    pub(super) fn interim(&self, head: &Response<()>) {
        let mut interim = self.interim.borrow_mut();
        if !self.at_boundary.get() || interim.len() > MAX_INTERIM_BYTES {
            return;
        }
        let reason = head.status().canonical_reason().unwrap_or_default();
        interim.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", head.status().as_str()).as_bytes());
        for (name, value) in head.headers() {
            interim.extend_from_slice(name.as_str().as_bytes());
            interim.extend_from_slice(b": ");
            interim.extend_from_slice(value.as_bytes());
            interim.extend_from_slice(b"\r\n");
        }
        interim.extend_from_slice(b"\r\n");
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Whether the client has taken no bytes for `write_timeout`; else the task is woken when so.
    pub(super) fn is_stuck(&self, cx: &Context<'_>) -> bool {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        self.write.poll_expired(cx).is_some()
    }

    /// Whether everything given to the stream has been passed on.
    pub(super) fn is_flushed(&self) -> bool {
        self.at_boundary.get() && self.interim.borrow().is_empty()
    }

    fn wrote<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &polled {
            Poll::Pending if !self.write.is_armed() => self.write.arm("write_timeout", self.write_timeout),
            Poll::Pending => {}
            Poll::Ready(_) => self.write.disarm(),
        }
        polled
    }
}

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.read.is_empty() {
            let taken = this.read.len().min(buf.remaining());
            buf.put_slice(&this.read.split_to(taken));
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.watch.client.bytes_arrived();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // An interim answer that has begun must end before the next answer begins.
        ready!(this.poll_interim(cx))?;
        this.watch.at_boundary.set(false);
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.watch.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_interim(cx))?;
        let polled = Pin::new(&mut this.stream).poll_flush(cx);
        this.watch.at_boundary.set(polled.is_ready());
        this.watch.wrote(polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.watch.at_boundary.set(false);
        let polled = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.watch.wrote(polled)
    }
}
