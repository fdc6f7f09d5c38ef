//! compose/sidecar.yaml when its parts restart: each comes back by itself, and who has lost the link says so.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::compose::{certificates_for_containers, host_address};
use crate::support::PATIENCE;
use crate::support::bridge::program;
use crate::support::docker::{Project, available, docker, run};
use crate::support::peers::free_address;
use crate::support::services::Echo;

const URL: &str = "http://127.0.0.1:8000/";

fn health(container: &str) -> String {
    docker(&["inspect", "--format", "{{.State.Health.Status}}", container])
}

#[test]
fn a_sidecar_goes_on_whichever_of_its_containers_restarts_and_is_unhealthy_without_its_link() {
    if !available() {
        return;
    }
    let host = host_address();
    let pki = certificates_for_containers(&host);
    let certs = pki.path(".").display().to_string();
    let echo = Echo::start_on("0.0.0.0:0");
    let service = format!("http://host.docker.internal:{}", echo.address.port());
    let port = free_address().port().to_string();
    let gateway = [("SERVICE", service.as_str()), ("CERTS", &certs), ("ALLOW", "app"), ("PORT", &port)];
    let gateway = Project::up("gateway.yaml", &gateway);
    let client = [("GATEWAY", host.as_str()), ("GATEWAY_PORT", &port), ("CERTS", &certs)];
    let sidecar = Project::up("sidecar.yaml", &client);
    assert_eq!(sidecar.curl(&[URL]).status, 200);
    for restarted in ["app", "reverse-proxy"] {
        docker(&["restart", "--time", "1", &sidecar.container(restarted)]);
        sidecar.wait(restarted, || {
            let asked = sidecar.curl_command(&[URL]).output().unwrap();
            String::from_utf8_lossy(&asked.stdout).contains(" 200 ").then_some(())
        });
        sidecar.wait("health", || (health(&sidecar.container("reverse-proxy")) == "healthy").then_some(()));
    }

    let bridge = sidecar.container("reverse-proxy");
    docker(&["stop", &gateway.container("gateway")]);
    sidecar.wait("an unhealthy bridge", || (health(&bridge) == "unhealthy").then_some(()));
    let check =
        Command::new("docker").args(["exec", &bridge, "/mtls-bridge", "healthcheck"]).output().unwrap();
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(
        said.contains("the link to the upstream has been away for ") && check.status.code() == Some(1),
        "{said}"
    );
    docker(&["start", &gateway.container("gateway")]);
    sidecar.wait("a healthy bridge", || (health(&bridge) == "healthy").then_some(()));
    assert_eq!(sidecar.curl(&[URL]).status, 200);
}

#[test]
fn a_bridge_whose_network_was_taken_away_says_that_it_is_unhealthy() {
    if !available() {
        return;
    }
    let host = host_address();
    let pki = certificates_for_containers(&host);
    let certs = pki.path(".").display().to_string();
    let echo = Echo::start_on("0.0.0.0:0");
    let service = format!("http://host.docker.internal:{}", echo.address.port());
    let port = free_address().port().to_string();
    let gateway = [("SERVICE", service.as_str()), ("CERTS", &certs), ("ALLOW", "app"), ("PORT", &port)];
    let _gateway = Project::up("gateway.yaml", &gateway);
    let client = [("GATEWAY", host.as_str()), ("GATEWAY_PORT", &port), ("CERTS", &certs)];
    let sidecar = Project::up("sidecar.yaml", &client);
    // Whose network it is is not to be restarted; whoever does it is told.
    docker(&["restart", "--time", "1", &sidecar.container("network")]);
    let bridge = sidecar.container("reverse-proxy");
    sidecar.wait("an unhealthy bridge", || (health(&bridge) == "unhealthy").then_some(()));
    for service in ["reverse-proxy", "app"] {
        docker(&["restart", "--time", "1", &sidecar.container(service)]);
    }
    sidecar.wait("a healthy bridge", || (health(&bridge) == "healthy").then_some(()));
    assert_eq!(sidecar.curl(&[URL]).status, 200);
}

#[test]
fn pause_does_nothing_until_a_signal_and_ends_well() {
    let mut pause = program().arg("pause").spawn().unwrap();
    let status = format!("/proc/{}/status", pause.id());
    let deadline = Instant::now() + PATIENCE;
    // Bit 14 is SIGTERM: from then on it is handled.
    let handles = |line: &str| {
        let caught = line.strip_prefix("SigCgt:")?;
        Some(u64::from_str_radix(caught.trim(), 16).unwrap() >> 14 & 1 == 1)
    };
    while !fs::read_to_string(&status).unwrap().lines().find_map(handles).unwrap() {
        assert!(Instant::now() < deadline && pause.try_wait().unwrap().is_none());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    run(Command::new("kill").args(["-TERM", &pause.id().to_string()]));
    assert_eq!(pause.wait().unwrap().code(), Some(0));
}
