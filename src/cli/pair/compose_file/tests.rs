//! Compose files as people write them.

use std::fs;

use super::*;

/// The bridge of a folder with these files.
fn read(files: &[(&str, &str)]) -> Result<Option<Service>, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    bridge(folder.path()).map(|found| {
        found.map(|mut service| {
            for mount in &mut service.mounts {
                if let Source::Path(path) = &mut mount.source {
                    *path = path.strip_prefix(folder.path()).unwrap_or(path).to_owned();
                }
            }
            service
        })
    })
}

fn one(text: &str) -> Service {
    read(&[("compose.yaml", text)]).unwrap().unwrap()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

fn mounted(service: &Service) -> Vec<(String, Source)> {
    service.mounts.iter().map(|mount| (mount.inside.display().to_string(), mount.source.clone())).collect()
}

fn path(inside: &str, source: &str) -> (String, Source) {
    (inside.to_owned(), Source::Path(source.into()))
}

#[test]
fn short_forms_and_what_docker_does_unasked() {
    let found = one(
        "services:\n  app: {image: curl}\n  gateway:\n    image: ${IMAGE:-mtls-bridge}\n    command: gateway --retries '2'\n    \
         env_file: [a.env, {path: b.env, required: false}]\n    environment: [\"A=1\", FROM_THE_SHELL]\n    \
         volumes: [\"${CERTS:-./certs}:/certs:ro\", \"named:/data\"]\n    ports: [\"9443:8443\", \"127.0.0.1:80:8000\"]\n",
    );
    assert_eq!(found.words, ["gateway", "--retries", "2"]);
    assert_eq!(found.env_files, [("a.env".to_owned(), true), ("b.env".to_owned(), false)]);
    assert_eq!(found.environment, owned(&[("A", "1")]));
    assert_eq!(
        mounted(&found),
        [path("/certs", "certs"), ("/data".to_owned(), Source::Volume("named".to_owned()))]
    );
    assert_eq!(found.ports.as_ref().unwrap().len(), 2);
    assert_eq!((found.network, found.user.as_str()), (Network::Own, "65532:65532"));
    assert_eq!((found.health, found.stop_grace_period), (Health::Own(Vec::new()), DOCKER_GRACE));
    assert!(found.root_reads_all);
}

#[test]
fn long_forms_secrets_and_a_network_that_is_anothers() {
    let found = one(
        "services:\n  network: {image: mtls-bridge, command: [pause], ports: [\"8000:8000\"]}\n  bridge:\n    \
         entrypoint: [/mtls-bridge, reverse-proxy]\n    image: mtls-bridge\n    command: [reverse-proxy]\n    \
         network_mode: service:network\n    env_file: x.env\n    user: 1000\n    cap_drop: [ALL]\n    \
         environment: {KONG_CLIENT_SSL: \"on\", RETRIES: 2, ACCESS_LOG: false, NOTHING: }\n    \
         volumes: [{type: bind, source: ./c, target: /client}, {type: tmpfs, target: /tmp}]\n    \
         secrets: [server.crt, {source: server.key, target: /keys/server.key}]\n    stop_grace_period: 1m30s\n    \
         healthcheck: {test: [CMD, /mtls-bridge, healthcheck, --status-listen, \"127.0.0.1:1\"]}\n    \
         extra_hosts: [\"host.docker.internal:host-gateway\"]\n\
         secrets:\n  server.crt: {file: ./s.crt}\n  server.key: {file: ./s.key}\n",
    );
    assert_eq!(
        found.environment,
        owned(&[("ACCESS_LOG", "false"), ("KONG_CLIENT_SSL", "on"), ("RETRIES", "2")])
    );
    assert_eq!((found.network, found.ports.as_ref().unwrap()[0].target), (Network::Shared, 8000));
    let secrets = [path("/run/secrets/server.crt", "s.crt"), path("/keys/server.key", "s.key")];
    assert_eq!(mounted(&found), [[path("/client", "c")].as_slice(), &secrets].concat());
    assert_eq!((found.user.as_str(), found.root_reads_all), ("1000", false));
    assert_eq!(found.stop_grace_period, Duration::from_secs(90));
    assert_eq!(found.health, Health::Own(vec!["--status-listen".to_owned(), "127.0.0.1:1".to_owned()]));
    assert_eq!(found.extra_hosts, ["host.docker.internal"]);
}

#[test]
fn env_and_override_files_count_as_they_do_for_docker() {
    let base = (
        "compose.yaml",
        "services: {g: {image: mtls-bridge, ports: [\"${PORT:-8443}:8443\"], environment: [WORD]}}",
    );
    let ports = |files: &[(&str, &str)]| {
        let found = read(&[&[base], files].concat()).unwrap().unwrap();
        found.ports.unwrap().into_iter().map(|port| port.text).collect::<Vec<_>>()
    };
    assert_eq!(ports(&[]), ["8443:8443"]);
    assert_eq!(ports(&[(".env", "PORT=9443\r\n")]), ["9443:8443"]);
    let over = "services: {g: {ports: [\"1443:8443\"]}}";
    assert_eq!(ports(&[("compose.override.yaml", over)]), ["8443:8443", "1443:8443"]);
    assert_eq!(ports(&[("docker-compose.override.yml", over)]), ["8443:8443", "1443:8443"]);
    assert_eq!(
        ports(&[(".env", "COMPOSE_FILE=compose.yaml:more.yaml"), ("more.yaml", over)]),
        ["8443:8443", "1443:8443"]
    );
    let found = read(&[base, (".env", "WORD=said")]).unwrap().unwrap();
    assert_eq!(found.environment, owned(&[("WORD", "said")]));
}

#[test]
fn health_checks_that_are_off_or_are_not_in_the_image() {
    let health =
        |raw: &str| one(&format!("services: {{g: {{image: mtls-bridge, healthcheck: {raw}}}}}")).health;
    assert_eq!(health("{disable: true}"), Health::Off);
    assert_eq!(health("{test: [NONE]}"), Health::Off);
    assert_eq!(health("{interval: 5s}"), Health::Own(Vec::new()));
    assert_eq!(health("{test: curl -f localhost}"), Health::Foreign("curl -f localhost".to_owned()));
    assert_eq!(health("{test: [CMD, wget, x]}"), Health::Foreign("wget x".to_owned()));
}

#[test]
fn what_cannot_be_judged_is_said_in_one_line() {
    let wrong = |files: &[(&str, &str)]| read(files).unwrap_err();
    let compose = |text| [("compose.yaml", text)];
    assert_eq!(
        wrong(&compose("services: {a: {}, b: {}}")),
        ["compose.yaml: it has no service of mtls-bridge's"]
    );
    assert_eq!(wrong(&compose("services: [")).len(), 1);
    assert_eq!(
        wrong(&compose("services: {a: {image: x, ports: [\"${P:?the port}:1\"]}}")),
        ["compose.yaml: P must be set (the port), and .env does not set it"]
    );
    let other = wrong(&compose("services: {a: {image: mtls-bridge, entrypoint: [sh, -c, x]}}"));
    assert!(other[0].starts_with("compose.yaml: service a: its entrypoint is not /mtls-bridge"), "{other:?}");
    let tagged = wrong(&compose("services: {a: {image: mtls-bridge, ports: !override [\"1:1\"]}}"));
    assert!(
        tagged[0].starts_with("compose.yaml: `!override` is not understood here; put the output"),
        "{tagged:?}"
    );
    assert_eq!(read(&[]), Ok(None));
}
