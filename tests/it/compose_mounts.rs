//! Certificates in the compose files: mounted as folders, so that a renewed one is seen, and readable with keys as
//! `pki init` makes them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use mtls_bridge::pki::Leaf;
use serde_json::Value;

use crate::compose::{certificates_for_containers, host_address};
use crate::support::bridge::program;
use crate::support::client::curl;
use crate::support::docker::{Project, available, run};
use crate::support::pairs::Made;
use crate::support::peers::free_address;
use crate::support::pki::Pki;
use crate::support::services::Echo;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every compose file and manifest that is shipped, shown on a page or written by `pair`, with its name.
fn files() -> Vec<(String, Value)> {
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    let mut texts = Vec::new();
    for entry in fs::read_dir(root().join("compose")).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            texts.push((path.display().to_string(), read(path)));
        }
    }
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    for page in docs.filter(|path| path.is_file()).chain([root().join("README.md")]) {
        let text = read(page.clone());
        let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        texts.extend(blocks.map(|block| (page.display().to_string(), block.to_owned())));
    }
    let made = Made::new();
    for half in ["reverse-proxy", "gateway"] {
        texts.push((format!("pair, {half}"), made.text(&format!("{half}/compose.yaml"))));
    }
    let documents = texts.into_iter().flat_map(|(name, text)| {
        let parts: Vec<_> = text.split("\n---\n").map(str::to_owned).collect();
        parts.into_iter().map(move |part| (name.clone(), serde_saphyr::from_str(&part).unwrap()))
    });
    documents.collect()
}

/// Every value of a key, at any depth.
fn values<'a>(tree: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match tree {
        Value::Object(map) => map.iter().for_each(|(name, value)| {
            if name == key {
                found.push(value);
            }
            values(value, key, found);
        }),
        Value::Array(list) => list.iter().for_each(|value| values(value, key, found)),
        _ => {}
    }
}

#[test]
fn no_compose_file_mounts_a_file_alone() {
    let files = files();
    let services = files.iter().filter(|(_, tree)| tree.get("services").is_some_and(Value::is_object));
    assert!(services.count() >= 8, "{} files only", files.len());
    for (name, tree) in &files {
        // Kubernetes never renews what is mounted by subPath; docker's secrets and configs are files.
        for key in ["subPath", "configs"] {
            let mut found = Vec::new();
            values(tree, key, &mut found);
            assert!(found.is_empty(), "{name}: {key}");
        }
        let Some(services) = tree.get("services").and_then(Value::as_object) else { continue };
        assert!(tree.get("secrets").is_none(), "{name} has secrets");
        for (service, raw) in services {
            let mounts: Vec<_> = raw["volumes"].as_array().into_iter().flatten().collect();
            let targets: Vec<&str> = mounts
                .iter()
                .map(|mount| mount.as_str().unwrap().trim_end_matches(":ro").rsplit(':').next().unwrap())
                .collect();
            let settings = raw["environment"].as_object().into_iter().flatten();
            let paths =
                settings.filter_map(|(_, value)| value.as_str()).filter(|value| value.starts_with('/'));
            for path in paths {
                let folder = Path::new(path).parent().unwrap();
                assert!(
                    targets.iter().any(|target| folder.starts_with(target)),
                    "{name}, {service}: {path} in {targets:?}"
                );
            }
            for target in targets {
                assert!(Path::new(target).extension().is_none(), "{name}, {service}: {target} is a file");
            }
        }
    }
}

/// Puts a new certificate in the place of another by rename, the key first, as careful people do.
fn renew(folder: &Path, pki: &Pki, name: &str, leaf: &Leaf) {
    let issued = pki.authority.issue(leaf).unwrap();
    for (suffix, text) in [("key", &issued.key_pem), ("crt", &issued.certificate_pem)] {
        let (old, new) = (folder.join(format!("{name}.{suffix}")), folder.join(format!("next.{suffix}")));
        fs::write(&new, text).unwrap();
        let metadata = fs::metadata(&old).unwrap();
        fs::set_permissions(&new, metadata.permissions()).unwrap();
        // Only root can give files away, and only root has somebody else's.
        let _ = std::os::unix::fs::chown(
            &new,
            Some(std::os::unix::fs::MetadataExt::uid(&metadata)),
            Some(std::os::unix::fs::MetadataExt::gid(&metadata)),
        );
        fs::rename(&new, &old).unwrap();
    }
}

/// The subject that a gateway shows.
fn shown(port: &str) -> String {
    let line = format!(
        "openssl s_client -connect 127.0.0.1:{port} </dev/null 2>/dev/null | openssl x509 -noout -subject"
    );
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_renewed_certificate_is_presented_with_every_compose_file() {
    if !available() {
        return;
    }
    let host = host_address();
    let pki = certificates_for_containers(&host);
    let certs = pki.path(".").display().to_string();
    let echo = Echo::start_on("0.0.0.0:0");
    let service = format!("http://host.docker.internal:{}", echo.address.port());
    let [gateway_port, port] = [(); 2].map(|()| free_address().port().to_string());
    let settings =
        [("SERVICE", service.as_str()), ("CERTS", &certs), ("ALLOW", "app"), ("PORT", &gateway_port)];
    let gateway = Project::up("gateway.yaml", &settings);
    let client =
        [("GATEWAY", host.as_str()), ("GATEWAY_PORT", &gateway_port), ("CERTS", &certs), ("PORT", &port)];
    for file in ["reverse-proxy.yaml", "kong-parity.yaml", "sidecar.yaml"] {
        let near = Project::up(file, &client);
        let ask = || match file {
            "sidecar.yaml" => near.curl(&["http://127.0.0.1:8000/"]),
            _ => curl(&[&format!("http://127.0.0.1:{port}/")]),
        };
        assert_eq!(ask().status, 200, "{file}");
        let organization = file.replace('.', "-");
        renew(
            &pki.path("."),
            &pki,
            "client",
            &Leaf { organization: Some(organization.clone()), ..Leaf::client("app") },
        );
        near.wait("the renewed client certificate", || {
            let answer = ask();
            assert_eq!(answer.status, 200, "{file}: a request failed meanwhile: {answer:?}");
            (answer.received("x-client-cert-dn") == [format!("CN=app,O={organization}")]).then_some(())
        });
    }
    assert!(!shown(&gateway_port).contains("renewed"));
    renew(
        &pki.path("."),
        &pki,
        "server",
        &Leaf { organization: Some("renewed".to_owned()), ..Leaf::server(&[host.as_str()]).unwrap() },
    );
    gateway.wait("the renewed server certificate", || shown(&gateway_port).contains("renewed").then_some(()));
}

#[test]
fn the_keys_of_pki_init_work_with_the_compose_files_as_the_readme_says() {
    if !available() {
        return;
    }
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let mut blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let block = blocks.find(|block| block.contains("compose/gateway.yaml")).unwrap();
    let (host, echo, folder) = (host_address(), Echo::start_on("0.0.0.0:0"), tempfile::tempdir().unwrap());
    let [gateway_port, port] = [(); 2].map(|()| free_address().port().to_string());
    // The words of the page, with the names and ports of this machine.
    let lines = block.replace("gateway.example", &host);
    let (make, _) = lines.split_once('\n').unwrap();
    let make = make.replace("mtls-bridge ", &format!("{} ", program().get_program().to_string_lossy()));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    // Somebody who is neither root nor the image's user, where that can be tried.
    let is_root = shell_says("id -u") == "0";
    let someone = if is_root { "setpriv --reuid=4711 --regid=4711 --clear-groups " } else { "" };
    let id = if is_root { "4711:4711".to_owned() } else { shell_says("echo $(id -u):$(id -g)") };
    run(Command::new("sh").current_dir(folder.path()).args(["-c", &format!("{someone}{make}")]));
    assert!(lines.contains("BRIDGE_USER=\"$(id -u):$(id -g)\""), "{lines}");

    let certs = folder.path().join("certs").display().to_string();
    let service = format!("http://host.docker.internal:{}", echo.address.port());
    let both = [("CERTS", certs.as_str()), ("BRIDGE_USER", &id)];
    let far = [("SERVICE", service.as_str()), ("ALLOW", "orders-app"), ("PORT", &gateway_port)];
    let _gateway = Project::up("gateway.yaml", &[&both[..], &far].concat());
    let near = [("GATEWAY", host.as_str()), ("GATEWAY_PORT", &gateway_port), ("PORT", &port)];
    let _near = Project::up("reverse-proxy.yaml", &[&both[..], &near].concat());
    let answer = curl(&[&format!("http://127.0.0.1:{port}/")]);
    assert_eq!(answer.received("x-client-cert-dn"), ["CN=orders-app"], "{answer:?}");
}

fn shell_says(line: &str) -> String {
    String::from_utf8(Command::new("sh").args(["-c", line]).output().unwrap().stdout)
        .unwrap()
        .trim()
        .to_owned()
}
