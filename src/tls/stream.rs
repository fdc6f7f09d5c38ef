//! A TCP connection with or without TLS on it, as one type, for both directions.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use super::read_ahead::ReadAhead;

/// What `server` and `proxy` read and write.
#[derive(Debug)]
pub enum Stream {
    /// As it came from the socket.
    Plain(TcpStream),
    /// Encrypted. Boxed: a TLS connection is a kilobyte of state.
    Tls(Box<TlsStream<ReadAhead>>),
}

impl Stream {
    /// The socket below, where what goes over it does not matter any more.
    pub fn tcp(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_mut().0.tcp_mut(),
        }
    }

    /// Whether there is something to read, or the end; else the task is woken when there is. To be
    /// asked only after a read had to wait: then TLS has nothing left of what came before.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let tcp = match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0.tcp(),
        };
        // A socket that broke has its end to be read.
        tcp.poll_read_ready(cx).map(|_| ())
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => {
                let polled = Pin::new(stream.as_mut()).poll_write(cx, buf);
                or_alert(stream, polled)
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => {
                let polled = Pin::new(stream.as_mut()).poll_write_vectored(cx, bufs);
                or_alert(stream, polled)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => {
                let polled = Pin::new(stream.as_mut()).poll_flush(cx);
                or_alert(stream, polled)
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

/// A write that failed, with the better reason if there is one: in TLS 1.3 a server refuses our
/// certificate when we have begun to send, and closes on us. Its alert came before the reset and
/// still waits to be read.
fn or_alert<T>(stream: &mut TlsStream<ReadAhead>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
    match polled {
        Poll::Ready(Err(error)) if is_gone(&error) => Poll::Ready(Err(alert(stream).unwrap_or(error))),
        other => other,
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// The alert that arrived, if one did; data before it stay readable.
fn alert(stream: &mut TlsStream<ReadAhead>) -> Option<io::Error> {
    let TlsStream::Client(stream) = stream else { return None };
    let (tcp, connection) = stream.get_mut();
    // The runtime has not been told yet that there is something.
    while connection.read_tls(tcp).is_ok_and(|read| read > 0) {
        if let Err(error) = connection.process_new_packets() {
            return Some(io::Error::new(io::ErrorKind::InvalidData, error));
        }
    }
    None
}
