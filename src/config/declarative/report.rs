//! What is wrong with a declarative file, collected while all of it is read.
//!
//! Used by every reader of this folder. A line names the file, the way to the value in it, and its line.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Display};
use std::sync::Arc;

use crate::config::problem::{Problem, Problems};

/// Where an entity is written: `services[2].routes[0]`, and the line it begins on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// From the top of the file; empty for the file itself.
    pub path: Box<str>,
    /// Counted from 1; in a folder, over all files.
    pub line: u32,
    /// In a folder, the file and its first line.
    file: Option<(Arc<str>, u32)>,
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, first) = self.file.as_ref().map_or(("", 1), |(name, first)| (&**name, *first));
        let within = if name.is_empty() { "" } else { " of " };
        let line = self.line.saturating_sub(first) + 1;
        match &*self.path {
            "" => write!(f, "line {line}{within}{name}"),
            path => write!(f, "{path} (line {line}{within}{name})"),
        }
    }
}

/// The problems of one file.
pub(super) struct Report {
    /// The setting that named the file, and the file.
    subject: String,
    /// Of a folder: each file with its first line.
    files: Vec<(Arc<str>, u32)>,
    found: RefCell<Vec<(u32, Problem)>>,
    more: Cell<usize>,
}

impl Report {
    pub(super) fn new(subject: String, files: Vec<(Arc<str>, u32)>) -> Self {
        Self { subject, files, found: RefCell::default(), more: Cell::default() }
    }

    /// A place, in the file its line belongs to.
    pub(super) fn place(&self, path: impl Into<Box<str>>, line: u32) -> Place {
        let file = self.files.iter().rfind(|(_, first)| *first <= line).cloned();
        Place { path: path.into(), line, file }
    }

    /// Something about the file as a whole.
    pub(super) fn about_all(&self, what: impl Into<String>, advice: impl Into<String>) {
        self.found.borrow_mut().push((0, Problem::missing(&self.subject, what, advice)));
    }

    /// Something at a line of it; `path` is empty where no entity is known.
    pub(super) fn add(
        &self,
        path: impl Display,
        line: u32,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) {
        let mut found = self.found.borrow_mut();
        if found.len() >= MOST {
            self.more.set(self.more.get() + 1);
            return;
        }
        let place = self.place(path.to_string(), line);
        found.push((line, Problem::missing(&format!("{}: {place}", self.subject), what, advice)));
    }

    /// The value, if nothing is wrong; otherwise everything that is, in the order of the file.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Problems> {
        let mut found = self.found.into_inner();
        match value {
            Some(value) if found.is_empty() => return Ok(value),
            _ => found.sort_by_key(|(line, _)| *line),
        }
        let mut problems = Problems::from_iter(found.into_iter().map(|(_, problem)| problem));
        if self.more.get() > 0 {
            let what = format!("and {} more problems", self.more.get());
            problems.push(Problem::missing(&self.subject, what, "mend those above first"));
        }
        Err(problems)
    }
}

/// More than anybody reads.
const MOST: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_come_in_the_order_of_the_file_and_end_somewhere() {
        let report = Report::new("declarative_config=/etc/kong.yml".into(), Vec::new());
        for line in (1..=60).rev() {
            report.add("services[0]", line, "wrong", "mend it");
        }
        let problems = report.finish(Some(())).unwrap_err();
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 51);
        assert_eq!(lines[0], "declarative_config=/etc/kong.yml: services[0] (line 11): wrong; mend it");
        assert_eq!(
            lines[50],
            "declarative_config=/etc/kong.yml: and 10 more problems; mend those above first"
        );
    }
}
