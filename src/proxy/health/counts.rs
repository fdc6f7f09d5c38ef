//! The counts behind a target's health, and what changes it: values only.
//!
//! Rules of lua-resty-healthcheck (`incr_counter`): failures of each kind are counted by themselves, a
//! success wipes them out and the other way round, and a limit of 0 counts nothing.

use std::fmt;

use super::super::error::UpstreamError;
use crate::snapshot::balance::Counting;

/// What speaks for a target, or against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Event {
    /// A connection where that is the question, or one of the healthy statuses.
    Success,
    /// One of the unhealthy statuses.
    HttpFailure,
    /// No connection, or one that broke.
    TcpFailure,
    /// A wait that was too long.
    Timeout,
}

impl Event {
    /// What an answer says; most statuses say nothing.
    pub(in crate::proxy) fn of_status(status: u16, counting: &Counting) -> Option<Self> {
        let says = |limit: u8, statuses: &[u16]| limit > 0 && statuses.contains(&status);
        if says(counting.successes, &counting.healthy_statuses) {
            Some(Self::Success)
        } else if says(counting.http_failures, &counting.unhealthy_statuses) {
            Some(Self::HttpFailure)
        } else {
            None
        }
    }

    /// What a failed request says; where the client was at fault, or this host, nothing.
    pub(in crate::proxy) fn of_error(error: &UpstreamError) -> Option<Self> {
        use UpstreamError as E;
        match error {
            E::TimedOut { .. } => Some(Self::Timeout),
            E::RequestBody(_)
            | E::BodyTooLarge(_)
            | E::BodyTimedOut(_)
            | E::NoTarget(_)
            | E::Shortage { .. } => None,
            E::NameUnknown { .. }
            | E::Unreachable { .. }
            | E::Itself { .. }
            | E::Handshake(_)
            | E::NotMutual(_)
            | E::Protocol(_)
            | E::Broken { .. } => Some(Self::TcpFailure),
        }
    }

    /// How many of them make a change; 0 for any number.
    pub(super) fn limit(self, counting: &Counting) -> u8 {
        match self {
            Self::Success => counting.successes,
            Self::HttpFailure => counting.http_failures,
            Self::TcpFailure => counting.tcp_failures,
            Self::Timeout => counting.timeouts,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Success => "successes",
            Self::HttpFailure => "HTTP failures",
            Self::TcpFailure => "TCP failures",
            Self::Timeout => "timeouts",
        })
    }
}

/// Of one target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    unhealthy: bool,
    successes: u8,
    http_failures: u8,
    tcp_failures: u8,
    timeouts: u8,
}

/// What an event made of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Healthy before, unhealthy now.
    Fell,
    /// Unhealthy before, healthy now.
    Rose,
}

impl Counts {
    pub(super) fn is_healthy(self) -> bool {
        !self.unhealthy
    }

    /// The counts after one more event, of which `limit` make a change.
    pub(super) fn after(self, event: Event, limit: u8) -> Self {
        let fresh = Self { unhealthy: self.unhealthy, ..Self::default() };
        match event {
            _ if limit == 0 => self,
            Event::Success if self.unhealthy && self.successes.saturating_add(1) >= limit => Self::default(),
            Event::Success if self.unhealthy => Self { successes: self.successes.saturating_add(1), ..fresh },
            Event::Success => fresh,
            _ if self.unhealthy => fresh,
            _ => {
                let mut counts = self;
                let count = match event {
                    Event::HttpFailure => &mut counts.http_failures,
                    Event::TcpFailure => &mut counts.tcp_failures,
                    Event::Timeout | Event::Success => &mut counts.timeouts,
                };
                *count = count.saturating_add(1);
                if *count >= limit { Self { unhealthy: true, ..Self::default() } } else { counts }
            }
        }
    }

    /// What that event changes.
    pub(super) fn change(self, event: Event, limit: u8) -> Option<Change> {
        match (self.is_healthy(), self.after(event, limit).is_healthy()) {
            (true, false) => Some(Change::Fell),
            (false, true) => Some(Change::Rose),
            _ => None,
        }
    }
}

impl From<Counts> for u64 {
    fn from(counts: Counts) -> Self {
        let Counts { unhealthy, successes, http_failures, tcp_failures, timeouts } = counts;
        Self::from_le_bytes([u8::from(unhealthy), successes, http_failures, tcp_failures, timeouts, 0, 0, 0])
    }
}

impl From<u64> for Counts {
    fn from(number: u64) -> Self {
        let [unhealthy, successes, http_failures, tcp_failures, timeouts, ..] = number.to_le_bytes();
        Self { unhealthy: unhealthy != 0, successes, http_failures, tcp_failures, timeouts }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Counting = Counting {
        healthy_statuses: Vec::new(),
        successes: 2,
        unhealthy_statuses: Vec::new(),
        http_failures: 3,
        tcp_failures: 2,
        timeouts: 1,
    };

    /// `s` success, `h`, `t` and `o` failures of HTTP, TCP and time; says the health after each.
    fn check(events: &str, expected: &str) {
        let mut counts = Counts::default();
        let health: String = events
            .chars()
            .map(|event| {
                let event = match event {
                    's' => Event::Success,
                    'h' => Event::HttpFailure,
                    't' => Event::TcpFailure,
                    _ => Event::Timeout,
                };
                counts = counts.after(event, event.limit(&LIMITS));
                if counts.is_healthy() { '+' } else { '-' }
            })
            .collect();
        assert_eq!(health, expected, "{events}");
    }

    #[test]
    fn enough_of_one_kind_in_a_row_change_the_health() {
        check("hhh", "++-");
        check("tt", "+-");
        check("o", "-");
        check("hht", "+++");
        check("hhth", "+++-");
        check("hhshh", "+++++");
        check("ttss", "+--+");
        check("ttsts", "+----");
        check("ttstss", "+----+");
        check("ttsst", "+--++");
    }

    #[test]
    fn what_this_host_has_run_out_of_says_nothing_of_a_target() {
        use crate::proxy::shortage::Shortage;
        for shortage in
            [Shortage::Descriptors, Shortage::DescriptorsOfHost, Shortage::Memory, Shortage::Ports]
        {
            let error = UpstreamError::Shortage { upstream: "a".into(), shortage };
            assert_eq!(Event::of_error(&error), None);
        }
    }

    #[test]
    fn statuses_say_something_only_where_they_are_counted() {
        let counting = Counting { healthy_statuses: vec![200], unhealthy_statuses: vec![500], ..LIMITS };
        assert_eq!(Event::of_status(200, &counting), Some(Event::Success));
        assert_eq!(Event::of_status(500, &counting), Some(Event::HttpFailure));
        assert_eq!(Event::of_status(404, &counting), None);
        let off = Counting { successes: 0, http_failures: 0, ..counting };
        assert!([200, 500].into_iter().all(|status| Event::of_status(status, &off).is_none()));
    }

    proptest! {
        #[test]
        fn counts_are_kept_in_a_number(
            unhealthy: bool, successes: u8, http_failures: u8, tcp_failures: u8, timeouts: u8,
        ) {
            let counts = Counts { unhealthy, successes, http_failures, tcp_failures, timeouts };
            prop_assert_eq!(Counts::from(u64::from(counts)), counts);
        }

        #[test]
        fn nothing_is_counted_without_a_limit(number: u64) {
            let counts = Counts::from(number);
            for event in [Event::Success, Event::HttpFailure, Event::TcpFailure, Event::Timeout] {
                prop_assert_eq!(counts.after(event, 0), counts);
            }
        }
    }
}
