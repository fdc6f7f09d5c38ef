//! One folder of a pair, read as its container would see it: the settings of the environment file through
//! the usual layers, and paths in the container turned into paths in the folder.
//!
//! Used by `pair::check`. A folder without a compose file is read as a process in it would be.

use std::fs;
use std::path::{Path, PathBuf};

use rustls::pki_types::UnixTime;

use crate::config::{self, Caution, Config, Layers, Loaded, Mode, Origin, Problem, Said};
use crate::snapshot::Snapshot;
use crate::telemetry::cause;

use super::compose_file::{self, Mount, Network, Port, Service, Source};
use super::container;
use super::env_file;
use super::folders::{COMPOSE, ENV};

/// A folder that could be read.
#[derive(Debug)]
pub(super) struct Half {
    /// As it was given.
    pub(super) name: String,
    /// The side of the link it is for.
    pub(super) mode: Mode,
    /// The container; `None` for a process without one.
    pub(super) service: Option<Service>,
    /// What the settings became; `None` where the files keep it from starting.
    pub(super) snapshot: Option<Snapshot>,
    /// Paths of this machine that were paths in the container.
    pub(super) mapped: Vec<String>,
    /// Settings whose files the container cannot read, whatever this process reads in their place.
    unread: Vec<String>,
    folder: PathBuf,
    loaded: Loaded,
}

impl Half {
    /// `None` after a finding that leaves nothing to compare. What is wrong with the files of one side is
    /// found here too: by the same loading that would stop its start.
    pub(super) fn read(folder: &Path, findings: &mut Vec<String>) -> Option<Self> {
        let name = folder.display().to_string();
        let mut found = |what: String| findings.push(format!("{name}: {what}"));
        let (layers, service, mapped) = match layers(folder) {
            Ok(read) => read,
            Err(wrong) => {
                wrong.into_iter().for_each(&mut found);
                return None;
            }
        };
        let loaded = config::load(&layers)
            .map_err(|problems| problems.iter().for_each(|problem| found(problem.to_string())))
            .ok()?;
        let mode = loaded.effective.iter().find(|said| said.key() == "mode")?.value();
        let mode = Mode::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(mode))?;
        let folder = folder.to_owned();
        let mut half =
            Self { name, mode, service, snapshot: None, mapped, unread: Vec::new(), folder, loaded };
        // What the container cannot read is not told a second time by what this process can or cannot.
        let unread = container::unread(&half);
        let told = |line: &str| unread.iter().any(|(key, _)| line.starts_with(key.as_str()));
        match Snapshot::load(&half.loaded.config, UnixTime::now()) {
            Ok(snapshot) => half.snapshot = Some(snapshot),
            Err(problems) => {
                let lines = problems.iter().map(ToString::to_string).filter(|line| !told(line));
                findings.extend(lines.map(|line| format!("{}: {line}", half.name)));
            }
        }
        for (key, finding) in unread {
            half.unread.push(key);
            findings.push(finding);
        }
        Some(half)
    }

    /// What is meant here.
    pub(super) fn config(&self) -> &Config {
        &self.loaded.config
    }

    /// What works but weakens security, and what was ignored, by what a start would say.
    pub(super) fn said_at_start(&self) -> impl Iterator<Item = String> {
        let cautions = self.config().cautions.iter().map(Caution::to_string);
        let more = self.snapshot.iter().flat_map(|snapshot| &snapshot.cautions).map(Caution::to_string);
        cautions.chain(more).chain(self.loaded.warnings.iter().cloned())
    }

    /// Whether the container reads what these settings name.
    pub(super) fn reads(&self, keys: &[&str]) -> bool {
        !self.unread.iter().any(|key| keys.contains(&key.as_str()))
    }

    /// Where it lies.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A setting as it was said, or would have been.
    pub(super) fn said(&self, key: &str) -> Said {
        let said = self.loaded.effective.iter().find(|said| said.key() == key).cloned();
        said.unwrap_or_else(|| Said::new(key, "", Origin::DEFAULT))
    }

    /// One finding, about a setting of this half by its key.
    pub(super) fn finding(&self, key: &str, what: impl Into<String>, advice: impl Into<String>) -> String {
        self.about(&Problem::new(&self.said(key), what, advice))
    }

    /// One finding, about what the compose file says.
    pub(super) fn of_compose(
        &self,
        key: &str,
        value: &str,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> String {
        let file = self.service.as_ref().map_or(COMPOSE, |service| service.file.as_str());
        let origin = Origin::from(std::borrow::Cow::from(file.to_owned()));
        self.about(&Problem::new(&Said::new(key, value, origin), what, advice))
    }

    /// One finding.
    pub(super) fn about(&self, what: &impl ToString) -> String {
        format!("{}: {}", self.name, what.to_string())
    }

    /// Whose network it is in.
    pub(super) fn network(&self) -> Network {
        self.service.as_ref().map_or(Network::Host, |service| service.network)
    }

    /// The published ports that lead to listeners with or without TLS; `None` where nobody can know.
    pub(super) fn published(&self, tls: bool) -> Option<Vec<&Port>> {
        let listening = self.listening(tls);
        let ports = self.service.as_ref()?.ports.as_ref()?;
        Some(ports.iter().filter(|port| listening.contains(&port.target)).collect())
    }

    /// The ports of its host that lead to listeners with or without TLS.
    pub(super) fn reached_at(&self, tls: bool) -> Vec<u16> {
        match self.published(tls) {
            None => self.listening(tls),
            Some(ports) => ports.iter().map(|port| port.published).collect(),
        }
    }

    fn listening(&self, tls: bool) -> Vec<u16> {
        let listeners = self.config().listeners.iter().filter(|listener| listener.tls == tls);
        listeners.map(|listener| listener.address.port()).collect()
    }
}

type Read = (Layers, Option<Service>, Vec<String>);

fn layers(folder: &Path) -> Result<Read, Vec<String>> {
    let service = compose_file::bridge(folder)?;
    let process = [(ENV.to_owned(), true)];
    let (files, dotenv, mounts, words) = match &service {
        Some(service) => (&*service.env_files, &*service.dotenv, &*service.mounts, &*service.words),
        None => (process.as_slice(), [].as_slice(), [].as_slice(), [].as_slice()),
    };
    let mut environment = Vec::new();
    for (name, required) in files {
        let path = folder.join(name);
        if !required && !path.exists() {
            continue;
        }
        let value =
            |name: &str| dotenv.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let variables = env_file::parse(&read(&path)?, &value);
        let variables = variables.map_err(|what| vec![format!("{name}: {what}")])?;
        environment.extend(
            variables.into_iter().filter_map(|(name, said)| Some((said.or_else(|| value(&name))?, name))),
        );
    }
    let inline = service.iter().flat_map(|service| &service.environment);
    environment.extend(inline.map(|(name, value)| (value.clone(), name.clone())));
    let mut mapped = Vec::new();
    let mut last: Vec<(String, std::ffi::OsString)> = Vec::new();
    for (value, name) in environment {
        last.retain(|(known, _)| *known != name);
        last.push((name, outside(&value, mounts, &mut mapped).into()));
    }
    let (mode, flags) = super::super::said_on(words).map_err(|what| vec![what])?;
    let flags = flags.into_iter().map(|(key, value)| (key, outside(&value, mounts, &mut mapped))).collect();
    Ok((Layers { mode, environment: last, flags }, service, mapped))
}

fn read(path: &Path) -> Result<String, Vec<String>> {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    fs::read_to_string(path).map_err(|error| vec![format!("{name} cannot be read: {}", cause::io(&error))])
}

/// The value with every path that lies under a mount turned into the path on this machine.
fn outside(value: &str, mounts: &[Mount], mapped: &mut Vec<String>) -> String {
    let each = value.split(',').map(|part| match host_path(part, mounts) {
        Some(path) => {
            mapped.push(path.clone());
            path
        }
        None => part.to_owned(),
    });
    each.collect::<Vec<_>>().join(",")
}

/// `None` for what is no path under a mounted file or folder. The innermost mount wins, as in the container,
/// whose working directory is `/`.
fn host_path(part: &str, mounts: &[Mount]) -> Option<String> {
    let inside = Path::new("/").join(part.trim());
    let under = |mount: &Mount| {
        let rest = inside.strip_prefix(&mount.inside).ok()?;
        Some((mount.inside.as_os_str().len(), mount.source.clone(), rest.to_owned()))
    };
    let (_, source, rest) = mounts.iter().filter_map(under).max_by_key(|(length, ..)| *length)?;
    let Source::Path(base) = source else { return None };
    let path = if rest.as_os_str().is_empty() { base } else { base.join(rest) };
    Some(path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_the_container_become_paths_in_the_folder() {
        let mounts = [("/certs", "out/certs"), ("/certs/own", "/srv/own"), ("/run/secrets/k", "out/k.pem")];
        let mut mounts = mounts
            .map(|(inside, source)| Mount { inside: inside.into(), source: Source::Path(source.into()) })
            .to_vec();
        mounts.push(Mount { inside: "/certs/kept".into(), source: Source::Volume("kept".into()) });
        let check = |value: &str, expected: &str| {
            assert_eq!(outside(value, &mounts, &mut Vec::new()), expected);
        };
        check("/certs/ca.crt", "out/certs/ca.crt");
        check("certs/ca.crt", "out/certs/ca.crt");
        check("/certs/a.crt,/certs/own/b.crt", "out/certs/a.crt,/srv/own/b.crt");
        check("/run/secrets/k", "out/k.pem");
        check("/certs/kept/x", "/certs/kept/x");
        check("/certsx/ca.crt", "/certsx/ca.crt");
        check("https://gateway:8443/certs/x", "https://gateway:8443/certs/x");
    }
}
