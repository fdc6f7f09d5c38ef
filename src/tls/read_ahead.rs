//! A socket read in large steps, for a TLS library that asks for 4 KiB at a time.
//!
//! Used below every TLS connection by `tls/stream`. Small messages go straight into the caller's
//! buffer; only while more keeps coming than the caller asks for is there a buffer of its own, so
//! an idle connection holds none.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Bytes asked for at once while much is coming: four TLS records.
const STEP: usize = 64 * 1024;
/// A step that brought so much is followed by another: one TLS record.
const MUCH: usize = 16 * 1024;

/// A TCP connection with what was read of it and not yet asked for.
#[derive(Debug)]
pub struct ReadAhead {
    tcp: TcpStream,
    ahead: BytesMut,
    /// The last read filled all it could: more is likely there.
    more: bool,
}

impl ReadAhead {
    /// Nothing read yet.
    #[must_use]
    pub fn new(tcp: TcpStream) -> Self {
        Self { tcp, ahead: BytesMut::new(), more: false }
    }

    /// The socket.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// The socket, for whoever does not care what was read ahead.
    pub fn tcp_mut(&mut self) -> &mut TcpStream {
        &mut self.tcp
    }

    /// Takes up to `STEP` bytes from the socket; 0 at its end.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.ahead.reserve(STEP);
        loop {
            ready!(self.tcp.poll_read_ready(cx))?;
            match self.tcp.try_read_buf(&mut self.ahead) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
        }
    }

    fn take(&mut self, buf: &mut ReadBuf<'_>) {
        let taken = buf.remaining().min(self.ahead.len());
        buf.put_slice(&self.ahead[..taken]);
        self.ahead.advance(taken);
        if self.ahead.is_empty() && !self.more {
            self.ahead = BytesMut::new();
        }
    }
}

/// What is there now, without waiting and whatever the runtime knows of it.
impl Read for ReadAhead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() {
            return (&*SockRef::from(&self.tcp)).read(buf);
        }
        let taken = buf.len().min(self.ahead.len());
        self.ahead.split_to(taken).copy_to_slice(&mut buf[..taken]);
        Ok(taken)
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.ahead.is_empty() {
            this.take(buf);
            return Poll::Ready(Ok(()));
        }
        if !this.more || buf.remaining() >= STEP {
            let asked = buf.remaining();
            ready!(Pin::new(&mut this.tcp).poll_read(cx, buf))?;
            this.more = buf.remaining() == 0 && asked > 0;
            return Poll::Ready(Ok(()));
        }
        match this.poll_step(cx) {
            Poll::Ready(read) => {
                this.more = read? >= MUCH;
                this.take(buf);
                Poll::Ready(Ok(()))
            }
            Poll::Pending => {
                // Nothing is coming at the moment: back to small steps, without a buffer.
                this.more = false;
                this.ahead = BytesMut::new();
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}
