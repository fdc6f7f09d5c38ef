//! The deployment pages: what they show can be loaded, as far as that goes without systemd or Kubernetes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use mtls_bridge::pki::{Leaf, Usage};
use serde_json::Value;

use crate::executable::executable;
use crate::support::bridge::program;
use crate::support::peers::installed;
use crate::support::pki::Pki;

/// The fenced blocks of a page under `docs/` in one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page)).unwrap();
    let fence = format!("```{language}\n");
    let found: Vec<_> =
        page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect();
    assert!(!found.is_empty(), "the page shows no {language}");
    found
}

/// A PKI with `tls.crt` and `tls.key` as well, good for both sides.
fn named_as_on_the_pages() -> Pki {
    let pki = Pki::new();
    pki.issue("tls", &Leaf { usage: Usage::Both, ..Leaf::server(&["localhost"]).unwrap() });
    pki
}

/// Runs `check` with what a page says, its folder of certificates replaced by the PKI's.
fn check(mode: &str, environment: &BTreeMap<String, String>, folder: &str, pki: &Pki) {
    let here = pki.path("").display().to_string();
    let mut command = program();
    command.args(["check", mode]);
    for (name, value) in environment {
        command.env(name, value.replace(folder, &here));
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{mode}: {}", String::from_utf8_lossy(&output.stderr));
    let warned = String::from_utf8_lossy(&output.stdout).lines().any(|line| line.starts_with("warning"));
    assert!(!warned, "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn systemd_takes_the_units_of_its_page() {
    if !installed("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let units = blocks("deploy-systemd.md", "ini");
    assert_eq!(units.len(), 2);
    for (number, unit) in units.iter().enumerate() {
        // The unit names the binary where it will be; it is checked where it is.
        let unit = unit.replace("/usr/local/bin/mtls-bridge", executable().to_str().unwrap());
        let file = folder.path().join(format!("mtls-bridge-{number}.service"));
        fs::write(&file, unit).unwrap();
        let output =
            Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let about_us: Vec<_> = said.lines().filter(|line| line.contains("mtls-bridge-")).collect();
        assert!(output.status.success() && about_us.is_empty(), "{said}");
    }
}

#[test]
fn the_settings_of_the_units_are_accepted() {
    let pki = Pki::new();
    for unit in blocks("deploy-systemd.md", "ini") {
        let mode = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/mtls-bridge "));
        let settings = unit.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('='));
        let environment = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        check(mode.unwrap(), &environment, "/etc/mtls-bridge/", &pki);
    }
}

#[test]
fn the_program_tells_systemd_when_it_listens_and_when_it_drains() {
    let (pki, echo) = (Pki::new(), crate::support::services::Echo::start());
    let socket = std::os::unix::net::UnixDatagram::bind(pki.path("notify")).unwrap();
    socket.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
    let told = || {
        let mut text = [0; 64];
        let length = socket.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..length]).trim().to_owned()
    };
    let gateway = crate::support::bridge::gateway(&pki, echo.address);
    let mut gateway = gateway.env("NOTIFY_SOCKET", pki.path("notify")).start();
    assert_eq!(told(), "READY=1");
    gateway.signal("TERM");
    assert_eq!(told(), "STOPPING=1");
    assert!(gateway.ended().success());
}

#[test]
fn the_containers_of_the_kubernetes_page_are_accepted() {
    let pki = named_as_on_the_pages();
    let mut modes = Vec::new();
    for block in blocks("deploy-kubernetes.md", "yaml") {
        let documents: Vec<Value> = serde_saphyr::from_multiple(&block).unwrap();
        for deployment in documents.iter().filter(|document| document["kind"] == "Deployment") {
            let container = &deployment["spec"]["template"]["spec"]["initContainers"][0];
            assert_eq!(container["restartPolicy"], "Always", "a native sidecar");
            let mode = container["args"][0].as_str().unwrap();
            let text = |value: &Value| value.as_str().expect("Kubernetes wants strings").to_owned();
            let environment = container["env"].as_array().unwrap().iter();
            let environment =
                environment.map(|entry| (text(&entry["name"]), text(&entry["value"]))).collect();
            check(mode, &environment, "/tls/", &pki);
            modes.push(mode.to_owned());
        }
    }
    assert_eq!(modes, ["reverse-proxy", "gateway"]);
}
