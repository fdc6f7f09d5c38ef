//! Where settings come from: the layers, and how the later ones win.
//!
//! Defaults, then the mode's profile, then what `PROFILE` and `CONFIG` name, then `KONG_*`, the
//! bare environment, the flags and the subcommand. Each value that was said is one figment
//! provider, named after its origin, so figment knows where each surviving value came from.
//! [`load`] is the only way from there to a [`Config`].

mod environment;
mod file;
mod kong_conf;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use figment::Figment;
use figment::value::Value;

use super::compile::compile;
use super::mode::Mode;
use super::names::kong::{self, Meaning};
use super::names::{self, Name};
use super::problem::{Origin, Problem, Problems, Said};
use super::process::LogSettings;
use super::settings::{Settings, known};
use super::{Config, limits, listen, value};

pub(super) use self::file::built_in;

/// Everything that was said outside the files.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// The subcommand's mode; `None` leaves it to `mode`.
    pub mode: Option<Mode>,
    /// Environment variables. Those that are not ours do no harm.
    pub environment: Vec<(String, OsString)>,
    /// Keys (`client_ssl`, also `profile` and `config`) and values from the command line.
    pub flags: Vec<(String, String)>,
}

/// A configuration, and how it came about.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What is meant.
    pub config: Config,
    /// How the program log is written.
    pub log: LogSettings,
    /// Every setting that has a value, in the order of declaration; where that is `auto`, with what it comes to.
    pub effective: Vec<Said>,
    /// Things that were ignored and perhaps should not have been.
    pub warnings: Vec<String>,
}

impl Layers {
    /// The environment of this process, with what the command line said. Names that are not
    /// UTF-8 are nobody's settings.
    pub fn of_process(mode: Option<Mode>, flags: Vec<(String, String)>) -> Self {
        let named = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value));
        Self { mode, environment: std::env::vars_os().filter_map(named).collect(), flags }
    }

    /// The value of `PROFILE` or `CONFIG`; the flag wins.
    fn pointer(&self, key: &str) -> Option<Said> {
        let variable = key.to_uppercase();
        let flag = self.flags.iter().find(|(name, _)| name == key);
        let flag = flag.map(|(_, value)| Said::new(key, value, Origin::flag(key)));
        let environment = self.environment.iter().find(|(name, _)| *name == variable);
        let environment = environment
            .map(|(_, value)| Said::new(key, value.to_string_lossy(), Origin::environment(&variable)));
        flag.or(environment).filter(|said| !said.value().is_empty())
    }
}

/// Puts the layers together and compiles them.
///
/// # Errors
///
/// Everything that is wrong, at once; without a mode, everything that is wrong in either.
pub fn load(layers: &Layers) -> Result<Loaded, Problems> {
    let mut gathered = gather(layers);
    let figment = gathered.said.into_iter().fold(Figment::new(), Figment::merge);
    let Some(mode) = mode(&figment, &mut gathered.problems) else {
        gathered.problems.append(wrong_in_either_mode(&figment));
        return Err(gathered.problems.with_warnings(gathered.warnings));
    };
    let effective = effective(&beneath(figment, Some(mode)));
    let settings = settings(&effective);
    match compile(mode, &settings, gathered.problems) {
        Ok((config, log)) => {
            let shown = |said: Said| limits::shown(&said, config.limits).unwrap_or(said);
            let effective = effective.into_iter().map(shown).collect();
            Ok(Loaded { config, log, effective, warnings: gathered.warnings })
        }
        Err(problems) => Err(problems.with_warnings(gathered.warnings)),
    }
}

/// What somebody said that is wrong whatever the mode is.
fn wrong_in_either_mode(figment: &Figment) -> Problems {
    let of = |mode| {
        let settings = settings(&effective(&beneath(figment.clone(), Some(mode))));
        compile(mode, &settings, Problems::default()).err().unwrap_or_default()
    };
    let [one, other] = Mode::ALL.map(of);
    let is_in_other = |problem: &&Problem| other.iter().any(|it| it == *problem);
    // What is missing depends on the mode.
    let is_said =
        |problem: &&Problem| problem.to_string().split(": ").next().is_some_and(|it| it.ends_with(')'));
    one.iter().filter(is_in_other).filter(is_said).cloned().collect()
}

/// Where status is told, whatever else is said or missing; nowhere when switched off. Where the mode is not
/// known, at the address of either.
///
/// # Errors
///
/// What is wrong with the sources, or with `status_listen`.
pub fn status_listen(layers: &Layers) -> Result<Vec<SocketAddr>, Problems> {
    let (settings, mode, mut problems) = lenient(layers);
    let of_modes = Mode::ALL.into_iter().filter(|_| mode.is_none());
    let others = of_modes.map(|mode| lenient(&Layers { mode: Some(mode), ..layers.clone() }).0);
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for settings in [settings].into_iter().chain(others) {
        match listen::status(&settings.listen.status_listen) {
            Ok(Some(listener)) if addresses.contains(&listener.address) => {}
            Ok(listener) => addresses.extend(listener.map(|listener| listener.address)),
            Err(problem) => problems.append(problem.into()),
        }
    }
    if problems.is_empty() { Ok(addresses) } else { Err(problems) }
}

/// The settings of layers that perhaps cannot be loaded, their mode, and what is wrong with the sources.
pub(super) fn lenient(layers: &Layers) -> (Settings, Option<Mode>, Problems) {
    let gathered = gather(layers);
    let figment = gathered.said.into_iter().fold(Figment::new(), Figment::merge);
    let mode = winner(&figment, "mode").and_then(|said| Mode::parse(&said).ok());
    (settings(&effective(&beneath(figment, mode))), mode, gathered.problems)
}

/// What the sources hold, in ascending order of precedence.
#[derive(Debug, Default)]
struct Gathered {
    said: Vec<Said>,
    warnings: Vec<String>,
    problems: Problems,
    /// What was said and changes nothing here, by the place it was said in.
    passed_over: BTreeMap<String, Vec<String>>,
}

impl Gathered {
    /// Takes what a name of whatever kind says; `key` is the name as Kong writes it in a file.
    fn say(&mut self, name: Name, key: &str, text: &str, origin: &Origin) {
        match name {
            Name::Setting(key) => self.take(Said::new(key, text, origin.clone())),
            Name::Unsupported(unsupported) => {
                let refused = unsupported.refuse(&Said::new(key, text, origin.clone()));
                self.problems.note(refused);
            }
            Name::Kong => match kong::meaning(key, text.trim()) {
                Meaning::Says(settings) => {
                    for (key, text) in settings {
                        self.take(Said::new(key, text, origin.clone()));
                    }
                }
                Meaning::Harmless => self.pass_over(key, origin),
                Meaning::Deciding { what, advice } => {
                    self.problems.push(Problem::of_key(key, origin, what, advice));
                }
            },
        }
    }

    /// Notes what changes nothing here: a variable by its name, a key by its file.
    fn pass_over(&mut self, key: &str, origin: &Origin) {
        let printed = origin.to_string();
        let (place, name) = match printed.strip_prefix("environment ") {
            Some(variable) => (String::new(), variable),
            None => (format!(" ({printed})"), key),
        };
        self.passed_over.entry(place).or_default().push(name.to_owned());
    }

    /// One line for everything that was passed over.
    fn name_what_was_passed_over(&mut self) {
        let named = |(place, names): (&String, &mut Vec<String>)| {
            names.sort();
            format!("{}{place}", enumerated(names))
        };
        let places: Vec<_> = self.passed_over.iter_mut().map(named).collect();
        let count: usize = self.passed_over.values().map(Vec::len).sum();
        let verb = if count == 1 { "is not a setting" } else { "are not settings" };
        let was = if count == 1 { "was" } else { "were" };
        if count > 0 {
            self.warnings.push(format!("{} {verb} of mtls-bridge and {was} ignored", places.join(", and ")));
        }
    }

    /// Takes one value. An empty one is like none, as in `NAME: ${NAME:-}` of a compose file;
    /// where that would open a door, it is kept, and refused by its parser.
    fn take(&mut self, said: Said) {
        if !said.value().is_empty() || NEVER_EMPTY.contains(&said.key()) {
            self.said.push(said);
        } else {
            self.warnings.push(format!("{} is empty ({}) and counts as not set", said.key(), said.origin()));
        }
    }
}

fn gather(layers: &Layers) -> Gathered {
    let mut gathered = Gathered::default();
    for name in layers.pointer("profile").iter().flat_map(value::list) {
        file::profile(&name, &mut gathered);
    }
    if let Some(path) = layers.pointer("config") {
        file::read(&path, Path::new(path.value()), &mut gathered);
    }
    environment::read(&layers.environment, &mut gathered);
    for (key, value) in &layers.flags {
        match Name::of(key) {
            Some(Name::Setting(key)) => gathered.take(Said::new(key, value, Origin::flag(key))),
            _ if POINTERS.contains(&key.as_str()) => {}
            _ => gathered.problems.push(names::unknown(key, &Origin::flag(key))),
        }
    }
    if let Some(mode) = layers.mode {
        gathered.take(Said::new("mode", mode.name(), Origin::SUBCOMMAND));
    }
    gathered.name_what_was_passed_over();
    gathered
}

/// `A`, `A and B`, `A, B and C`.
fn enumerated(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

fn mode(figment: &Figment, problems: &mut Problems) -> Option<Mode> {
    let Some(said) = winner(figment, "mode") else {
        let advice = "run `mtls-bridge reverse-proxy` or `mtls-bridge gateway`, or set MODE";
        problems.push(Problem::missing("mode", "not set", advice));
        return None;
    };
    problems.note(Mode::parse(&said))
}

/// The layers that lie under everything said: the mode's profile, then the defaults.
fn beneath(figment: Figment, mode: Option<Mode>) -> Figment {
    let profile = mode.map(|mode| built_in(mode.name())).unwrap_or_default();
    let figment = profile.into_iter().fold(figment, Figment::join);
    let default = |text: &String, key: &str| Said::new(key, text, Origin::DEFAULT);
    let built_in =
        known().iter().filter_map(|setting| Some(default(setting.default.as_ref()?, &setting.key)));
    built_in.fold(figment, Figment::join)
}

fn effective(figment: &Figment) -> Vec<Said> {
    known().iter().filter_map(|setting| winner(figment, &setting.key)).collect()
}

/// The value that won, with the name of the provider it came from.
fn winner(figment: &Figment, key: &str) -> Option<Said> {
    let value = figment.find_value(key).ok()?;
    let origin = Origin::from(figment.find_metadata(key)?.name.clone());
    Some(Said::new(key, value.as_str()?, origin))
}

/// The same as a struct.
fn settings(effective: &[Said]) -> Settings {
    let keyed: BTreeMap<_, _> = effective.iter().map(|said| (said.key(), said)).collect();
    let value = Value::serialize(keyed).expect("keys and values are texts");
    value.deserialize().expect("a setting has a default or is an Option, and every value is a Said")
}

/// Keys that name sources and are no settings themselves.
const POINTERS: [&str; 2] = ["profile", "config"];

/// Settings that keep somebody out: empty, because a variable in a compose file was, they must
/// not count as absent.
const NEVER_EMPTY: [&str; 4] =
    ["acl_allow", "acl_deny", "mtls_auth_ca_certificates", "upstream_ca_certificates"];

#[cfg(test)]
mod tests;
