//! The routes of a file as the router wants them.

use std::sync::Arc;

use super::Loading;
use super::plugins::Effective;
use crate::config::Problems;
use crate::config::declarative::model::Route;
use crate::routing;

/// All routes, in the order of the model's.
pub(super) fn routes(
    loading: &Loading<'_>,
    effective: &Effective,
    problems: &mut Problems,
) -> Vec<routing::Route> {
    let mut routes = Vec::with_capacity(loading.model.routes.len());
    for (route, policy) in loading.model.routes.iter().zip(&effective.of_route) {
        for invalid in route.rule.problems() {
            problems.push(loading.problem(&route.place, invalid.what, invalid.advice));
        }
        routes.push(routing::Route {
            name: name(route),
            id: route.id.0,
            rule: route.rule.clone(),
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
