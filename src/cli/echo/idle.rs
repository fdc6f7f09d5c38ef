//! A stream that fails when nothing moves on it: the deadline for every wait that has none of its own, such
//! as the first byte of a request or a reader that does not read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// A connection whose reads and writes end with [`io::ErrorKind::TimedOut`] once no byte has moved in either
/// direction for `limit`.
pub(super) struct IdleLimit {
    stream: TcpStream,
    limit: Duration,
    last_moved: Instant,
    /// Runs out at the earliest moment that could be too late; moved on only then, not with every byte.
    alarm: Pin<Box<Sleep>>,
}

impl IdleLimit {
    pub(super) fn new(stream: TcpStream, limit: Duration) -> Self {
        Self { stream, limit, last_moved: Instant::now(), alarm: Box::pin(sleep(limit)) }
    }

    /// Notes what the stream did, and turns waiting for too long into an error.
    fn watch<T>(&mut self, done: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.last_moved = Instant::now();
            return done;
        }
        while self.alarm.as_mut().poll(context).is_ready() {
            let too_late = self.last_moved + self.limit;
            if Instant::now() >= too_late {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.alarm.as_mut().reset(too_late);
        }
        Poll::Pending
    }
}

impl AsyncRead for IdleLimit {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watch(done, context)
    }
}

impl AsyncWrite for IdleLimit {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(done, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(done, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair(limit: Duration) -> (IdleLimit, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (IdleLimit::new(listener.accept().await.unwrap().0, limit), other)
    }

    #[tokio::test]
    async fn a_byte_that_comes_in_time_is_read() {
        let (mut limited, mut other) = pair(Duration::from_secs(60)).await;
        other.write_all(b"x").await.unwrap();
        assert_eq!(limited.read_u8().await.unwrap(), b'x');
    }

    #[tokio::test]
    async fn a_silent_peer_is_given_up() {
        let (mut limited, _other) = pair(Duration::from_millis(20)).await;
        assert_eq!(limited.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_peer_that_never_reads_is_given_up() {
        let (mut limited, _other) = pair(Duration::from_millis(20)).await;
        let endless = vec![0; 1 << 20];
        let refusal = loop {
            if let Err(error) = limited.write_all(&endless).await {
                break error;
            }
        };
        assert_eq!(refusal.kind(), io::ErrorKind::TimedOut);
    }
}
