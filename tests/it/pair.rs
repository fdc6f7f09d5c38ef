//! `mtls-bridge pair` writes two halves that fit together and run; `check --pair` finds what drifts apart.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mtls_bridge::pki::{Authority, Issued, Leaf, Validity};
use mtls_bridge::tls::pem;
use tempfile::TempDir;

use crate::support::bridge::{Setup, program};
use crate::support::client::curl;
use crate::support::peers::installed;
use crate::support::services::Echo;

/// A pair for `localhost` in a folder of its own, with `orders-app` as the client.
struct Made(TempDir);

/// What a command did: its exit code, and its lines on both outputs.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    errors: Vec<String>,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let errors = text(output.stderr).lines().map(str::to_owned).collect();
        Self { code: output.status.code().unwrap(), out: text(output.stdout), errors }
    }
}

const NEEDED: [&str; 4] = ["--gateway-host", "localhost", "--service", "http://service:8080"];

fn pair(out: &Path, more: &[&str]) -> Said {
    program().arg("pair").arg("--out").arg(out).args(more).output().unwrap().into()
}

impl Made {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let said = pair(folder.path(), &[&NEEDED[..], &["--client-name", "orders-app"]].concat());
        assert_eq!(said.code, 0, "{said:?}");
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Replaces a part of a file.
    fn edit(self, name: &str, from: &str, to: &str) -> Self {
        let text = self.text(name);
        assert!(text.contains(from), "{name} holds no {from}:\n{text}");
        fs::write(self.path(name), text.replace(from, to)).unwrap();
        self
    }

    fn write(self, name: &str, contents: &str) -> Self {
        fs::write(self.path(name), contents).unwrap();
        self
    }

    /// Writes a certificate and its key over those of a side.
    fn present(self, stem: &str, issued: &Issued) -> Self {
        self.write(&format!("{stem}.crt"), &issued.certificate_pem)
            .write(&format!("{stem}.key"), &issued.key_pem)
    }

    fn authority(&self) -> Authority {
        let chain = pem::certificates(self.text("ca/ca.crt").as_bytes()).unwrap();
        Authority::load(chain, &pem::private_key(self.text("ca/ca.key").as_bytes()).unwrap()).unwrap()
    }

    fn check(&self, a: &str, b: &str) -> Said {
        let mut command = program();
        command.args(["check", "--pair"]).arg(self.path(a)).arg(self.path(b)).output().unwrap().into()
    }

    /// The only finding there is, without the folder all halves are in.
    fn finding(&self) -> String {
        let said = self.check("reverse-proxy", "gateway");
        assert_eq!((said.code, said.errors.len()), (2, 1), "{said:?}");
        said.errors[0].replace(&format!("{}/", self.0.path().display()), "")
    }

    /// The variables of a half's environment file, with the container's paths turned into ours.
    fn environment(&self, half: &str) -> Vec<(String, String)> {
        let certs = self.path(half).join("certs").display().to_string();
        let text = self.text(&format!("{half}/mtls-bridge.env"));
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let variables = lines.filter_map(|line| line.split_once('='));
        variables.map(|(name, value)| (name.to_owned(), value.replace("/certs", &certs))).collect()
    }
}

/// Every file below a folder, sorted.
fn files(folder: &Path) -> Vec<String> {
    fn collect(root: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                collect(root, &entry.path(), found);
            } else {
                found.push(entry.path().strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    let mut found = Vec::new();
    collect(folder, folder, &mut found);
    found.sort();
    found
}

#[test]
fn each_host_gets_its_own_files_and_the_key_of_the_ca_goes_to_neither() {
    let made = Made::new();
    let expected = [
        "ca/README.md",
        "ca/ca.crt",
        "ca/ca.key",
        "gateway/README.md",
        "gateway/certs/ca.crt",
        "gateway/certs/server.crt",
        "gateway/certs/server.key",
        "gateway/compose.yaml",
        "gateway/mtls-bridge.env",
        "reverse-proxy/README.md",
        "reverse-proxy/certs/ca.crt",
        "reverse-proxy/certs/client.crt",
        "reverse-proxy/certs/client.key",
        "reverse-proxy/compose.yaml",
        "reverse-proxy/mtls-bridge.env",
    ];
    assert_eq!(files(made.0.path()), expected);
    for readme in ["gateway/README.md", "reverse-proxy/README.md"] {
        assert_eq!(made.text(readme).lines().count(), 5, "{readme}");
    }
}

#[test]
fn keys_are_for_the_user_the_container_runs_as_and_for_nobody_else() {
    let made = Made::new();
    for (half, key) in [("reverse-proxy", "client.key"), ("gateway", "server.key")] {
        let metadata = fs::metadata(made.path(half).join("certs").join(key)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{half}");
        let user = format!("user: \"{}:{}\"", metadata.uid(), metadata.gid());
        let compose = made.text(&format!("{half}/compose.yaml"));
        assert!(metadata.uid() != 0 && compose.contains(&user), "{user} in\n{compose}");
    }
    let ca = fs::metadata(made.path("ca/ca.key")).unwrap().permissions().mode();
    assert_eq!(ca & 0o777, 0o600);
}

#[test]
fn answers_arrive_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let more =
        ["--gateway-host", "10.1.2.3", "--service", "http://orders:9000/base", "--gateway-port", "9443"];
    let also = ["--listen-port", "9080", "--client-name", "billing", "--reverse-proxy-host", "app.example"];
    assert_eq!(pair(folder.path(), &[more, also].concat()).code, 0);
    let made = Made(folder);
    let has = |file: &str, line: &str| {
        let text = made.text(file);
        assert!(text.lines().any(|found| found.trim() == line), "{line} in\n{text}");
    };
    has("reverse-proxy/mtls-bridge.env", "UPSTREAM_URL=https://10.1.2.3:9443");
    has("reverse-proxy/compose.yaml", "ports: [\"127.0.0.1:9080:8000\"]");
    has("reverse-proxy/README.md", "# mtls-bridge on app.example: the reverse proxy");
    has("gateway/mtls-bridge.env", "UPSTREAM_URL=http://orders:9000/base");
    has("gateway/mtls-bridge.env", "ACL_ALLOW=billing");
    has("gateway/compose.yaml", "ports: [\"9443:8443\"]");
    assert_eq!(made.check("reverse-proxy", "gateway").code, 0);
}

#[test]
fn nothing_is_overwritten_and_then_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = folder.path().join("gateway/compose.yaml");
    fs::create_dir(theirs.parent().unwrap()).unwrap();
    fs::write(&theirs, "theirs").unwrap();
    let said = pair(folder.path(), &NEEDED);
    let line = format!("mtls-bridge: {} exists already: nothing was written", theirs.display());
    assert_eq!((said.code, said.errors), (1, vec![line]));
    assert_eq!(files(folder.path()), ["gateway/compose.yaml"]);
    assert_eq!(fs::read_to_string(theirs).unwrap(), "theirs");
}

#[test]
fn without_a_terminal_a_missing_answer_is_one_line_and_exit_code_2() {
    let folder = tempfile::tempdir().unwrap();
    let said = pair(folder.path(), &["--gateway-host", "localhost"]);
    let line = "--service: not given, and there is no terminal to ask on; \
                give the URL of what is behind the gateway, for example http://service:8080";
    assert_eq!((said.code, said.errors), (2, vec![line.to_owned()]));
    assert!(files(folder.path()).is_empty());
}

#[test]
fn docker_compose_accepts_the_files() {
    if !installed("docker-compose") {
        return;
    }
    let made = Made::new();
    for half in ["reverse-proxy", "gateway"] {
        let file = made.path(half).join("compose.yaml");
        let said: Said =
            Command::new("docker-compose").arg("-f").arg(file).arg("config").output().unwrap().into();
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.out.contains("read_only: true") && said.out.contains("no-new-privileges"), "{said:?}");
    }
}

#[test]
fn both_halves_run_as_written_and_a_request_goes_through() {
    let (made, echo) = (Made::new(), Echo::start());
    let start = |half: &str, changes: &[(&str, String)]| {
        let written = made.environment(half).into_iter();
        let setup = written.fold(Setup::new(half), |setup, (name, value)| setup.env(&name, value));
        changes.iter().fold(setup, |setup, (name, value)| setup.env(name, value))
    };
    // Only what a container would have to itself is changed: ports and the service's name.
    let listen = ("PROXY_LISTEN", "127.0.0.1:0 ssl http2".to_owned());
    let gateway = start("gateway", &[listen, ("UPSTREAM_URL", format!("http://{}", echo.address))]).start();
    let upstream = ("UPSTREAM_URL", gateway.https());
    let reverse_proxy =
        start("reverse-proxy", &[("PROXY_LISTEN", "127.0.0.1:0".to_owned()), upstream]).start_ready();
    let answer = curl(&[&format!("{}/orders", reverse_proxy.http())]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.received("x-client-cert-dn"), ["CN=orders-app"]);
}

#[test]
fn a_fresh_pair_fits_together_in_either_order() {
    let made = Made::new();
    for (a, b) in [("reverse-proxy", "gateway"), ("gateway", "reverse-proxy")] {
        let said = made.check(a, b);
        assert_eq!((said.code, said.errors.len()), (0, 0), "{said:?}");
        let found = said.out.trim_end().rsplit_once("; ").unwrap();
        assert!(found.0.ends_with("/gateway fit together: https://localhost:8443"), "{said:?}");
        // 90 days within the second in which they were made, 89 from then on.
        let ends = ["the first certificate ends in 90 days", "the first certificate ends in 89 days"];
        assert!(ends.contains(&found.1) && said.out.lines().count() == 1, "{said:?}");
    }
}

#[test]
fn a_ca_that_did_not_sign_the_other_side_is_found_in_both_directions() {
    let other = Authority::new("mtls-bridge private CA").unwrap().certificate_pem();
    let finding = Made::new().write("reverse-proxy/certs/ca.crt", &other).finding();
    let expected = "reverse-proxy: upstream_ca_certificates=reverse-proxy/certs/ca.crt \
                    (environment UPSTREAM_CA_CERTIFICATES): \
                    this did not sign the certificate of gateway (CN=localhost); ";
    assert!(finding.starts_with(expected), "{finding}");

    let stranger = Authority::new("Another CA").unwrap().certificate_pem();
    let finding = Made::new().write("gateway/certs/ca.crt", &stranger).finding();
    let expected = "gateway: mtls_auth_ca_certificates=gateway/certs/ca.crt \
                    (environment MTLS_AUTH_CA_CERTIFICATES): \
                    this did not sign the certificate of reverse-proxy: ";
    assert!(finding.starts_with(expected), "{finding}");
}

#[test]
fn names_that_nobody_holds_are_found() {
    let env = "gateway/mtls-bridge.env";
    let check = |from: &str, to: &str, expected: &str| {
        let finding = Made::new().edit(env, from, to).finding();
        assert!(finding.contains(expected), "{finding}");
    };
    let allow = "ACL_ALLOW=orders-app";
    check(allow, "ACL_ALLOW=billing", "the client of this pair is called \"orders-app\", and is not let in");
    check(allow, "ACL_ALLOW=orders-app,billing", "nobody in this pair is called \"billing\"");
    check(allow, "ACL_DENY=orders-app", "the client of this pair is called \"orders-app\", and is kept out");
    check("TRUSTED_PEERS=orders-app", "TRUSTED_PEERS=billing", "its X-Forwarded-For is not believed");
}

#[test]
fn ports_that_do_not_meet_are_found_wherever_they_part() {
    let check = |file: &str, from: &str, to: &str, expected: &str| {
        let finding = Made::new().edit(file, from, to).finding();
        assert!(finding.starts_with("reverse-proxy: upstream_url=https://localhost"), "{finding}");
        assert!(finding.contains(expected), "{finding}");
    };
    let (near, far) = ("reverse-proxy/mtls-bridge.env", "gateway/mtls-bridge.env");
    check(near, ":8443", ":9443", "this calls port 9443, but gateway is reached at port 8443");
    check(
        "gateway/compose.yaml",
        "8443:8443",
        "9443:8443",
        "this calls port 8443, but gateway is reached at port 9443",
    );
    check(far, "0.0.0.0:8443", "0.0.0.0:9443", "this calls port 8443, but gateway is reached at no port");
}

#[test]
fn a_name_that_is_not_in_the_certificate_is_found() {
    let made = Made::new().edit("reverse-proxy/mtls-bridge.env", "//localhost:", "//gateway.example:");
    let expected = "the certificate is not for gateway.example, as reverse-proxy calls it, but for localhost";
    assert!(made.finding().contains(expected), "{}", made.finding());
}

#[test]
fn timeouts_nested_the_wrong_way_round_are_found() {
    let finding =
        Made::new().edit("reverse-proxy/mtls-bridge.env", "READ_TIMEOUT=75s", "READ_TIMEOUT=60s").finding();
    let expected =
        "reverse-proxy: read_timeout=60s (environment READ_TIMEOUT): 60s is not longer than 60s in gateway";
    assert!(finding.starts_with(expected), "{finding}");
}

#[test]
fn a_certificate_that_ends_within_14_days_or_has_ended_is_found() {
    let client = |validity| {
        let made = Made::new();
        let issued = made.authority().issue(&Leaf { validity, ..Leaf::client("orders-app") }).unwrap();
        made.present("reverse-proxy/certs/client", &issued)
    };
    // Half a day more, so that no second of the test's own time makes it another day.
    let days = |days| {
        let validity = Validity::days(days);
        Validity { not_after: validity.not_after + time::Duration::hours(12), ..validity }
    };
    let finding = client(days(10)).finding();
    let expected = "reverse-proxy: client_ssl_cert=reverse-proxy/certs/client.crt (environment CLIENT_SSL_CERT): \
                    the certificate (CN=orders-app) ends in 10 days; ";
    assert!(finding.starts_with(expected), "{finding}");
    assert_eq!(client(days(14)).check("reverse-proxy", "gateway").code, 0);
    let finding = client(Validity::expired()).finding();
    assert!(finding.contains("the certificate (CN=orders-app) expired 24 hours ago"), "{finding}");
}

#[test]
fn a_key_of_another_certificate_is_found() {
    let made = Made::new();
    let other = made.authority().issue(&Leaf::server(&["localhost"]).unwrap()).unwrap();
    let finding = made.write("gateway/certs/server.key", &other.key_pem).finding();
    let expected = "gateway: ssl_cert_key=gateway/certs/server.key (environment SSL_CERT_KEY): the private key does not belong";
    assert!(finding.starts_with(expected), "{finding}");
}

#[test]
fn two_halves_of_the_same_kind_are_found() {
    let said = Made::new().check("gateway", "gateway");
    assert_eq!((said.code, said.errors.len()), (2, 1), "{said:?}");
    assert!(said.errors[0].contains("both halves are in mode gateway"), "{said:?}");
}

#[test]
fn a_folder_that_is_no_half_is_one_line_and_the_other_is_still_read() {
    let made = Made::new().edit("gateway/mtls-bridge.env", "READ_TIMEOUT=60s", "READ_TIMEOUT=soon");
    let said = made.check("nowhere", "gateway");
    assert_eq!((said.code, said.errors.len()), (2, 2), "{said:?}");
    assert!(
        said.errors[0]
            .ends_with("nowhere: mtls-bridge.env cannot be read: No such file or directory (os error 2)")
    );
    assert!(said.errors[1].contains("read_timeout=soon (environment READ_TIMEOUT)"), "{said:?}");
}

#[test]
fn every_finding_is_told_at_once() {
    let made = Made::new()
        .edit("gateway/mtls-bridge.env", "ACL_ALLOW=orders-app", "ACL_ALLOW=billing")
        .edit("reverse-proxy/mtls-bridge.env", "READ_TIMEOUT=75s", "READ_TIMEOUT=5s")
        .edit("gateway/compose.yaml", "8443:8443", "443:8443");
    assert_eq!(made.check("reverse-proxy", "gateway").errors.len(), 3);
}

#[test]
fn a_half_of_kong_variables_with_a_mounted_folder_is_read_too() {
    let made = Made::new().write(
        "reverse-proxy/compose.yaml",
        "services:\n  reverse-proxy:\n    image: mtls-bridge\n    command: [reverse-proxy]\n    \
         volumes: [\"${CERTS:-./certs}:/client\"]\n    environment:\n      KONG_CLIENT_SSL: \"on\"\n      \
         KONG_CLIENT_SSL_CERT: \"/client/client.crt\"\n      KONG_CLIENT_SSL_CERT_KEY: \"/client/client.key\"\n      \
         KONG_NGINX_PROXY_PROXY_SSL_TRUSTED_CERTIFICATE: /client/ca.crt\n      READ_TIMEOUT: 65s\n      \
         WRITE_TIMEOUT: 65s\n      UPSTREAM_URL: https://${GATEWAY:-localhost}:8443\n",
    );
    let said = made.check("reverse-proxy", "gateway");
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn settings_as_flags_beside_pair_are_refused() {
    let mut command = program();
    let said: Said = command.args(["check", "--pair", "a", "b", "--retries", "2"]).output().unwrap().into();
    let line = "retries: with --pair the settings are read from the two folders; leave the flag out";
    assert_eq!((said.code, said.errors), (2, vec![line.to_owned()]));
}
