//! The routes of a file as the router wants them.

use std::sync::Arc;

use super::Loading;
use super::plugins::Effective;
use crate::config::Problems;
use crate::config::declarative::model::{Route, RouteFields};
use crate::routing::{self, HeaderRule, HostPattern, Invalid, PathPattern, Protocols, Rule, Sni};

/// All routes; of two that are equal the older goes first, else the one written first.
pub(super) fn routes(
    loading: &Loading<'_>,
    effective: &Effective,
    problems: &mut Problems,
) -> Vec<routing::Route> {
    let mut order: Vec<_> = loading.model.routes.iter().zip(&effective.of_route).collect();
    // Without a time of its own an entity is as old as the load.
    order.sort_by_key(|(route, _)| route.created_at.unwrap_or(i64::MAX));
    let mut routes = Vec::with_capacity(order.len());
    for (route, policy) in order {
        let rule = match rule(&route.rule) {
            Ok(rule) => rule,
            Err(invalid) => {
                problems.push(loading.problem(&route.place, invalid.to_string(), "mend it"));
                continue;
            }
        };
        for invalid in rule.problems() {
            problems.push(loading.problem(&route.place, invalid.to_string(), "mend it"));
        }
        routes.push(routing::Route {
            name: name(route),
            rule,
            strip_path: route.strip_path,
            preserve_host: route.preserve_host,
            https_redirect: route.https_redirect,
            service: route.service,
            policy: *policy,
        });
    }
    routes
}

pub(super) fn name(route: &Route) -> Arc<str> {
    route.name.as_deref().map_or_else(|| route.id.to_string().into(), Arc::from)
}

fn rule(fields: &RouteFields) -> Result<Rule, Invalid> {
    let header = |(name, values): &(Box<str>, Vec<Box<str>>)| {
        HeaderRule::parse(name, values.iter().map(|value| &**value))
    };
    Ok(Rule {
        protocols: Protocols::parse(fields.protocols.iter().map(|protocol| protocol.name()))?,
        methods: fields.methods.iter().map(|method| Rule::method(method)).collect::<Result<_, _>>()?,
        hosts: fields.hosts.iter().map(|host| HostPattern::parse(host)).collect::<Result<_, _>>()?,
        paths: fields.paths.iter().map(|path| PathPattern::parse(path)).collect::<Result<_, _>>()?,
        headers: fields.headers.iter().map(header).collect::<Result<_, _>>()?,
        snis: fields.snis.iter().map(|sni| Sni::parse(sni)).collect::<Result<_, _>>()?,
        regex_priority: fields.regex_priority,
        path_handling: fields.path_handling,
    })
}
