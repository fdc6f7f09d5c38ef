//! What a file comes to, for people: `check` prints a line for each route.

use super::plugins::{Effective, Name};
use super::rules::name;
use crate::config::declarative::model::{Route, Service};
use crate::config::declarative::{self, Model};
use crate::config::{Config, Problems};
use crate::routing::Rule;

/// A line for each route: its name, what it matches, its service, its plugins in their order. Empty where
/// there is no declarative file.
///
/// # Errors
/// The problems of the file.
pub fn outline(config: &Config) -> Result<Vec<String>, Problems> {
    let Some(source) = &config.declarative else { return Ok(Vec::new()) };
    let model = declarative::read(source)?;
    let effective = Effective::of(&model);
    let lines = model.routes.iter().zip(&effective.of_route).map(|(route, set)| {
        let plugins: Vec<_> = effective.sets[*set].iter().flatten().collect();
        let names: Vec<_> = plugins.iter().map(|at| Name::of(&model.plugins[**at].config).text()).collect();
        let plugins = if names.is_empty() { "no plugins".to_owned() } else { names.join(", ") };
        format!("{}: {} -> {}; {plugins}", name(route), matched(&route.rule), service(&model, route))
    });
    Ok(lines.collect())
}

fn matched(rule: &Rule) -> String {
    let mut parts = vec![rule.protocols.to_string().replace(", ", ",")];
    let mut add = |what: &str, texts: Vec<String>| {
        if !texts.is_empty() {
            parts.push(format!("{what} {}", texts.join(",")));
        }
    };
    add("methods", texts(&rule.methods));
    add("hosts", texts(&rule.hosts));
    add("paths", texts(&rule.paths));
    for header in &rule.headers {
        add(&format!("header {}", header.name()), header.values());
    }
    add("snis", texts(&rule.snis));
    parts.join(" ")
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn service(model: &Model, route: &Route) -> String {
    let Some(service) = route.service.map(|at| &model.services[at]) else { return "no service".to_owned() };
    let Service { name, target, .. } = service;
    match name {
        Some(name) => format!("{name} ({target})"),
        None => target.to_string(),
    }
}
