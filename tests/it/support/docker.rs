//! Real containers: the image made of the binary cargo builds, and the compose files as users
//! run them.
//!
//! Where no docker is running, its tests say so in one line and are left out; under `CI=true`
//! that is a failure. Every project has a name of its own and is taken down with its volumes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};

use super::client::{Answer, parse};
use super::peers::report;

/// Containers start and become healthy within this time on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// The image under test: the one that `MTLS_BRIDGE_IMAGE` names, as for the compose files, or one that is made here.
pub static IMAGE: LazyLock<String> =
    LazyLock::new(|| std::env::var(NAMED).unwrap_or_else(|_| "mtls-bridge:test".to_owned()));
const NAMED: &str = "MTLS_BRIDGE_IMAGE";

/// A client: a shell and curl, taken from this machine.
pub const CLIENT_IMAGE: &str = "mtls-bridge-client:test";

/// Whether docker runs here, with both images made. A test that gets `false` returns.
pub fn available() -> bool {
    static READY: OnceLock<bool> = OnceLock::new();
    let ready = *READY.get_or_init(|| {
        let runs = succeeds(Command::new("docker").arg("info")) && compose_command().is_some();
        if runs {
            if std::env::var_os(NAMED).is_none() {
                make_image();
            }
            make_client_image();
        }
        runs
    });
    report("a running docker with its compose tool", ready);
    ready
}

/// `docker compose` where it is there, else `docker-compose`.
fn compose_command() -> Option<Command> {
    if succeeds(Command::new("docker").args(["compose", "version"])) {
        let mut command = Command::new("docker");
        command.arg("compose");
        return Some(command);
    }
    succeeds(Command::new("docker-compose").arg("version")).then(|| Command::new("docker-compose"))
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Runs a command to its good end and gives what it printed.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// `docker` with these arguments, to its good end.
pub fn docker(arguments: &[&str]) -> String {
    run(Command::new("docker").args(arguments))
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A static binary, and compose/Dockerfile's target that takes it: what its comment says, step by step.
fn make_image() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("image");
    let target_dir = folder.join("target");
    let host = run(Command::new("rustc").args(["--print", "host-tuple"]));
    run(Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["build", "--quiet", "--release", "--locked", "--target", &host, "--target-dir"])
        .arg(&target_dir)
        .env("RUSTFLAGS", "-C target-feature=+crt-static"));
    let context = folder.join("context");
    let (certs, trusted) = (context.join("certs"), context.join("etc/ssl/certs"));
    for folder in [&certs, &trusted] {
        fs::create_dir_all(folder).unwrap();
    }
    fs::set_permissions(certs, fs::Permissions::from_mode(0o1777)).unwrap();
    fs::copy(target_dir.join(host).join("release/mtls-bridge"), context.join("mtls-bridge")).unwrap();
    fs::copy("/etc/ssl/certs/ca-certificates.crt", trusted.join("ca-certificates.crt")).unwrap();
    run(Command::new("docker")
        .args(["build", "--quiet", "--target", "prebuilt", "--tag", &IMAGE, "--file"])
        .arg(root().join("compose/Dockerfile"))
        .arg(&context));
}

/// Makes the image that `RUST_IMAGE` is to name, of this machine's toolchain, and gives its name.
pub fn rust_image() -> &'static str {
    const RUST_IMAGE: &str = "mtls-bridge-rust:test";
    run(Command::new("bash").arg(root().join("tests/it/support/rust_image.sh")).arg(RUST_IMAGE));
    RUST_IMAGE
}

/// No registry is asked: the programs and libraries are this machine's own.
fn make_client_image() {
    let script = r#"set -e; root=$(mktemp -d); mkdir -p $root/bin $root/tmp
        for program in sh sleep curl mv cat; do
            path=$(command -v $program); cp -L $path $root/bin/
            ldd $path | grep -o '/[^ )]*' | while read -r library; do
                mkdir -p $root$(dirname $library); cp -Ln $library $root$library
            done
        done
        tar -C $root -c . | docker import --change 'ENV PATH=/bin' - "$0" > /dev/null; rm -rf $root"#;
    run(Command::new("bash").args(["-c", script, CLIENT_IMAGE]));
}

/// A compose file that is up. Dropped, it is taken down with its volumes.
#[derive(Debug)]
pub struct Project {
    name: String,
    file: PathBuf,
    environment: Vec<(String, String)>,
}

impl Project {
    /// Brings a file of `compose/`, or one by its whole path, up with this environment and waits until everything is healthy.
    pub fn up(file: &str, environment: &[(&str, &str)]) -> Self {
        let project = Self::new(file, environment);
        run(project.compose().args(["up", "--detach"]));
        project.wait_until_healthy();
        project
    }

    /// Not started yet.
    pub fn new(file: &str, environment: &[(&str, &str)]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let images = [(NAMED, IMAGE.as_str()), ("APP_IMAGE", CLIENT_IMAGE)];
        let environment = images.iter().chain(environment);
        Self {
            name: format!("mtls-bridge-test-{}-{number}", std::process::id()),
            file: root().join("compose").join(file),
            environment: environment.map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        }
    }

    /// The compose tool with this project's file, name and environment.
    pub fn compose(&self) -> Command {
        let mut command = compose_command().unwrap();
        command.envs(self.environment.iter().cloned()).arg("--project-name").arg(&self.name);
        command.arg("--file").arg(&self.file);
        command
    }

    /// The id of a service's container.
    pub fn container(&self, service: &str) -> String {
        let id = run(self.compose().args(["ps", "--all", "--quiet", service]));
        assert!(!id.is_empty(), "{service} has no container");
        id
    }

    /// A network of the project, by its name in the file.
    pub fn network(&self, name: &str) -> String {
        format!("{}_{name}", self.name)
    }

    /// A volume of the project, by its name in the file.
    pub fn volume(&self, name: &str) -> String {
        format!("{}_{name}", self.name)
    }

    /// curl in the container of `app`.
    pub fn curl(&self, arguments: &[&str]) -> Answer {
        let output = self.curl_command(arguments).output().unwrap();
        let answer = parse(&String::from_utf8_lossy(&output.stdout), output.status.code().unwrap());
        answer.unwrap_or_else(|| panic!("curl {arguments:?} gave no answer: {}", text(&output)))
    }

    /// The same, to be run.
    pub fn curl_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(["exec", &self.container("app"), "curl", "-sS", "-i", "--max-time", "20"]);
        command.args(arguments);
        command
    }

    /// Asks until the answer is 200; that is what recovering by itself means.
    pub fn curl_until_200(&self, url: &str) -> Answer {
        self.wait("a 200", || Some(self.curl(&[url])).filter(|answer| answer.status == 200))
    }

    /// Waits until every container with a health check is healthy.
    pub fn wait_until_healthy(&self) {
        let ids = run(self.compose().args(["ps", "--all", "--quiet"]));
        for id in ids.lines() {
            let format = "{{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{end}}";
            self.wait("health", || {
                let state = docker(&["inspect", "--format", format, id]);
                assert!(!state.contains("exited") || self.is_one_shot(id), "{id} ended: {}", docker_logs(id));
                (!state.ends_with("starting") && !state.ends_with("unhealthy")).then_some(())
            });
        }
    }

    fn is_one_shot(&self, id: &str) -> bool {
        docker(&["inspect", "--format", "{{.State.ExitCode}} {{.HostConfig.RestartPolicy.Name}}", id])
            == "0 no"
    }

    /// Asks again and again until there is something; containers tell nobody when they change.
    pub fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            let logs = || text(&self.compose().arg("logs").output().unwrap());
            assert!(Instant::now() < deadline, "no {what}:\n{}", logs());
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }
}

fn docker_logs(id: &str) -> String {
    text(&Command::new("docker").args(["logs", id]).output().unwrap())
}

impl Drop for Project {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- logs of {}\n{}", self.name, text(&self.compose().arg("logs").output().unwrap()));
        }
        let down = self.compose().args(["down", "--volumes", "--timeout", "2"]).output();
        assert!(down.is_ok_and(|output| output.status.success()) || std::thread::panicking());
    }
}
