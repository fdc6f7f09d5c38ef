//! A response body of any size that is never held in memory.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

/// So many bytes, all `x`, in blocks of 64 KiB with a pause between them.
pub(super) struct Repeat {
    left: u64,
    announced: bool,
    pause: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl Repeat {
    /// `announced`: whether the length is told beforehand (`content-length`); `delay`: between two blocks.
    pub(super) fn new(length: u64, announced: bool, delay: Option<Duration>) -> Self {
        // The first block goes at once.
        let pause = delay.map(|delay| (delay, Box::pin(sleep(Duration::ZERO))));
        Self { left: length, announced, pause }
    }
}

impl Body for Repeat {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if let Some((delay, alarm)) = &mut self.pause {
            ready!(alarm.as_mut().poll(context));
            alarm.as_mut().reset(Instant::now() + *delay);
        }
        let length = usize::try_from(self.left).map_or(BLOCK.len(), |left| left.min(BLOCK.len()));
        self.left -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&BLOCK[..length])))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        if self.announced { SizeHint::with_exact(self.left) } else { SizeHint::default() }
    }
}

static BLOCK: [u8; 64 * 1024] = [b'x'; 64 * 1024];

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn all_bytes_come_and_no_more() {
        for length in [0, 1, 65_536, 65_537, 200_000] {
            let body = Repeat::new(length, true, Some(Duration::from_millis(1)));
            assert_eq!(body.size_hint().exact(), Some(length));
            assert_eq!(body.collect().await.unwrap().to_bytes().len() as u64, length);
        }
    }
}
