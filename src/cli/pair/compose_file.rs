//! The compose files of a folder, as far as they decide what the bridge in them sees.
//!
//! Used by `half`. What docker would make of them is said by [`tree`] (which files, `.env`, what overrides what),
//! [`interpolation`] (`${NAME:-default}`) and [`ports`]. Everything else in the files is passed over.

mod interpolation;
mod ports;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

pub(super) use self::ports::Port;

/// The bridge's service, made plain.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Service {
    /// The file it is in, for people.
    pub(super) file: String,
    /// The words after the program's name.
    pub(super) words: Vec<String>,
    /// Files with variables; `false`: it may be missing.
    pub(super) env_files: Vec<(String, bool)>,
    /// What `environment:` says; it wins over the files.
    pub(super) environment: Vec<(String, String)>,
    /// Variables that a file may name without a value.
    pub(super) dotenv: Vec<(String, String)>,
    pub(super) mounts: Vec<Mount>,
    pub(super) network: Network,
    /// Ports of the host that lead here; `None` where nobody can know.
    pub(super) ports: Option<Vec<Port>>,
    pub(super) user: String,
    /// Groups it is in beside its own.
    pub(super) groups: Vec<String>,
    /// Whether root may read what is others'; it may not where its capabilities are dropped.
    pub(super) root_reads_all: bool,
    pub(super) health: Health,
    pub(super) stop_grace_period: Duration,
    /// Names the file gives an address.
    pub(super) extra_hosts: Vec<String>,
}

/// Where something of the host is found in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) inside: PathBuf,
    pub(super) source: Source,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A file or folder of the host.
    Path(PathBuf),
    /// A volume that docker keeps.
    Volume(String),
}

/// Whose network the container is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    /// Its own, with a loopback of its own.
    Own,
    /// Another container's.
    Shared,
    /// The host's.
    Host,
}

/// What docker asks to learn whether the container is healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Health {
    /// Nothing.
    Off,
    /// The image's own check, `mtls-bridge healthcheck`, or the words after it.
    Own(Vec<String>),
    /// Something that is not in the image.
    Foreign(String),
}

/// The bridge in a folder; `None` where it holds no compose file.
///
/// # Errors
/// What keeps docker from starting it, or this from judging it, each in a sentence.
pub(super) fn bridge(folder: &Path) -> Result<Option<Service>, Vec<String>> {
    let dotenv = tree::dotenv(folder).map_err(|what| vec![what])?;
    let files = tree::files(folder, &dotenv);
    let Some(first) = files.first().map(|path| file_name(path)) else { return Ok(None) };
    let here = || Some(fs::canonicalize(folder).ok()?.to_string_lossy().into_owned());
    // Nobody knows the shell of the other host, but compose is run in the folder.
    let variable = |name: &str| known(&dotenv, name).or_else(|| here().filter(|_| name == "PWD"));
    let tree = tree::load(&files, &variable)?;
    let none = || vec![format!("{first}: it has no service of mtls-bridge's")];
    let services = tree.get("services").and_then(Value::as_object).ok_or_else(none)?;
    let (name, raw) = found(services).ok_or_else(none)?;
    let service = Raw { folder, whole: &tree, raw, dotenv: &dotenv };
    service.plain(first.clone()).map(Some).map_err(|what| vec![format!("{first}: service {name}: {what}")])
}

/// The only service, or the one that runs as one of ours, or is called or made like one.
fn found(services: &serde_json::Map<String, Value>) -> Option<(&String, &Value)> {
    let modes = ["reverse-proxy", "gateway"];
    let runs =
        |service: &Value| words(&service["command"]).first().is_some_and(|word| modes.contains(&&**word));
    let made = |service: &Value| service["image"].as_str().is_some_and(|image| image.contains("mtls-bridge"));
    let judges: [&dyn Fn(&String, &Value) -> bool; 4] = [
        &|_, _| services.len() == 1,
        &|_, service| runs(service),
        &|name, _| modes.contains(&name.as_str()) || name == "mtls-bridge",
        &|_, service| made(service) && words(&service["command"]).is_empty(),
    ];
    judges.iter().find_map(|judge| services.iter().find(|(name, service)| judge(name, service)))
}

/// A service with what it is read together with.
struct Raw<'a> {
    folder: &'a Path,
    whole: &'a Value,
    raw: &'a Value,
    dotenv: &'a [(String, String)],
}

impl Raw<'_> {
    fn plain(&self, file: String) -> Result<Service, String> {
        let raw = self.raw;
        let (network, ports) = self.network();
        let capabilities = |key: &str| texts(&raw[key]);
        let names =
            |list: &[String], name: &str| list.iter().any(|text| text.trim_start_matches("CAP_") == name);
        let (dropped, added) = (capabilities("cap_drop"), capabilities("cap_add"));
        let overrides = |list: &[String]| names(list, "ALL") || names(list, "DAC_OVERRIDE");
        Ok(Service {
            file,
            words: self.words()?,
            env_files: self.env_files(),
            environment: self.environment(),
            dotenv: self.dotenv.to_vec(),
            mounts: self.mounts(),
            network,
            ports,
            user: text(&raw["user"]).unwrap_or_else(|| IMAGE_USER.to_owned()),
            groups: texts(&raw["group_add"]),
            root_reads_all: !overrides(&dropped) || overrides(&added),
            health: health(&raw["healthcheck"]),
            stop_grace_period: text(&raw["stop_grace_period"]).map_or(Ok(DOCKER_GRACE), |text| {
                duration(&text).ok_or_else(|| "stop_grace_period is no duration".to_owned())
            })?,
            extra_hosts: extra_hosts(&raw["extra_hosts"]),
        })
    }

    /// What is behind the program's name, wherever the image's entrypoint was replaced.
    fn words(&self) -> Result<Vec<String>, String> {
        let (entrypoint, command) = (words(&self.raw["entrypoint"]), words(&self.raw["command"]));
        let Some((program, rest)) = entrypoint.split_first() else { return Ok(command) };
        if Path::new(program).file_name().is_none_or(|name| name != "mtls-bridge") {
            return Err("its entrypoint is not /mtls-bridge, so what it runs cannot be judged".to_owned());
        }
        Ok([rest, &command].concat())
    }

    fn env_files(&self) -> Vec<(String, bool)> {
        let one = |entry: &Value| match entry {
            Value::Object(long) => {
                Some((text(long.get("path")?)?, long.get("required") != Some(&false.into())))
            }
            _ => Some((text(entry)?, true)),
        };
        match &self.raw["env_file"] {
            Value::Array(list) => list.iter().filter_map(one).collect(),
            alone => one(alone).into_iter().collect(),
        }
    }

    /// A name without a value takes that of `.env`; the shell of another host is not seen from here.
    fn environment(&self) -> Vec<(String, String)> {
        let value = |name: &str, value: &Value| match value {
            Value::Null => known(self.dotenv, name),
            value => text(value),
        };
        match &self.raw["environment"] {
            Value::Object(map) => {
                map.iter().filter_map(|(name, it)| Some((name.clone(), value(name, it)?))).collect()
            }
            list => texts(list)
                .iter()
                .filter_map(|line| match line.split_once('=') {
                    Some((name, value)) => Some((name.to_owned(), value.to_owned())),
                    None => Some((line.clone(), known(self.dotenv, line)?)),
                })
                .collect(),
        }
    }

    fn mounts(&self) -> Vec<Mount> {
        let volumes = self.raw["volumes"].as_array().into_iter().flatten().filter_map(|entry| match entry {
            Value::Object(long) => {
                let (source, target) = (text(long.get("source")?)?, text(long.get("target")?)?);
                let is_bind = long.get("type").is_some_and(|kind| kind == "bind");
                Some(self.mount(&source, &target, is_bind))
            }
            short => {
                let short = text(short)?;
                let mut parts = short.split(':');
                let (source, target) = (parts.next()?, parts.next()?);
                Some(self.mount(source, target, false))
            }
        });
        let given = |section: &'static str, folder: &'static str| {
            let list = self.raw[section].as_array().into_iter().flatten();
            list.filter_map(move |entry| self.given(section, folder, entry))
        };
        volumes.chain(given("secrets", "/run/secrets")).chain(given("configs", "/")).collect()
    }

    fn mount(&self, source: &str, target: &str, is_bind: bool) -> Mount {
        let is_path = is_bind || source.starts_with(['/', '.', '~']);
        let source = match is_path {
            true => Source::Path(self.folder.join(source.strip_prefix("./").unwrap_or(source))),
            false => Source::Volume(source.to_owned()),
        };
        Mount { inside: target.trim_end_matches('/').into(), source }
    }

    /// A secret or a configuration that is a file.
    fn given(&self, section: &str, folder: &str, entry: &Value) -> Option<Mount> {
        let (source, target) = match entry {
            Value::Object(long) => (text(long.get("source")?)?, long.get("target").and_then(text)),
            short => (text(short)?, None),
        };
        let file = text(&self.whole[section][&source]["file"])?;
        let inside = Path::new(folder).join(target.unwrap_or(source));
        Some(self.mount(&file, &inside.to_string_lossy(), true))
    }

    fn network(&self) -> (Network, Option<Vec<Port>>) {
        let own = || Some(ports::ports(&self.raw["ports"]));
        match self.raw["network_mode"].as_str() {
            Some("host") => (Network::Host, None),
            Some(mode) if mode.starts_with("container:") => (Network::Shared, None),
            Some(mode) => match mode.strip_prefix("service:") {
                Some(owner) => (Network::Shared, Some(ports::ports(&self.whole["services"][owner]["ports"]))),
                None => (Network::Own, own()),
            },
            None => (Network::Own, own()),
        }
    }
}

fn health(raw: &Value) -> Health {
    let test = &raw["test"];
    if raw["disable"] == Value::Bool(true) {
        return Health::Off;
    }
    match (test, words(test).as_slice()) {
        (Value::Null, _) => Health::Own(Vec::new()),
        (Value::String(line), _) => Health::Foreign(line.clone()),
        (_, [none, ..]) if none == "NONE" => Health::Off,
        (_, [how, program, check, rest @ ..])
            if how == "CMD" && program.trim_start_matches('/') == "mtls-bridge" && check == "healthcheck" =>
        {
            Health::Own(rest.to_vec())
        }
        (_, words) => Health::Foreign(words.get(1..).unwrap_or_default().join(" ")),
    }
}

/// `{name: address}`, `["name:address"]` or `["name=address"]`.
fn extra_hosts(raw: &Value) -> Vec<String> {
    match raw {
        Value::Object(map) => map.keys().cloned().collect(),
        list => {
            texts(list).iter().filter_map(|line| Some(line.split_once([':', '='])?.0.to_owned())).collect()
        }
    }
}

/// A list as it is, or a line as a shell would split it.
fn words(raw: &Value) -> Vec<String> {
    let Value::String(line) = raw else { return texts(raw) };
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if open == c => quote = None,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn texts(raw: &Value) -> Vec<String> {
    raw.as_array().into_iter().flatten().filter_map(text).collect()
}

/// A scalar as docker passes it on.
fn text(raw: &Value) -> Option<String> {
    match raw {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(raw.to_string()),
        _ => None,
    }
}

/// `1m30s`, `35s`, `500ms`.
fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(digits);
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let seconds = match &unit[..end] {
            "us" => 0.000_001,
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        rest = &unit[end..];
    }
    Some(total)
}

fn known(variables: &[(String, String)], name: &str) -> Option<String> {
    variables.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// `USER` in compose/Dockerfile.
const IMAGE_USER: &str = "65532:65532";

/// What docker waits between SIGTERM and SIGKILL unless told otherwise.
const DOCKER_GRACE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;
