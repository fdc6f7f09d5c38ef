//! That the index finds what trying all routes in order would, and that equals are told.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::super::super::{HostPattern, Rule, equals};
use super::super::*;
use super::{Request, route};

/// What Kong does, without an index: every route with every path, in order of priority.
pub(super) fn naively<'r>(routes: &'r [Route], asked: &Asked<'_>) -> Option<(&'r Route, Option<usize>)> {
    if !asked.path.starts_with('/') {
        return None;
    }
    let mut tries: Vec<_> = Vec::new();
    for route in routes {
        let rule = &route.rule;
        let paths: Vec<_> = rule.paths.iter().map(|path| Some(path.to_string())).collect();
        let categories = [
            !rule.hosts.is_empty(),
            !rule.headers.is_empty(),
            !paths.is_empty(),
            !rule.methods.is_empty(),
            !rule.snis.is_empty(),
        ];
        let length = |path: &Option<String>| {
            path.as_deref().map_or(0, |path| if path.starts_with('~') { 0 } else { path.len() })
        };
        // In the order in which they come, each once.
        let mut lengths: Vec<_> = Vec::new();
        paths.iter().map(length).for_each(|length| {
            if !lengths.contains(&length) {
                lengths.push(length)
            }
        });
        for (place, path) in if paths.is_empty() { vec![None] } else { paths }.into_iter().enumerate() {
            let regex = path.as_deref().and_then(|path| path.strip_prefix('~')).map(str::to_owned);
            let group = lengths.iter().position(|other| *other == length(&path)).unwrap_or_default() + 1;
            let id = if lengths.len() > 1 {
                let namespace = uuid::uuid!("7f145bf9-0dce-4f91-98eb-debbce4b9f6b");
                let name = format!("{}#{group}", uuid::Uuid::from_u128(route.id));
                uuid::Uuid::new_v5(&namespace, name.as_bytes()).as_u128()
            } else {
                route.id
            };
            for with_port in [true, false] {
                let key = (
                    categories.iter().filter(|it| **it).count(),
                    categories[0] && rule.hosts.iter().all(|host| !host.to_string().contains('*')),
                    rule.headers.len(),
                    regex.is_some(),
                    if regex.is_some() { rule.regex_priority } else { 0 },
                    length(&path),
                    with_port,
                    id,
                    Reverse(place),
                );
                tries.push((key, route, path.clone(), regex.clone()));
            }
        }
    }
    tries.sort_by_key(|(key, ..)| Reverse(*key));
    let path = normalise(asked.path);
    tries.into_iter().find_map(|(key, route, prefix, regex)| {
        let matched = match (prefix, regex) {
            (_, Some(regex)) => {
                let regex = regex::Regex::new(&format!("^(?:{regex})")).unwrap();
                Some(regex.find(&path)?.end())
            }
            (Some(prefix), None) => Some(path.starts_with(&prefix).then_some(prefix.len())?),
            (None, None) => None,
        };
        fits(&route.rule, asked, key.6).then_some((route, matched))
    })
}

/// All but the path, by a host that names its port or by one that does not.
fn fits(rule: &Rule, asked: &Asked<'_>, with_port: bool) -> bool {
    let host = asked.host.unwrap_or_default().to_ascii_lowercase();
    let (name, port) = host.split_once(':').unwrap_or((&host, if asked.tls { "443" } else { "80" }));
    let name = name.strip_suffix('.').unwrap_or(name);
    let like = |pattern: &str, name: &str| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => name.ends_with(end) && !name.is_empty(),
        (_, Some(start)) => name.starts_with(start),
        _ => name == pattern,
    };
    let host = |pattern: &HostPattern| {
        let pattern = pattern.to_string();
        let (wanted, wanted_port) = pattern.split_once(':').unwrap_or((&pattern, port));
        pattern.contains(':') == with_port && like(wanted, name) && wanted_port == port
    };
    (if rule.hosts.is_empty() { !with_port } else { rule.hosts.iter().any(host) })
        && (rule.methods.is_empty() || rule.methods.contains(asked.method))
        && rule.headers.iter().all(|header| header.matches(asked.headers))
        && (rule.snis.is_empty()
            || !asked.tls
            || asked.server_name.is_some_and(|name| {
                let name = name.to_ascii_lowercase();
                rule.snis.iter().any(|sni| like(&sni.to_string(), name.trim_end_matches('.')))
            }))
}

const ROUTE_PARTS: &[&str] = &[
    "host a.b",
    "host A.c",
    "host *.b",
    "host *.a.b",
    "host a.*",
    "host a.b:8443",
    "host *.b:443",
    "host *b",
    "host a*",
    "host *",
    "host *:8443",
    "path /",
    "path /a",
    "path /ab",
    "path /a/b",
    "path /b/",
    "path ~/a",
    "path ~/(a|b)",
    "path ~/[^/]+/b$",
    "path ~/a/(?<x>b+)",
    "path ~/[^/]+/x",
    "path ~/[^/]+/(b|c)/x$",
    "path ~/[a-c]/b",
    "path ~/[a-c]/b+$",
    "path ~/[a-c]?/?x/b",
    "path ~/[^/]*/?b/[^/]*x",
    "path ~/(?i)A/B",
    "path ~/.+/b/",
    "path ~/.*b",
    "method GET",
    "method PUT",
    "header x-a=1",
    "header x-b=2",
    "header x-a=~*^[12]",
    "sni a.b",
    "sni c.d",
    "sni *.b",
    "sni c*",
    "priority 1",
    "priority 2",
];

const HOSTS: &[&str] = &["a.b", "A.B:8443", "x.a.b", "x.b:443", "a.c", "a.x.y", "b", "a.b.", "c"];

const PATHS: &[&str] = &[
    "/",
    "/a",
    "/ab",
    "/a/b",
    "/a/bb",
    "/b",
    "/b/x",
    "/c",
    "/x/b",
    "//a/./b",
    "/%61b",
    "/x/../a",
    "/a/b/x",
    "/c/b/b/b/x",
    "/b/b/",
    "*",
];

const REST: &[&str] =
    &["method PUT", "header x-a=1", "header x-a=2", "header x-b=2", "sni a.b", "sni c.d", "tls"];

fn rules() -> impl Strategy<Value = Vec<String>> {
    let rule = subsequence(ROUTE_PARTS, 0..8).prop_map(|parts| parts.join("; "));
    proptest::collection::vec(rule, 1..48)
}

fn request() -> impl Strategy<Value = String> {
    (select(HOSTS), select(PATHS), subsequence(REST, 0..4))
        .prop_map(|(host, path, rest)| format!("host {host}; path {path}; {}", rest.join("; ")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_index_finds_what_trying_all_routes_finds(rules in rules(), requests in proptest::collection::vec(request(), 1..8)) {
        let routes: Vec<_> = rules
            .iter()
            .enumerate()
            .map(|(at, rule)| {
                let mut route = route(&at.to_string(), rule);
                route.rule.path_handling = PathHandling::V0;
                // Each another one, and in no order.
                route.id = (at as u128 * 7919) % 101 + 1;
                route
            })
            .collect();
        let router = Router::new(routes.clone());
        for request in &requests {
            let request = Request::new(request);
            let expected = naively(&routes, &request.asked()).map(|(route, matched)| (route.name.to_string(), matched));
            let found = router.find(&request.asked()).map(|found| (found.route.name.to_string(), found.matched));
            prop_assert_eq!(found, expected, "{:?} {:#?}", request, rules);
        }
    }

    #[test]
    fn whoever_is_found_in_place_of_an_equal_is_told_to_be_one(rules in rules(), requests in proptest::collection::vec(request(), 1..8)) {
        let mut routes: Vec<_> = rules.iter().map(|rule| route("one", rule)).collect();
        routes.iter_mut().zip(1..).for_each(|(route, id)| route.id = id);
        let told: BTreeSet<_> = equals(&routes, usize::MAX, |_, _| true).into_iter().collect();
        for request in &requests {
            let request = Request::new(request);
            // A plain connection passes over server names.
            if !request.tls {
                continue;
            }
            let Some(found) = Router::new(routes.clone()).find(&request.asked()).map(|it| it.route.id) else { continue };
            let found = usize::try_from(found).unwrap() - 1;
            let mut rest = routes.clone();
            rest.remove(found);
            let Some(next) = Router::new(rest).find(&request.asked()).map(|it| it.route.id) else { continue };
            let next = usize::try_from(next).unwrap() - 1;
            let best = |at: usize| {
                let entries = Entry::sorted(&routes);
                let of = |entry: &&Entry| entry.route == at && Router::new(vec![only(&routes[at], entry)]).find(&request.asked()).is_some();
                entries.iter().find(of).map(|entry| entry.priority(&routes[at]))
            };
            if best(found) == best(next) {
                prop_assert!(told.contains(&(found, next)) || told.contains(&(next, found)), "{} {} {:?}", rules[found], rules[next], request);
            }
        }
    }
}

/// The route with this one of its paths.
fn only(route: &Route, entry: &Entry) -> Route {
    let mut only = route.clone();
    only.rule.paths = entry.path.map(|at| route.rule.paths[at].clone()).into_iter().collect();
    only
}
