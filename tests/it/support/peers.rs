//! Foreign programs: found, started with a configuration of their own, waited for.
//!
//! Where one is missing its tests say so in one line and are left out; under `CI=true` that
//! is a failure.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::lines::Lines;

/// Whether `program` can be run here. A test that gets `false` returns.
pub fn installed(program: &str) -> bool {
    let asked = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let found = asked.is_ok_and(|output| output.status.success());
    report(program, found);
    found
}

/// A Python 3 that knows `module`; `None` where none does. Debian's packages are known to
/// Debian's Python alone, so that one is asked first.
pub fn python_with(module: &str) -> Option<&'static str> {
    let knows = |python: &&str| {
        let asked = Command::new(python).args(["-c", &format!("import {module}")]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    let found = ["/usr/bin/python3", "python3"].into_iter().find(knows);
    report(&format!("python3 with {module}"), found.is_some());
    found
}

pub fn report(what: &str, found: bool) {
    let ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(found || !ci, "{what} is not installed, and CI leaves no test out");
    if !found {
        let line = format!("left out: {} needs {what}\n", std::thread::current().name().unwrap_or("a test"));
        // Not by a macro of the standard library: those are silenced in a test that passes.
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
}

/// A foreign program that runs in the foreground. Dropped, it is killed.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it writes to standard output.
    pub output: Lines,
    /// What it writes to standard error.
    pub log: Lines,
}

impl Peer {
    /// Starts it and waits until it accepts on `address`.
    pub fn start(program: &str, arguments: &[&str], address: SocketAddr) -> Self {
        let mut peer = Self::spawn(program, arguments, address);
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            assert!(peer.child.try_wait().unwrap().is_none(), "{program} ended");
            assert!(Instant::now() < deadline, "{program} does not listen on {address}");
            // Foreign programs do not tell when they listen; asking again is all one can do.
            std::thread::park_timeout(Duration::from_millis(10));
        }
        peer
    }

    /// Starts one that writes its own address as its first line, when it listens.
    pub fn start_telling(program: &str, arguments: &[&str]) -> Self {
        let mut peer = Self::spawn(program, arguments, SocketAddr::from(([0, 0, 0, 0], 0)));
        peer.address = peer.output.wait("an address", |line| line.parse().ok());
        peer
    }

    fn spawn(program: &str, arguments: &[&str], address: SocketAddr) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let output = Lines::collect(child.stdout.take().unwrap());
        let log = Lines::collect(child.stderr.take().unwrap());
        Self { child, address, output, log }
    }

    /// `http://` and the address.
    pub fn http(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of the foreign program at {}", self.address);
            eprintln!("{}\n{}", self.log.so_far().join("\n"), self.output.so_far().join("\n"));
        }
    }
}

/// An address that was free a moment ago, for programs that cannot choose one themselves.
///
/// Below the ports that the system gives away by itself (Linux: from 32768), so that nobody
/// who asked for any port gets this one in the meantime.
pub fn free_address() -> SocketAddr {
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(12_000..32_000)));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// An nginx with this text inside its `http` block, in the foreground, all its files in `folder`.
pub fn nginx(folder: &Path, http: &str, address: SocketAddr) -> Peer {
    let dir = folder.display();
    let text = format!(
        "daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/error.log; worker_processes 1;\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log {dir}/access.log; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;\n\
         fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;\n{http}\n}}\n"
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, text).unwrap();
    // Until it has read the file it would write its errors where only root may.
    let early = folder.join("error.log").display().to_string();
    let arguments = ["-p", &dir.to_string(), "-c", &file.display().to_string(), "-e", &early];
    Peer::start("nginx", &arguments, address)
}

/// An HAProxy with these sections, in the foreground; its files go to `folder`.
pub fn haproxy(folder: &Path, sections: &str, address: SocketAddr) -> Peer {
    let text = format!(
        "global\n maxconn 256\n log stdout format raw local0\n\
         defaults\n mode http\n log global\n option httplog\n\
         timeout connect 5s\n timeout client 30s\n timeout server 30s\n{sections}\n"
    );
    let file = folder.join("haproxy.cfg");
    std::fs::write(&file, text).unwrap();
    Peer::start("haproxy", &["-db", "-f", &file.display().to_string()], address)
}

/// An stunnel with one service of these options, listening on `address`.
pub fn stunnel(folder: &Path, options: &str, address: SocketAddr) -> Peer {
    let text = format!("foreground = yes\npid =\n[link]\naccept = {address}\n{options}\n");
    let file = folder.join("stunnel.conf");
    std::fs::write(&file, text).unwrap();
    Peer::start("stunnel", &[&file.display().to_string()], address)
}
