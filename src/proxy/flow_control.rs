//! How many bytes each stream of an HTTP/2 connection may have in flight towards us.
//!
//! Many callers share a link, so one that does not read must cost the others nothing. What is in
//! flight is bounded by the window of each stream: small at first, doubled while a body is read as
//! fast as it arrives, and halved before so many streams are open that together they could hold more
//! than [`BUDGET`]. The window of the connection has room for all of that, so it stops nobody.
//!
//! | what | holds at most |
//! |---|---|
//! | a stream | [`SMALLEST`] while many are open, up to [`LARGEST`] while few are |
//! | the streams of a connection that were opened with a larger window | [`HELD`] together |
//! | a connection, whatever its peer does | [`connection_window`]: 64 MiB for 256 streams |
//! | an HTTP/1 connection, of either side, each way | [`http1_buffer`], where hyper alone would take 408 KiB |
//! | the kernel, for a peer that does not read | `socket::NOT_SENT`, and what is on the way |
//! | a worker, towards one target | the pool's links × that; [`STREAMS_PER_LINK`] × [`SMALLEST`] per link where nothing ever kept up |
//!
//! RFC 9113 5.2 and 6.9.2: a changed SETTINGS_INITIAL_WINDOW_SIZE counts for the streams that are
//! open, too. The library grants no window to a single stream.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

/// The window of a stream, in bytes, at first and while many streams are open.
pub const SMALLEST: u32 = 64 * 1024;

/// The window of a stream, in bytes, while few streams are open and their readers keep up: 20 MB/s at
/// a round trip of 200 ms.
pub const LARGEST: u32 = 4 * 1024 * 1024;

/// What the streams of a connection, and one more, may hold together, in bytes, before windows shrink.
pub const BUDGET: u64 = 32 * 1024 * 1024;

/// A window that shrinks takes nothing back from those who do not read. Once they hold so many bytes,
/// new streams have the smallest window.
pub const HELD: u64 = BUDGET / 2 * 3;

/// Requests on one link at the most, whatever the other side allows; further ones have another link.
pub const STREAMS_PER_LINK: u32 = 256;

/// The window of a connection on which so many streams may be open, in bytes.
#[must_use]
pub fn connection_window(streams: u32) -> u32 {
    const MAX: u64 = (1 << 31) - 1;
    let most = HELD + u64::from(streams) * u64::from(SMALLEST);
    u32::try_from(most.min(MAX)).unwrap_or(u32::MAX)
}

/// What an HTTP/1 connection may have read ahead of a body, and as much again that waits to be written, in bytes: a
/// head must fit.
#[must_use]
pub fn http1_buffer(max_header_bytes: usize) -> usize {
    max_header_bytes.saturating_add(64 * 1024)
}

/// The window that each stream of one connection has now.
#[derive(Debug)]
pub struct StreamWindow {
    size: Cell<u32>,
    /// All by which it ever grew.
    grown: Cell<u64>,
    streams: Cell<usize>,
    /// What the streams may hold together: the sum of their claims.
    held: Cell<u64>,
    /// A body was read as fast as it came, and by more than its window.
    keeps_up: Cell<bool>,
    /// The size is to change, and the other side has yet to acknowledge the last one.
    is_waiting: Cell<bool>,
    connection: RefCell<Option<Waker>>,
}

impl Default for StreamWindow {
    fn default() -> Self {
        Self {
            size: Cell::new(SMALLEST),
            grown: Cell::new(0),
            streams: Cell::new(0),
            held: Cell::new(0),
            keeps_up: Cell::new(false),
            is_waiting: Cell::new(false),
            connection: RefCell::new(None),
        }
    }
}

impl StreamWindow {
    /// Counts a stream for as long as the value lives, or one of its bodies.
    #[must_use]
    pub fn open(self: &Rc<Self>) -> OpenStream {
        self.streams.set(self.streams.get() + 1);
        let size = self.size.get();
        self.held.set(self.held.get() + u64::from(size));
        if self.fitting() != size {
            self.wake_connection();
        }
        OpenStream(Rc::new(Claim {
            window: Rc::clone(self),
            bytes: Cell::new(size),
            grown: Cell::new(self.grown.get()),
        }))
    }

    /// Streams that are open now.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.get()
    }

    /// Whether one more stream fits: not while the windows are too large for it and cannot shrink yet.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.streams.get() < STREAMS_PER_LINK as usize
            && !(self.is_waiting.get() && self.fitting() < self.size.get())
    }

    /// Gives the streams the window they should have. To be called whenever the task that drives the
    /// connection is polled; `set` tells the other side (SETTINGS), and fails while it has not
    /// acknowledged the last change.
    pub fn adjust<E>(&self, cx: &Context<'_>, set: impl FnOnce(u32) -> Result<(), E>) {
        if let Some(size) = self.wanted() {
            let is_set = set(size).is_ok();
            self.is_waiting.set(!is_set);
            if is_set {
                self.resize(size);
            }
        }
        let mut connection = self.connection.borrow_mut();
        if !connection.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *connection = Some(cx.waker().clone());
        }
    }

    fn resize(&self, size: u32) {
        let more = u64::from(size.saturating_sub(self.size.get()));
        self.grown.set(self.grown.get() + more);
        self.held.set(self.held.get() + more * self.streams.get() as u64);
        self.size.set(size);
        self.keeps_up.set(false);
    }

    fn wanted(&self) -> Option<u32> {
        let size = self.size.get();
        let fitting = self.fitting();
        if fitting < size {
            return Some(fitting);
        }
        let larger = size * 2;
        let grows = self.keeps_up.get() && size < LARGEST && self.fits(larger, u64::from(size));
        grows.then_some(larger)
    }

    /// The largest window, up to the present one, that leaves room for one more stream.
    fn fitting(&self) -> u32 {
        let mut size = self.size.get();
        while size > SMALLEST && !self.fits(size, 0) {
            size = if self.held.get() + u64::from(size) > HELD { SMALLEST } else { size / 2 };
        }
        size
    }

    /// Whether windows of that size, by so much larger than now, leave room for one more stream.
    fn fits(&self, size: u32, more: u64) -> bool {
        let (size, streams) = (u64::from(size), self.streams.get() as u64);
        size * (streams + 1) <= BUDGET && self.held.get() + more * streams + size <= HELD
    }

    fn wake_connection(&self) {
        if let Some(connection) = self.connection.borrow().as_ref() {
            connection.wake_by_ref();
        }
    }
}

/// A stream that is open, with what it may hold.
#[derive(Debug)]
pub struct OpenStream(Rc<Claim>);

impl OpenStream {
    /// Watches how the body of this stream is read.
    #[must_use]
    pub fn reading(&self) -> Reading {
        Reading { claim: Rc::clone(&self.0), bytes: 0 }
    }
}

/// The bytes one stream may hold: the window it was opened with, and all by which that grew, until
/// everything that came was read.
#[derive(Debug)]
struct Claim {
    window: Rc<StreamWindow>,
    bytes: Cell<u32>,
    /// `StreamWindow::grown` when `bytes` was right.
    grown: Cell<u64>,
}

impl Claim {
    fn all(&self) -> u64 {
        u64::from(self.bytes.get()) + self.window.grown.get() - self.grown.get()
    }

    /// It holds nothing now, so no more than its present window soon.
    fn renew(&self) {
        let window = &self.window;
        window.held.set(window.held.get() - self.all() + u64::from(window.size.get()));
        self.bytes.set(window.size.get());
        self.grown.set(window.grown.get());
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.window.held.set(self.window.held.get() - self.all());
        self.window.streams.set(self.window.streams.get() - 1);
    }
}

/// How a body is read.
#[derive(Debug)]
pub struct Reading {
    claim: Rc<Claim>,
    /// Since the window was last found too small.
    bytes: u64,
}

impl Reading {
    /// So many bytes were handed on.
    pub fn handed_on(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// All that came was handed on, and more is awaited: a larger window may bring it sooner.
    pub fn awaits_more(&mut self) {
        self.claim.renew();
        let window = &self.claim.window;
        if self.bytes >= u64::from(window.size.get()) && window.size.get() < LARGEST {
            self.bytes = 0;
            window.keeps_up.set(true);
            window.wake_connection();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adjusted(window: &StreamWindow) -> u32 {
        window.adjust(&Context::from_waker(Waker::noop()), |_| Ok::<_, ()>(()));
        window.size.get()
    }

    /// The window after this body was read for long.
    fn read_on(window: &Rc<StreamWindow>, stream: &OpenStream) -> u32 {
        let mut reading = stream.reading();
        for _ in 0..20 {
            reading.handed_on(window.size.get() as usize);
            reading.awaits_more();
            adjusted(window);
        }
        window.size.get()
    }

    #[test]
    fn the_window_doubles_when_as_much_was_read_and_more_is_awaited() {
        let window = Rc::new(StreamWindow::default());
        let stream = window.open();
        let mut reading = stream.reading();
        reading.handed_on(SMALLEST as usize - 1);
        reading.awaits_more();
        assert_eq!(adjusted(&window), SMALLEST);
        reading.handed_on(1);
        assert_eq!(adjusted(&window), SMALLEST, "more is there");
        reading.awaits_more();
        assert_eq!(adjusted(&window), 2 * SMALLEST);
        assert_eq!(read_on(&window, &stream), LARGEST);
    }

    #[test]
    fn those_who_do_not_read_never_fill_the_window_of_the_connection() {
        let window = Rc::new(StreamWindow::default());
        let reader = window.open();
        assert_eq!(read_on(&window, &reader), LARGEST);
        let mut unread = Vec::new();
        while window.has_room() {
            unread.push(window.open());
            adjusted(&window);
            // The one who reads goes on, and would have a larger window.
            read_on(&window, &reader);
        }
        assert_eq!(window.streams(), STREAMS_PER_LINK as usize);
        assert!(window.held.get() <= u64::from(connection_window(STREAMS_PER_LINK)), "{window:?}");
        assert_eq!(window.size.get(), SMALLEST);
        drop(unread);
        assert_eq!(read_on(&window, &reader), LARGEST);
        drop(reader);
        assert_eq!((window.streams(), window.held.get()), (0, 0));
    }

    #[test]
    fn a_few_requests_beside_a_large_body_leave_it_its_window() {
        let window = Rc::new(StreamWindow::default());
        let reader = window.open();
        assert_eq!(read_on(&window, &reader), LARGEST);
        let _others = [(); 6].map(|()| window.open());
        assert_eq!(adjusted(&window), LARGEST);
        let _one_more = window.open();
        assert_eq!(adjusted(&window), LARGEST / 2);
    }

    #[test]
    fn no_stream_is_opened_while_the_other_side_has_not_acknowledged_the_last_window() {
        let window = Rc::new(StreamWindow::default());
        let reader = window.open();
        assert_eq!(read_on(&window, &reader), LARGEST);
        let _others = [(); 7].map(|()| window.open());
        window.adjust(&Context::from_waker(Waker::noop()), |_| Err(()));
        assert!(!window.has_room());
        assert_eq!(adjusted(&window), LARGEST / 2);
        assert!(window.has_room());
    }
}
