//! Whole files: what they mean, and every way in which one can be wrong.

use std::time::Duration;

use super::model::{Algorithm, HashOn, Scope};
use super::plugins::{Listed, PluginConfig, Revocation};
use super::*;
use crate::config::problem::{Origin, Said};
use crate::config::target::Scheme;

mod articles;
mod manifests;
mod refused;
mod strict;

/// The text with `CA`, `CERT` and `KEY` as PEM in one line each.
fn source(text: &str) -> DeclarativeSource {
    let quoted = |pem: &str| format!("\"{}\"", pem.replace('\n', "\\n"));
    let (ca, leaf) = pki();
    let text = text
        .replace("<CA>", &quoted(&ca))
        .replace("<CERT>", &quoted(&leaf.0))
        .replace("<KEY>", &quoted(&leaf.1));
    DeclarativeSource::Text(Said::new("declarative_config_string", text, Origin::DEFAULT))
}

/// The same ones for a whole test run: a CA, and a self-signed leaf with its key.
fn pki() -> (String, (String, String)) {
    static PKI: std::sync::LazyLock<(String, (String, String))> = std::sync::LazyLock::new(|| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new([]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Test CA");
        let ca = params.self_signed(&key).unwrap().pem();
        let leaf = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        (ca, (leaf.cert.pem(), leaf.signing_key.serialize_pem()))
    });
    PKI.clone()
}

fn model(text: &str) -> Model {
    read(&source(text)).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The problems without what begins each of them.
fn problems(text: &str) -> String {
    let problems = read(&source(text)).expect_err("it should be refused").to_string();
    problems.replace("declarative_config_string: ", "")
}

#[test]
fn nested_and_flat_mean_the_same() {
    let nested = model(
        r#"
_format_version: "3.0"
services:
- name: orders
  url: https://orders.internal:8443/v1
  routes:
  - name: all
    paths: [/orders]
    plugins:
    - name: acl
      config: {allow: [gold]}
consumers:
- username: alice
  acls: [{group: gold}]
  mtls_auth_credentials: [{subject_name: alice@example.com}]
"#,
    );
    let flat = model(
        r#"
_format_version: "3.0"
services: [{name: orders, protocol: https, host: orders.internal, port: 8443, path: /v1}]
routes: [{name: all, service: orders, paths: [/orders]}]
plugins: [{name: acl, route: all, config: {allow: [gold]}}]
consumers: [{username: alice}]
acls: [{consumer: alice, group: gold}]
mtls_auth_credentials: [{consumer: alice, subject_name: alice@example.com}]
"#,
    );
    for model in [&nested, &flat] {
        let (service, route, consumer) = (&model.services[0], &model.routes[0], &model.consumers[0]);
        assert_eq!(service.id, Id::derived("services", "orders"));
        assert_eq!(service.target.to_string(), "https://orders.internal:8443/v1");
        assert_eq!((route.service, route.rule.paths[0].to_string()), (Some(0), "/orders".to_owned()));
        assert_eq!(
            (&*consumer.groups[0], &*consumer.credentials[0].subject_name),
            ("gold", "alice@example.com")
        );
        assert_eq!(model.plugins[0].scope, Scope::Route(0));
    }
    assert_eq!((&*nested.routes[0].place.path, nested.routes[0].place.line), ("services[0].routes[0]", 6));
    assert_eq!((&*flat.routes[0].place.path, flat.routes[0].place.line), ("routes[0]", 3));
}

#[test]
fn what_is_left_out_has_kongs_defaults() {
    let model = model(
        r#"
_format_version: "3.0"
_transform: false
_comment: nothing
_ignore: [anything]
services:
- {host: a, tags: [x], created_at: 1, updated_at: 2, routes: [{paths: [/]}, {protocols: [grpc], hosts: [g]}]}
upstreams: [{name: a, slots: 100, targets: [{target: 10.0.0.1}, {target: "b:81", weight: 0}, {target: "[::1]:82"}]}]
plugins:
- {name: mtls-auth, config: {ca_certificates: [4e3ad2e4-0bc4-4638-8e34-c84a417ba39b]}}
- {name: ip-restriction, config: {deny: [10.0.0.0/8, "::1"]}}
- {name: request-termination}
- {name: tls-metadata-headers, config: {inject_client_cert_details: true}}
- {name: tls-handshake-modifier}
ca_certificates: [{id: 4E3AD2E4-0bc4-4638-8e34-c84a417ba39b, cert: <CA>}]
"#,
    );
    let service = &model.services[0];
    assert_eq!((service.target.scheme, service.target.port, &*service.path), (Scheme::Http, 80, ""));
    assert_eq!((service.retries, service.connect_timeout, service.tls_verify), (None, None, None));
    let [http, grpc] = &model.routes[..] else { panic!() };
    assert_eq!(http.rule.protocols.to_string(), "http, https");
    assert_eq!((http.strip_path, http.preserve_host, http.https_redirect), (true, false, 426));
    assert!(!grpc.strip_path);
    let upstream = &model.upstreams[0];
    assert_eq!((upstream.algorithm, &upstream.hash_on), (Algorithm::RoundRobin, &HashOn::None));
    assert_eq!(
        upstream.healthchecks.active.counts.unhealthy_statuses,
        [429, 404, 500, 501, 502, 503, 504, 505]
    );
    assert_eq!(upstream.healthchecks.passive.counts.healthy_statuses.len(), 19);
    let targets: Vec<_> = upstream.targets.iter().map(|t| (&*t.host, t.port, t.weight)).collect();
    assert_eq!(targets, [("10.0.0.1", 8000, 100), ("b", 81, 0), ("::1", 82, 100)]);
    let [mtls, ip, termination, headers, modifier] = &model.plugins[..] else { panic!() };
    let PluginConfig::MtlsAuth(mtls) = &mtls.config else { panic!() };
    assert_eq!((&mtls.ca_certificates[..], mtls.consumer_by.len()), (&[0][..], 2));
    assert_eq!(mtls.revocation_check_mode, Revocation::IgnoreCaError);
    assert_eq!((mtls.http_timeout, mtls.cert_cache_ttl), (Duration::from_secs(30), Duration::from_secs(60)));
    let PluginConfig::IpRestriction(ip) = &ip.config else { panic!() };
    assert_eq!((ip.deny.len(), ip.status), (2, 403));
    let PluginConfig::RequestTermination(termination) = &termination.config else { panic!() };
    assert_eq!((termination.status_code, &termination.message), (503, &None));
    assert_eq!((headers.protocols.len(), modifier.protocols.len()), (2, 2));
    let PluginConfig::TlsMetadataHeaders(headers) = &headers.config else { panic!() };
    assert_eq!(&*headers.client_cert_issuer_dn_header_name, "x-client-cert-issuer-dn");
}

#[test]
fn what_is_disabled_is_read_and_gone() {
    let model = model(
        r#"
_format_version: "3.0"
services:
- {name: away, host: a, enabled: false, routes: [{name: gone, paths: [/a], plugins: [{name: acl, config: {deny: [x]}}]}]}
- {name: there, host: b, routes: [{name: here, paths: [/b]}]}
routes:
- {name: gone-too, service: away, paths: [/c]}
plugins:
- {name: acl, route: gone-too, config: {allow: [x]}}
- {name: acl, service: there, config: {allow: [x]}}
- {name: acl, route: here, enabled: false, config: {allow: [x]}}
"#,
    );
    assert_eq!((model.services.len(), model.routes.len()), (1, 1));
    assert_eq!((model.routes[0].name.as_deref(), model.routes[0].service), (Some("here"), Some(0)));
    let scopes: Vec<_> = model.plugins.iter().map(|plugin| plugin.scope).collect();
    assert_eq!(scopes, [Scope::Service(0)]);
}

#[test]
fn ids_are_those_of_kong() {
    let model = model(
        r#"
_format_version: "3.0"
services: [{name: my-service, host: a, plugins: [{name: acl, config: {allow: [a]}}]}, {host: b}]
upstreams: [{name: u, targets: [{target: "a:1"}]}]
consumers: [{username: alice, id: 00000000-0000-0000-0000-00000000000A}]
"#,
    );
    let service = model.services[0].id;
    assert_eq!(service.to_string(), "0855b320-0dd2-547d-891d-601e9b38647f");
    assert_eq!(model.plugins[0].id, Id::derived("plugins", &format!("plugins:acl::{service}:")));
    let upstream = &model.upstreams[0];
    assert_eq!(upstream.targets[0].id, Id::derived("targets", &format!("a:1:{}", upstream.id)));
    assert_eq!(model.consumers[0].id, Id(10));
    assert_eq!(model.services[1].id, Id::derived("services", "services[1]"));
}

#[test]
fn older_formats_mark_their_regexes() {
    let paths = |version: &str| {
        let text = format!(
            "_format_version: \"{version}\"\nroutes: [{{paths: [/a, '/b\\d+$']}}]\nservices: []\nplugins: ~\n"
        );
        read(&source(&text)).map(|model| {
            let paths = model.routes[0].rule.paths.iter();
            paths.map(ToString::to_string).collect::<Vec<_>>()
        })
    };
    for version in ["1.1", "2.1"] {
        assert_eq!(paths(version), Ok(vec!["/a".into(), r"~/b\d+$".into()]));
    }
    assert!(paths("3.0").is_err());
}

#[test]
fn certificates_and_names_are_taken_as_they_are() {
    let model = model(
        r#"
_format_version: "3.0"
certificates:
- {id: 00000000-0000-0000-0000-000000000001, cert: <CERT>, key: <KEY>, snis: [{name: A.example}, {name: "*.example"}]}
snis: [{name: "*", certificate: 00000000-0000-0000-0000-000000000001}]
services:
- {name: s, url: "grpcs://s", client_certificate: 00000000-0000-0000-0000-000000000001, tls_verify: false, tls_verify_depth: 3}
"#,
    );
    let names: Vec<_> = model.snis.iter().map(|sni| (&*sni.name, sni.certificate)).collect();
    assert_eq!(names, [("a.example", 0), ("*.example", 0), ("*", 0)]);
    let service = &model.services[0];
    assert_eq!((service.client_certificate, service.tls_verify_depth), (Some(0), Some(3)));
    assert!(!format!("{model:?}").contains("BEGIN"), "a key is shown");
}

#[test]
fn every_mapping_and_header_plugin_is_read() {
    let model = model(
        r#"
_format_version: "3.0"
ca_certificates: [{id: 00000000-0000-0000-0000-000000000001, cert: <CA>}]
consumers:
- username: a
  mtls_auth_credentials:
  - {subject_name: x, ca_certificate: 00000000-0000-0000-0000-000000000001}
  - {subject_name: x, ca_certificate: <CA>, consumer: ~}
  header_cert_auth_credentials: [{subject_name: y}]
plugins:
- name: header-cert-auth
  config:
    ca_certificates: [00000000-0000-0000-0000-000000000001]
    certificate_header_name: X-Client-Cert
    certificate_header_format: url_encoded
    authenticated_group_by: ~
"#
        .replace(
            "  - {subject_name: x, ca_certificate: <CA>, consumer: ~}\n",
            "  - {subject_name: z, ca_certificate: <CA>}\n",
        )
        .as_str(),
    );
    let credentials = &model.consumers[0].credentials;
    assert_eq!((credentials[0].ca_certificate, credentials[1].ca_certificate), (Some(0), Some(0)));
    assert_eq!(&*model.consumers[0].header_credentials[0].subject_name, "y");
    let PluginConfig::HeaderCertAuth(plugin) = &model.plugins[0].config else { panic!() };
    assert_eq!((&*plugin.header.name, plugin.header.secure_source), ("x-client-cert", true));
    assert_eq!(plugin.mtls_auth.authenticated_group_by, None);
}

#[test]
fn a_file_is_read_by_its_name_and_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str, content: Option<&[u8]>| {
        let path = folder.path().join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let said = Said::new("declarative_config", path.to_str().unwrap(), Origin::DEFAULT);
        let problems = read(&DeclarativeSource::File(said)).map(drop).map_err(|p| p.to_string());
        problems.map_err(|line| line.replace(path.to_str().unwrap(), "FILE"))
    };
    let check = |name, content: Option<&[u8]>, line: &str| {
        assert_eq!(of(name, content), Err(format!("declarative_config=FILE: {line}")), "{name}");
    };
    assert_eq!(of("a.yaml", Some(b"_format_version: '3.0'")), Ok(()));
    assert_eq!(of("a.json", Some(b"{\"_format_version\": \"2.1\"}")), Ok(()));
    check("no.yml", None, "there is no such file; check the path, and the volume or secret mounted there");
    check(
        "a.txt",
        Some(b""),
        "neither YAML nor JSON by its name; name a file ending in .yaml, .yml or .json, or a folder of such files",
    );
    check("b.yml", Some(b"a: b\nc: \xff\n"), "not UTF-8 in line 2; save the file as UTF-8");
    std::fs::create_dir(folder.path().join("d.yml")).unwrap();
    let advice = "put manifests there; docker makes a directory where the file to mount does not exist";
    check("d.yml", None, &format!("the folder has no .yaml, .yml or .json file; {advice}"));
    let large = std::fs::File::create(folder.path().join("l.yml")).unwrap();
    large.set_len(65 << 20).unwrap();
    check("l.yml", None, "more than 64 MB; split it, or name the right file");
}

/// In a debug build; what is quadratic anywhere takes minutes.
#[test]
fn a_large_file_is_read_soon() {
    let mut text = String::from("_format_version: '3.0'\nservices:\n- name: s\n  host: h\n  routes:\n");
    (0..5_000).for_each(|n| text += &format!("  - {{name: r{n}, paths: [/p{n}], hosts: [h{n}.example]}}\n"));
    text += "consumers:\n";
    (0..30_000).for_each(|n| {
        text += &format!("- username: u{n}\n  custom_id: c{n}\n  acls: [{{group: gold}}]\n");
        text += &format!("  mtls_auth_credentials: [{{subject_name: s{n}.example}}]\n");
    });
    let start = std::time::Instant::now();
    let model = model(&text);
    let spent = start.elapsed();
    println!("{} bytes in {spent:?}", text.len());
    assert_eq!((model.consumers.len(), model.routes.len()), (30_000, 5_000));
    assert!(spent < Duration::from_secs(30), "{spent:?}");
}
