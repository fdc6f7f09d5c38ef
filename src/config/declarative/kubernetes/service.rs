//! A Service of the cluster with its annotations, as a service of Kong's.

use super::object::{Object, Objects};
use super::{list, plugin, scalar, text};
use crate::config::declarative::node::{Node, shortened};
use crate::config::declarative::report::Report;

/// The fields of Kong's service for a port of a Service, but for its name and routes.
pub(super) fn fields(
    object: &Object<'_>,
    port: Node,
    objects: &Objects<'_>,
    report: &Report,
) -> Vec<(&'static str, Node)> {
    let mut fields = vec![("host", host(object)), ("port", port)];
    for entry in object.annotations() {
        let Some(written) = entry.node.text() else { continue };
        let line = entry.node.line;
        let field = match &*entry.key {
            "konghq.com/protocol" => ("protocol", text(line, written)),
            "konghq.com/path" => ("path", text(line, written)),
            "konghq.com/retries" => ("retries", scalar(line, written)),
            "konghq.com/connect-timeout" => ("connect_timeout", scalar(line, written)),
            "konghq.com/read-timeout" => ("read_timeout", scalar(line, written)),
            "konghq.com/write-timeout" => ("write_timeout", scalar(line, written)),
            "konghq.com/tls-verify" => ("tls_verify", scalar(line, written)),
            "konghq.com/tls-verify-depth" => ("tls_verify_depth", scalar(line, written)),
            "konghq.com/tags" => ("tags", super::texts(line, written)),
            "konghq.com/client-cert" => match objects.secret(object, line, written, report) {
                Some(secret) => ("client_certificate", text(line, &secret.certificate_id())),
                None => continue,
            },
            "konghq.com/ca-certificates-secrets" => {
                ("ca_certificates", authorities(object, "Secret", (written, line), objects, report))
            }
            "konghq.com/ca-certificates-configmaps" => {
                ("ca_certificates", authorities(object, "ConfigMap", (written, line), objects, report))
            }
            // Read elsewhere; the Service is always dialled by its own name.
            "konghq.com/plugins" => continue,
            key if key.starts_with("konghq.com/") => {
                report.add(format_args!("{} {key}", object.path()), entry.line, "not supported", "remove it");
                continue;
            }
            _ => continue,
        };
        fields.push(field);
    }
    if let Some(plugins) = plugin::named_by(object, objects, report) {
        fields.push(("plugins", plugins));
    }
    fields
}

/// The cluster's own name for it, or the name outside that it stands for.
fn host(object: &Object<'_>) -> Node {
    let outside = object.node.at("spec").and_then(|spec| spec.at("externalName"));
    match outside {
        Some(name) => name.clone(),
        None => text(object.node.line, &format!("{}.{}.svc", object.name, object.namespace)),
    }
}

/// The ids of the CAs in these Secrets or ConfigMaps.
fn authorities(
    object: &Object<'_>,
    kind: &'static str,
    (names, line): (&str, u32),
    objects: &Objects<'_>,
    report: &Report,
) -> Node {
    let mut ids = Vec::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match objects.find(kind, object.namespace, name).and_then(|found| found.value("id", report)) {
            Some(id) => ids.push(Node { line, ..id }),
            None => {
                let name = shortened(name);
                let what =
                    format!("there is no {kind} `{name}` with an `id` in namespace {}", object.namespace);
                report.add(object.path(), line, what, "add it to these files, labelled konghq.com/ca-cert");
            }
        }
    }
    list(ids)
}
