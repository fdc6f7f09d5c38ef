//! One client connection, as all its requests see it: who is there, what was decided about
//! him, and whether anything is going on.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Context;

use super::idle::{IdleClients, NEWCOMER, Place};
use super::upgrade::Tunnel;
use crate::config::Deadlines;
use crate::identity::Peer;
use crate::lifecycle::deadline::{Deadline, Sweep};
use crate::message::forwarded::Hop;
use crate::policy::Decisions;

/// Made by `server` when a connection is ready for requests.
#[derive(Debug)]
pub struct Client {
    /// Who is at the other end.
    pub peer: Peer,
    /// Address and port of the other end, for the log.
    pub address: String,
    /// The address alone.
    pub ip: String,
    /// SHA-256 of the certificate, hex, for the log.
    pub(super) fingerprint: Option<String>,
    pub(super) hop: Hop,
    pub(super) decisions: Decisions,
    pub(super) tunnel: RefCell<Option<Tunnel>>,
    /// Requests in flight.
    active: Cell<usize>,
    /// Waiting for a request, or for the rest of its head.
    waits: Deadline,
    awaits_first_byte: Cell<bool>,
    /// Among those that make room for others.
    place: Place,
    deadlines: Deadlines,
    closed_because: Cell<Option<&'static str>>,
}

impl Client {
    /// From what the handshake told; the first request is to come within `client_header_timeout`.
    #[must_use]
    pub fn new(peer: Peer, deadlines: Deadlines, sweep: &Rc<Sweep>, idle: &Rc<IdleClients>) -> Rc<Self> {
        let scheme = if peer.tls.is_some() { "https" } else { "http" };
        let hop = Hop::new(peer.address.ip(), scheme, peer.local.port());
        let waits = sweep.deadline();
        waits.arm(HEADER, deadlines.client_header);
        Rc::new(Self {
            address: peer.address.to_string(),
            ip: hop.peer().to_string(),
            fingerprint: peer.certificate().map(|certificate| certificate.leaf.fingerprint().to_string()),
            hop,
            decisions: Decisions::default(),
            tunnel: RefCell::default(),
            active: Cell::new(0),
            place: idle.place(waits.expiry()),
            waits,
            awaits_first_byte: Cell::new(false),
            deadlines,
            closed_because: Cell::default(),
            peer,
        })
    }

    /// The upstream's half after a 101; the caller joins it with this connection.
    pub fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.borrow_mut().take()
    }

    /// Requests in flight on this connection.
    #[must_use]
    pub fn active(&self) -> usize {
        self.active.get()
    }

    /// Whether no byte of a next request has come.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.awaits_first_byte.get()
    }

    /// A request begins: nothing is waited for here.
    pub(super) fn enter(&self) {
        self.active.set(self.active.get() + 1);
        self.awaits_first_byte.set(false);
        self.place.busy();
        self.waits.disarm();
    }

    /// A request is over; after the last, the next is to come within `keepalive_timeout`.
    pub(super) fn leave(&self) {
        self.active.set(self.active.get() - 1);
        if self.active.get() == 0 {
            self.idle();
        }
    }

    /// Nothing is going on: `keepalive_timeout` runs, and a newcomer may take the place.
    pub fn idle(&self) {
        self.awaits_first_byte.set(true);
        self.place.idle();
        self.waits.arm(KEEPALIVE, self.deadlines.keepalive);
    }

    /// HTTP/1 bytes came: if a head begins, it is to end within `client_header_timeout`.
    pub fn bytes_arrived(&self) {
        if self.awaits_first_byte.replace(false) {
            self.place.busy();
            self.waits.arm(HEADER, self.deadlines.client_header);
        }
    }

    /// Notes that we close the connection: the reason of every request on it that is not complete.
    pub fn close_because(&self, reason: &'static str) {
        self.closed_because.set(Some(reason));
    }

    pub(super) fn closed_because(&self) -> Option<&'static str> {
        self.closed_because.get()
    }

    /// What was waited for too long, if anything.
    pub fn poll_overdue(&self, cx: &Context<'_>) -> Option<Overdue> {
        match self.waits.poll_expired(cx)? {
            KEEPALIVE => Some(Overdue::Idle),
            NEWCOMER => Some(Overdue::InTheWay),
            _ => Some(Overdue::Head),
        }
    }
}

/// Which wait on a client was too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// No request came within `keepalive_timeout`: close in order.
    Idle,
    /// It is idle, and a newcomer needs its place: close in order, and soon.
    InTheWay,
    /// A head did not come, or not whole, within `client_header_timeout`: close.
    Head,
}

const KEEPALIVE: &str = "keepalive_timeout";
const HEADER: &str = "client_header_timeout";
