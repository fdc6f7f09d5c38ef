//! The program under test, as a child process that is configured by its environment alone.

use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;
use super::lines::Lines;
use super::pki::Pki;
use crate::executable::executable;

/// How a bridge is to be started.
#[derive(Debug)]
pub struct Setup {
    command: Command,
}

/// A running bridge. Dropped, it is killed.
#[derive(Debug)]
pub struct Bridge {
    child: Child,
    /// Where it accepts requests.
    pub address: SocketAddr,
    /// Its program log (standard error, JSON).
    pub log: Lines,
    /// Its access log (standard output, JSON).
    pub access: Lines,
}

/// What became of a start that was refused.
#[derive(Debug)]
pub struct Refused {
    /// The exit code.
    pub code: i32,
    /// Standard error.
    pub text: String,
}

impl Refused {
    /// The one line of a configuration that was refused.
    pub fn line(&self) -> &str {
        assert_eq!((self.code, self.text.lines().count()), (2, 1), "{}", self.text);
        self.text.trim_end()
    }

    /// Every line of a configuration that was refused.
    pub fn lines(&self) -> Vec<&str> {
        assert_eq!(self.code, 2, "{}", self.text);
        self.text.lines().collect()
    }
}

/// A command of the program, with nothing in its environment but a PATH.
pub fn program() -> Command {
    let mut command = Command::new(executable());
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// A gateway on a free port, in front of `service`, for clients of `pki` (acl: everyone).
pub fn gateway(pki: &Pki, service: SocketAddr) -> Setup {
    Setup::new("gateway")
        .env("PROXY_LISTEN", "127.0.0.1:0 ssl http2")
        .env("UPSTREAM_URL", format!("http://{service}"))
        .env("SSL_CERT", pki.path("server.crt"))
        .env("SSL_CERT_KEY", pki.path("server.key"))
        .env("MTLS_AUTH_CA_CERTIFICATES", pki.path("ca.crt"))
}

/// A reverse proxy on a free port, with `pki`'s client certificate, towards a gateway.
pub fn reverse_proxy(pki: &Pki, gateway: SocketAddr) -> Setup {
    Setup::new("reverse-proxy")
        .env("PROXY_LISTEN", "127.0.0.1:0")
        .env("UPSTREAM_URL", format!("https://localhost:{}", gateway.port()))
        .env("UPSTREAM_CA_CERTIFICATES", pki.path("ca.crt"))
        .env("CLIENT_SSL_CERT", pki.path("client.crt"))
        .env("CLIENT_SSL_CERT_KEY", pki.path("client.key"))
}

/// A reverse proxy that presents no certificate, on a free port, in front of a plain `service`.
pub fn plain_proxy(service: SocketAddr) -> Setup {
    Setup::new("reverse-proxy")
        .env("PROXY_LISTEN", "127.0.0.1:0")
        .env("UPSTREAM_URL", format!("http://{service}"))
        .env("CLIENT_SSL", "off")
}

/// Both nodes in front of a service.
#[derive(Debug)]
pub struct Chain {
    /// Of both.
    pub pki: Pki,
    /// The node of the service.
    pub gateway: Bridge,
    /// The node of the application.
    pub reverse_proxy: Bridge,
}

/// Both nodes, ready.
pub fn chain(service: SocketAddr) -> Chain {
    let pki = Pki::new();
    let gateway = gateway(&pki, service).start();
    let reverse_proxy = reverse_proxy(&pki, gateway.address).start_ready();
    Chain { pki, gateway, reverse_proxy }
}

impl Setup {
    /// The subcommand, one worker, a status listener on a free port.
    pub fn new(subcommand: &str) -> Self {
        let mut command = program();
        command.arg(subcommand).env("WORKERS", "1").env("STATUS_LISTEN", "127.0.0.1:0");
        Self { command }
    }

    /// The same after a line of the shell that the program is to inherit, such as `ulimit -n 64`.
    pub fn after(line: &str, subcommand: &str) -> Self {
        let program = env!("CARGO_BIN_EXE_mtls-bridge");
        let mut setup = Self::new(subcommand);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{line} && exec \"$0\" \"$@\""), program, subcommand]).env_clear();
        command.envs(setup.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        setup.command = command;
        setup
    }

    /// Sets one variable.
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes one variable away.
    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Starts it and waits until it listens.
    pub fn start(self) -> Bridge {
        self.start_with(Lines::collect)
    }

    /// Starts it with an access log that nobody reads.
    pub fn start_unread(self) -> Bridge {
        self.start_with(Lines::hold)
    }

    fn start_with(mut self, read: impl FnOnce(ChildStdout) -> Lines) -> Bridge {
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Lines::collect(child.stderr.take().unwrap());
        let access = read(child.stdout.take().unwrap());
        let address = told_address(&log, "listening");
        Bridge { child, address, log, access }
    }

    /// Starts it and waits until it has reached its upstream.
    pub fn start_ready(self) -> Bridge {
        let bridge = self.start();
        bridge.log.containing("is reached");
        bridge
    }

    /// Runs it to its end, which is to be a refusal.
    pub fn refused(mut self) -> Refused {
        let output = self.command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "it started:\n{text}");
        Refused { code: output.status.code().unwrap(), text }
    }
}

fn told_address(log: &Lines, message: &str) -> SocketAddr {
    let told = log.json(message, |line| line["message"] == message);
    told["address"].as_str().unwrap().parse().unwrap()
}

impl Bridge {
    /// Where it tells its status.
    pub fn status_address(&self) -> SocketAddr {
        told_address(&self.log, "status")
    }

    /// Asks the status listener: the status, and what it tells.
    pub fn ask_status(&self, path: &str) -> (u16, Value) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = super::client::exchange(self.status_address(), request.as_bytes());
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (status, serde_json::from_str(body).unwrap())
    }

    /// Waits until it says that it is ready.
    pub fn wait_until_ready(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.ask_status("/status/ready").0 != 200 {
            assert!(Instant::now() < deadline, "it does not get ready");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Client connections now open.
    pub fn connections(&self) -> u64 {
        self.ask_status("/status").1["connections"].as_u64().unwrap()
    }

    /// Waits until so many client connections are open.
    pub fn wait_for_connections(&self, count: u64) {
        let deadline = Instant::now() + PATIENCE;
        // Status is asked, it does not tell by itself.
        while self.connections() != count {
            assert!(Instant::now() < deadline, "{} connections, not {count}", self.connections());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// File descriptors it holds.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Memory it holds, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// `http://` and the address.
    pub fn http(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `https://localhost:` and the port: a name that is in the certificate.
    pub fn https(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// The access line of the first request for `path`.
    pub fn access_line(&self, path: &str) -> Value {
        self.access.json(path, |line| line["path"] == path)
    }

    /// Sends a signal by its name (`TERM`, `INT`).
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Ends it in order and gives all its access lines.
    pub fn stopped_access_lines(mut self) -> Vec<Value> {
        self.signal("TERM");
        assert!(self.ended().success());
        let lines = self.access.all();
        lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        // Its output ends when it does; the status is there a moment later.
        self.log.all();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the bridge at {}\n{}", self.address, self.log.so_far().join("\n"));
            eprintln!("--- its access log\n{}", self.access.so_far().join("\n"));
        }
    }
}
