//! The targets of the project: what ratio to the better of nginx and HAProxy, or what figure, is aimed at.

use super::Row;

/// What is aimed at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// Our figure divided by the better of nginx and HAProxy, at most.
    Ratio(f64),
    /// Our figure, at most, in the unit of its row.
    Figure(f64),
}

impl Target {
    /// The target of a row, where it has one.
    pub fn of(row: &Row) -> Option<Self> {
        Some(match (row.group.as_str(), row.case.as_str(), row.metric.as_str()) {
            ("latency", "64 clients", "CPU, both nodes") => Self::Ratio(0.7),
            ("latency", "1 client", "p50") => Self::Ratio(0.9),
            ("latency", "64 clients" | "half load", "p99") => Self::Ratio(0.7),
            ("bytes", "100 MB down" | "100 MB up", "CPU, both nodes") => Self::Ratio(0.5),
            ("handshakes", _, "CPU of the gateway") => Self::Ratio(0.3),
            ("idle", "mTLS to the gateway", _) => Self::Ratio(0.65),
            ("start", _, "start to ready") => Self::Figure(50.0),
            ("replacement", _, "failed") => Self::Figure(0.0),
            _ => return None,
        })
    }
}
