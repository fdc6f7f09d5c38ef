//! Manifests of Kubernetes as Kong's ingress controller reads them, translated into a file of Kong's.
//!
//! Called by `read`. What comes out is read like any other file, and every node keeps the line of the
//! manifest it came from. Ours are KongPlugin, KongClusterPlugin, KongConsumer, Ingress, and the Services,
//! Secrets and ConfigMaps these name; Deployments and the like are somebody else's.
//! Source: kubernetes-ingress-controller, `internal/dataplane/translator` and `internal/annotations`.

mod consumer;
mod ingress;
mod object;
mod plugin;
mod service;

use self::object::Objects;
use super::node::{Entry, Node, Value};
use super::report::Report;

/// Whether these documents are manifests rather than a file of Kong's.
pub(super) fn are_manifests(documents: &[Node]) -> bool {
    documents.iter().any(|document| document.at("apiVersion").is_some() && document.at("kind").is_some())
}

/// The same as a file of Kong's. What cannot be translated is a problem.
pub(super) fn translated(documents: &[Node], report: &Report) -> Node {
    let objects = Objects::of(documents, report);
    for object in objects.each() {
        if object.api.starts_with("gateway.networking.k8s.io/") {
            object.wrong(report, "kind", "the Gateway API is not supported", "write an Ingress");
        }
        if object.api.contains("konghq.com") && !KNOWN.contains(&object.kind) {
            object.wrong(report, "kind", "a kind of Kong's that this version does not read", "remove it");
        }
    }
    let services = ingress::services(&objects, report);
    let certificates = ingress::certificates(&objects, &services, report);
    let of_secrets = objects.kind("Secret").chain(objects.kind("ConfigMap"));
    let cas = of_secrets.filter(|object| object.label("konghq.com/ca-cert") == Some("true"));
    map(
        1,
        vec![
            ("_format_version", text(1, "3.0")),
            ("services", list(services.into_iter().map(|service| service.node).collect())),
            ("consumers", list(consumer::consumers(&objects, report))),
            ("plugins", list(plugin::global(&objects, report))),
            ("ca_certificates", list(cas.map(|object| object::ca_certificate(object, report)).collect())),
            ("certificates", list(certificates)),
        ],
    )
}

/// A map of entries that all begin on one line.
fn map(line: u32, entries: Vec<(&str, Node)>) -> Node {
    let entry = |(key, node): (&str, Node)| Entry { key: key.into(), line: node.line, node };
    Node { line, value: Value::Map(entries.into_iter().map(entry).collect()) }
}

fn list(nodes: Vec<Node>) -> Node {
    Node { line: nodes.first().map_or(1, |node| node.line), value: Value::List(nodes) }
}

fn text(line: u32, text: &str) -> Node {
    Node { line, value: Value::Text(text.into()) }
}

/// A comma list, as annotations have it.
fn texts(line: u32, commas: &str) -> Node {
    let parts = commas.split(',').map(str::trim).filter(|part| !part.is_empty());
    Node { line, value: Value::List(parts.map(|part| text(line, part)).collect()) }
}

/// What stands in an annotation, which can only be a text: a boolean or a number where it is one.
fn scalar(line: u32, written: &str) -> Node {
    let value = match written {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Value::Number(digits.into())
        }
        other => Value::Text(other.into()),
    };
    Node { line, value }
}

const KNOWN: [&str; 3] = ["KongPlugin", "KongClusterPlugin", "KongConsumer"];
