//! Settings through the real program: where they come from, which one wins, and what `check` tells.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::support::bridge::{Bridge, Setup, gateway, program, reverse_proxy};
use crate::support::client::{curl, curl_anonymous, curl_fails};
use crate::support::lines::Lines;
use crate::support::pki::Pki;
use crate::support::services::{Echo, closed_port};

/// What `check` prints of a configuration that is right.
struct Page {
    /// By key: the value and its origin.
    values: BTreeMap<String, (String, String)>,
    /// Cautions and warnings.
    remarks: Vec<String>,
}

impl Page {
    fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), errors.as_str()), (Some(0), ""));
        let page = String::from_utf8(output.stdout).unwrap();
        let (table, remarks) = page.split_once("\n\n").unwrap_or((&page, ""));
        let value = |line: &str| {
            let (key, rest) = line.split_once(" = ").unwrap_or_else(|| panic!("{line}"));
            let (value, origin) = rest.rsplit_once("   (").unwrap_or_else(|| panic!("{line}"));
            let origin = origin.strip_suffix(')').unwrap_or_else(|| panic!("{line}"));
            (key.trim().to_owned(), (value.trim().to_owned(), origin.to_owned()))
        };
        Self {
            values: table.lines().map(value).collect(),
            remarks: remarks.lines().map(str::to_owned).collect(),
        }
    }

    /// `value (origin)`.
    fn said(&self, key: &str) -> String {
        let (value, origin) = self.values.get(key).unwrap_or_else(|| panic!("{key} has no value"));
        format!("{value} ({origin})")
    }
}

/// `check` of a reverse proxy that would start, with these variables too.
fn checked(environment: &[(&str, &str)]) -> Page {
    let mut command = program();
    command.args(["check", "reverse-proxy"]).env("UPSTREAM_URL", "http://localhost").env("CLIENT_SSL", "off");
    Page::of(command.envs(environment.iter().copied()))
}

#[test]
fn each_layer_wins_over_those_before_it() {
    let pki = Pki::new();
    let file =
        |name: &str, value: &str| pki.write(name, format!("retries = {value}\n")).display().to_string();
    let (profile, later, config) = (file("p.toml", "2"), file("q.toml", "3"), file("c.toml", "4"));
    let profiles = format!("{profile},{later}");
    let said = |environment: &[(&str, &str)], flags: &[&str]| {
        let mut command = program();
        command.args(["check", "gateway"]).args(flags).env("UPSTREAM_URL", "http://localhost");
        command.env("PROXY_LISTEN", "127.0.0.1:0").env("MTLS_AUTH_CA_CERTIFICATES", pki.path("ca.crt"));
        Page::of(command.envs(environment.iter().copied())).said("retries")
    };
    let everything =
        [("PROFILE", profiles.as_str()), ("CONFIG", &config), ("KONG_RETRIES", "5"), ("RETRIES", "6")];
    assert_eq!(said(&[], &[]), "1 (default)");
    assert_eq!(said(&[("PROFILE", &profile)], &[]), format!("2 (file {profile})"));
    assert_eq!(said(&everything[..1], &[]), format!("3 (file {later})"));
    assert_eq!(said(&everything[..2], &[]), format!("4 (file {config})"));
    assert_eq!(said(&everything[..3], &[]), "5 (environment KONG_RETRIES)");
    assert_eq!(said(&everything, &[]), "6 (environment RETRIES)");
    assert_eq!(said(&everything, &["--retries=7"]), "7 (flag --retries)");
    assert_eq!(said(&everything[..1], &["--config", &config]), format!("4 (file {config})"));
}

#[test]
fn every_value_is_printed_with_its_origin() {
    let page = checked(&[("LOG_LEVEL", "debug")]);
    assert!(page.values.len() > 40, "{:?}", page.values);
    assert_eq!(page.said("mode"), "reverse-proxy (subcommand)");
    assert_eq!(page.said("proxy_listen"), "127.0.0.1:8000 (profile reverse-proxy)");
    assert_eq!(page.said("status_listen"), "127.0.0.1:8007 (default)");
    assert_eq!(page.said("log_level"), "debug (environment LOG_LEVEL)");
    assert_eq!(page.remarks, [""; 0]);
}

#[test]
fn a_refused_configuration_prints_problems_and_no_page() {
    let output = program().args(["check", "reverse-proxy"]).env("CLIENT_SSL", "off").output().unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(2), vec![]));
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("upstream_url: not set"));
}

#[test]
fn a_value_can_lie_in_a_file_but_not_in_two_places() {
    let pki = Pki::new();
    let path = pki.write("level", "warn\n").display().to_string();
    assert_eq!(checked(&[("LOG_LEVEL_FILE", &path)]).said("log_level"), "warn (environment LOG_LEVEL_FILE)");
    let kong = checked(&[("KONG_LOG_LEVEL_FILE", &path)]);
    assert_eq!(kong.said("log_level"), "warn (environment KONG_LOG_LEVEL_FILE)");
    let both = reverse_proxy(&pki, closed_port()).env("LOG_LEVEL_FILE", &path).env("LOG_LEVEL", "info");
    let expected = "log_level (environment LOG_LEVEL_FILE): LOG_LEVEL is set too; keep one of the two";
    assert_eq!(both.refused().line(), expected);
}

#[test]
fn an_empty_variable_counts_as_not_set_and_is_told() {
    let page = checked(&[("RETRIES", "")]);
    assert_eq!(page.said("retries"), "1 (default)");
    assert_eq!(page.remarks, ["warning: retries is empty (environment RETRIES) and counts as not set"]);
}

#[test]
fn names_kong_users_have_set_already_are_understood() {
    let pki = Pki::new();
    let path = pki.path("ca.crt").display().to_string();
    let page = checked(&[("KONG_LUA_SSL_TRUSTED_CERTIFICATE", &path)]);
    let expected = format!("{path} (environment KONG_LUA_SSL_TRUSTED_CERTIFICATE)");
    assert_eq!(page.said("upstream_ca_certificates"), expected);
}

#[test]
fn near_misses_and_unknown_kong_names_are_warned_about_in_check_and_at_start() {
    let remarks = checked(&[("CLIENT_SSL_CERTS", "/x"), ("KONG_DATABASE", "off"), ("HOSTNAME", "x")]).remarks;
    let near = "CLIENT_SSL_CERTS is not a setting and was ignored; did you mean CLIENT_SSL_CERT?";
    let unknown = "KONG_DATABASE is not a setting of mtls-bridge and was ignored";
    assert_eq!(remarks, [format!("warning: {near}"), format!("warning: {unknown}")]);
    let bridge = reverse_proxy(&Pki::new(), closed_port())
        .env("CLIENT_SSL_CERTS", "/x")
        .env("KONG_DATABASE", "off")
        .start();
    for message in [near, unknown] {
        bridge.log.json(message, |line| line["level"] == "WARN" && line["message"] == message);
    }
}

/// A chain whose reverse proxy gets its certificate, key and CA in these words.
fn chain(pki: &Pki, echo: &Echo, certificate: &str, key: &str, ca: &str) -> (Bridge, Bridge) {
    let gateway = gateway(pki, echo.address).start();
    let reverse_proxy = reverse_proxy(pki, gateway.address)
        .env("CLIENT_SSL_CERT", certificate)
        .env("CLIENT_SSL_CERT_KEY", key)
        .env("UPSTREAM_CA_CERTIFICATES", ca)
        .start_ready();
    (gateway, reverse_proxy)
}

fn caller(reverse_proxy: &Bridge) -> Vec<String> {
    curl(&[&reverse_proxy.http()]).received("x-client-cert-dn")
}

#[test]
fn a_certificate_can_be_pem_text() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let text = |name| pki.text(name);
    let chain = chain(&pki, &echo, &text("client.crt"), &text("client.key"), &text("ca.crt"));
    assert_eq!(caller(&chain.1), ["CN=app"]);
}

#[test]
fn a_certificate_can_be_base64_of_pem() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let packed = |name| STANDARD.encode(pki.text(name));
    let chain = chain(&pki, &echo, &packed("client.crt"), &packed("client.key"), &packed("ca.crt"));
    assert_eq!(caller(&chain.1), ["CN=app"]);
}

#[test]
fn a_certificate_can_be_in_a_file_named_by_file_as_docker_secrets_are() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address)
        .without("SSL_CERT_KEY")
        .env("SSL_CERT_KEY_FILE", pki.path("server.key"))
        .start();
    let reverse_proxy = reverse_proxy(&pki, gateway.address)
        .without("CLIENT_SSL_CERT")
        .without("CLIENT_SSL_CERT_KEY")
        .env("CLIENT_SSL_CERT_FILE", pki.path("client.crt"))
        .env("CLIENT_SSL_CERT_KEY_FILE", pki.path("client.key"))
        .start_ready();
    assert_eq!(caller(&reverse_proxy), ["CN=app"]);
}

#[test]
fn kongs_own_variables_run_a_reverse_proxy() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let reverse_proxy = Setup::new("reverse-proxy")
        .env("KONG_PROXY_LISTEN", "127.0.0.1:0")
        .env("KONG_CLIENT_SSL", "on")
        .env("KONG_CLIENT_SSL_CERT", pki.path("client.crt"))
        .env("KONG_CLIENT_SSL_CERT_KEY", pki.path("client.key"))
        .env("KONG_LUA_SSL_TRUSTED_CERTIFICATE", pki.path("ca.crt"))
        .env("UPSTREAM_URL", gateway.https())
        .start_ready();
    assert_eq!(caller(&reverse_proxy), ["CN=app"]);
}

#[test]
fn client_ssl_off_presents_nothing() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).start();
    let reverse_proxy = reverse_proxy(&pki, gateway.address).env("KONG_CLIENT_SSL", "off").start();
    assert_eq!(curl(&[&reverse_proxy.http()]).status, 401);
}

#[test]
fn every_built_in_profile_is_loaded_by_its_name() {
    let said = |profile: &str, key: &str| checked(&[("PROFILE", profile)]).said(key);
    assert_eq!(said("development", "log_format"), "text (profile development)");
    assert_eq!(said("hardened", "ssl_protocols"), "TLSv1.3 (profile hardened)");
    assert_eq!(said("hardened,development", "insecure"), "refuse (profile hardened)");
    assert_eq!(said("reverse-proxy", "client_ssl"), "off (environment CLIENT_SSL)");
    let pki = Pki::new();
    let mut gateway = program();
    gateway.args(["check", "gateway"]).env("UPSTREAM_URL", "http://localhost");
    gateway.env("SSL_CERT", pki.path("server.crt")).env("SSL_CERT_KEY", pki.path("server.key"));
    let page = Page::of(gateway.env("MTLS_AUTH_CA_CERTIFICATES", pki.path("ca.crt")));
    assert_eq!(page.said("proxy_listen"), "0.0.0.0:8443 ssl http2 (profile gateway)");
    assert_eq!(page.said("client_ssl"), "off (profile gateway)");
}

/// Each with the value that weakens security.
const INSECURE: [(&str, &str); 4] = [
    ("PROXY_LISTEN", "0.0.0.0:0"),
    ("UPSTREAM_URL", "http://gateway.invalid"),
    ("UPSTREAM_TLS_VERIFY", "off"),
    ("TRUSTED_IPS", "10.0.0.0/8, 0.0.0.0/0"),
];

#[test]
fn what_weakens_security_is_named_in_check_and_once_at_start() {
    let pki = Pki::new();
    for (variable, value) in INSECURE {
        let subject = format!("{}={value} (environment {variable}): ", variable.to_lowercase());
        let mut command = program();
        command.args(["check", "reverse-proxy"]).env("CLIENT_SSL", "off");
        command.env("UPSTREAM_URL", "https://localhost").env("UPSTREAM_CA_CERTIFICATES", pki.path("ca.crt"));
        let remarks = Page::of(command.env(variable, value)).remarks;
        assert_eq!(remarks.len(), 1, "{remarks:?}");
        assert!(remarks[0].starts_with(&format!("caution: {subject}")), "{remarks:?}");

        let start = reverse_proxy(&pki, closed_port()).env("CLIENT_SSL", "off").env(variable, value).start();
        start.log.containing("listening");
        let about = |line: &&String| line.contains(&format!("(environment {variable}): "));
        let lines = start.log.so_far();
        let warnings: Vec<_> = lines.iter().filter(about).collect();
        assert_eq!(warnings.len(), 1, "{lines:?}");
        assert!(warnings[0].contains(r#""level":"WARN""#), "{warnings:?}");
    }
}

#[test]
fn hardened_refuses_what_weakens_security() {
    let pki = Pki::new();
    for (variable, value) in INSECURE {
        let setup = reverse_proxy(&pki, closed_port()).env("CLIENT_SSL", "off").env(variable, value);
        let refused = setup.env("PROFILE", "hardened").refused();
        let subject = format!("{}={value} (environment {variable}): ", variable.to_lowercase());
        assert!(refused.line().starts_with(&subject), "{}", refused.text);
        assert!(
            refused.line().contains("(refused by insecure=refuse, profile hardened); "),
            "{}",
            refused.text
        );
    }
}

#[test]
fn a_hardened_gateway_refuses_strangers_in_the_handshake_and_serves_callers() {
    let (pki, echo) = (Pki::new(), Echo::start());
    let gateway = gateway(&pki, echo.address).env("PROFILE", "hardened").start();
    let ca = pki.path("ca.crt").display().to_string();
    let exit = curl_fails(&["--cacert", &ca, &gateway.https()]);
    assert!([35, 55, 56].contains(&exit), "not an error of TLS or of the connection: {exit}");
    let reverse_proxy = reverse_proxy(&pki, gateway.address).env("PROFILE", "hardened").start_ready();
    assert_eq!(caller(&reverse_proxy), ["CN=app"]);
}

#[test]
fn help_and_version_work_with_a_broken_configuration() {
    let broken = |arguments: &[&str]| {
        let mut command = program();
        command
            .args(arguments)
            .env("MODE", "neither")
            .env("CONFIG", "/nowhere.toml")
            .env("CLIENT_SSL", "maybe");
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(broken(&["--version"]), concat!("mtls-bridge ", env!("CARGO_PKG_VERSION"), "\n"));
    assert!(broken(&["--help"]).contains("Usage: mtls-bridge"));
    assert!(broken(&["gateway", "--help"]).contains("--mtls-auth-ca-certificates <CAS>"));
    assert!(broken(&["check", "-h"]).contains("--client-ssl-cert <PEM>"));
}

/// What runs without a subcommand, from its first line on.
struct Running(std::process::Child, Lines);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn without_a_subcommand_the_mode_decides() {
    let pki = Pki::new();
    let mut command = program();
    command.env("MODE", "gateway").env("UPSTREAM_URL", "http://localhost:9").env("WORKERS", "1");
    command.env("PROXY_LISTEN", "127.0.0.1:0 ssl").env("STATUS_LISTEN", "off");
    command.env("SSL_CERT", pki.path("server.crt")).env("SSL_CERT_KEY", pki.path("server.key"));
    command.env("MTLS_AUTH_CA_CERTIFICATES", pki.path("ca.crt"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let log = Lines::collect(child.stderr.take().unwrap());
    let gateway = Running(child, log);
    let told = gateway.1.json("listening", |line| line["message"] == "listening");
    let port = told["address"].as_str().unwrap().rsplit_once(':').unwrap().1.to_owned();
    assert_eq!(curl_anonymous(&pki, &[&format!("https://localhost:{port}/")]).status, 401);
}

#[test]
fn without_a_subcommand_and_a_mode_it_says_how_to_choose() {
    let refused = |mode: Option<&str>| {
        let output = program().envs(mode.map(|mode| ("MODE", mode))).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let unset = "mode: not set; run `mtls-bridge reverse-proxy` or `mtls-bridge gateway`, or set MODE\n";
    assert_eq!(refused(None), (Some(2), unset.to_owned()));
    let unknown = "mode=bridge (environment MODE): not a known word; write reverse-proxy or gateway\n";
    assert_eq!(refused(Some("bridge")), (Some(2), unknown.to_owned()));
}

#[test]
fn the_subcommand_wins_over_the_mode() {
    assert_eq!(checked(&[("MODE", "gateway")]).said("mode"), "reverse-proxy (subcommand)");
}
