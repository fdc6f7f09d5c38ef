//! The order in which routes are tried.
//!
//! Source: kong/router/transform.lua, and atc-router, which tries the highest priority first and among
//! equals the highest id.

use std::cmp::Reverse;
use std::collections::HashMap;

use uuid::{Uuid, uuid};

use super::{HostPattern, PathPattern, Route};

/// A route with one of its paths, for those of its hosts that name a port or for the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Its place in the list of routes.
    pub(super) route: usize,
    /// The place in its list of paths; `None` if it has none.
    pub(super) path: Option<usize>,
    /// For which hosts. Kong's older router tries those with a port first, its default router leaves that
    /// to the id; whoever names a port means that one more than one who names none.
    pub(super) has_port: bool,
    id: u128,
}

/// What Kong makes a number of: equals are told apart by nothing that a request has.
///
/// The higher goes first: more categories, only plain hosts, more headers, a regex path, its priority, the
/// length of a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Priority {
    categories: u32,
    plain_hosts: bool,
    headers: usize,
    is_regex: bool,
    regex_priority: i64,
    length: usize,
}

impl Priority {
    /// Whether all that are of it have hosts, and none with a wildcard.
    pub(super) fn has_plain_hosts(self) -> bool {
        self.plain_hosts
    }
}

impl Entry {
    /// Every route with every path, those first that are tried first.
    pub(super) fn sorted(routes: &[Route]) -> Vec<Self> {
        let mut entries: Vec<_> =
            routes.iter().enumerate().flat_map(|(at, route)| Self::all(at, route)).collect();
        entries.sort_by_cached_key(|entry| {
            let priority = entry.priority(&routes[entry.route]);
            (Reverse((priority, entry.has_port, entry.id)), entry.route, entry.path)
        });
        entries
    }

    fn all(at: usize, route: &Route) -> Vec<Self> {
        let hosts = &route.rule.hosts;
        let with_port = hosts.iter().any(|host| host.port.is_some());
        let without = hosts.is_empty() || hosts.iter().any(|host| host.port.is_none());
        let mut entries = Vec::new();
        for (path, id) in ids(route) {
            let entry = |has_port| Self { route: at, path, has_port, id };
            entries.extend(with_port.then(|| entry(true)));
            entries.extend(without.then(|| entry(false)));
        }
        entries
    }

    pub(super) fn pattern(self, route: &Route) -> Option<&PathPattern> {
        self.path.and_then(|path| route.rule.paths.get(path))
    }

    /// The hosts it is for.
    pub(super) fn hosts(self, route: &Route) -> impl Iterator<Item = &HostPattern> {
        route.rule.hosts.iter().filter(move |host| host.port.is_some() == self.has_port)
    }

    /// Of the route it is one of.
    pub(super) fn priority(self, route: &Route) -> Priority {
        let (rule, pattern) = (&route.rule, self.pattern(route));
        let is_regex = pattern.is_some_and(PathPattern::is_regex);
        Priority {
            categories: rule.categories(),
            plain_hosts: !rule.hosts.is_empty() && rule.hosts.iter().all(|host| host.name.wildcard.is_none()),
            headers: rule.headers.len().min(MOST_HEADERS),
            is_regex,
            regex_priority: if is_regex { rule.regex_priority } else { 0 },
            length: pattern.filter(|_| !is_regex).map_or(0, |pattern| pattern.prefix().len()),
        }
    }
}

/// Every path of a route with the id it is tried by. Kong makes several routes of one whose paths are of
/// several lengths or some of them expressions, each with an id of its own.
fn ids(route: &Route) -> Vec<(Option<usize>, u128)> {
    let paths = &route.rule.paths;
    if paths.is_empty() {
        return vec![(None, route.id)];
    }
    let mut groups = HashMap::new();
    let mut group = |path: &PathPattern| {
        let length = if path.is_regex() { 0 } else { path.prefix().len() };
        let next = groups.len() + 1;
        *groups.entry(length).or_insert(next)
    };
    let of_path: Vec<_> = paths.iter().map(&mut group).collect();
    let several = groups.len() > 1;
    let id = |group: usize| match several {
        true => {
            let name = format!("{}#{group}", Uuid::from_u128(route.id));
            Uuid::new_v5(&SPLIT_ROUTES, name.as_bytes()).as_u128()
        }
        false => route.id,
    };
    of_path.into_iter().enumerate().map(|(path, group)| (Some(path), id(group))).collect()
}

/// Kong's namespace for the ids of such parts.
const SPLIT_ROUTES: Uuid = uuid!("7f145bf9-0dce-4f91-98eb-debbce4b9f6b");

/// More headers count as so many.
const MOST_HEADERS: usize = 255;
