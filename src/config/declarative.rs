//! A declarative file of Kong's (`kong.yml`), read natively into a [`Model`].
//!
//! Named by a setting, read by [`read`] for `snapshot`. Text → tree with lines (`node`) → entities with their
//! names and ids (`gather`) → each entity by its own file, all problems at once, each with its place and line.
//! What is not supported is a problem; what changes nothing here is listed in `reader`.

mod fields;
mod gather;
mod id;
mod kind;
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

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use tokio_rustls::rustls::pki_types::UnixTime;

use self::fields::Fields;
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

/// Reads what a setting named, at the time `now`, which CAs must not have passed.
///
/// # Errors
/// All problems of the file at once (the first 50), each with its line.
pub fn read(source: &DeclarativeSource, now: UnixTime) -> Result<Model, Problems> {
    let report = Report::new(source.subject());
    let model = text(source, &report).and_then(|text| {
        let root = document(&text, &report)?;
        Some(model(&root, now, &report))
    });
    report.finish(model)
}

fn text(source: &DeclarativeSource, report: &Report) -> Option<String> {
    let bytes = match source {
        DeclarativeSource::Text(said) => return Some(said.value().to_owned()),
        DeclarativeSource::File(said) => match bytes(Path::new(said.value())) {
            Ok(bytes) => bytes,
            Err((what, advice)) => {
                report.about_all(what, advice);
                return None;
            }
        },
    };
    let text = String::from_utf8(bytes);
    text.map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        report.add("", u32::try_from(line).unwrap_or(u32::MAX), "not UTF-8", "save the file as UTF-8");
    })
    .ok()
}

/// What is wrong, and what to do.
type Unreadable = (String, &'static str);

/// Source of the file types: kong/db/declarative/init.lua, `unserialize`.
fn bytes(path: &Path) -> Result<Vec<u8>, Unreadable> {
    if !path
        .extension()
        .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
    {
        return Err((
            "neither YAML nor JSON by its name".into(),
            "name a file ending in .yaml, .yml or .json",
        ));
    }
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        let advice = "name the file in it; docker makes a directory where the file to mount does not exist";
        return Err(("it is not a file".into(), advice));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err((format!("more than {} MB", MAX_BYTES >> 20), "split it, or name the right file"));
    }
    Ok(bytes)
}

fn unreadable(error: &std::io::Error) -> Unreadable {
    match error.kind() {
        ErrorKind::NotFound => {
            ("there is no such file".into(), "check the path, and the volume or secret mounted there")
        }
        ErrorKind::PermissionDenied => (
            "this user may not read it".into(),
            "let the user this runs as (65532 in the image) read the file and its folders",
        ),
        _ => (format!("it cannot be read: {error}"), "check the path"),
    }
}

/// The one document of a text.
fn document(text: &str, report: &Report) -> Option<Node> {
    let mut documents = match node::documents(text) {
        Ok(documents) => documents.into_iter(),
        Err(fault) => {
            report.add("", fault.line, fault.what, fault.advice);
            return None;
        }
    };
    match (documents.next(), documents.next()) {
        (Some(document), None) => return Some(document),
        (None, _) => report.about_all("it is empty", "write at least `_format_version: \"3.0\"`"),
        (_, Some(second)) => report.add("", second.line, "a second document", "put everything into one"),
    }
    None
}

/// What can be made of it; not to be used if anything was reported.
fn model(root: &Node, now: UnixTime, report: &Report) -> Model {
    let format = format(root, report);
    let gathered = Gathered::of(root, report);
    let reader = Reader { gathered: &gathered, report, format, now };
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
    let top = Place { path: "".into(), line: root.line };
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

/// A file of 100,000 consumers has less than 20.
const MAX_BYTES: u64 = 64 << 20;

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
