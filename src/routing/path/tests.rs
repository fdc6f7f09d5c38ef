//! The table of Kong's documentation, row by row, and what must hold beyond it.

use http::uri::PathAndQuery;
use http::{HeaderMap, Method};
use proptest::prelude::*;
use proptest::sample::select;

use super::super::{Asked, Found, PathHandling, PathPattern, Route, Router, Rule};
use super::upstream;

#[test]
fn v0_is_kongs_table() {
    // service, route, request, strip_path, upstream
    check("/s", "/r", "/r/x", false, "/s/r/x");
    check("/s", "/r", "/r", false, "/s/r");
    check("/s", "/r", "/r/x", true, "/s/x");
    check("/s", "/r", "/r", true, "/s");
    check("/s", "/r/", "/r/x", true, "/s/x");
    check("/s", "/r/", "/r/", true, "/s/");
    check("/", "/r", "/r", true, "/");
    check("/s", "/r", "/rest", true, "/s/est");
}

#[test]
fn v0_puts_one_slash_where_the_two_meet() {
    for service in ["", "/"] {
        check(service, "/", "/", false, "/");
        check(service, "/", "/", true, "/");
        check(service, "/", "/x", true, "/x");
        check(service, "/r", "/r/x", false, "/r/x");
        check(service, "/r", "/r/x", true, "/x");
        check(service, "/r", "/r/", true, "/");
        check(service, "/r", "/rest", true, "/est");
        check(service, "/r/", "/r/", true, "/");
    }
    check("/s", "/", "/", false, "/s");
    check("/s", "/", "/", true, "/s");
    check("/s", "/", "/x/", true, "/s/x/");
    check("/s", "/r", "/r/", true, "/s/");
    check("/s/", "/r", "/r", true, "/s");
    check("/s/", "/r", "/r/", true, "/s/");
    check("/s/", "/r/", "/r/", true, "/s/");
    check("/s/", "/r", "/r/x", true, "/s/x");
    check("/s/", "/r", "/rest", true, "/s/est");
    check("/s/", "/r", "/r/x", false, "/s/r/x");
    check("/s/", "/", "/", false, "/s/");
    check("/s/", "/", "/", true, "/s/");
}

#[test]
fn an_expression_is_stripped_by_what_it_matched() {
    check("/s", "~/r/\\d+", "/r/17/x", true, "/s/x");
    check("/s", "~/r/\\d+", "/r/17x", true, "/s/x");
    check("/s", "~/r/\\d+$", "/r/17", true, "/s");
    check("/s", "~/r/\\d+", "/r/17/x", false, "/s/r/17/x");
}

#[test]
fn stripping_leaves_no_dot_segment() {
    check("/s", "/r", "/r./x", true, "/s/x");
    check("/s", "/r", "/r../x", true, "/s/x");
    check("/s", "/r", "/r..", true, "/s");
    check("/s", "/r", "/r.", true, "/s");
    check("/s", "/r", "/r../x", false, "/s/r../x");
    check("/", "/r", "/r%2e%2e/admin", true, "/admin");
    check("/s", "/r", "/r...", true, "/s/...");
}

#[test]
fn what_was_judged_is_what_is_sent() {
    check("/s", "/r", "/x/../r/%61%2fb", true, "/s/a%2Fb");
    check("/", "/r", "//r//x", false, "/r/x");
    check("/", "/r", "/%72/x", false, "/r/x");
    check("/", "/r", "/r/x;v=1/\\..\\y", false, "/r/x;v=1/\\..\\y");
    check("/s", "/r", "/r/%2e%2e/r/x?a=/../%2e", true, "/s/x?a=/../%2e");
}

#[test]
fn a_query_is_kept() {
    check("/s", "/r", "/r?q=1", true, "/s?q=1");
    check("/s", "/r", "/r/x?", true, "/s/x?");
    check("/", "/r", "/r?", false, "/r?");
    check("/", "/r", "//r?", false, "/r?");
    check("/", "/", "?q", false, "/?q");
    check("/s", "/", "?q", true, "/s?q");
}

fn check(service: &str, route: &str, request: &str, strip_path: bool, expected: &str) {
    let paths = vec![PathPattern::parse(route).unwrap()];
    through(service, Rule { paths, ..Rule::default() }, request, strip_path, expected);
}

#[test]
fn without_paths_in_the_route_nothing_is_stripped() {
    for strip_path in [true, false] {
        for (service, request, expected) in
            [("/", "/x", "/x"), ("/s", "/x/", "/s/x/"), ("/s", "/", "/s"), ("/s", "/a/../x", "/s/x")]
        {
            through(service, Rule::default(), request, strip_path, expected);
        }
    }
}

#[test]
fn v1_puts_the_two_together_as_they_are() {
    let check = |service: &str, route: &str, request: &str, strip_path: bool, expected: &str| {
        let paths = vec![PathPattern::parse(route).unwrap()];
        let rule = Rule { paths, path_handling: PathHandling::V1, ..Rule::default() };
        through(service, rule, request, strip_path, expected);
    };
    check("/s", "/r", "/r/x", false, "/sr/x");
    check("/s", "/r", "/r/x", true, "/s/x");
    check("/s", "/r/", "/r/x", true, "/sx");
    check("/s/", "/r", "/r/x", true, "/s/x");
    check("/s/", "/r", "/r/x", false, "/s/r/x");
    check("/s", "/r", "/r", true, "/s");
    check("/s/", "/r", "/r", true, "/s/");
    check("/", "/r", "/r", true, "/");
    check("/", "/r", "/r/x", false, "/r/x");
}

fn through(service: &str, rule: Rule, request: &str, strip_path: bool, expected: &str) {
    let router = Router::new(vec![Route { rule, strip_path, ..Route::everything(0, 0) }]);
    assert_eq!(sent(&router, service, request), expected, "{service} {request} strip_path={strip_path}");
}

fn sent(router: &Router, service: &str, request: &str) -> String {
    let request = PathAndQuery::try_from(request).unwrap();
    upstream(service, &find(router, request.path()).unwrap(), &request).unwrap().to_string()
}

fn find<'r>(router: &'r Router, path: &str) -> Option<Found<'r>> {
    router.find(&Asked {
        method: &Method::GET,
        host: None,
        path,
        headers: &HeaderMap::new(),
        server_name: None,
        tls: false,
        https: false,
        http2: false,
        is_grpc: false,
    })
}

#[test]
fn the_prefix_that_is_told_is_the_one_that_is_missing() {
    let check = |route: &str, request: &str, strip_path: bool, expected: Option<&str>| {
        let paths = vec![PathPattern::parse(route).unwrap()];
        let rule = Rule { paths, ..Rule::default() };
        let router = Router::new(vec![Route { rule, strip_path, ..Route::everything(0, 0) }]);
        let found = find(&router, request).unwrap();
        assert_eq!(found.stripped_prefix(request), expected, "{route} {request}");
    };
    check("/r", "/r/x", true, Some("/r"));
    check("/r", "/r/x", false, None);
    check("/", "/r/x", true, None);
    check("/r", "/%72/x", true, Some("/r"));
    check("~/r/\\d+", "/r/17/x", true, Some("/r/17"));
    assert_eq!(find(&everything(), "/r").unwrap().stripped_prefix("/r"), None);
}

/// What `upstream_url` compiles to.
fn everything() -> Router {
    Router::new(vec![Route::everything(0, 0)])
}

#[test]
fn paths_of_one_upstream_join_as_in_kong() {
    kept("", "/x", "/x");
    kept("/", "/x?q=1", "/x?q=1");
    kept("/", "/", "/");
    kept("/s", "/x", "/s/x");
    kept("/s", "/x/", "/s/x/");
    kept("/s", "/", "/s");
    kept("/s/", "/", "/s/");
    kept("/s/", "/x", "/s/x");
    kept("/s/t", "/x/y?a=/b", "/s/t/x/y?a=/b");
}

#[test]
fn a_query_for_one_upstream_is_kept() {
    kept("/s", "/?q", "/s?q");
    kept("/s/", "/?q", "/s/?q");
    kept("/s", "/x?", "/s/x?");
    kept("/s", "/?", "/s?");
    kept("/s", "?q", "/s?q");
}

#[test]
fn the_bytes_of_a_request_for_one_upstream_are_kept() {
    kept("/s", "//x", "/s//x");
    kept("/s", "/a%2Fb/%2e%2e/;v=1", "/s/a%2Fb/%2e%2e/;v=1");
    kept("/s", "/a/../b", "/s/a/../b");
}

fn kept(service: &str, request: &str, expected: &str) {
    assert_eq!(sent(&everything(), service, request), expected);
}

#[test]
fn a_path_that_grows_too_long_is_refused() {
    let request = PathAndQuery::try_from(format!("/{}", "a".repeat(65_530))).unwrap();
    let prefix = Rule { paths: vec![PathPattern::parse("/").unwrap()], ..Rule::default() };
    let prefixed = Router::new(vec![Route { rule: prefix, ..Route::everything(0, 0) }]);
    for router in [everything(), prefixed] {
        let found = find(&router, request.path()).unwrap();
        assert!(upstream("/", &found, &request).is_ok());
        assert!(upstream("/service", &found, &request).is_err());
    }
}

proptest! {
    #[test]
    fn no_slash_is_doubled_at_the_joint(
        service in "(/[a-z]{1,4}){1,3}/?",
        request in "(/[a-z]{1,4}){0,3}/?",
        strip_path: bool,
        prefixed: bool,
    ) {
        let request = if request.is_empty() { "/" } else { &request };
        let paths = vec![PathPattern::parse("/").unwrap()];
        let rule = Rule { paths, ..Rule::default() };
        let router = match prefixed {
            true => Router::new(vec![Route { rule, strip_path, ..Route::everything(0, 0) }]),
            false => everything(),
        };
        let joined = sent(&router, &service, request);
        prop_assert!(!joined.contains("//"), "{joined}");
        prop_assert!(joined.starts_with(service.trim_end_matches('/')));
    }

    #[test]
    fn nothing_leaves_the_service_s_own_path(
        request in "/(r|[.%/]|%2e|%2F|\\.\\./|x){0,12}",
        pattern in select(&["/", "/r", "/r/", "~/r", "~/r.", "~/[^/]*"][..]),
        strip_path: bool,
    ) {
        let rule = Rule { paths: vec![PathPattern::parse(pattern).unwrap()], ..Rule::default() };
        let router = Router::new(vec![Route { rule, strip_path, ..Route::everything(0, 0) }]);
        let asked = PathAndQuery::try_from(request.as_str()).unwrap();
        if let Some(found) = find(&router, &request) {
            let sent = upstream("/s", &found, &asked).unwrap().to_string();
            prop_assert!(sent.starts_with("/s"));
            prop_assert!(!sent.split('/').any(|part| matches!(part, "." | "..")), "{request} {sent}");
        }
    }
}
