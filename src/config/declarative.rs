//! A declarative file of Kong's (`kong.yml`), read natively into a [`Model`].
//!
//! Named by a setting, read by [`read`] for `snapshot`. Text (`files`) → (manifests: `kubernetes` →) tree with lines (`node`) → entities with their
//! names and ids (`gather`) → each entity by its own file, all problems at once, each with its place and line.
//! What is not supported is a problem; what changes nothing here is listed in `reader`.

mod fields;
mod files;
mod gather;
mod id;
mod kind;
mod kubernetes;
pub mod model;
mod node;
pub mod plugins;
mod reader;
mod report;
mod settings;

mod certificate;
mod consumer;
mod health;
mod route;
mod service;
mod upstream;

use self::fields::Fields;
use self::files::Texts;
use self::gather::Gathered;
use self::kind::Kind;
use self::node::{Node, Value, shortened};
use self::reader::{Format, Reader};
use self::report::Report;
use super::problem::Problems;

pub use self::id::Id;
pub use self::model::Model;
pub use self::report::Place;
pub(super) use self::settings::DeclarativeSettings;
pub use self::settings::DeclarativeSource;

/// Reads what a setting named.
///
/// # Errors
/// All problems of the file at once (the first 50), each with its line.
pub fn read(source: &DeclarativeSource) -> Result<Model, Problems> {
    let texts = Texts::of(source).map_err(|problem| Problems::from(*problem))?;
    let report = Report::new(source.subject(), texts.files);
    let root = document(&texts.text, &report);
    let model = root.map(|root| model(&root, &report));
    report.finish(model)
}

/// The one document of a text, or what its manifests come to.
fn document(text: &str, report: &Report) -> Option<Node> {
    let documents = match node::documents(text) {
        Ok(documents) => documents,
        Err(fault) => {
            report.add("", fault.line, fault.what, fault.advice);
            return None;
        }
    };
    if kubernetes::are_manifests(&documents) {
        return Some(kubernetes::translated(&documents, report));
    }
    let mut documents = documents.into_iter();
    match (documents.next(), documents.next()) {
        (Some(document), None) => return Some(document),
        (None, _) => report.about_all("it is empty", "write at least `_format_version: \"3.0\"`"),
        (_, Some(second)) => report.add("", second.line, "a second document", "put everything into one"),
    }
    None
}

/// What can be made of it; not to be used if anything was reported.
fn model(root: &Node, report: &Report) -> Model {
    let format = format(root, report);
    let gathered = Gathered::of(root, report);
    let reader = Reader { gathered: &gathered, report, format };
    Model {
        services: gathered.each(Kind::Services).filter_map(|found| service::service(reader, found)).collect(),
        routes: gathered.each(Kind::Routes).filter_map(|found| route::route(reader, found)).collect(),
        consumers: consumer::consumers(reader),
        plugins: plugins::plugins(reader),
        ca_certificates: certificate::ca_certificates(reader),
        certificates: certificate::certificates(reader),
        snis: certificate::snis(reader),
        upstreams: upstream::upstreams(reader),
    }
}

/// The version, and what else is said at the top of a file.
fn format(root: &Node, report: &Report) -> Format {
    let top = report.place("", root.line);
    let Some(mut fields) = Fields::of(report, fields::Path::Entity(&top), root) else { return Format::From3 };
    let advice = "write `_format_version: \"3.0\"`, with the quotes";
    let format = match fields.take("_format_version") {
        None => {
            fields.missing("_format_version", advice);
            Format::From3
        }
        Some((Node { value: Value::Text(version), .. }, at)) => match &**version {
            "1.1" | "2.1" => Format::Before3,
            "3.0" => Format::From3,
            other => {
                let what = format!("`{}` is not a known version", shortened(other));
                fields.wrong(at, what, "write \"3.0\", \"2.1\" or \"1.1\"");
                Format::From3
            }
        },
        Some((_, at)) => {
            fields.wrong(at, "not a text", advice);
            Format::From3
        }
    };
    // Whether secrets are hashed on load; there are none of that kind.
    fields.boolean("_transform");
    fields.pass(Kind::ALL.map(Kind::list));
    for (entity, advice) in UNSUPPORTED {
        fields.refuse(entity, &[], advice);
    }
    fields.finish();
    format
}

const OTHER_PLUGIN: &str = "remove it: it belongs to a plugin that this program does not have";

const REMOVE: &str = "remove it";

/// Lists of Kong's and of its tools that would have an effect, and have none here.
const UNSUPPORTED: [(&str, &str); 21] = [
    ("vaults", "write what the references stand for"),
    ("keys", REMOVE),
    ("key_sets", REMOVE),
    ("consumer_groups", "write the consumers' groups as acls"),
    ("consumer_group_consumers", "write the consumers' groups as acls"),
    ("consumer_group_plugins", "write the plugins for routes, services or all"),
    ("filter_chains", REMOVE),
    ("partials", "write the fields where they are used"),
    ("plugins_partials", "write the fields where they are used"),
    ("licenses", REMOVE),
    ("workspaces", "write one file for each workspace"),
    ("rbac_roles", REMOVE),
    ("parameters", REMOVE),
    ("keyauth_credentials", OTHER_PLUGIN),
    ("basicauth_credentials", OTHER_PLUGIN),
    ("hmacauth_credentials", OTHER_PLUGIN),
    ("jwt_secrets", OTHER_PLUGIN),
    ("oauth2_credentials", OTHER_PLUGIN),
    ("_info", "remove it: decK wrote it for itself, and Kong refuses it too"),
    ("_workspace", "remove it: decK wrote it for itself, and Kong refuses it too"),
    ("_plugin_configs", "write the fields where they are used; decK knew them, Kong does not"),
];

#[cfg(test)]
mod tests;
