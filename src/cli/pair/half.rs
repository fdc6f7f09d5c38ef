//! One folder of a pair, read as its container would see it: the settings of the environment file through
//! the usual layers, and paths in the container turned into paths in the folder.
//!
//! Used by `pair::check`. A folder without a compose file is read as a process in it would be.

use std::fs;
use std::path::{Path, PathBuf};

use rustls::pki_types::UnixTime;

use crate::config::{self, Config, Layers, Loaded, Mode, Origin, Problem, Said};
use crate::snapshot::Snapshot;
use crate::telemetry::cause;

use super::compose_file::{self, Service};
use super::env_file;
use super::folders::{COMPOSE, ENV};

/// A folder that could be read.
#[derive(Debug)]
pub(super) struct Half {
    /// As it was given.
    pub(super) name: String,
    /// The side of the link it is for.
    pub(super) mode: Mode,
    loaded: Loaded,
    ports: Option<Vec<(u16, u16)>>,
}

impl Half {
    /// `None` after a finding that leaves nothing to compare. What is wrong with the files of one side is
    /// found here too: by the same loading that would stop its start.
    pub(super) fn read(folder: &Path, findings: &mut Vec<String>) -> Option<Self> {
        let name = folder.display().to_string();
        let mut found = |what: String| findings.push(format!("{name}: {what}"));
        let (layers, ports) = layers(folder).map_err(&mut found).ok()?;
        let loaded = config::load(&layers)
            .map_err(|problems| problems.iter().for_each(|problem| found(problem.to_string())))
            .ok()?;
        if let Err(problems) = Snapshot::load(&loaded.config, UnixTime::now()) {
            problems.iter().for_each(|problem| found(problem.to_string()));
        }
        let mode = loaded.effective.iter().find(|said| said.key() == "mode")?.value();
        let mode = Mode::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(mode))?;
        Some(Self { name, mode, loaded, ports })
    }

    /// What is meant here.
    pub(super) fn config(&self) -> &Config {
        &self.loaded.config
    }

    /// One finding, about a setting of this half by its key.
    pub(super) fn finding(&self, key: &str, what: impl Into<String>, advice: impl Into<String>) -> String {
        let said = self.loaded.effective.iter().find(|said| said.key() == key).cloned();
        let said = said.unwrap_or_else(|| Said::new(key, "", Origin::DEFAULT));
        self.about(&Problem::new(&said, what, advice))
    }

    /// One finding.
    pub(super) fn about(&self, what: &impl ToString) -> String {
        format!("{}: {}", self.name, what.to_string())
    }

    /// The ports of its host that lead to listeners with or without TLS.
    pub(super) fn reached_at(&self, tls: bool) -> Vec<u16> {
        let listeners = self.config().listeners.iter().filter(|listener| listener.tls == tls);
        let listening: Vec<u16> = listeners.map(|listener| listener.address.port()).collect();
        match &self.ports {
            None => listening,
            Some(ports) => ports
                .iter()
                .filter(|(_, inside)| listening.contains(inside))
                .map(|(published, _)| *published)
                .collect(),
        }
    }
}

type Found = (Layers, Option<Vec<(u16, u16)>>);

fn layers(folder: &Path) -> Result<Found, String> {
    let service = match COMPOSE_FILES.iter().map(|name| folder.join(name)).find(|path| path.exists()) {
        Some(path) => {
            compose_file::bridge(&read(&path)?).map_err(|what| format!("{}: {what}", file_name(&path)))?
        }
        None => Service { env_files: vec![ENV.to_owned()], ..Service::default() },
    };
    let mut environment = Vec::new();
    for name in &service.env_files {
        let path = folder.join(name);
        environment.extend(env_file::parse(&read(&path)?).map_err(|what| format!("{name}: {what}"))?);
    }
    environment.extend(service.environment.iter().cloned());
    let mut last: Vec<(String, std::ffi::OsString)> = Vec::new();
    for (name, value) in environment {
        last.retain(|(known, _)| *known != name);
        last.push((name, outside(&value, &service.mounts, folder).into()));
    }
    let first_word = service.command.first();
    let mode = Mode::ALL.into_iter().find(|mode| first_word.is_some_and(|word| word == mode.name()));
    Ok((Layers { mode, environment: last, flags: Vec::new() }, service.ports))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {}", file_name(path), cause::io(&error)))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The value with every path that lies under a mount turned into the path on this machine.
fn outside(value: &str, mounts: &[(String, String)], folder: &Path) -> String {
    let each =
        value.split(',').map(|part| host_path(part, mounts, folder).unwrap_or_else(|| part.to_owned()));
    each.collect::<Vec<_>>().join(",")
}

/// `None` for what is no path under a mount. The innermost mount wins, as in the container.
fn host_path(part: &str, mounts: &[(String, String)], folder: &Path) -> Option<String> {
    let inside = Path::new(part.trim());
    let under = |(target, source): &(String, String)| {
        let rest = inside.strip_prefix(target).ok()?;
        let base = folder.join(source.strip_prefix("./").unwrap_or(source));
        let path: PathBuf = if rest.as_os_str().is_empty() { base } else { base.join(rest) };
        Some((target.len(), path))
    };
    let (_, path) = mounts.iter().filter_map(under).max_by_key(|(length, _)| *length)?;
    Some(path.display().to_string())
}

/// In the order in which docker looks for them.
const COMPOSE_FILES: [&str; 4] = [COMPOSE, "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_the_container_become_paths_in_the_folder() {
        let mounts = [("/certs", "./certs"), ("/certs/own", "/srv/own"), ("/run/secrets/k", "k.pem")];
        let mounts = mounts.map(|(inside, source)| (inside.to_owned(), source.to_owned()));
        let check = |value: &str, expected: &str| {
            assert_eq!(outside(value, &mounts, Path::new("out/gateway")), expected);
        };
        check("/certs/ca.crt", "out/gateway/certs/ca.crt");
        check("/certs/a.crt,/certs/own/b.crt", "out/gateway/certs/a.crt,/srv/own/b.crt");
        check("/run/secrets/k", "out/gateway/k.pem");
        check("/certsx/ca.crt", "/certsx/ca.crt");
        check("https://gateway:8443/certs/x", "https://gateway:8443/certs/x");
    }
}
