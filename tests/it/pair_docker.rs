//! `check --pair` judges a pair as docker would run it, and says nothing good of one that cannot work.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use crate::support::pairs::{FAR_ENV, FAR_FILE, Made, NEAR_ENV, NEAR_FILE};

/// One change to a fresh pair, and the only finding of it.
fn check(file: &str, from: &str, to: &str, expected: &str) {
    let finding = Made::new().edit(file, from, to).finding();
    assert!(finding.starts_with(expected), "{from} -> {to}:\n{finding}\n{expected}");
}

/// A pair that works: what is said beside the good line.
fn cautions(made: &Made) -> Vec<String> {
    let said = made.check("reverse-proxy", "gateway");
    assert_eq!((said.code, said.errors.len()), (0, 0), "{said:?}");
    let folder = format!("{}/", made.0.path().display());
    let cautions = said.out.lines().filter_map(|line| line.strip_prefix("caution: "));
    cautions.map(|line| line.replace(&folder, "")).collect()
}

#[test]
fn a_port_that_no_other_host_reaches_is_found() {
    let expected = "gateway: ports=127.0.0.1:8443:8443 (compose.yaml): published on loopback alone, where ";
    for published in ["127.0.0.1:8443:8443", "127.0.0.2:8443:8443", "[::1]:8443:8443"] {
        check(
            FAR_FILE,
            "\"8443:8443\"",
            &format!("\"{published}\""),
            &expected.replace("127.0.0.1:8443:8443", published),
        );
    }
    let long = "{target: 8443, published: 8443, host_ip: 127.0.0.1}";
    check(FAR_FILE, "\"8443:8443\"", long, expected);
    let also = "\"127.0.0.1:8443:8443\", \"10.0.0.1:8443:8443\"";
    assert_eq!(Made::new().edit(FAR_FILE, "\"8443:8443\"", also).check("reverse-proxy", "gateway").code, 0);
}

#[test]
fn a_port_of_the_applications_that_leads_nowhere_is_found() {
    let expected = "reverse-proxy: ports=127.0.0.1:8000:8000 (compose.yaml): nobody listens on port 8000 in the container";
    check(NEAR_ENV, "0.0.0.0:8000", "0.0.0.0:9000", expected);
}

#[test]
fn a_port_that_two_entries_want_is_found() {
    let made = Made::new()
        .write("gateway/compose.override.yaml", "services: {gateway: {ports: [\"127.0.0.1:8443:8443\"]}}\n");
    let expected = "gateway: ports=127.0.0.1:8443:8443 (compose.yaml): port 8443 is published twice";
    assert!(made.finding().starts_with(expected), "{}", made.finding());
}

#[test]
fn a_listener_on_the_containers_loopback_is_found() {
    let what = "this is the container's own loopback";
    let expected =
        format!("gateway: proxy_listen=127.0.0.1:8443 ssl http2 (environment PROXY_LISTEN): {what}");
    check(FAR_ENV, "0.0.0.0:8443", "127.0.0.1:8443", &expected);
    let expected = format!("reverse-proxy: proxy_listen=[::1]:8000 (environment PROXY_LISTEN): {what}");
    check(NEAR_ENV, "0.0.0.0:8000", "[::1]:8000", &expected);
    // What nobody said is judged too.
    check(
        NEAR_ENV,
        "PROXY_LISTEN=0.0.0.0:8000",
        "",
        &format!("reverse-proxy: proxy_listen=127.0.0.1:8000 (profile reverse-proxy): {what}"),
    );
}

#[test]
fn loopback_is_right_where_the_network_is_shared() {
    let shared = "network_mode: service:app\n    # ports: [\"127.0.0.1:8000:8000\"]";
    let made = Made::new()
        .edit(NEAR_FILE, "ports: [\"127.0.0.1:8000:8000\"]", shared)
        .edit(NEAR_FILE, "services:\n", "services:\n  app: {image: app}\n")
        .edit(NEAR_ENV, "0.0.0.0:8000", "127.0.0.1:8000");
    assert_eq!(cautions(&made), [""; 0]);
}

#[test]
fn an_upstream_that_is_the_container_itself_is_found() {
    let what = "inside the container this is the container itself; write the host's or container's name, or host.docker.internal:";
    for host in ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"] {
        let expected =
            format!("gateway: upstream_url=http://{host}:8080 (environment UPSTREAM_URL): {what}8080");
        check(FAR_ENV, "http://service:8080", &format!("http://{host}:8080"), &expected);
    }
    let made = Made::new().edit(NEAR_ENV, "//gateway.example:", "//localhost:");
    let said = made.check("reverse-proxy", "gateway");
    assert!(said.errors.iter().any(|line| line.contains(&format!("{what}8443"))), "{said:?}");
}

#[test]
fn a_name_that_docker_on_linux_does_not_know_is_found() {
    let made = Made::new().edit(FAR_ENV, "http://service:8080", "http://host.docker.internal:8080").edit(
        FAR_FILE,
        "extra_hosts: [\"host.docker.internal:host-gateway\"]",
        "init: false",
    );
    let expected = "gateway: upstream_url=http://host.docker.internal:8080 (environment UPSTREAM_URL): docker on Linux does not know";
    assert!(made.finding().starts_with(expected), "{}", made.finding());
}

#[test]
fn services_of_a_declarative_file_are_looked_at_as_well() {
    let id = "3f1c9b0e-6c07-4a9e-8a52-1f3a0d6c2b11";
    let made = Made::new();
    let kong = serde_json::json!({
        "_format_version": "3.0",
        "ca_certificates": [{"id": id, "cert": made.text("ca/ca.crt")}],
        "plugins": [{"name": "mtls-auth", "config": {"ca_certificates": [id], "skip_consumer_lookup": true}}],
        "services": [{"name": "orders", "url": "http://localhost:8080", "routes": [{"name": "orders", "paths": ["/"]}]}],
    });
    let made = made
        .edit(FAR_ENV, "UPSTREAM_URL=http://service:8080", "DECLARATIVE_CONFIG=/certs/kong.yml")
        .edit(FAR_ENV, "MTLS_AUTH_CA_CERTIFICATES=/certs/ca.crt\nACL_ALLOW=orders-app", "")
        .write("gateway/certs/kong.yml", &kong.to_string());
    let said = made.check("reverse-proxy", "gateway");
    let found =
        said.errors.iter().any(|line| line.contains("http://localhost:8080: inside the container this is"));
    assert!(found && said.code == 2, "{said:?}");
}

#[test]
fn a_key_that_the_containers_user_may_not_read_is_found_whatever_forbids_it() {
    let made = Made::new();
    let key = fs::metadata(made.path("gateway/certs/server.key")).unwrap();
    let (user, group) = (key.uid(), key.gid());
    let line = format!("user: \"{user}:{group}\"");
    let denied = |made: &Made, owner: &str, what: &str| {
        let finding = made.finding();
        let expected = format!("the container runs as user {owner}, which may not read ");
        assert!(finding.contains(&expected) && finding.contains(what), "{finding}");
        assert!(
            finding.contains(&format!("write `user: \"{user}:{group}\"` in the compose file")),
            "{finding}"
        );
    };
    let made = made.edit(FAR_FILE, &line, "user: \"4711:4711\"");
    denied(&made, "4711:4711", "server.key (owner ");
    let made = made.edit(FAR_FILE, "user: \"4711:4711\"", "user: 4711");
    denied(&made, "4711:0", "mode 0600)");
    // Root without capabilities is a user like any other.
    if user != 0 {
        let made = made.edit(FAR_FILE, "user: 4711", "user: root");
        denied(&made, "0:0", "mode 0600)");
        let made = made.edit(FAR_FILE, "cap_drop: [ALL]", "");
        assert_eq!(made.check("reverse-proxy", "gateway").code, 0);
    }
    let named = made_with_user(&line, "user: nobody");
    assert!(named.contains("user=nobody (compose.yaml): the image has no /etc/passwd"), "{named}");
    // A folder that nobody else may enter is as good.
    let made = Made::new();
    let certs = made.path("gateway/certs");
    fs::set_permissions(&certs, fs::Permissions::from_mode(0o700)).unwrap();
    let folder = fs::metadata(&certs).unwrap();
    let made = made.edit(FAR_FILE, &line, "user: \"4711:4711\"");
    let said = made.check("reverse-proxy", "gateway");
    assert!(
        folder.uid() != 4711 && said.errors.iter().any(|line| line.contains("certs (owner ")),
        "{said:?}"
    );
}

fn made_with_user(line: &str, user: &str) -> String {
    Made::new().edit(FAR_FILE, line, user).finding()
}

#[test]
fn a_group_that_may_read_the_key_is_enough() {
    let made = Made::new();
    let key = made.path("gateway/certs/server.key");
    let (user, group) = (fs::metadata(&key).unwrap().uid(), fs::metadata(&key).unwrap().gid());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let line = format!("user: \"{user}:{group}\"");
    let made = made.edit(FAR_FILE, &line, &format!("user: \"4711:{group}\""));
    assert_eq!(made.check("reverse-proxy", "gateway").code, 0);
    let more = format!("user: \"4711:4711\"\n    group_add: [\"{group}\"]");
    let made = made.edit(FAR_FILE, &format!("user: \"4711:{group}\""), &more);
    assert_eq!(made.check("reverse-proxy", "gateway").code, 0);
}

#[test]
fn a_path_that_is_not_mounted_is_found_whatever_lies_on_this_machine() {
    check(
        FAR_ENV,
        "SSL_CERT=/certs/server.crt",
        "SSL_CERT=/keys/server.crt",
        "gateway: ssl_cert=/keys/server.crt (environment SSL_CERT): compose.yaml mounts nothing there",
    );
    let here = Made::new();
    let path = here.path("gateway/certs/server.crt").display().to_string();
    check(
        FAR_ENV,
        "SSL_CERT=/certs/server.crt",
        &format!("SSL_CERT={path}"),
        &format!("gateway: ssl_cert={path} (environment SSL_CERT): compose.yaml mounts nothing there"),
    );
    let made = Made::new().edit(FAR_FILE, "./certs:/certs:ro", "certs:/certs:ro");
    let findings = made.found();
    let volume = "it is in docker's volume certs, into which this check cannot look";
    assert!(findings.len() == 3 && findings.iter().all(|line| line.contains(volume)), "{findings:?}");
    let made = Made::new().edit(FAR_FILE, "./certs:/certs:ro", "${PWD}/certs:/certs:ro");
    assert_eq!(cautions(&made), [""; 0]);
}

#[test]
fn a_link_out_of_the_mounted_folder_is_found() {
    let made = Made::new();
    let (certs, archive) = (made.path("gateway/certs/server.crt"), made.path("gateway/archive.crt"));
    fs::rename(&certs, &archive).unwrap();
    symlink("../archive.crt", &certs).unwrap();
    let finding = made.finding();
    assert!(finding.contains("ssl_cert=") && finding.contains("it is a link to "), "{finding}");
}

#[test]
fn ports_and_names_from_env_and_override_files_count() {
    let made = Made::new().edit(FAR_FILE, "\"8443:8443\"", "\"${PORT:-8443}:8443\"");
    assert_eq!(cautions(&made), [""; 0]);
    let made = made.write("gateway/.env", "PORT=9443\n");
    assert!(made.finding().contains("this calls port 8443, but "), "{}", made.finding());
    let made = made.write("gateway/.env", "PORT=8443\n");
    assert_eq!(cautions(&made), [""; 0]);
    let over = "services: {gateway: {environment: {PROXY_LISTEN: \"127.0.0.1:8443 ssl\"}}}\n";
    let made = made.write("gateway/compose.override.yaml", over);
    assert!(made.finding().contains("this is the container's own loopback"), "{}", made.finding());

    let made = Made::new().edit(NEAR_ENV, "gateway.example:8443", "gateway.example:${GATEWAY_PORT}");
    let made = made.write("reverse-proxy/.env", "GATEWAY_PORT=8443\n");
    assert_eq!(cautions(&made), [""; 0]);
    let made = made.write("reverse-proxy/.env", "GATEWAY_PORT=9443\n");
    assert!(made.finding().contains("this calls port 9443, but "), "{}", made.finding());

    let required = Made::new().edit(FAR_FILE, "\"8443:8443\"", "\"${PORT:?the port}:8443\"").finding();
    assert_eq!(required, "gateway: compose.yaml: PORT must be set (the port), and .env does not set it");
}

#[test]
fn flags_of_the_command_count_as_the_container_would_take_them() {
    let command = "command: [gateway, --acl-allow, billing]\n    env_file: [mtls-bridge.env]";
    let finding = Made::new().edit(FAR_FILE, "env_file: [mtls-bridge.env]", command).finding();
    let expected = "gateway: acl_allow=billing (flag --acl-allow): the client of this pair is called";
    assert!(finding.starts_with(expected), "{finding}");
    let other = "command: [demo]\n    env_file: [mtls-bridge.env]";
    check(FAR_FILE, "env_file: [mtls-bridge.env]", other, "gateway: its command is `demo`");
}

#[test]
fn a_health_check_that_can_never_succeed_is_found() {
    check(
        FAR_ENV,
        "MODE=gateway",
        "MODE=gateway\nSTATUS_LISTEN=off",
        "gateway: status_listen=off (environment STATUS_LISTEN): the health check has nobody to ask",
    );
    let own = "test: [CMD, /mtls-bridge, healthcheck]";
    check(
        FAR_FILE,
        own,
        "test: curl -f http://localhost:8007/status/ready",
        "gateway: healthcheck=curl -f http://localhost:8007/status/ready (compose.yaml): the image holds neither",
    );
    let made = Made::new().edit(FAR_FILE, own, "disable: true").edit(
        FAR_ENV,
        "MODE=gateway",
        "MODE=gateway\nSTATUS_LISTEN=off",
    );
    assert_eq!(cautions(&made), [""; 0]);
}

#[test]
fn a_drain_that_docker_cuts_short_is_found() {
    let what = "docker kills the container";
    check(
        FAR_FILE,
        "stop_grace_period: 35s",
        "",
        &format!("gateway: drain_timeout=30s (default): {what} 10s"),
    );
    check(
        FAR_FILE,
        "stop_grace_period: 35s",
        "stop_grace_period: 30s",
        &format!("gateway: drain_timeout=30s (default): {what} 30s"),
    );
    check(
        NEAR_ENV,
        "MODE=reverse-proxy",
        "MODE=reverse-proxy\nDRAIN_TIMEOUT=1m",
        &format!("reverse-proxy: drain_timeout=1m (environment DRAIN_TIMEOUT): {what} 35s"),
    );
}

#[test]
fn what_is_weak_is_said_beside_the_good_line() {
    let one = |made: &Made, expected: &str| {
        let found = cautions(made);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{expected} in {found:?}");
    };
    let made =
        Made::new().edit(NEAR_ENV, "MODE=reverse-proxy", "MODE=reverse-proxy\nUPSTREAM_TLS_VERIFY=off");
    one(&made, "reverse-proxy: upstream_tls_verify=off (environment UPSTREAM_TLS_VERIFY): anyone on the way");
    let made = Made::new().edit(NEAR_FILE, "127.0.0.1:8000:8000", "8000:8000");
    one(&made, "reverse-proxy: ports=8000:8000 (compose.yaml): plain HTTP is published to every host");
    let made = Made::new().edit(FAR_ENV, "ACL_ALLOW=orders-app", "");
    one(&made, "gateway: mtls_auth_ca_certificates=");
    assert!(cautions(&made)[0].contains("there is no acl_allow"));
    for name in ["ca.key", "elsewhere.pem"] {
        let made = Made::new();
        fs::copy(made.path("ca/ca.key"), made.path("gateway/certs").join(name)).unwrap();
        let found = cautions(&made);
        assert!(
            found.len() == 1 && found[0].contains(&format!("certs/{name}: this is the private key of a CA")),
            "{found:?}"
        );
    }
    let made = Made::new().edit(
        FAR_FILE,
        "[\"./certs:/certs:ro\"]",
        "[\"./certs:/certs:ro\", \"./certs/server.crt:/certs/server.crt:ro\"]",
    );
    let found = cautions(&made);
    assert!(found.len() == 1 && found[0].contains("a file is mounted alone"), "{found:?}");
}
