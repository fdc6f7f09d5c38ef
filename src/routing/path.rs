//! The path a service sees: its own path in front of the request's.
//!
//! What was judged is what is sent: it is built from the normalised path the route was chosen by, or,
//! for a route of [`Route::everything`](super::Route::everything), from the request's own bytes.

use bytes::{BufMut, Bytes, BytesMut};
use http::uri::{InvalidUri, PathAndQuery};

use super::{Found, PathHandling};

/// The path for the service of the route that was found, and the query as it came.
///
/// `service_path` is the service's own, empty or starting with a slash. `asked` is what the route was
/// looked up with. Nothing is copied where the service gets just what was asked for.
///
/// # Errors
/// The result is longer than a URI may be (65534 bytes): the answer is 414. The service's path is
/// legal, configuration saw to that.
pub fn upstream(
    service_path: &str,
    found: &Found<'_>,
    asked: &PathAndQuery,
) -> Result<PathAndQuery, InvalidUri> {
    let handling = found.route.rule.path_handling;
    if handling == PathHandling::Kept {
        return join(service_path, asked);
    }
    let base = if service_path.is_empty() { "/" } else { service_path };
    let (path, strip) = (found.path(asked.path()), found.route.strip_path);
    if base == "/" && !strip && found.normalised.is_none() && asked.as_str().starts_with('/') {
        return Ok(asked.clone());
    }
    let rest = remainder(path, found.matched.filter(|_| strip));
    let parts = match handling {
        PathHandling::V1 => v1(base, path, rest, strip),
        _ => v0(base, path, rest, strip),
    };
    let mut whole = BytesMut::with_capacity(base.len() + 1 + asked.as_str().len());
    parts.iter().for_each(|part| whole.put_slice(part.as_bytes()));
    if let Some(query) = asked.query() {
        whole.put_u8(b'?');
        whole.put_slice(query.as_bytes());
    }
    PathAndQuery::from_maybe_shared::<Bytes>(whole.freeze())
}

/// `service_path` and then the request's path and query, with one slash between them: `v0` for a
/// route that matches everything, in the request's bytes.
///
/// A service without a path of its own (empty or `/`) gets the request's, at no cost. A request
/// for `/` gets exactly the service's path, as in Kong.
fn join(service_path: &str, request: &PathAndQuery) -> Result<PathAndQuery, InvalidUri> {
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

/// What is left when the part that matched is gone (kong/router/utils.lua, `sanitize_uri_postfix`): a
/// prefix need not end where a segment does, and `/r../x` must not become `/../x`.
fn remainder(path: &str, matched: Option<usize>) -> &str {
    // Without paths in the route, Kong takes the first slash for what matched.
    let rest = path.get(matched.unwrap_or(1)..).unwrap_or_default();
    match rest {
        "." | ".." => "",
        _ => rest.strip_prefix("./").or_else(|| rest.strip_prefix("../")).unwrap_or(rest),
    }
}

/// kong/router/utils.lua, `get_upstream_uri_v0`: a slash where service and remainder meet, and none
/// at the end that the request did not have.
fn v0<'a>(base: &'a str, path: &'a str, rest: &'a str, strip: bool) -> [&'a str; 3] {
    let stem = base.strip_suffix('/');
    match (strip, stem) {
        (false, Some(stem)) => [stem, path, ""],
        (false, None) if path == "/" => [base, "", ""],
        (false, None) => [base, path, ""],
        (true, _) if rest.starts_with('/') => [stem.unwrap_or(base), rest, ""],
        (true, Some(_)) if !rest.is_empty() || base == "/" || path.ends_with('/') => [base, rest, ""],
        (true, Some(stem)) => [stem, "", ""],
        (true, None) if !rest.is_empty() => [base, "/", rest],
        (true, None) if path.len() > 1 && path.ends_with('/') => [base, "/", ""],
        (true, None) => [base, "", ""],
    }
}

/// kong/router/traditional.lua, `path_handling` v1, which Kong's default router no longer has: the
/// two are put together as they are, but for a doubled slash.
fn v1<'a>(base: &'a str, path: &'a str, rest: &'a str, strip: bool) -> [&'a str; 3] {
    match strip {
        true if rest.starts_with('/') => [base.strip_suffix('/').unwrap_or(base), rest, ""],
        true => [base, rest, ""],
        false => [base, path.strip_prefix('/').unwrap_or(path), ""],
    }
}

#[cfg(test)]
mod tests;
