//! Signals do what who sends them expects of a server, and none of them ends the program without a word.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::bridge::{Setup, gateway, plain_proxy};
use crate::support::client::{connect, curl, get};
use crate::support::lines::Lines;
use crate::support::pki::Pki;
use crate::support::services::Echo;

#[test]
fn hup_and_usr1_look_at_the_files_usr2_is_ignored_and_all_say_so() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let node = gateway(&pki, echo.address).start();
    for signal in ["HUP", "USR1"] {
        node.signal(signal);
        node.log.containing(&format!("SIG{signal}: looking at all files"));
    }
    let nothing = |line: &str| line.contains("looked at all files: nothing changed").then_some(());
    node.log.wait_times(1, "the outcome", nothing);
    node.signal("USR2");
    node.log.containing("SIGUSR2 was ignored");
    assert_eq!(node.ask_status("/status/ready"), (200, json!({"ready": true, "pending": []})));
    assert_eq!(node.ask_status("/status/live"), (200, json!({"live": true})));
    assert!(node.stopped_access_lines().is_empty());
}

#[test]
fn quit_drains_as_term_does() {
    let echo = Echo::start();
    let mut node = plain_proxy(echo.address).start();
    let mut client = connect(node.address);
    assert!(get(&mut client, "/").0.starts_with("HTTP/1.1 200"));
    node.signal("QUIT");
    node.log.containing("SIGQUIT: no new connections");
    node.log.containing("drained: everything in flight was finished");
    assert_eq!(node.ended().code(), Some(0));
}

#[test]
fn what_changed_in_the_file_of_settings_is_named_as_waiting_for_a_restart_without_its_value() {
    let (folder, echo) = (tempfile::tempdir().unwrap(), Echo::start());
    let file = folder.path().join("bridge.toml");
    let upstream = format!("upstream_url = \"http://{}\"\nclient_ssl = \"off\"\n", echo.address);
    fs::write(&file, &upstream).unwrap();
    let node = Setup::new("reverse-proxy").env("PROXY_LISTEN", "127.0.0.1:0").env("CONFIG", &file).start();
    node.signal("HUP");
    node.log.containing("SIGHUP: looking at all files");
    fs::write(&file, format!("{upstream}read_timeout = \"77s\"\n")).unwrap();
    node.signal("HUP");
    let line =
        node.log.containing("a restart is needed for what has changed in the settings: read_timeout (");
    assert!(line.contains("bridge.toml") && !line.contains("77s"), "{line}");
    fs::write(&file, format!("{upstream}read_timeout = \"soon\"\n")).unwrap();
    node.signal("USR1");
    node.log.containing("the next start would be refused: read_timeout=soon");
    assert_eq!(curl(&[&node.http()]).status, 200);
}

#[test]
fn as_process_1_it_hears_them_too() {
    let unshare = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
    if !Command::new("unshare").args(unshare).arg("true").status().is_ok_and(|status| status.success()) {
        return;
    }
    let echo = Echo::start();
    let mut command = Command::new("unshare");
    command.args(unshare).arg(env!("CARGO_BIN_EXE_mtls-bridge")).arg("reverse-proxy");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.env("PROXY_LISTEN", "127.0.0.1:0").env("STATUS_LISTEN", "off").env("CLIENT_SSL", "off");
    command.env("UPSTREAM_URL", format!("http://{}", echo.address));
    let mut parent = command.stderr(Stdio::piped()).spawn().unwrap();
    let log = Lines::collect(parent.stderr.take().unwrap());
    log.containing("listening");
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", parent.id())).unwrap();
    let send = |signal: &str| {
        assert!(Command::new("kill").args([signal, children.trim()]).status().unwrap().success());
    };
    for signal in ["HUP", "USR1", "USR2"] {
        send(&format!("-{signal}"));
        log.containing(&format!("SIG{signal}"));
    }
    send("-QUIT");
    log.containing("SIGQUIT: no new connections");
    assert_eq!(parent.wait().unwrap().code(), Some(0));
}
