//! The objects of a cluster, found by kind, namespace and name; their labels, annotations and secrets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{map, text};
use crate::config::declarative::id::Id;
use crate::config::declarative::node::{Entry, Node, Value, shortened};
use crate::config::declarative::report::Report;

/// One manifest.
#[derive(Clone, Copy)]
pub(super) struct Object<'t> {
    pub(super) api: &'t str,
    pub(super) kind: &'t str,
    /// `default` where none is written.
    pub(super) namespace: &'t str,
    pub(super) name: &'t str,
    pub(super) node: &'t Node,
}

/// All manifests.
pub(super) struct Objects<'t>(Vec<Object<'t>>);

impl<'t> Objects<'t> {
    pub(super) fn of(documents: &'t [Node], report: &Report) -> Self {
        let mut objects = Self(Vec::new());
        for document in documents {
            objects.take(document, report);
        }
        objects
    }

    fn take(&mut self, node: &'t Node, report: &Report) {
        let word = |key: &str| node.at(key).and_then(Node::text);
        let (Some(api), Some(kind)) = (word("apiVersion"), word("kind")) else {
            let advice = "write apiVersion and kind, or keep it out of these files";
            report.add("", node.line, "not a manifest of Kubernetes", advice);
            return;
        };
        if let ("List", Some(Value::List(items))) = (kind, node.at("items").map(|items| &items.value)) {
            items.iter().for_each(|item| self.take(item, report));
            return;
        }
        let metadata = |key: &str| node.at("metadata").and_then(|metadata| metadata.at(key)?.text());
        let (namespace, name) = (metadata("namespace").unwrap_or("default"), metadata("name"));
        let Some(name) = name else {
            report.add(kind, node.line, "it has no metadata.name", "write one");
            return;
        };
        let object = Object { api, kind, namespace, name, node };
        if self.find(kind, namespace, name).is_some() {
            object.wrong(
                report,
                "metadata.name",
                "another object of this kind has this name",
                "keep one of the two",
            );
        }
        object.check_words(report);
        self.0.push(object);
    }

    pub(super) fn each(&self) -> impl Iterator<Item = &Object<'t>> {
        self.0.iter()
    }

    pub(super) fn kind(&self, kind: &'static str) -> impl Iterator<Item = &Object<'t>> {
        self.each().filter(move |object| object.kind == kind)
    }

    pub(super) fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<&Object<'t>> {
        let is_it = |object: &&Object<'_>| {
            object.kind == kind && object.name == name && object.namespace == namespace
        };
        self.0.iter().find(is_it)
    }

    /// The secret that `object` names at this line; a problem where there is none.
    pub(super) fn secret(
        &self,
        object: &Object<'_>,
        line: u32,
        name: &str,
        report: &Report,
    ) -> Option<&Object<'t>> {
        let found = self.find("Secret", object.namespace, name);
        if found.is_none() {
            let name = shortened(name);
            let what = format!("there is no Secret `{name}` in namespace {}", object.namespace);
            report.add(object.path(), line, what, "add it to these files, or name another");
        }
        found
    }
}

impl<'t> Object<'t> {
    /// `Ingress default/demo`, as problems name it.
    pub(super) fn path(&self) -> String {
        format!("{} {}/{}", self.kind, self.namespace, self.name)
    }

    pub(super) fn wrong(&self, report: &Report, field: &str, what: &str, advice: &str) {
        report.add(format_args!("{}.{field}", self.path()), self.node.line, what, advice);
    }

    /// Labels and annotations are what decides here, so none may be passed over for how it is written.
    fn check_words(&self, report: &Report) {
        for field in ["labels", "annotations"] {
            let Some(node) = self.node.at("metadata").and_then(|metadata| metadata.at(field)) else {
                continue;
            };
            match &node.value {
                Value::Null => {}
                Value::Map(entries) => entries.iter().for_each(|entry| self.check_word(field, entry, report)),
                other => {
                    let what = format!("{} where a map is wanted", other.kind());
                    let path = format!("{}.metadata.{field}", self.path());
                    report.add(
                        path,
                        node.line,
                        what,
                        "write `key: \"value\"` lines; Kubernetes refuses it too",
                    );
                }
            }
        }
    }

    fn check_word(&self, field: &str, entry: &Entry, report: &Report) {
        let wrong = |what: &str, advice: &str| {
            let path = format!("{}.metadata.{field}.{}", self.path(), shortened(&entry.key));
            report.add(path, entry.line, what, advice);
        };
        let Some(text) = entry.node.text() else {
            let what = format!("{} where a text is wanted", entry.node.value.kind());
            wrong(&what, IN_QUOTES);
            return;
        };
        if entry.key.ends_with(".konghq.com") || entry.key.starts_with("configuration.konghq.com/") {
            wrong("not supported by this version", "write konghq.com/…, as in konghq.com/plugins");
        }
        // Ingresses and Services read each of theirs, and name those they do not know.
        let known = match &*entry.key {
            "konghq.com/tags" => true,
            "konghq.com/plugins" => self.kind == "KongConsumer",
            key => !key.starts_with("konghq.com/"),
        };
        if field == "annotations" && !known && !["Ingress", "Service"].contains(&self.kind) {
            wrong("not supported", "remove it");
        }
        let is_global = field == "labels" && self.kind == "KongClusterPlugin" && &*entry.key == "global";
        if is_global && !["true", "false"].contains(&text) {
            wrong("neither \"true\" nor \"false\"", "write global: \"true\", or remove it");
        }
    }

    pub(super) fn label(&self, key: &str) -> Option<&'t str> {
        self.node.at("metadata")?.at("labels")?.at(key)?.text()
    }

    /// Every annotation, or none.
    pub(super) fn annotations(&self) -> &'t [Entry] {
        match self.node.at("metadata").and_then(|metadata| metadata.at("annotations")).map(|node| &node.value)
        {
            Some(Value::Map(entries)) => entries,
            _ => &[],
        }
    }

    pub(super) fn annotation(&self, key: &str) -> Option<(&'t str, u32)> {
        let entry = self.annotations().iter().find(|entry| &*entry.key == key)?;
        Some((entry.node.text()?, entry.node.line))
    }

    /// Whether Kong's controller would look at it: those of another class are another's.
    pub(super) fn is_ours(&self) -> bool {
        let class = self.node.at("spec").and_then(|spec| spec.at("ingressClassName")?.text());
        let class = class.or_else(|| self.annotation("kubernetes.io/ingress.class").map(|(class, _)| class));
        class.is_none_or(|class| class == "kong")
    }

    /// A value of a Secret or ConfigMap: `stringData`, or `data`, which a Secret has in base64.
    pub(super) fn value(&self, key: &str, report: &Report) -> Option<Node> {
        let at = |field: &'static str| self.node.at(field).and_then(|data| Some((field, data.at(key)?)));
        let (field, node) = at("stringData").or_else(|| at("data"))?;
        let Some(written) = node.text() else {
            let what = format!("{} where a text is wanted", node.value.kind());
            report.add(format_args!("{}.{field}.{key}", self.path()), node.line, what, IN_QUOTES);
            return None;
        };
        if field == "stringData" || self.kind != "Secret" {
            return Some(node.clone());
        }
        let decoded = STANDARD.decode(written.split_whitespace().collect::<String>());
        match decoded.map(String::from_utf8) {
            Ok(Ok(plain)) => Some(text(node.line, plain.trim_end_matches('\n'))),
            // DER, or another format that its reader knows by name.
            Ok(Err(_)) if CERTIFICATES.contains(&key) => Some(node.clone()),
            _ => {
                let advice = "write base64 in `data`, or the plain text in `stringData`";
                report.add(
                    format_args!("{}.data.{key}", self.path()),
                    node.line,
                    "not base64 of a text",
                    advice,
                );
                None
            }
        }
    }

    /// The id under which a certificate of a TLS Secret is known.
    pub(super) fn certificate_id(&self) -> String {
        Id::derived("certificates", &format!("{}.{}", self.namespace, self.name)).to_string()
    }
}

/// The CA in a Secret or ConfigMap that is labelled as one.
pub(super) fn ca_certificate(object: &Object<'_>, report: &Report) -> Node {
    let line = object.node.line;
    let cert = object.value("cert", report).or_else(|| object.value("ca.crt", report));
    let mut entries = Vec::new();
    match object.value("id", report) {
        Some(id) => entries.push(("id", id)),
        None => object.wrong(report, "data", "a CA without `id`", "write a UUID, which plugins name"),
    }
    match cert {
        Some(cert) => entries.push(("cert", cert)),
        None => object.wrong(report, "data", "neither `cert` nor `ca.crt`", "write the CA as PEM"),
    }
    map(line, entries)
}

/// Keys of Secrets that hold certificates or private keys.
const CERTIFICATES: [&str; 4] = ["tls.crt", "tls.key", "cert", "ca.crt"];

const IN_QUOTES: &str = "put it in quotes; Kubernetes refuses it too";
