//! Which of several routes is found.

use super::super::{HeaderRule, HostPattern, Protocols, Rule, Sni};
use super::*;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

mod naive;

use self::naive::naively;

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
fn of_equals_the_one_with_the_higher_id_is_tried_first() {
    for (first, second, request) in [
        ("sni a.b", "method GET", "sni a.b; path /"),
        ("path ~/a", "path ~/ab", "path /abc"),
        ("path /a", "path /a", "path /abc"),
        ("host a.b", "host a.b", "host a.b; path /"),
        ("host *.b", "host *.a.b", "host x.a.b; path /"),
    ] {
        for (ids, expected) in [([2, 1], "first"), ([1, 2], "second")] {
            let mut routes = vec![route("first", first), route("second", second)];
            routes.iter_mut().zip(ids).for_each(|(route, id)| route.id = id);
            let (router, request) = (Router::new(routes), Request::new(request));
            assert_eq!(
                &*router.find(&request.asked()).unwrap().route.name,
                expected,
                "{first} {second} {ids:?}"
            );
        }
    }
}

#[test]
fn of_equals_the_one_that_names_the_port_is_tried_first() {
    let routes = |ids: [u128; 2]| {
        let mut routes = vec![route("any", "host a.b; host c.d:8443"), route("port", "host a.b:8443")];
        routes.iter_mut().zip(ids).for_each(|(route, id)| route.id = id);
        Router::new(routes)
    };
    for ids in [[2, 1], [1, 2]] {
        let router = routes(ids);
        for (host, expected) in [
            ("a.b:8443", Some("port")),
            ("a.b", Some("any")),
            ("a.b:1", Some("any")),
            ("c.d:8443", Some("any")),
            ("c.d", None),
        ] {
            let request = Request::new(&format!("host {host}; path /"));
            let found = router.find(&request.asked()).map(|found| &*found.route.name);
            assert_eq!(found, expected, "{host} {ids:?}");
        }
    }
    // Where priorities differ, the port says nothing.
    check(
        vec![("port", "host a.b:8443"), ("path", "host a.b; path /")],
        "host a.b:8443; path /",
        Some("path"),
    );
}

#[test]
fn a_route_of_several_kinds_of_paths_is_tried_by_several_ids_as_in_kong() {
    // uuid5 of the namespace 7f145bf9-0dce-4f91-98eb-debbce4b9f6b and the id with #1, #2 behind it.
    let mut several = route("several", "path /a; path /bc");
    let mut one = route("one", "path /a; path /b");
    several.id = 0;
    let winner = |several: &Route, one: &Route, path: &str| {
        let router = Router::new(vec![several.clone(), one.clone()]);
        router.find(&Request::new(&format!("path {path}")).asked()).unwrap().route.name.to_string()
    };
    let ids: Vec<_> = ["#1", "#2"]
        .map(|part| {
            let namespace = uuid::uuid!("7f145bf9-0dce-4f91-98eb-debbce4b9f6b");
            let name = format!("00000000-0000-0000-0000-000000000000{part}");
            uuid::Uuid::new_v5(&namespace, name.as_bytes()).as_u128()
        })
        .into();
    one.id = ids[0] - 1;
    assert_eq!(winner(&several, &one, "/a"), "several");
    one.id = ids[0] + 1;
    assert_eq!(winner(&several, &one, "/a"), "one");
    assert_eq!(winner(&several, &one, "/bc"), "several", "the longer prefix, whatever its id");
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
    let mut routes: Vec<_> = routes.into_iter().map(|(name, rule)| route(name, rule)).collect();
    // The highest id first, so that of equals the first is found.
    routes.iter_mut().zip((0..100).rev()).for_each(|(route, id)| route.id = id);
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
