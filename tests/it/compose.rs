//! The image and the compose files, run by real docker.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use mtls_bridge::pki::Leaf;

use crate::support::PATIENCE;
use crate::support::bridge::program;
use crate::support::client::curl;
use crate::support::docker::{CLIENT_IMAGE, IMAGE, Project, available, docker, run, rust_image};
use crate::support::peers::{free_address, python_with};
use crate::support::pki::Pki;
use crate::support::services::Echo;

/// This host, as containers reach it.
pub fn host_address() -> String {
    let subnet = docker(&["network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}"]);
    // The bridge takes the first address of its network.
    let network: std::net::Ipv4Addr = subnet.split('/').next().unwrap().parse().unwrap();
    std::net::Ipv4Addr::from(u32::from(network) + 1).to_string()
}

#[test]
fn the_image_is_small_has_no_shell_and_runs_as_65532() {
    if !available() {
        return;
    }
    let inspect = |format: &str| docker(&["image", "inspect", "--format", format, &IMAGE]);
    let bytes: u64 = inspect("{{.Size}}").parse().unwrap();
    assert!(bytes < 20_000_000, "{bytes} bytes");
    assert_eq!(inspect("{{.Config.User}}"), "65532:65532");
    assert_eq!(inspect("{{json .Config.Healthcheck.Test}}"), r#"["CMD","/mtls-bridge","healthcheck"]"#);
    assert_eq!(inspect(r#"{{index .Config.Labels "org.opencontainers.image.title"}}"#), "mtls-bridge");
    let shell = Command::new("docker").args(["run", "--rm", "--entrypoint", "/bin/sh", &IMAGE]).output();
    assert!(!shell.unwrap().status.success());
    assert!(docker(&["run", "--rm", &IMAGE, "--version"]).starts_with("mtls-bridge "));
}

#[test]
fn a_request_of_the_pairs_application_passes_with_its_identity() {
    if !available() {
        return;
    }
    let pair = Project::up("pair.yaml", &[]);
    let answer = pair.curl(&["http://reverse-proxy:8000/hello"]);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.received("x-client-cert-dn"), ["CN=app"]);
    assert_eq!(answer.received("x-authenticated-groups"), ["app"]);
    // Up again is up: the certificates are made once.
    run(pair.compose().args(["up", "--detach"]));
    assert_eq!(pair.curl(&["http://reverse-proxy:8000/again"]).status, 200);
}

#[test]
#[ignore = "builds the program in a container, which takes minutes; .ci/run does it"]
fn up_build_makes_the_image_from_source() {
    if !available() {
        return;
    }
    let built = "mtls-bridge-from-source:test";
    let pair = Project::new("pair.yaml", &[("MTLS_BRIDGE_IMAGE", built), ("RUST_IMAGE", rust_image())]);
    run(pair.compose().args(["up", "--build", "--detach"]));
    pair.wait_until_healthy();
    assert_eq!(pair.curl(&["http://reverse-proxy:8000/hello"]).received("x-client-cert-dn"), ["CN=app"]);
    let inspect = |format: &str| docker(&["image", "inspect", "--format", format, built]);
    assert_eq!(inspect("{{.Config.User}}"), "65532:65532");
    assert!(inspect("{{.Size}}").parse::<u64>().unwrap() < 20_000_000);
}

#[test]
fn the_pairs_service_is_reached_through_the_bridges_only() {
    if !available() {
        return;
    }
    let pair = Project::up("pair.yaml", &[]);
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let service = docker(&["inspect", "--format", format, &pair.container("service")]);
    for url in ["http://service:8080/", &format!("http://{service}:8080/")] {
        let refused = pair.curl_command(&["--connect-timeout", "2", url]).output().unwrap();
        assert!(!refused.status.success(), "{url} is reached: {refused:?}");
    }
    let gateway = pair.curl_command(&["--connect-timeout", "2", "-k", "https://gateway:8443/"]).output();
    assert!(!gateway.unwrap().status.success(), "the application is on the gateway's network");
    assert_eq!(pair.curl(&["http://reverse-proxy:8000/"]).status, 200);
}

/// Counts packets of a bridge interface that hold a word, and those that are TLS records.
const SNIFFER: &str = r#"
import socket, struct, sys
interface, word = sys.argv[1], sys.argv[2].encode()
sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3))
sniffer.bind((interface, 0)); sniffer.settimeout(20)
# SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC: what passes between containers too.
sniffer.setsockopt(263, 1, struct.pack('IHH8s', socket.if_nametoindex(interface), 1, 0, b''))
print('ready', flush=True)
packets = []
while not any(b'stop-sniffing' in packet for packet in packets[-1:]):
    packets.append(sniffer.recv(65535))
print(sum(word in packet for packet in packets), sum(b'\x17\x03\x03' in packet for packet in packets), flush=True)
"#;

/// Sends one broadcast on an interface.
const STOP: &str = r#"
import socket, sys
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, sys.argv[1].encode())
sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
sender.sendto(b'stop-sniffing', ('255.255.255.255', 9))
"#;

#[test]
fn no_plaintext_is_on_the_network_between_the_bridges() {
    let Some(python) = python_with("socket") else { return };
    if !available() {
        return;
    }
    let pair = Project::up("pair.yaml", &[]);
    let seen = |network: &str| {
        let id = docker(&["network", "inspect", "--format", "{{.Id}}", &pair.network(network)]);
        let interface = format!("br-{}", &id[..12]);
        let mut sniffer = Command::new(python)
            .args(["-c", SNIFFER, &interface, "confidential"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = crate::support::lines::Lines::collect(sniffer.stdout.take().unwrap());
        lines.containing("ready");
        let url = "http://reverse-proxy:8000/confidential";
        assert_eq!(pair.curl(&["-d", "confidential", url]).status, 200);
        // A packet of our own ends the count.
        run(Command::new(python).args(["-c", STOP, &interface]));
        let counts = lines.wait("two counts", |line| {
            let (word, tls) = line.split_once(' ')?;
            Some((word.parse::<u32>().ok()?, tls.parse::<u32>().ok()?))
        });
        sniffer.wait().unwrap();
        counts
    };
    let (plain, tls) = seen("between");
    assert_eq!(plain, 0, "plaintext between the bridges");
    assert!(tls > 0, "nothing was captured");
    assert!(seen("application").0 > 0, "the check finds nothing where there is something");
}

#[test]
fn a_gateway_that_restarts_costs_quick_refusals_and_nothing_else() {
    if !available() {
        return;
    }
    let pair = Project::up("pair.yaml", &[]);
    let url = "http://reverse-proxy:8000/";
    docker(&["stop", &pair.container("gateway")]);
    let answer = pair.curl(&["-w", "\n%{time_total}", url]);
    // Until docker has taken the name and the address away there may be nobody who refuses: that is a 504, after
    // connect_timeout.
    assert!([502, 503, 504].contains(&answer.status), "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("1"));
    let seconds: f64 = answer.body.lines().last().unwrap().parse().unwrap();
    assert!(seconds < PATIENCE.as_secs_f64(), "it took {seconds} s, and read_timeout is a minute");
    docker(&["start", &pair.container("gateway")]);
    pair.curl_until_200(url);
}

#[test]
fn certificates_replaced_in_the_volume_are_presented_without_a_restart() {
    if !available() {
        return;
    }
    let pair = Project::up("pair.yaml", &[]);
    let volume = format!("{}:/certs", pair.volume("certificates"));
    let issue = [
        "pki",
        "issue",
        "--ca",
        "/certs",
        "--name",
        "app",
        "--organization",
        "renewed",
        "--out",
        "/certs/next",
    ];
    run(Command::new("docker").args(["run", "--rm", "--volume", &volume, &IMAGE]).args(issue));
    let rename = "mv -f /certs/next.crt /certs/client.crt && mv -f /certs/next.key /certs/client.key";
    docker(&["run", "--rm", "--user", "65532", "--volume", &volume, CLIENT_IMAGE, "sh", "-c", rename]);
    pair.wait("the new certificate", || {
        let answer = pair.curl(&["http://reverse-proxy:8000/"]);
        assert_eq!(answer.status, 200, "a request failed meanwhile: {answer:?}");
        (answer.received("x-client-cert-dn") == ["CN=app,O=renewed"]).then_some(())
    });
}

#[test]
fn docker_stop_lets_a_slow_download_finish() {
    if !available() {
        return;
    }
    let pair = Project::up("pair.yaml", &[]);
    let [app, gateway, reverse_proxy] =
        ["app", "gateway", "reverse-proxy"].map(|service| pair.container(service));
    // 16 blocks of 64 KiB, 700 ms apart: time enough to stop both, and less than DRAIN_TIMEOUT.
    let url = "http://reverse-proxy:8000/bytes/1000000?delay_ms=700";
    let mut download = pair.curl_command(&[
        "-N",
        "--max-time",
        "60",
        "-o",
        "/tmp/x",
        "-w",
        "%{http_code} %{size_download}",
        url,
    ]);
    let download = download.stdout(Stdio::piped()).spawn().unwrap();
    pair.wait("the download's connection", || {
        let status = docker(&["exec", &app, "cat", "/proc/net/tcp"]);
        // 1F40 is port 8000, 01 an established connection.
        status.lines().any(|line| line.contains(":1F40 01")).then_some(())
    });
    for bridge in [&gateway, &reverse_proxy] {
        docker(&["stop", bridge]);
    }
    let output = download.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200 1000000");
    for bridge in [&gateway, &reverse_proxy] {
        assert_eq!(docker(&["inspect", "--format", "{{.State.ExitCode}}", bridge]), "0");
    }
}

/// A PKI whose gateway certificate is for this host, in a folder that user 65532 can read.
pub fn certificates_for_containers(host: &str) -> Pki {
    let pki = Pki::new();
    fs::remove_file(pki.path("server.crt")).unwrap();
    fs::remove_file(pki.path("server.key")).unwrap();
    pki.issue("server", &Leaf::server(&[host]).unwrap());
    fs::set_permissions(pki.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    for key in ["server.key", "client.key"] {
        fs::set_permissions(pki.path(key), fs::Permissions::from_mode(0o644)).unwrap();
    }
    pki
}

#[test]
fn the_two_halves_meet_over_the_hosts_network() {
    if !available() {
        return;
    }
    let host = host_address();
    let pki = certificates_for_containers(&host);
    let certs = pki.path(".").display().to_string();
    let echo = Echo::start_on("0.0.0.0:0");
    let service = format!("http://host.docker.internal:{}", echo.address.port());
    let [gateway_port, port] = [(); 2].map(|()| free_address().port().to_string());
    let gateway =
        [("SERVICE", service.as_str()), ("CERTS", &certs), ("ALLOW", "app"), ("PORT", &gateway_port)];
    let _gateway = Project::up("gateway.yaml", &gateway);
    let client =
        [("GATEWAY", host.as_str()), ("GATEWAY_PORT", &gateway_port), ("CERTS", &certs), ("PORT", &port)];
    for file in ["reverse-proxy.yaml", "kong-parity.yaml"] {
        let _reverse_proxy = Project::up(file, &client);
        let answer = curl(&[&format!("http://127.0.0.1:{port}/")]);
        assert_eq!(answer.status, 200, "{file}: {answer:?}");
        assert_eq!(answer.received("x-client-cert-dn"), ["CN=app"], "{file}");
    }
    let sidecar = Project::up("sidecar.yaml", &client);
    let answer = sidecar.curl(&["http://127.0.0.1:8000/"]);
    assert_eq!(answer.received("x-client-cert-dn"), ["CN=app"]);
}

#[test]
fn the_two_folders_that_pair_writes_come_up_and_meet() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let echo = Echo::start_on("0.0.0.0:0");
    let [gateway_port, port] = [(); 2].map(|()| free_address().port().to_string());
    let service = format!("http://host.docker.internal:{}", echo.address.port());
    run(program()
        .args([
            "pair",
            "--gateway-host",
            &host_address(),
            "--service",
            &service,
            "--client-name",
            "orders-app",
        ])
        .args(["--gateway-port", &gateway_port, "--listen-port", &port, "--out"])
        .arg(folder.path()));
    let file = |half: &str| folder.path().join(half).join("compose.yaml").display().to_string();
    let _gateway = Project::up(&file("gateway"), &[]);
    let _reverse_proxy = Project::up(&file("reverse-proxy"), &[]);
    let answer = curl(&[&format!("http://127.0.0.1:{port}/")]);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.received("x-client-cert-dn"), ["CN=orders-app"]);
}

/// What a reverse proxy with `/client` mounted like this says before it ends with code 2.
fn refused(mount: &[&str]) -> String {
    let output = Command::new("docker")
        .args([
            "run",
            "--rm",
            "-e",
            "UPSTREAM_URL=https://gateway:8443",
            "-e",
            "UPSTREAM_CA_CERTIFICATES=/client/ca.crt",
        ])
        .args(["-e", "CLIENT_SSL_CERT=/client/client.crt", "-e", "CLIENT_SSL_CERT_KEY=/client/client.key"])
        .args(mount)
        .args([IMAGE.as_str(), "reverse-proxy"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_missing_mount_stops_the_container_with_lines_that_name_variable_and_path() {
    if !available() {
        return;
    }
    let text = refused(&[]);
    assert_eq!(text.lines().count(), 3, "{text}");
    let line = "client_ssl_cert=/client/client.crt (environment CLIENT_SSL_CERT): there is no such file; \
                check the path, and the volume or secret mounted there";
    assert!(text.lines().any(|found| found == line), "{text}");
}

#[test]
fn a_folder_that_docker_made_in_place_of_a_file_is_called_that() {
    if !available() {
        return;
    }
    let pki = certificates_for_containers("localhost");
    let mount = |name: &str| format!("{}:/client/{name}", pki.path(name).display());
    let [ca, key, missing] = ["ca.crt", "client.key", "typo.crt"].map(mount);
    let cert = missing.replace(":/client/typo.crt", ":/client/client.crt");
    let text = refused(&["-v", &ca, "-v", &key, "-v", &cert]);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("(environment CLIENT_SSL_CERT): it is a directory"), "{text}");
    assert!(text.contains("docker makes a directory where the file to mount does not exist"), "{text}");
}

#[test]
fn a_key_that_user_65532_cannot_read_is_called_that() {
    if !available() {
        return;
    }
    let pki = certificates_for_containers("localhost");
    fs::set_permissions(pki.path("client.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let text = refused(&["-v", &format!("{}:/client:ro", pki.path(".").display())]);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("(environment CLIENT_SSL_CERT_KEY): this user may not read it"), "{text}");
}
