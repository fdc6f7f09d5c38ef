//! Whether a certificate is within its dates, in words for people.
//!
//! Used by `snapshot`, which judges every certificate it loads by itself.

use std::fmt;

use rustls::pki_types::UnixTime;

use super::credentials::in_words;
use crate::identity::Certificate;

/// Why a certificate cannot be used at a moment, and could at another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lapse {
    /// `notAfter` is past, for so many seconds.
    Expired(u64),
    /// `notBefore` is to come, in so many seconds.
    NotYetValid(u64),
}

impl Lapse {
    /// `None` for a certificate that is valid at the time `now`.
    #[must_use]
    pub fn of(certificate: &Certificate, now: UnixTime) -> Option<Self> {
        let (validity, now) = (certificate.validity(), now.as_secs());
        match (validity.not_before.as_secs(), validity.not_after.as_secs()) {
            (_, end) if now > end => Some(Self::Expired(now - end)),
            (begin, _) if now < begin => Some(Self::NotYetValid(begin - now)),
            _ => None,
        }
    }
}

/// `expired 3 days ago`, `is not valid before 5 seconds from now`.
impl fmt::Display for Lapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(ago) => write!(f, "expired {} ago", in_words(*ago)),
            Self::NotYetValid(ahead) => write!(f, "is not valid before {} from now", in_words(*ahead)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pki::{Authority, KeyKind, Validity};

    #[test]
    fn the_first_and_the_last_second_count() {
        let ca = Authority::with("ca", Validity::days(1), KeyKind::default()).unwrap();
        let ca = Certificate::parse(ca.certificate().clone()).unwrap();
        let (begin, end) = (ca.validity().not_before.as_secs(), ca.validity().not_after.as_secs());
        let check = |now: u64, expected: Option<&str>| {
            let lapse = Lapse::of(&ca, UnixTime::since_unix_epoch(Duration::from_secs(now)));
            assert_eq!(lapse.map(|lapse| lapse.to_string()).as_deref(), expected);
        };
        check(begin - 1, Some("is not valid before 1 second from now"));
        check(begin, None);
        check(end, None);
        check(end + 1, Some("expired 1 second ago"));
        check(end + 3 * 86_400, Some("expired 3 days ago"));
    }
}
