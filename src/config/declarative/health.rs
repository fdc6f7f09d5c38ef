//! The health checks of an upstream, with Kong's defaults. Source: kong/db/schema/entities/upstreams.lua.

use std::mem::take;
use std::time::Duration;

use super::fields::Fields;
use super::model::{ActiveChecks, CheckKind, Counts, HealthChecks, PassiveChecks};

/// The record `healthchecks`.
pub(super) fn health_checks(fields: &mut Fields<'_>) -> HealthChecks {
    HealthChecks {
        active: fields.record("active", active),
        passive: fields.record("passive", passive),
        threshold: fields.number("threshold", 100.0).unwrap_or(0.0),
    }
}

fn active(fields: &mut Fields<'_>) -> ActiveChecks {
    let counts = counts(&[200, 302], &[429, 404, 500, 501, 502, 503, 504, 505]);
    let path = fields.text("http_path");
    if let Some(path) = path.filter(|path| !path.text.starts_with('/')) {
        fields.wrong(path.at, "not a path", "begin it with a slash");
    }
    let interval = |record: &mut Fields<'_>| seconds(record, "interval").unwrap_or_default();
    let (healthy_interval, (healthy_statuses, successes)) =
        fields.record("healthy", |record| (interval(record), healthy(record, &counts)));
    let (unhealthy_interval, counts) =
        fields.record("unhealthy", |record| (interval(record), unhealthy(record, counts)));
    ActiveChecks {
        kind: kind(fields),
        timeout: seconds(fields, "timeout").unwrap_or(Duration::from_secs(1)),
        concurrency: count(fields, "concurrency", 1).unwrap_or(10),
        http_path: path.map_or("/", |path| path.text).into(),
        https_sni: fields.text("https_sni").map(|text| text.text.into()),
        https_verify_certificate: fields.boolean("https_verify_certificate").unwrap_or(true),
        headers: headers(fields),
        healthy_interval,
        unhealthy_interval,
        counts: Counts { healthy_statuses, successes, ..counts },
    }
}

fn passive(fields: &mut Fields<'_>) -> PassiveChecks {
    let good: Vec<u16> = (200..=208).chain([226]).chain(300..=308).collect();
    let counts = counts(&good, &[429, 500, 503]);
    let (healthy_statuses, successes) = fields.record("healthy", |record| healthy(record, &counts));
    let counts = fields.record("unhealthy", |record| unhealthy(record, counts));
    PassiveChecks { kind: kind(fields), counts: Counts { healthy_statuses, successes, ..counts } }
}

fn healthy(record: &mut Fields<'_>, default: &Counts) -> (Vec<u16>, u32) {
    let statuses = statuses(record).unwrap_or_else(|| default.healthy_statuses.clone());
    (statuses, count(record, "successes", 0).unwrap_or(0))
}

fn unhealthy(record: &mut Fields<'_>, mut default: Counts) -> Counts {
    Counts {
        unhealthy_statuses: statuses(record).unwrap_or_else(|| take(&mut default.unhealthy_statuses)),
        tcp_failures: count(record, "tcp_failures", 0).unwrap_or(0),
        timeouts: count(record, "timeouts", 0).unwrap_or(0),
        http_failures: count(record, "http_failures", 0).unwrap_or(0),
        ..default
    }
}

fn statuses(record: &mut Fields<'_>) -> Option<Vec<u16>> {
    let statuses = record.integers("http_statuses", 100..=999)?;
    Some(statuses.into_iter().filter_map(|status| status.try_into().ok()).collect())
}

fn headers(fields: &mut Fields<'_>) -> Vec<(Box<str>, Vec<Box<str>>)> {
    let mut headers = Vec::new();
    for (name, values) in fields.lists("headers").unwrap_or_default() {
        if http::HeaderName::try_from(name.text).is_err() {
            fields.wrong(name.at, "not the name of a header", "write letters, digits and dashes");
        }
        let is_value = |value: &&super::fields::Text<'_>| http::HeaderValue::try_from(value.text).is_err();
        if let Some(value) = values.iter().find(is_value) {
            fields.wrong(value.at, "not the value of a header", "write one line");
        }
        headers.push((name.text.into(), values.into_iter().map(|value| value.text.into()).collect()));
    }
    headers
}

fn kind(fields: &mut Fields<'_>) -> CheckKind {
    let words = [("tcp", CheckKind::Tcp), ("http", CheckKind::Http), ("https", CheckKind::Https)];
    fields.word("type", &words).unwrap_or(CheckKind::Http)
}

fn seconds(fields: &mut Fields<'_>, key: &'static str) -> Option<Duration> {
    fields.number(key, 65_535.0).map(Duration::from_secs_f64)
}

fn count(fields: &mut Fields<'_>, key: &'static str, least: i64) -> Option<u32> {
    fields.integer(key, least..=i64::from(i32::MAX)).and_then(|number| number.try_into().ok())
}

/// Zeros never change anything, so this switches all checks off.
fn counts(healthy: &[u16], unhealthy: &[u16]) -> Counts {
    Counts {
        healthy_statuses: healthy.to_vec(),
        successes: 0,
        unhealthy_statuses: unhealthy.to_vec(),
        tcp_failures: 0,
        timeouts: 0,
        http_failures: 0,
    }
}
