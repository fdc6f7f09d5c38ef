//! What works and yet deserves a line: a weakness, or something that was hardly meant.
//!
//! Told at start and by `check`; `insecure=refuse` makes problems of the weaknesses.

use std::fmt;

use super::{Problem, Said};

/// A setting that works but weakens security, or does something else than was probably meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caution {
    problem: Problem,
    weakens_security: bool,
}

impl Caution {
    /// What is weak about something said, and what would be better.
    pub fn new(said: &Said, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { problem: Problem::new(said, what, advice), weakens_security: true }
    }

    /// What something said does that was probably not meant; no weakness, so `insecure=refuse` lets it pass.
    pub fn of_use(said: &Said, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { problem: Problem::new(said, what, advice), weakens_security: false }
    }

    /// Whether `insecure=refuse` is about it.
    #[must_use]
    pub fn weakens_security(&self) -> bool {
        self.weakens_security
    }

    /// The same as a problem, for those who do not want it to work.
    #[must_use]
    pub fn refused_by(self, refuse: &Said) -> Problem {
        let what = format!("{} (refused by insecure=refuse, {})", self.problem.what, refuse.origin);
        Problem { what, ..self.problem }
    }
}

impl fmt::Display for Caution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}
