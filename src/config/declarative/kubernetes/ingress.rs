//! Ingresses: a route for each path of each rule, in the service of its backend; certificates of `tls`.

use super::object::{Object, Objects};
use super::{list, map, plugin, scalar, service, text, texts};
use crate::config::declarative::node::{Node, Value, shortened};
use crate::config::declarative::report::Report;
use crate::routing::normalise;

/// A service of Kong's and where its certificate comes from.
pub(super) struct Made<'t> {
    pub(super) node: Node,
    /// The Secret of `konghq.com/client-cert`.
    client_certificate: Option<Object<'t>>,
}

/// A port of a Service, with what is routed to it.
struct Backend<'t> {
    service: Object<'t>,
    port: Node,
    routes: Vec<Node>,
}

/// Every backend with its routes.
pub(super) fn services<'t>(objects: &Objects<'t>, report: &Report) -> Vec<Made<'t>> {
    let mut backends: Vec<Backend<'t>> = Vec::new();
    for ingress in objects.kind("Ingress").filter(|object| object.is_ours()) {
        for (number, path) in paths(ingress, report).into_iter().enumerate() {
            let Some((service, port)) = backend(ingress, path.backend, objects, report) else { continue };
            let route = route(ingress, number, &path, objects, report);
            let known = backends.iter_mut().find(|backend| {
                backend.service.name == service.name
                    && backend.service.namespace == service.namespace
                    && shown(&backend.port) == shown(&port)
            });
            match known {
                Some(backend) => backend.routes.push(route),
                None => backends.push(Backend { service, port, routes: vec![route] }),
            }
        }
    }
    backends.into_iter().map(|backend| made(backend, objects, report)).collect()
}

fn made<'t>(backend: Backend<'t>, objects: &Objects<'t>, report: &Report) -> Made<'t> {
    let Backend { service, port, routes } = backend;
    let name = format!("{}.{}.{}", service.namespace, service.name, shown(&port));
    let secret = service.annotation("konghq.com/client-cert").map(|(name, _)| name);
    let mut fields = service::fields(&service, port, objects, report);
    fields.push(("name", text(service.node.line, &name)));
    fields.push(("routes", list(routes)));
    let client_certificate = secret.and_then(|name| objects.find("Secret", service.namespace, name)).copied();
    Made { node: map(service.node.line, fields), client_certificate }
}

/// Certificates: of each `tls` of an Ingress with its hosts as server names, and those for services.
pub(super) fn certificates(objects: &Objects<'_>, services: &[Made<'_>], report: &Report) -> Vec<Node> {
    let mut wanted: Vec<(Object<'_>, Vec<Node>)> = Vec::new();
    for ingress in objects.kind("Ingress").filter(|object| object.is_ours()) {
        let Some(Value::List(entries)) =
            ingress.node.at("spec").and_then(|spec| Some(&spec.at("tls")?.value))
        else {
            continue;
        };
        for entry in entries {
            let Some(name) = entry.at("secretName") else { continue };
            let found = name.text().and_then(|text| objects.secret(ingress, name.line, text, report));
            let Some(secret) = found else { continue };
            let hosts = match entry.at("hosts").map(|hosts| &hosts.value) {
                Some(Value::List(hosts)) => {
                    hosts.iter().map(|host| map(host.line, vec![("name", host.clone())])).collect()
                }
                _ => Vec::new(),
            };
            add(&mut wanted, *secret, hosts);
        }
    }
    for secret in services.iter().filter_map(|service| service.client_certificate) {
        add(&mut wanted, secret, Vec::new());
    }
    wanted.into_iter().filter_map(|(secret, snis)| certificate(&secret, snis, report)).collect()
}

fn add<'t>(wanted: &mut Vec<(Object<'t>, Vec<Node>)>, secret: Object<'t>, snis: Vec<Node>) {
    let is_it = |known: &Object<'_>| known.name == secret.name && known.namespace == secret.namespace;
    match wanted.iter_mut().find(|(known, _)| is_it(known)) {
        Some((_, known)) => known.extend(snis),
        None => wanted.push((secret, snis)),
    }
}

fn certificate(secret: &Object<'_>, snis: Vec<Node>, report: &Report) -> Option<Node> {
    let (cert, key) = (secret.value("tls.crt", report), secret.value("tls.key", report));
    let (Some(cert), Some(key)) = (cert, key) else {
        secret.wrong(
            report,
            "data",
            "`tls.crt` and `tls.key` are not both there",
            "make it with kubectl create secret tls",
        );
        return None;
    };
    let id = text(secret.node.line, &secret.certificate_id());
    Some(map(secret.node.line, vec![("id", id), ("cert", cert), ("key", key), ("snis", list(snis))]))
}

/// One path of one rule.
struct Path<'t> {
    host: Option<&'t Node>,
    path: Option<&'t Node>,
    kind: &'t str,
    backend: &'t Node,
    line: u32,
}

fn paths<'t>(ingress: &Object<'t>, report: &Report) -> Vec<Path<'t>> {
    let Some(spec) = ingress.node.at("spec") else {
        ingress.wrong(report, "spec", "required field missing", "write its rules");
        return Vec::new();
    };
    let items = |node: Option<&'t Node>| match node.map(|node| &node.value) {
        Some(Value::List(nodes)) => nodes.as_slice(),
        _ => &[],
    };
    let mut paths = Vec::new();
    for rule in items(spec.at("rules")) {
        for path in items(rule.at("http").and_then(|http| http.at("paths"))) {
            let Some(backend) = path.at("backend") else {
                report.add(ingress.path(), path.line, "a path without a backend", "write its service");
                continue;
            };
            let kind = path.at("pathType").map_or(Some(ANY_TYPE), Node::text).unwrap_or_default();
            if !["Exact", "Prefix", ANY_TYPE].contains(&kind) {
                let advice = "write Exact, Prefix or ImplementationSpecific; Kubernetes refuses it too";
                report.add(ingress.path(), path.line, "a pathType that is not known", advice);
                continue;
            }
            paths.push(Path { host: rule.at("host"), path: path.at("path"), kind, backend, line: path.line });
        }
    }
    if let Some(backend) = spec.at("defaultBackend") {
        paths.push(Path { host: None, path: None, kind: "Prefix", backend, line: backend.line });
    }
    paths
}

/// What a path is whose `pathType` is not said.
const ANY_TYPE: &str = "ImplementationSpecific";

/// The Service and port that a backend names.
fn backend<'t>(
    ingress: &Object<'t>,
    backend: &'t Node,
    objects: &Objects<'t>,
    report: &Report,
) -> Option<(Object<'t>, Node)> {
    let Some(named) = backend.at("service") else {
        report.add(
            ingress.path(),
            backend.line,
            "a backend that is no service",
            "name a Service and its port",
        );
        return None;
    };
    let name = named.at("name").and_then(Node::text).unwrap_or_default();
    let Some(service) = objects.find("Service", ingress.namespace, name) else {
        let what = format!("there is no Service `{}` in namespace {}", shortened(name), ingress.namespace);
        report.add(ingress.path(), named.line, what, "add it to these files, or name another");
        return None;
    };
    let port =
        named.at("port").and_then(|port| port.at("number").cloned().or_else(|| number_of(service, port)));
    if port.is_none() {
        report.add(ingress.path(), named.line, "the Service has no such port", "write its number");
    }
    Some((*service, port?))
}

/// The number of the Service's port of that name.
fn number_of(service: &Object<'_>, port: &Node) -> Option<Node> {
    let name = port.at("name")?.text()?;
    let Value::List(ports) = &service.node.at("spec")?.at("ports")?.value else { return None };
    ports.iter().find(|port| port.at("name").and_then(Node::text) == Some(name))?.at("port").cloned()
}

/// `number`: which path of its Ingress it is, so that names differ.
fn route(
    ingress: &Object<'_>,
    number: usize,
    path: &Path<'_>,
    objects: &Objects<'_>,
    report: &Report,
) -> Node {
    let line = path.line;
    let name = format!("{}.{}.{number}", ingress.namespace, ingress.name);
    let mut fields = vec![("name", text(line, &name)), ("paths", list(prefixes(path)))];
    let mut hosts: Vec<Node> = path.host.into_iter().cloned().collect();
    let mut headers = Vec::new();
    // The controller's defaults, which are not Kong's.
    let (mut strip, mut preserve) = (scalar(line, "false"), scalar(line, "true"));
    for entry in ingress.annotations() {
        let Some(written) = entry.node.text() else { continue };
        let at = entry.node.line;
        match &*entry.key {
            "konghq.com/strip-path" => strip = scalar(at, written),
            "konghq.com/preserve-host" => preserve = scalar(at, written),
            "konghq.com/protocols" => fields.push(("protocols", texts(at, written))),
            "konghq.com/methods" => fields.push(("methods", texts(at, &written.to_ascii_uppercase()))),
            "konghq.com/snis" => fields.push(("snis", texts(at, written))),
            "konghq.com/https-redirect-status-code" => {
                fields.push(("https_redirect_status_code", scalar(at, written)));
            }
            "konghq.com/regex-priority" => fields.push(("regex_priority", scalar(at, written))),
            "konghq.com/path-handling" => fields.push(("path_handling", text(at, written))),
            "konghq.com/request-buffering" => fields.push(("request_buffering", scalar(at, written))),
            "konghq.com/response-buffering" => fields.push(("response_buffering", scalar(at, written))),
            "konghq.com/tags" => fields.push(("tags", texts(at, written))),
            "konghq.com/host-aliases" => {
                if let Value::List(aliases) = texts(at, written).value {
                    hosts.extend(aliases);
                }
            }
            "konghq.com/plugins" => {}
            key => match key.strip_prefix("konghq.com/headers.") {
                Some(header) => headers.push((header, texts(at, written))),
                None if key.starts_with("konghq.com/") => {
                    report.add(
                        format_args!("{} {key}", ingress.path()),
                        entry.line,
                        "not supported",
                        "remove it",
                    );
                }
                None => {}
            },
        }
    }
    fields.extend([("strip_path", strip), ("preserve_host", preserve)]);
    if !hosts.is_empty() {
        fields.push(("hosts", list(hosts)));
    }
    if !headers.is_empty() {
        fields.push(("headers", map(line, headers)));
    }
    if let Some(plugins) = plugin::named_by(ingress, objects, report) {
        fields.push(("plugins", plugins));
    }
    map(line, fields)
}

/// Kong's paths for a path of Kubernetes: by segments for `Prefix`, the whole for `Exact`, and as it is
/// written else, where `/~` begins a regex (translator/translate_ingress.go).
fn prefixes(path: &Path<'_>) -> Vec<Node> {
    let written = match path.path.map(|path| (path, &path.value)) {
        None | Some((_, Value::Null)) => "/",
        Some((_, Value::Text(written))) => written,
        // To be refused as any other path of a route.
        Some((other, _)) => return vec![other.clone()],
    };
    let line = path.path.map_or(path.line, |path| path.line);
    // Requests are compared in normal form.
    let whole = if written.starts_with('/') { normalise(written) } else { written.into() };
    let base = whole.trim_end_matches('/');
    let texts = match path.kind {
        "Exact" => vec![format!("~{}$", regex::escape(&whole))],
        "Prefix" if base.is_empty() => vec!["/".to_owned()],
        "Prefix" => vec![format!("{base}/"), format!("~{}$", regex::escape(base))],
        _ => vec![written.strip_prefix("/~").map_or_else(|| written.to_owned(), |regex| format!("~{regex}"))],
    };
    texts.iter().map(|path| text(line, path)).collect()
}

fn shown(port: &Node) -> &str {
    match &port.value {
        Value::Number(text) | Value::Text(text) => text,
        _ => "",
    }
}
