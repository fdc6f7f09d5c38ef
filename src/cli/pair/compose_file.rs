//! A compose file, as far as it decides what the bridge in it sees: environment, mounts and ports.
//!
//! Used by `half`. Everything else in the file is passed over. Variables in it get their defaults, for
//! nobody knows the shell of the other host.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// One service of a compose file, made plain.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Service {
    /// The words after the program's name.
    pub(super) command: Vec<String>,
    pub(super) env_files: Vec<String>,
    /// What `environment:` says; it wins over the files.
    pub(super) environment: Vec<(String, String)>,
    /// Where in the container which file or folder of the host is found.
    pub(super) mounts: Vec<(String, String)>,
    /// Published ports and the container's; `None` where the service has no network of its own.
    pub(super) ports: Option<Vec<(u16, u16)>>,
}

/// The bridge in the file: the only service, or the first that is called or made like one.
pub(super) fn bridge(text: &str) -> Result<Service, String> {
    let file: File = serde_saphyr::from_str(&with_defaults(text)).map_err(|error| {
        // Its text quotes the file, which may hold a key.
        let line = error.location().map_or(1, |location| location.line());
        format!("line {line} is not YAML, or not as docker compose reads it")
    })?;
    let ours = |name: &str, service: &Raw| {
        let image = service.image.as_deref().unwrap_or_default();
        ["reverse-proxy", "gateway", "mtls-bridge"].contains(&name) || image.contains("mtls-bridge")
    };
    let found = match file.services.len() {
        1 => file.services.into_values().next(),
        _ => {
            file.services.into_iter().find(|(name, service)| ours(name, service)).map(|(_, service)| service)
        }
    };
    found.map(|raw| raw.plain(&file.secrets)).ok_or_else(|| "it has no service of mtls-bridge's".to_owned())
}

#[derive(Deserialize)]
struct File {
    services: BTreeMap<String, Raw>,
    #[serde(default)]
    secrets: BTreeMap<String, Secret>,
}

#[derive(Deserialize)]
struct Secret {
    file: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Raw {
    image: Option<String>,
    command: Words,
    env_file: Words,
    environment: Variables,
    volumes: Vec<Volume>,
    secrets: Vec<Given>,
    ports: Vec<Port>,
    network_mode: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Several(Vec<String>),
}

impl Default for Words {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Words {
    fn list(self) -> Vec<String> {
        match self {
            Self::One(word) => vec![word],
            Self::Several(words) => words,
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Variables {
    Map(BTreeMap<String, Option<Scalar>>),
    List(Vec<String>),
}

impl Default for Variables {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Switch(bool),
    Number(i64),
    Text(String),
}

impl Scalar {
    fn text(self) -> String {
        match self {
            Self::Switch(on) => on.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Volume {
    Short(String),
    Long { source: Option<String>, target: String },
}

impl Volume {
    fn mount(self) -> Option<(String, String)> {
        match self {
            Self::Short(text) => {
                let mut parts = text.split(':');
                let source = parts.next()?.to_owned();
                Some((parts.next()?.to_owned(), source))
            }
            Self::Long { source, target } => Some((target, source?)),
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    Short(String),
    Long { source: String, target: Option<String> },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Port {
    Short(String),
    Long {
        target: u16,
        published: Option<Scalar>,
    },
    /// A bare number, for which docker chooses the host's port.
    Other(IgnoredAny),
}

impl Port {
    /// `None` where docker chooses the port, and for ranges.
    fn pair(self) -> Option<(u16, u16)> {
        match self {
            Self::Short(text) => {
                let mut parts = text.split('/').next()?.rsplit(':');
                let target = parts.next()?.parse().ok()?;
                Some((parts.next()?.parse().ok()?, target))
            }
            Self::Long { target, published } => Some((published?.text().parse().ok()?, target)),
            Self::Other(_) => None,
        }
    }
}

impl Raw {
    fn plain(self, secrets: &BTreeMap<String, Secret>) -> Service {
        let environment = match self.environment {
            Variables::Map(map) => {
                map.into_iter().filter_map(|(name, value)| Some((name, value?.text()))).collect()
            }
            Variables::List(list) => list
                .iter()
                .filter_map(|line| line.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        };
        let secret = |given: Given| {
            let (source, target) = match given {
                Given::Short(name) => (name, None),
                Given::Long { source, target } => (source, target),
            };
            let file = secrets.get(&source)?.file.clone()?;
            let target = target.unwrap_or(source);
            let inside = if target.starts_with('/') { target } else { format!("/run/secrets/{target}") };
            Some((inside, file))
        };
        let mounts = self.volumes.into_iter().filter_map(Volume::mount);
        let own_network = self.network_mode.is_none_or(|mode| mode == "bridge");
        Service {
            command: self.command.list(),
            env_files: self.env_file.list(),
            environment,
            mounts: mounts.chain(self.secrets.into_iter().filter_map(secret)).collect(),
            ports: own_network.then(|| self.ports.into_iter().filter_map(Port::pair).collect()),
        }
    }
}

/// `${NAME:-default}` becomes the default, any other `${…}` nothing.
fn with_defaults(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((inside, behind)) = after.split_once('}') else { break };
        plain.push_str(before);
        if let Some((_, default)) = inside.split_once('-').filter(|(name, _)| !name.contains('?')) {
            plain.push_str(default);
        }
        rest = behind;
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn short_forms_and_defaults() {
        let text = r#"
services:
  app: {image: "curl"}
  bridge:
    image: ${MTLS_BRIDGE_IMAGE:-mtls-bridge}
    command: gateway
    env_file: [a.env, b.env]
    environment: ["A=1", "FROM_THE_SHELL"]
    volumes: ["${CERTS:-./certs}:/certs:ro"]
    ports: ["9443:8443", "127.0.0.1:80:8000/tcp", "1", 2, "1-2:3-4"]
"#;
        let expected = Service {
            command: vec!["gateway".into()],
            env_files: vec!["a.env".into(), "b.env".into()],
            environment: owned(&[("A", "1")]),
            mounts: owned(&[("/certs", "./certs")]),
            ports: Some(vec![(9443, 8443), (80, 8000)]),
        };
        assert_eq!(bridge(text), Ok(expected));
    }

    #[test]
    fn long_forms_and_secrets() {
        let text = r#"
services:
  anything:
    network_mode: service:app
    env_file: x.env
    environment: {KONG_CLIENT_SSL: "on", RETRIES: 2, ACCESS_LOG: false, NOTHING: }
    volumes: [{type: bind, source: ./c, target: /client, read_only: true}, {type: tmpfs, target: /tmp}]
    secrets: [server.crt, {source: server.key, target: /keys/server.key}]
secrets:
  server.crt: {file: ./s.crt}
  server.key: {file: ./s.key}
"#;
        let found = bridge(text).unwrap();
        let environment = owned(&[("ACCESS_LOG", "false"), ("KONG_CLIENT_SSL", "on"), ("RETRIES", "2")]);
        assert_eq!((found.environment, found.ports), (environment, None));
        let mounts =
            [("/client", "./c"), ("/run/secrets/server.crt", "./s.crt"), ("/keys/server.key", "./s.key")];
        assert_eq!(found.mounts, owned(&mounts));
    }

    #[test]
    fn what_holds_no_bridge_is_said_in_one_line() {
        assert_eq!(bridge("services: {a: {}, b: {}}").unwrap_err(), "it has no service of mtls-bridge's");
        let broken = bridge("services: [").unwrap_err();
        assert!(!broken.is_empty() && !broken.contains('\n'), "{broken}");
    }
}
