//! The text of a declarative configuration: of one file, or of all files of a folder.
//!
//! Used by `read`. The files of a folder become one text, a document after the other, in the order of their
//! names; where each begins is kept, so that problems name the right file and line.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::node::shortened;
use super::settings::DeclarativeSource;
use crate::config::is_passing;
use crate::config::problem::{Problem, Said};
use crate::telemetry::cause;

/// A text, and which lines of it come from where.
pub(super) struct Texts {
    pub(super) text: String,
    /// The name of each file of a folder with its first line; empty for a single file.
    pub(super) files: Vec<(Arc<str>, u32)>,
}

impl Texts {
    /// Reads what was named.
    pub(super) fn of(source: &DeclarativeSource) -> Result<Self, Box<Problem>> {
        match source {
            DeclarativeSource::Text(said) => Ok(Self { text: said.value().to_owned(), files: Vec::new() }),
            DeclarativeSource::File(said) => {
                let path = Path::new(said.value());
                let text = if path.is_dir() { folder(path) } else { alone(path) };
                text.map_err(|unreadable| Box::new(unreadable.problem(said)))
            }
        }
    }
}

/// Every file that is read for a path: itself, or those of the folder. Not to be relied on while it changes.
pub(crate) fn paths(path: &Path) -> Vec<PathBuf> {
    if path.is_dir() { in_folder(path).unwrap_or_default() } else { vec![path.to_owned()] }
}

fn alone(path: &Path) -> Result<Texts, Unreadable> {
    if !is_known(path) {
        let advice = "name a file ending in .yaml, .yml or .json, or a folder of such files";
        return Err(Unreadable::new("neither YAML nor JSON by its name", advice));
    }
    Ok(Texts { text: read(path, MAX_BYTES)?, files: Vec::new() })
}

fn folder(path: &Path) -> Result<Texts, Unreadable> {
    let found = in_folder(path).map_err(|error| unreadable(&error))?;
    if found.is_empty() {
        let advice = "put manifests there; docker makes a directory where the file to mount does not exist";
        return Err(Unreadable::new("the folder has no .yaml, .yml or .json file", advice));
    }
    if let Some(other) = found.iter().find(|path| !is_known(path) || path.is_dir()) {
        let what = if other.is_dir() { "is a folder" } else { "is neither YAML nor JSON by its name" };
        let advice = "move it elsewhere, or name it .yaml, .yml or .json; folders in folders are not read";
        return Err(Unreadable::new(format!("{} in the folder {what}", shortened(&name(other))), advice));
    }
    let (mut text, mut files) = (String::new(), Vec::new());
    let mut line = 1;
    for path in found {
        let name = name(&path);
        let left = MAX_BYTES.saturating_sub(text.len() as u64);
        let one = read(&path, left).map_err(|unreadable| Unreadable {
            what: format!("{name}: {}", unreadable.what),
            ..unreadable
        })?;
        files.push((name.into(), line));
        text.push_str(&one);
        text.push_str(BETWEEN);
        let lines = one.bytes().chain(BETWEEN.bytes()).filter(|byte| *byte == b'\n').count();
        line += u32::try_from(lines).unwrap_or(u32::MAX);
    }
    Ok(Texts { text, files })
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// All entries, by name. What begins with a dot is Kubernetes' own in a mounted volume, or an editor's.
fn in_folder(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Source of the file types: kong/db/declarative/init.lua, `unserialize`.
fn is_known(path: &Path) -> bool {
    let known = |extension: &OsStr| KNOWN.iter().any(|known| extension.eq_ignore_ascii_case(known));
    path.extension().is_some_and(known)
}

fn read(path: &Path, max: u64) -> Result<String, Unreadable> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        return Err(Unreadable::new("it is not a file", "name a file, or a folder"));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    file.take(max + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > max {
        let what = format!("more than {} MB", MAX_BYTES >> 20);
        return Err(Unreadable::new(what, "split it, or name the right file"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Unreadable::new(format!("not UTF-8 in line {line}"), "save the file as UTF-8")
    })
}

/// What is wrong with a file, and what to do.
struct Unreadable {
    what: String,
    advice: &'static str,
    may_heal: bool,
}

impl Unreadable {
    fn new(what: impl Into<String>, advice: &'static str) -> Self {
        Self { what: what.into(), advice, may_heal: false }
    }

    fn problem(self, said: &Said) -> Problem {
        let problem = Problem::missing(&format!("{}={}", said.key(), said.shown()), self.what, self.advice);
        if self.may_heal { problem.that_may_heal() } else { problem }
    }
}

fn unreadable(error: &io::Error) -> Unreadable {
    match error.kind() {
        ErrorKind::NotFound => {
            Unreadable::new("there is no such file", "check the path, and the volume or secret mounted there")
        }
        ErrorKind::PermissionDenied => Unreadable::new(
            "this user may not read it",
            "let the user this runs as (65532 in the image) read the file and its folders",
        ),
        _ => Unreadable {
            may_heal: is_passing(error),
            ..Unreadable::new(format!("it cannot be read: {}", cause::io(error)), "check the path")
        },
    }
}

const KNOWN: [&str; 3] = ["yaml", "yml", "json"];

/// A file of 100,000 consumers has less than 20.
const MAX_BYTES: u64 = 64 << 20;

/// Ends a file that ends without a line end, and its last document.
const BETWEEN: &str = "\n---\n";
