//! KongPlugin and KongClusterPlugin: what `konghq.com/plugins` names, and what is global.

use super::object::{Object, Objects};
use super::{list, map, text};
use crate::config::declarative::node::{Node, Value, shortened};
use crate::config::declarative::report::Report;

/// Those for all requests: KongClusterPlugins labelled `global: "true"`.
pub(super) fn global(objects: &Objects<'_>, report: &Report) -> Vec<Node> {
    let global = objects.kind("KongClusterPlugin").filter(|object| object.label("global") == Some("true"));
    global.filter(|object| object.is_ours()).map(|object| plugin(object, report)).collect()
}

/// Those that an Ingress, Service or consumer names in its annotation; a KongPlugin of its namespace goes
/// before a KongClusterPlugin of that name.
pub(super) fn named_by(object: &Object<'_>, objects: &Objects<'_>, report: &Report) -> Option<Node> {
    let (names, line) = object.annotation("konghq.com/plugins")?;
    let mut plugins = Vec::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let of_cluster = || objects.kind("KongClusterPlugin").find(|plugin| plugin.name == name);
        match objects.find("KongPlugin", object.namespace, name).or_else(of_cluster) {
            Some(found) => plugins.push(plugin(found, report)),
            None => {
                let name = shortened(name);
                let what = format!("there is no KongPlugin `{name}` in namespace {}", object.namespace);
                report.add(object.path(), line, what, "add it to these files, or name another");
            }
        }
    }
    Some(list(plugins))
}

fn plugin(object: &Object<'_>, report: &Report) -> Node {
    let Value::Map(entries) = &object.node.value else { return map(object.node.line, Vec::new()) };
    let mut fields = Vec::new();
    for entry in entries {
        let node = entry.node.clone();
        match &*entry.key {
            "plugin" => fields.push(("name", node)),
            "config" => fields.push(("config", node)),
            "protocols" => fields.push(("protocols", node)),
            "instance_name" => fields.push(("instance_name", node)),
            "disabled" => fields.push(("enabled", negated(node))),
            // Meant for kubectl and the API server.
            "apiVersion" | "kind" | "metadata" | "status" => {}
            other => {
                let path = format!("{}.{other}", object.path());
                report.add(path, entry.line, "not supported by this version", "remove it, or write `config`");
            }
        }
    }
    if fields.iter().all(|(key, _)| *key != "name") {
        object.wrong(report, "plugin", "required field missing", "write the plugin's name");
        fields.push(("name", text(object.node.line, "mtls-auth")));
    }
    map(object.node.line, fields)
}

fn negated(node: Node) -> Node {
    match node.value {
        Value::Bool(disabled) => Node { value: Value::Bool(!disabled), ..node },
        _ => node,
    }
}
