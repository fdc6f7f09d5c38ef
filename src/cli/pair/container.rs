//! What keeps one half from working although its settings are right: how docker runs it.
//!
//! Used by `half` and `pair::check`. One function for each thing; what is about both halves is in `drift`.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::{DeclarativeSource, Mode, Reference, Said};

use super::compose_file::{Health, Mount, Network, Service, Source};
use super::drift::{own_credentials, trusted_cas};
use super::half::Half;

/// All of it.
pub(super) fn findings(half: &Half) -> Vec<String> {
    let Some(service) = &half.service else { return Vec::new() };
    let mut findings = Vec::new();
    findings.extend(nobody(half, service));
    findings.extend(own_loopback(half));
    findings.extend(itself(half, service));
    findings.extend(health(half, service));
    findings.extend(killed(half, service));
    findings
}

/// Files that the container cannot read, by the setting that names them.
pub(super) fn unread(half: &Half) -> Vec<(String, String)> {
    let Some(service) = &half.service else { return Vec::new() };
    let reader = Reader::of(service);
    let reader = reader.as_ref();
    let mut found = Vec::new();
    for said in named(half) {
        let Reference::Path(path) = Reference::of(&said) else { continue };
        let Some((what, advice)) = cannot_read(half, service, reader, &path) else { continue };
        let finding = half.about(&crate::config::Problem::new(&said, what, advice));
        found.push((said.key().to_owned(), finding));
    }
    found
}

/// Every file the settings name. Those in a file of settings are not looked at: its paths are not turned into
/// this machine's.
fn named(half: &Half) -> Vec<Said> {
    let own = own_credentials(half).into_iter().flat_map(|files| [files.cert.clone(), files.key.clone()]);
    let declared = half
        .config()
        .declarative
        .iter()
        .map(DeclarativeSource::said)
        .filter(|said| said.key() == "declarative_config");
    let all = own.chain(trusted_cas(half).into_iter().cloned()).chain(declared.cloned());
    all.filter(|said| !said.origin().to_string().starts_with("file ")).collect()
}

/// Why not, and what to do.
fn cannot_read(
    half: &Half,
    service: &Service,
    reader: Option<&Reader>,
    path: &Path,
) -> Option<(String, String)> {
    let shown = path.display().to_string();
    if !half.mapped.contains(&shown) {
        return not_mounted(service, path);
    }
    let base = base(&service.mounts, path)?;
    let (file, root) = (fs::canonicalize(path).ok()?, fs::canonicalize(&base).ok()?);
    if !file.starts_with(&root) {
        let what = format!(
            "it is a link to {}, which is not mounted, so the container has no such file",
            file.display()
        );
        return Some((what, "mount the folder that holds both, or copy the file".to_owned()));
    }
    // The mounted folder itself and what is below it; what is above it is not gone through.
    let below = file.ancestors().take_while(|part| part.starts_with(&root));
    for part in below {
        let metadata = fs::metadata(part).ok()?;
        let wanted = if metadata.is_dir() { SEARCH } else { READ };
        if let Some(reader) = reader.filter(|reader| !reader.may(&metadata, wanted)) {
            return Some(denied(reader, part, &metadata));
        }
    }
    if fs::File::open(&file).is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied) {
        let what = "the container may read it, but this check may not".to_owned();
        return Some((what, "run the check as its owner, or with sudo".to_owned()));
    }
    None
}

fn not_mounted(service: &Service, path: &Path) -> Option<(String, String)> {
    let inside = Path::new("/").join(path);
    if inside == Path::new("/etc/ssl/certs/ca-certificates.crt") {
        return None;
    }
    let volume = service.mounts.iter().find_map(|mount| match &mount.source {
        Source::Volume(name) if inside.starts_with(&mount.inside) => Some(name),
        _ => None,
    });
    Some(match volume {
        Some(name) => (
            format!("it is in docker's volume {name}, into which this check cannot look"),
            "mount a folder, or check where it runs: `docker compose run --rm SERVICE check MODE`".to_owned(),
        ),
        None => (
            format!("{} mounts nothing there, so the container has no such file", service.file),
            "mount the folder it is in, and write the path as the container sees it".to_owned(),
        ),
    })
}

/// What is mounted of a path on this machine.
fn base(mounts: &[Mount], path: &Path) -> Option<PathBuf> {
    let sources = mounts.iter().filter_map(|mount| match &mount.source {
        Source::Path(source) if path.starts_with(source) => Some(source.clone()),
        _ => None,
    });
    sources.max_by_key(|source| source.as_os_str().len())
}

fn denied(reader: &Reader, path: &Path, metadata: &fs::Metadata) -> (String, String) {
    let (owner, group, mode) = (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777);
    let Reader { user, group: own, .. } = reader;
    let what = format!(
        "the container runs as user {user}:{own}, which may not read {} (owner {owner}:{group}, mode {mode:04o})",
        path.display()
    );
    let advice =
        format!("write `user: \"{owner}:{group}\"` in the compose file, or `sudo chown {user}:{own}` it");
    (what, advice)
}

/// Who reads in the container.
struct Reader {
    user: u32,
    group: u32,
    groups: Vec<u32>,
    reads_all: bool,
}

impl Reader {
    /// `None` for a name, which is nobody's in an image without /etc/passwd; `root` alone docker itself knows.
    fn of(service: &Service) -> Option<Self> {
        let (user, group) = service.user.split_once(':').unwrap_or((&service.user, "0"));
        let number = |text: &str| if text == "root" { Some(0) } else { text.parse().ok() };
        let user = number(user)?;
        Some(Self {
            user,
            group: number(group)?,
            groups: service.groups.iter().filter_map(|group| number(group)).collect(),
            reads_all: user == 0 && service.root_reads_all,
        })
    }

    fn may(&self, metadata: &fs::Metadata, wanted: u32) -> bool {
        let mine = self.group == metadata.gid() || self.groups.contains(&metadata.gid());
        let shift = if self.user == metadata.uid() {
            6
        } else if mine {
            3
        } else {
            0
        };
        self.reads_all || (metadata.mode() >> shift) & wanted != 0
    }
}

/// Docker does not start a container as somebody it does not know.
fn nobody(half: &Half, service: &Service) -> Option<String> {
    let what = "the image has no /etc/passwd, so docker knows no user of this name and does not start it";
    let advice = "write the numbers of the keys' owner, UID:GID";
    Reader::of(service).is_none().then(|| half.of_compose("user", &service.user, what, advice))
}

/// A port that is published leads to the container's address, never to its loopback.
fn own_loopback(half: &Half) -> Vec<String> {
    let loopback = |address: &SocketAddr| address.ip().to_canonical().is_loopback();
    let reached_by_hosts = half.mode == Mode::Gateway;
    let listeners = half.config().listeners.iter().filter(|listener| loopback(&listener.address));
    let (what, advice) = match half.network() {
        Network::Own => (
            "this is the container's own loopback, to which no published port and no other container leads",
            "0.0.0.0",
        ),
        _ if reached_by_hosts => ("this is loopback, which no other host reaches", "0.0.0.0"),
        _ => return Vec::new(),
    };
    listeners
        .map(|listener| {
            let advice = format!(
                "write {advice}:{}{}",
                listener.address.port(),
                if listener.tls { " ssl" } else { "" }
            );
            half.finding("proxy_listen", what, advice)
        })
        .collect()
}

/// `localhost` in a container is the container.
fn itself(half: &Half, service: &Service) -> Vec<String> {
    let what = "inside the container this is the container itself";
    let docker = "host.docker.internal";
    let near = |host: &str| {
        host.eq_ignore_ascii_case(docker) && !service.extra_hosts.iter().any(|name| name == docker)
    };
    let unknown = "docker on Linux does not know this name by itself";
    let advice = format!("add `extra_hosts: [\"{docker}:host-gateway\"]` to the service");
    if service.network != Network::Own {
        return Vec::new();
    }
    if let Some(upstream) = &half.config().upstream {
        let target = &upstream.target;
        if target.is_loopback() {
            let advice =
                format!("write the host's or container's name, or {docker}:{} for this host", target.port);
            return vec![half.finding("upstream_url", what, advice)];
        }
        return near(&target.host)
            .then(|| half.finding("upstream_url", unknown, advice))
            .into_iter()
            .collect();
    }
    let services = half.snapshot.iter().flat_map(|snapshot| &snapshot.services);
    let targets = services.flat_map(|service| &service.targets);
    let mut findings: Vec<String> = targets
        .filter_map(|target| {
            let label = &target.label;
            let loopback = target.host.eq_ignore_ascii_case("localhost")
                || target.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
            if loopback {
                let advice = format!("write the container's name, or {docker}:{} for this host", target.port);
                return Some(half.finding("declarative_config", format!("{label}: {what}"), advice));
            }
            near(&target.host)
                .then(|| half.finding("declarative_config", format!("{label}: {unknown}"), &*advice))
        })
        .collect();
    findings.dedup();
    findings
}

/// A check that can never succeed makes the container unhealthy for good.
fn health(half: &Half, service: &Service) -> Option<String> {
    let words = match &service.health {
        Health::Off => return None,
        Health::Foreign(words) => {
            let what = "the image holds neither a shell nor this program, so the container is never healthy";
            return Some(half.of_compose(
                "healthcheck",
                words,
                what,
                "write `test: [CMD, /mtls-bridge, healthcheck]`, or leave it out",
            ));
        }
        Health::Own(words) => words,
    };
    let said = half.said("status_listen");
    if half.config().status.is_none() {
        let what = "the health check has nobody to ask, so the container is never healthy";
        return Some(half.finding(
            "status_listen",
            what,
            "write 127.0.0.1:8007, or `healthcheck: {disable: true}` in the compose file",
        ));
    }
    let is_flag = said.origin().to_string().starts_with("flag ");
    (is_flag && words.is_empty()).then(|| {
        let what = "the health check does not see the flags of the command, and asks at another address";
        half.finding("status_listen", what, "set STATUS_LISTEN in the environment instead")
    })
}

/// Docker's patience must be longer than ours.
fn killed(half: &Half, service: &Service) -> Option<String> {
    let (drain, grace) = (half.config().drain_timeout, service.stop_grace_period);
    (drain >= grace).then(|| {
        let what = format!("docker kills the container {grace:?} after its stop signal, before this is over");
        let advice = format!(
            "write `stop_grace_period: {}s` in the compose file, or a shorter time here",
            drain.as_secs() + 5
        );
        half.finding("drain_timeout", what, advice)
    })
}

const READ: u32 = 4;
const SEARCH: u32 = 1;
