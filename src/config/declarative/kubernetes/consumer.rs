//! KongConsumer with the Secrets that hold its groups and mappings.

use super::object::{Object, Objects};
use super::{list, map};
use crate::config::declarative::node::{Node, Value};
use crate::config::declarative::report::Report;

/// Everybody who may be known.
pub(super) fn consumers(objects: &Objects<'_>, report: &Report) -> Vec<Node> {
    let ours = objects.kind("KongConsumer").filter(|object| object.is_ours());
    ours.map(|object| consumer(object, objects, report)).collect()
}

fn consumer(object: &Object<'_>, objects: &Objects<'_>, report: &Report) -> Node {
    let field = |key: &'static str| object.node.at(key).map(|node| (key, node.clone()));
    let mut entries: Vec<_> = ["username", "custom_id"].into_iter().filter_map(field).collect();
    if let Some((_, line)) = object.annotation("konghq.com/plugins") {
        report.add(
            object.path(),
            line,
            "plugins of a consumer are not supported",
            "name them on the Ingress",
        );
    }
    if let Some(node) = object.node.at("consumerGroups") {
        let advice = "use credentials of kind acl";
        report.add(object.path(), node.line, "consumer groups are not supported by this version", advice);
    }
    let (mut groups, mut mappings, mut header_mappings) = (Vec::new(), Vec::new(), Vec::new());
    for (name, line) in credentials(object, report) {
        let Some(secret) = objects.secret(object, line, name, report) else { continue };
        // Before the label, the field `kongCredType` said so.
        let old = secret.value("kongCredType", report);
        let kind = secret.label("konghq.com/credential").or_else(|| old.as_ref()?.text());
        let kept = |keys: &[&'static str]| {
            let value = |key: &&'static str| Some((*key, secret.value(key, report)?));
            map(secret.node.line, keys.iter().filter_map(value).collect())
        };
        match kind {
            Some("acl") => groups.push(kept(&["group"])),
            Some("mtls-auth") => mappings.push(kept(&["id", "subject_name", "ca_certificate"])),
            Some("header-cert-auth") => header_mappings.push(kept(&["id", "subject_name", "ca_certificate"])),
            _ => {
                let advice = "label it konghq.com/credential: mtls-auth, header-cert-auth or acl";
                secret.wrong(report, "metadata.labels", "a credential of no kind that is known here", advice);
            }
        }
    }
    entries.push(("acls", list(groups)));
    entries.push(("mtls_auth_credentials", list(mappings)));
    entries.push(("header_cert_auth_credentials", list(header_mappings)));
    map(object.node.line, entries)
}

/// The names of its Secrets, each with its line.
fn credentials<'t>(object: &Object<'t>, report: &Report) -> Vec<(&'t str, u32)> {
    let Some(node) = object.node.at("credentials") else { return Vec::new() };
    let Value::List(names) = &node.value else {
        report.add(object.path(), node.line, "`credentials` is not a list", "write the names of Secrets");
        return Vec::new();
    };
    let name = |node: &'t Node| {
        if node.text().is_none() {
            let what = format!("{} among `credentials`", node.value.kind());
            report.add(object.path(), node.line, what, "write the name of a Secret, in quotes");
        }
        Some((node.text()?, node.line))
    };
    names.iter().filter_map(name).collect()
}
