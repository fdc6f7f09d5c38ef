//! From when until when a certificate is good.

use time::{Duration, OffsetDateTime};

/// The first and the last second in which a certificate is valid; fractions of a second are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Not valid before this moment.
    pub not_before: OffsetDateTime,
    /// Not valid after this moment.
    pub not_after: OffsetDateTime,
}

impl Validity {
    /// Good from now for that many days of 24 hours, and already five minutes ago.
    pub fn days(days: u16) -> Self {
        let now = OffsetDateTime::now_utc();
        Self { not_before: now - CLOCK_SKEW, not_after: now + Duration::days(days.into()) }
    }

    /// Was good for thirty days and ended yesterday.
    pub fn expired() -> Self {
        let now = OffsetDateTime::now_utc();
        Self { not_before: now - Duration::days(31), not_after: now - Duration::days(1) }
    }

    /// Will be good for thirty days, from tomorrow.
    pub fn not_yet() -> Self {
        let now = OffsetDateTime::now_utc();
        Self { not_before: now + Duration::days(1), not_after: now + Duration::days(31) }
    }
}

/// Two hosts rarely agree on the time: a certificate used at once must not be from the other's future.
const CLOCK_SKEW: Duration = Duration::minutes(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_validity_lies_where_its_name_says() {
        let now = OffsetDateTime::now_utc();
        let good = Validity::days(1);
        assert!(good.not_before < now && now < good.not_after);
        let past = Validity::expired();
        assert!(past.not_before < past.not_after && past.not_after < now);
        let future = Validity::not_yet();
        assert!(now < future.not_before && future.not_before < future.not_after);
    }

    #[test]
    fn the_longest_number_of_days_is_still_a_date() {
        assert!(Validity::days(u16::MAX).not_after.year() > 2200);
    }
}
