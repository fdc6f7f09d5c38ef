//! A stream that remembers why TLS ended it.
//!
//! In TLS 1.3 a gateway's refusal of our certificate comes as an alert on a link that is open
//! already. The HTTP libraries keep an error's text at the most, and when writing fails first
//! they never read the alert; here it is read, and kept for the log.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error::{tls_error, tls_failure};
use crate::tls::stream::Stream;

/// Reads of a connection that cannot be written to any more; an alert is among the first.
const MAX_READS: usize = 16;

/// The sentence for the log, once there is one; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct LastWords(Rc<RefCell<Option<Rc<str>>>>);

impl LastWords {
    /// What TLS said at the end, if it said anything.
    pub(super) fn get(&self) -> Option<Rc<str>> {
        self.0.borrow().clone()
    }
}

/// A stream to an upstream.
#[derive(Debug)]
pub(super) struct Listening {
    stream: Stream,
    upstream: Rc<str>,
    last_words: LastWords,
}

impl Listening {
    /// Notes in `last_words` what ends this stream to `upstream`, its label.
    pub(super) fn new(stream: Stream, upstream: &str, last_words: &LastWords) -> Self {
        Self { stream, upstream: upstream.into(), last_words: last_words.clone() }
    }

    fn note(&self, error: &io::Error) {
        if let Some(error) = tls_error(error) {
            let text = || tls_failure(&self.upstream, error).into();
            self.last_words.0.borrow_mut().get_or_insert_with(text);
        }
    }

    /// When writing fails, the other side has closed, and what it said before that is read first.
    fn wrote<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let Poll::Ready(Err(error)) = &polled else { return polled };
        self.note(error);
        match self.listen(cx) {
            // Nothing there yet, though it comes, if only as an end: the reading will wake us.
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => polled,
        }
    }

    fn listen(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 1024];
        for _ in 0..MAX_READS {
            let mut buf = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {}
                Ok(()) => break,
                Err(error) => {
                    self.note(&error);
                    break;
                }
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Listening {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        if let Poll::Ready(Err(error)) = &polled {
            this.note(error);
        }
        polled
    }
}

impl AsyncWrite for Listening {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.wrote(cx, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.wrote(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_flush(cx);
        this.wrote(cx, polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}
