//! Which of several routes is found, and that the index finds what trying all of them would.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::super::{HeaderRule, HostPattern, Protocols, Rule, Sni};
use super::*;

#[test]
fn prefixes_are_plain_text_and_the_longest_wins() {
    let routes = || vec![("all", "path /"), ("orders", "path /orders"), ("or", "path /or")];
    for (path, expected) in [
        ("/", Some("all")),
        ("/orders/7", Some("orders")),
        ("/orderspast", Some("orders")),
        ("/order", Some("or")),
        ("/x/../%6Frders", Some("orders")),
        ("/Orders", Some("all")),
        ("*", None),
        ("", None),
    ] {
        check(routes(), &format!("path {path}"), expected);
    }
}

#[test]
fn more_categories_win() {
    let routes =
        || vec![("path", "path /a/long/one"), ("host", "host a.example"), ("two", "method GET; path /")];
    check(routes(), "host a.example; path /a/long/one", Some("two"));
    check(routes(), "method PUT; host a.example; path /a/long/one", Some("host"));
    check(routes(), "method PUT; path /a/long/one", Some("path"));
}

#[test]
fn then_plain_hosts_then_headers_then_expressions_then_their_priority_then_length() {
    let pair = |first, second| vec![("second", second), ("first", first)];
    let check = |first, second, asked| check(pair(first, second), asked, Some("first"));
    check("host a.b; path /", "host *.b; path ~/a.*", "host a.b; path /abc");
    check("host a.b; path /", "host *.b; host a.b; path /abc", "host a.b; path /abc");
    check("header x-a=1; header x-b=1", "header x-a=1", "header x-a=1; header x-b=1; path /");
    check("header x-a=1; path /", "path ~/abc; method GET", "header x-a=1; path /abc");
    check("path ~/a", "path /abc", "path /abc");
    check("path ~/a; priority 2", "path ~/abc; priority 1", "path /abc");
    check("path ~/a", "path ~/abc; priority -1", "path /abc");
    check("path /abc", "path /ab; priority 7", "path /abc");
    // Kong's default router does not rank a wildcard host before a path.
    check("path /; method GET", "host *.b; method GET", "host a.b; path /");
}

#[test]
fn of_equals_the_weightier_category_wins_and_then_the_earlier_route() {
    check(vec![("sni", "sni a.b"), ("method", "method GET")], "sni a.b; path /", Some("method"));
    check(vec![("one", "path ~/a"), ("two", "path ~/ab")], "path /abc", Some("one"));
    check(vec![("one", "path /a"), ("two", "path /a")], "path /abc", Some("one"));
    check(vec![("one", "host a.b"), ("two", "host a.b")], "host a.b; path /", Some("one"));
}

#[test]
fn hosts_match_with_and_without_their_port() {
    let routes = || {
        vec![
            ("port", "host a.b:8443"),
            ("default", "host c.d:443"),
            ("any", "host a.b"),
            ("wild", "host *.d"),
        ]
    };
    check(routes(), "host A.B:8443; path /", Some("port"));
    check(routes(), "host a.b:1; path /", Some("any"));
    check(routes(), "host a.b; path /", Some("any"));
    check(routes(), "host c.d; sni c.d; path /", Some("default"));
    check(routes(), "host c.d; path /", Some("wild"));
    check(routes(), "host x.y.d.:77; path /", Some("wild"));
    check(routes(), "host d; path /", None);
    check(routes(), "path /", None);
}

#[test]
fn server_names_count_on_tls_connections_only() {
    let routes = || vec![("sni", "sni a.b; path /"), ("rest", "path /")];
    check(routes(), "sni a.b; path /", Some("sni"));
    check(routes(), "sni A.B.; path /", Some("sni"));
    check(routes(), "sni c.d; path /", Some("rest"));
    check(routes(), "tls; path /", Some("rest"));
    check(routes(), "path /", Some("sni"));
}

#[test]
fn a_route_for_tls_is_found_by_plain_requests_too() {
    let mut routes = vec![route("tls", "path /a"), route("all", "path /")];
    routes[0].rule.protocols = Protocols::parse(["https"]).unwrap();
    let router = Router::new(routes);
    let found = |request: &str| {
        let request = Request::new(request);
        router.find(&request.asked()).map(|found| (found.route.name.to_string(), found.fit))
    };
    assert_eq!(found("path /a"), Some(("tls".into(), Fit::NeedsHttps)));
    assert_eq!(found("tls; path /a"), Some(("tls".into(), Fit::Fits)));
    assert_eq!(found("path /b"), Some(("all".into(), Fit::Fits)));
}

#[test]
fn everything_takes_everything_but_no_path() {
    let router = Router::new(vec![Route::everything(3, 4)]);
    let (request, star) = (Request::new("method PUT; host a.b:1; path //a/../%61"), Request::new("path *"));
    assert_eq!(router.find(&request.asked()).and_then(|found| found.route.service), Some(3));
    assert!(router.find(&star.asked()).is_none());
    assert!(Router::default().find(&request.asked()).is_none());
}

fn check(routes: Vec<(&str, &str)>, request: &str, expected: Option<&str>) {
    let routes: Vec<_> = routes.into_iter().map(|(name, rule)| route(name, rule)).collect();
    let request = Request::new(request);
    assert_eq!(naively(&routes, &request.asked()).map(|(route, _)| &*route.name), expected, "{request:?}");
    let router = Router::new(routes);
    assert_eq!(router.find(&request.asked()).map(|found| &*found.route.name), expected, "{request:?}");
}

/// `host a.b; path /x; method GET; header x-a=1; sni a.b; priority 1`
fn route(name: &str, parts: &str) -> Route {
    let mut rule = Rule::default();
    for (kind, text) in parts.split("; ").filter_map(|part| part.split_once(' ')) {
        match kind {
            "host" => rule.hosts.push(HostPattern::parse(text).unwrap()),
            "path" => rule.paths.push(PathPattern::parse(text).unwrap()),
            "method" => rule.methods.push(Rule::method(text).unwrap()),
            "sni" => rule.snis.push(Sni::parse(text).unwrap()),
            "priority" => rule.regex_priority = text.parse().unwrap(),
            _ => {
                let (header, value) = text.split_once('=').unwrap();
                rule.headers.push(HeaderRule::parse(header, [value]).unwrap());
            }
        }
    }
    Route { name: name.into(), rule, ..Route::everything(0, 0) }
}

#[derive(Debug)]
struct Request {
    method: Method,
    host: Option<String>,
    path: String,
    headers: HeaderMap,
    server_name: Option<String>,
    tls: bool,
}

impl Request {
    /// As a route is written; `sni` is TLS, and so is `tls` without one.
    fn new(parts: &str) -> Self {
        let mut request = Self {
            method: Method::GET,
            host: None,
            path: String::new(),
            headers: HeaderMap::new(),
            server_name: None,
            tls: false,
        };
        for part in parts.split("; ").filter(|part| !part.is_empty()) {
            let (kind, text) = part.split_once(' ').unwrap_or((part, ""));
            match kind {
                "host" => request.host = Some(text.into()),
                "path" => request.path = text.into(),
                "method" => request.method = text.parse().unwrap(),
                "sni" => (request.server_name, request.tls) = (Some(text.into()), true),
                "tls" => request.tls = true,
                _ => {
                    let (header, value) = text.split_once('=').unwrap();
                    let value = HeaderValue::from_str(value).unwrap();
                    request.headers.append(header.parse::<HeaderName>().unwrap(), value);
                }
            }
        }
        request
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            method: &self.method,
            host: self.host.as_deref(),
            path: &self.path,
            headers: &self.headers,
            server_name: self.server_name.as_deref(),
            tls: self.tls,
            https: self.tls,
            http2: false,
            is_grpc: false,
        }
    }
}

/// What Kong does, without an index: every route with every path, in order of priority.
fn naively<'r>(routes: &'r [Route], asked: &Asked<'_>) -> Option<(&'r Route, Option<usize>)> {
    if !asked.path.starts_with('/') {
        return None;
    }
    let mut tries: Vec<_> = Vec::new();
    for (at, route) in routes.iter().enumerate() {
        let rule = &route.rule;
        let paths: Vec<_> = rule.paths.iter().map(|path| Some(path.to_string())).collect();
        let categories = [
            !rule.hosts.is_empty(),
            !rule.headers.is_empty(),
            !paths.is_empty(),
            !rule.methods.is_empty(),
            !rule.snis.is_empty(),
        ];
        for path in if paths.is_empty() { vec![None] } else { paths } {
            let regex = path.as_deref().and_then(|path| path.strip_prefix('~')).map(str::to_owned);
            let key = (
                categories.iter().filter(|it| **it).count(),
                categories[0] && rule.hosts.iter().all(|host| !host.to_string().contains('*')),
                rule.headers.len(),
                regex.is_some(),
                if regex.is_some() { rule.regex_priority } else { 0 },
                if regex.is_some() { 0 } else { path.as_ref().map_or(0, String::len) },
                categories,
                Reverse(at),
            );
            tries.push((key, route, path, regex));
        }
    }
    tries.sort_by_key(|(key, ..)| Reverse(*key));
    let path = normalise(asked.path);
    tries.into_iter().find_map(|(_, route, prefix, regex)| {
        let matched = match (prefix, regex) {
            (_, Some(regex)) => {
                let regex = regex::Regex::new(&format!("^(?:{regex})")).unwrap();
                Some(regex.find(&path)?.end())
            }
            (Some(prefix), None) => Some(path.starts_with(&prefix).then_some(prefix.len())?),
            (None, None) => None,
        };
        fits(&route.rule, asked).then_some((route, matched))
    })
}

/// All but the path.
fn fits(rule: &Rule, asked: &Asked<'_>) -> bool {
    let host = asked.host.unwrap_or_default().to_ascii_lowercase();
    let (name, port) = host.split_once(':').unwrap_or((&host, if asked.tls { "443" } else { "80" }));
    let name = name.strip_suffix('.').unwrap_or(name);
    let host = |pattern: &HostPattern| {
        let pattern = pattern.to_string();
        let (wanted, wanted_port) = pattern.split_once(':').unwrap_or((&pattern, port));
        let fits = match (wanted.strip_prefix('*'), wanted.strip_suffix('*')) {
            (Some(end), _) => name.len() > end.len() && name.ends_with(end),
            (_, Some(start)) => name.len() > start.len() && name.starts_with(start),
            _ => name == wanted,
        };
        fits && wanted_port == port
    };
    (rule.hosts.is_empty() || rule.hosts.iter().any(host))
        && (rule.methods.is_empty() || rule.methods.contains(asked.method))
        && rule.headers.iter().all(|header| header.matches(asked.headers))
        && (rule.snis.is_empty()
            || !asked.tls
            || asked.server_name.is_some_and(|name| {
                rule.snis.iter().any(|sni| sni.to_string() == name.to_ascii_lowercase().trim_end_matches('.'))
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
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_index_finds_what_trying_all_routes_finds(rules in rules(), requests in proptest::collection::vec(request(), 1..8)) {
        let routes: Vec<_> = rules
            .iter()
            .enumerate()
            .map(|(at, rule)| {
                let mut route = route(&at.to_string(), rule);
                route.rule.path_handling = PathHandling::V0;
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
}
