//! The path a service sees: its own path in front of the request's.
//!
//! Kong's `path_handling=v0` for a route that matches everything
//! (kong/router/utils.lua, `get_upstream_uri_v0`). The request's bytes are kept as they came:
//! what was judged is what is sent.

use bytes::{BufMut, Bytes, BytesMut};
use http::uri::{InvalidUri, PathAndQuery};

/// `service_path` and then the request's path and query, with one slash between them.
///
/// A service without a path of its own (empty or `/`) gets the request's, at no cost. A request
/// for `/` gets exactly the service's path, as in Kong.
///
/// # Errors
/// The result is longer than a URI may be (65534 bytes): the answer is 414. The service's path is
/// legal, configuration saw to that.
pub fn join(service_path: &str, request: &PathAndQuery) -> Result<PathAndQuery, InvalidUri> {
    if matches!(service_path, "" | "/") {
        return Ok(request.clone());
    }
    let whole = request.as_str();
    // `http://host?query` has no slash at all, and is a request for `/` all the same (RFC 3986 6.2.3).
    let after_slash = whole.strip_prefix('/').unwrap_or(whole);
    let mut joined = BytesMut::with_capacity(service_path.len() + whole.len());
    joined.put_slice(service_path.as_bytes());
    if request.path() != "/" && !service_path.ends_with('/') {
        joined.put_u8(b'/');
    }
    joined.put_slice(after_slash.as_bytes());
    PathAndQuery::from_maybe_shared::<Bytes>(joined.freeze())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_join_as_in_kong() {
        check("", "/x", "/x");
        check("/", "/x?q=1", "/x?q=1");
        check("/", "/", "/");
        check("/s", "/x", "/s/x");
        check("/s", "/x/", "/s/x/");
        check("/s", "/", "/s");
        check("/s/", "/", "/s/");
        check("/s/", "/x", "/s/x");
        check("/s/t", "/x/y?a=/b", "/s/t/x/y?a=/b");
    }

    #[test]
    fn a_query_is_kept() {
        check("/s", "/?q", "/s?q");
        check("/s/", "/?q", "/s/?q");
        check("/s", "/x?", "/s/x?");
        check("/s", "/?", "/s?");
        check("/s", "?q", "/s?q");
    }

    #[test]
    fn the_bytes_of_the_request_are_kept() {
        check("/s", "//x", "/s//x");
        check("/s", "/a%2Fb/%2e%2e/;v=1", "/s/a%2Fb/%2e%2e/;v=1");
        check("/s", "/a/../b", "/s/a/../b");
    }

    fn check(service_path: &str, request: &str, expected: &str) {
        let request = PathAndQuery::try_from(request).unwrap();
        assert_eq!(join(service_path, &request).unwrap().as_str(), expected);
    }

    #[test]
    fn a_path_that_grows_too_long_is_refused() {
        let request = PathAndQuery::try_from(format!("/{}", "a".repeat(65_530))).unwrap();
        assert!(join("/", &request).is_ok());
        assert!(join("/service", &request).is_err());
    }

    proptest! {
        #[test]
        fn no_slash_is_doubled_at_the_joint(service in "(/[a-z]{1,4}){1,3}/?", request in "(/[a-z]{1,4}){0,3}/?") {
            let request = PathAndQuery::try_from(if request.is_empty() { "/" } else { &request }).unwrap();
            let joined = join(&service, &request).unwrap();
            prop_assert!(!joined.as_str().contains("//"), "{joined}");
            prop_assert!(joined.as_str().starts_with(service.trim_end_matches('/')));
        }
    }
}
