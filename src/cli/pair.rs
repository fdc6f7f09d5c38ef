//! `mtls-bridge pair` writes a folder for each of two hosts, and `check --pair` reads two such folders and
//! says in what they do not fit together.
//!
//! Writing: [`answers`] says what is wanted, [`folders`] holds the texts. Reading: [`half`] is one folder as
//! its container would see it ([`compose_file`], [`env_file`]), [`container`] says what keeps it from working
//! there, [`drift`] and [`chains`] compare the two, and [`cautions`] tells what is weak.

mod answers;
mod folders;

mod compose_file;
mod env_file;
mod half;

mod cautions;
mod chains;
mod container;
mod drift;

use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use anyhow::Context;
use rustls::pki_types::UnixTime;

use self::answers::Answers;
use self::folders::Owner;
use self::half::Half;
use super::Failure;
use super::console::print;
use crate::pki::{Development, create_all};

pub use self::answers::Pair;

/// Asks for what is missing, writes all of it or nothing, and prints what was made.
pub(super) fn run(pair: &Pair) -> Result<(), Failure> {
    let answers = if io::stdin().is_terminal() {
        Answers::asking(pair, &mut io::stdin().lock(), &mut io::stderr())
    } else {
        Answers::given(pair)
    }?;
    let made = make(&answers, &pair.out)?;
    Ok(print(&made).context("the files are made, but the report is lost")?)
}

fn make(answers: &Answers, out: &std::path::Path) -> anyhow::Result<String> {
    let set = Development::new(&[&answers.gateway_host], &answers.client_name, answers.days)?;
    create_all(&folders::files(answers, &set, owner()?, out))?;
    Ok(folders::report(answers, out))
}

/// Whose keys they are to be: ours, or the image's user's where we are root, so that no container has to
/// run as root to read them.
fn owner() -> anyhow::Result<Owner> {
    let us = fs::metadata("/proc/self").context("/proc/self, which tells who runs this, cannot be read")?;
    Ok(if us.uid() == 0 { Owner::Image } else { Owner::Ours { user: us.uid(), group: us.gid() } })
}

/// What is to be said of two folders.
#[derive(Debug)]
pub struct Verdict {
    /// One good line, or every finding in a line of its own.
    pub fits: Result<String, Vec<String>>,
    /// What works and yet is weak.
    pub cautions: Vec<String>,
}

/// Reads both folders as docker would, and judges them alone and together.
pub fn check(folders: &[PathBuf]) -> Verdict {
    let mut findings = Vec::new();
    let halves: Vec<Half> = folders.iter().filter_map(|folder| Half::read(folder, &mut findings)).collect();
    let now = UnixTime::now();
    for half in &halves {
        findings.extend(container::findings(half));
        findings.extend(drift::alone(half, now));
    }
    if let [a, b] = halves.as_slice() {
        findings.extend(drift::between(a, b, now));
    }
    let cautions = halves.iter().flat_map(cautions::cautions).collect();
    let fits = match halves.as_slice() {
        [a, b] if findings.is_empty() => Ok(drift::good(a, b, now)),
        _ => Err(findings),
    };
    Verdict { fits, cautions }
}
