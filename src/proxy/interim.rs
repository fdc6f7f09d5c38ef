//! Interim answers (1xx) on their way from the upstream to the client.
//!
//! `server` makes one per request that can take them; RFC 9110 15.2 has a proxy forward
//! them. 100 is answered by `server` itself when the body is wanted, 101 is an upgrade.

use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use http::{HeaderMap, Response, StatusCode};

use crate::message::hop_by_hop;

/// Takes the interim heads of one request.
#[derive(Clone)]
pub struct Interim(Rc<dyn Fn(Response<()>)>);

impl fmt::Debug for Interim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interim")
    }
}

impl Interim {
    /// `send` writes one head to the client, or drops it when it is too late.
    #[must_use]
    pub fn new(send: impl Fn(Response<()>) + 'static) -> Self {
        Self(Rc::new(send))
    }

    /// Passes on what is for the client; 100 and 101 belong to this hop.
    pub(super) fn forward(&self, mut head: Response<()>) {
        if matches!(head.status(), StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS) {
            return;
        }
        hop_by_hop::strip_response(head.headers_mut());
        (self.0)(head);
    }
}

/// Interim heads that may wait to be passed on; more are dropped: a flood must not cost memory.
const MAX_WAITING: usize = 8;

/// Interim heads of an HTTP/1 connection, from the task that reads it to the one whose request they
/// answer. Locked because hyper wants what it calls to be safe between threads, which these tasks never are.
#[derive(Debug, Default)]
pub(super) struct Heads(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    heads: VecDeque<Response<()>>,
    waker: Option<Waker>,
}

impl Heads {
    /// Takes a head, unless too many are waiting.
    pub(super) fn push(&self, status: StatusCode, headers: &HeaderMap) {
        let mut waiting = self.lock();
        if waiting.heads.len() == MAX_WAITING {
            return;
        }
        let mut copy = Response::new(());
        *copy.status_mut() = status;
        copy.headers_mut().clone_from(headers);
        waiting.heads.push_back(copy);
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
    }

    /// Gives `interim` what is there; the task is woken when more comes.
    pub(super) fn pass_on(&self, interim: &Interim, cx: &Context<'_>) {
        loop {
            let mut waiting = self.lock();
            let Some(head) = waiting.heads.pop_front() else {
                let known = waiting.waker.take().filter(|known| known.will_wake(cx.waker()));
                waiting.waker = known.or_else(|| Some(cx.waker().clone()));
                return;
            };
            drop(waiting);
            interim.forward(head);
        }
    }

    /// The answer itself came: nobody is to be woken any more, and a waker would hold the memory of the
    /// request's task.
    pub(super) fn clear(&self) {
        *self.lock() = Waiting::default();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
