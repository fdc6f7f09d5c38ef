//! Reads what callgrind wrote: instructions executed, by the part of the program they were executed in.
//!
//! The format is that of valgrind's manual ("Callgrind Format Specification"). Only the cost of
//! functions themselves is taken; what their calls cost is counted where it was spent.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, ensure};

/// Instructions by part: a crate, a room of ours, or a C library.
#[derive(Debug)]
pub struct Profile {
    /// Of all threads.
    pub parts: BTreeMap<String, u64>,
}

impl Profile {
    /// Reads one dump.
    ///
    /// # Errors
    /// It is not as the specification says, or its parts do not add up to its own total.
    pub fn read(dump: &str) -> anyhow::Result<Self> {
        let mut reader = Reader::default();
        let mut total = None;
        for line in dump.lines() {
            if let Some(summary) = line.strip_prefix("summary:") {
                total = Some(summary.trim().parse::<u64>()?);
            }
            reader.line(line).with_context(|| format!("in callgrind's line {line:?}"))?;
        }
        let profile = Self { parts: reader.parts };
        let total = total.context("callgrind gives no summary")?;
        let sum = profile.total();
        ensure!(sum == total, "callgrind's functions add up to {sum}, not to its total {total}");
        Ok(profile)
    }

    /// All instructions.
    pub fn total(&self) -> u64 {
        self.parts.values().sum()
    }
}

#[derive(Default)]
struct Reader {
    /// Names are given once, later their number alone.
    functions: HashMap<String, String>,
    objects: HashMap<String, String>,
    object: String,
    part: String,
    /// The next line of costs belongs to a call, not to the function.
    in_call: bool,
    parts: BTreeMap<String, u64>,
}

impl Reader {
    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        if let Some(object) = line.strip_prefix("ob=") {
            self.object = named(&mut self.objects, object)?;
        } else if let Some(object) = line.strip_prefix("cob=") {
            named(&mut self.objects, object)?;
        } else if let Some(function) = line.strip_prefix("fn=") {
            let function = named(&mut self.functions, function)?;
            self.part = part(&function, &self.object);
        } else if let Some(function) = line.strip_prefix("cfn=") {
            named(&mut self.functions, function)?;
        } else if line.starts_with("calls=") {
            self.in_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first))
            && !std::mem::take(&mut self.in_call)
        {
            let cost = line.split_ascii_whitespace().nth(1).context("it has no cost")?;
            *self.parts.entry(self.part.clone()).or_default() += cost.parse::<u64>()?;
        }
        Ok(())
    }
}

/// `(12) name` for the first time, then `(12)`.
fn named(names: &mut HashMap<String, String>, text: &str) -> anyhow::Result<String> {
    let (number, name) = text.split_once(')').context("its name has no number")?;
    if !name.is_empty() {
        names.insert(number.to_owned(), name.trim_start().to_owned());
    }
    names.get(number).cloned().context("its number was not given before")
}

/// The crate whose code a function is, as far as its name tells: a generic function of the standard
/// library counts for the first crate it is made for, inlined code for where it went.
fn part(function: &str, object: &str) -> String {
    let path = |word: &str| word.contains("::").then(|| word.to_owned());
    let words = function.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    let paths: Vec<_> = words.filter_map(path).collect();
    let krate = |path: &String| path.split("::").next().unwrap_or_default().to_owned();
    let is_std = |krate: &String| ["", "core", "alloc", "std"].contains(&krate.as_str());
    if let Some(path) = paths.iter().find(|path| !is_std(&krate(path))) {
        let room = path.split("::").nth(1).filter(|_| krate(path) == "mtls_bridge");
        return room.map_or_else(|| krate(path), |room| format!("mtls_bridge::{room}"));
    }
    if !paths.is_empty() || function.starts_with("__rust") {
        return "std".into();
    }
    if !object.ends_with("mtls-bridge") {
        return "libc".into();
    }
    // Of C and assembly there are two libraries in the program; the second has many names.
    if ["mi_", "_mi_"].iter().any(|prefix| function.starts_with(prefix)) {
        return "mimalloc".into();
    }
    "aws-lc".into()
}
