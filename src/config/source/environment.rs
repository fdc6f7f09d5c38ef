//! Environment variables: ours, Kong's, `…_FILE`, and those that only look like ours.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::names::{self, Suspicion, Variable};
use crate::config::problem::{Origin, Problem, Said};
use crate::telemetry::cause;

use super::{Gathered, POINTERS};

/// Adds what the variables say, `KONG_*` before bare names, Kong's names before the key's own.
pub(super) fn read(environment: &[(String, OsString)], gathered: &mut Gathered) {
    let mut ours = Vec::new();
    let mut sorted: Vec<_> = environment.iter().collect();
    sorted.sort();
    for (variable, value) in sorted {
        match Variable::of(variable) {
            Some(meaning) => ours.push((meaning, variable.as_str(), value.as_os_str())),
            None if POINTERS.contains(&variable.to_lowercase().as_str()) => {}
            None => suspect(variable, &value.to_string_lossy(), gathered),
        }
    }
    let rank = |meaning: Variable, variable| meaning.name.rank(&meaning.key(variable));
    ours.sort_by_key(|(meaning, variable, _)| (!meaning.kong, rank(*meaning, variable), meaning.file));
    for (meaning, variable, value) in &ours {
        let said_plainly =
            |name: &str| ours.iter().any(|(_, other, text)| *other == name && !text.is_empty());
        let outcome = match variable.strip_suffix("_FILE").filter(|_| meaning.file) {
            Some(plain) if said_plainly(plain) => {
                let what = format!("{plain} is set too");
                let (key, origin) = (meaning.key(variable), Origin::environment(variable));
                Err(Problem::of_key(&key, &origin, what, "keep one of the two"))
            }
            _ => one(*meaning, variable, value, gathered),
        };
        gathered.problems.note(outcome);
    }
}

/// A variable that sets nothing.
fn suspect(variable: &str, value: &str, gathered: &mut Gathered) {
    match names::suspicion(variable, value) {
        Suspicion::Nothing => {}
        Suspicion::PassedOver => gathered.pass_over(variable, &Origin::environment(variable)),
        Suspicion::Doubt(warning) => gathered.warnings.push(warning),
        Suspicion::Refused(problem) => gathered.problems.push(problem),
    }
}

fn one(meaning: Variable, variable: &str, value: &OsStr, gathered: &mut Gathered) -> Result<(), Problem> {
    let origin = Origin::environment(variable);
    let key = meaning.key(variable);
    let Some(text) = value.to_str() else {
        return Err(Problem::of_key(&key, &origin, "not UTF-8", "write it in UTF-8"));
    };
    let text = if meaning.file && !text.is_empty() { content(&key, text, &origin)? } else { text.to_owned() };
    gathered.say(meaning.name, &key, &text, &origin);
    Ok(())
}

/// What the file holds; [`Said::new`] trims the newline at its end. What is no text, such as DER or UTF-16, is taken
/// in base64, as it could have been given in the variable: who reads it knows what it is.
fn content(key: &str, path: &str, origin: &Origin) -> Result<String, Problem> {
    let bytes = std::fs::read(Path::new(path)).map_err(|error| {
        // Somebody may have put the secret itself where its file belongs.
        let path = Said::new(key, path, origin.clone()).shown();
        let what = format!("{path} cannot be read: {}", cause::io(&error));
        Problem::of_key(key, origin, what, "name a file that holds the value")
    })?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) if key.contains("_cert") => Ok(STANDARD.encode(error.as_bytes())),
        Err(_) => Err(Problem::of_key(key, origin, "the file is not UTF-8", "write it in UTF-8")),
    }
}
