//! Which requests a route is for, as a whole.
//!
//! Source: kong/db/schema/entities/routes.lua and routes_subschemas.lua. Every part that is there must
//! match, and of each part one value.

use http::Method;

use super::{HeaderRule, HostPattern, Invalid, PathPattern, Protocols, Sni};

/// The criteria of a route; an empty list asks for nothing.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// What the client may speak. A route is found whatever it is, see [`Fit`](super::Fit).
    pub protocols: Protocols,
    /// Methods.
    pub methods: Vec<Method>,
    /// Hosts.
    pub hosts: Vec<HostPattern>,
    /// Paths.
    pub paths: Vec<PathPattern>,
    /// Headers, each of which must match.
    pub headers: Vec<HeaderRule>,
    /// Server names; they count on TLS connections only.
    pub snis: Vec<Sni>,
    /// Which of two regular expressions goes first: the higher.
    pub regex_priority: i64,
    /// How the service's path and the request's are put together.
    pub path_handling: PathHandling,
}

/// How the service's path and the request's are put together: [`path::upstream`](super::path::upstream).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PathHandling {
    /// Kong's default.
    #[default]
    V0,
    /// What Kong's default router no longer has.
    V1,
    /// The request's bytes as they came, not normalised: for a route without paths.
    Kept,
}

impl Rule {
    /// A method, which has letters only and is upper-case.
    ///
    /// # Errors
    /// It is not.
    pub fn method(text: &str) -> Result<Method, Invalid> {
        let is_upper = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase());
        let method = Method::from_bytes(text.as_bytes()).ok().filter(|_| is_upper);
        method.ok_or_else(|| Invalid::new("it is not a method", "write upper-case letters, as in GET"))
    }

    /// Everything that is wrong with the parts together.
    #[must_use]
    pub fn problems(&self) -> Vec<Invalid> {
        let mut problems = Vec::new();
        let protocols = self.protocols;
        if protocols.is_http() && protocols.is_grpc() {
            let what = "protocols cannot have both http or https, and grpc or grpcs";
            problems.push(Invalid::new(what, "write a route for each"));
        }
        if protocols.is_grpc() && !self.methods.is_empty() {
            let what = "methods cannot be set when protocols has grpc or grpcs";
            problems.push(Invalid::new(what, "remove them; every call of gRPC is a POST"));
        }
        if !protocols.is_tls() && !self.snis.is_empty() {
            let what = "snis can only be set when protocols has https or grpcs";
            problems.push(Invalid::new(what, "add https to its protocols, or remove snis"));
        }
        if self.categories() == 0 {
            let methods = if protocols.is_grpc() { "" } else { "methods, " };
            let snis = if protocols.is_tls() { ", snis" } else { "" };
            let what = format!("one of {methods}hosts, headers, paths{snis} must be set");
            problems.push(Invalid::new(what, "write `paths: [/]` to match everything"));
        }
        problems
    }

    /// How many categories it has criteria in (kong/router/transform.lua).
    pub(super) fn categories(&self) -> u32 {
        let has = [
            !self.hosts.is_empty(),
            !self.headers.is_empty(),
            !self.paths.is_empty(),
            !self.methods.is_empty(),
            !self.snis.is_empty(),
        ];
        has.into_iter().map(u32::from).sum()
    }

    /// Whether a request may be for both, as far as paths say nothing. Server names count as they do on TLS
    /// connections.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        fn share<T>(first: &[T], second: &[T], overlap: impl Fn(&T, &T) -> bool) -> bool {
            let any = |one: &T| second.iter().any(|two| overlap(one, two));
            first.is_empty() || second.is_empty() || first.iter().any(any)
        }
        share(&self.methods, &other.methods, |one, two| one == two)
            && share(&self.hosts, &other.hosts, HostPattern::overlaps)
            && share(&self.snis, &other.snis, Sni::overlaps)
            && self.headers.iter().all(|one| other.headers.iter().all(|two| one.overlaps(two)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_asks_for_something() {
        check(&["http"], &["path"], &[]);
        check(&["http"], &[], &["one of methods, hosts, headers, paths must be set"]);
        check(&["http", "https"], &[], &["one of methods, hosts, headers, paths, snis must be set"]);
        check(&["grpc"], &[], &["one of hosts, headers, paths must be set"]);
        check(&["grpcs"], &["sni"], &[]);
    }

    #[test]
    fn what_does_not_go_together_is_explained() {
        check(&["http", "grpc"], &["path"], &["protocols cannot have both http or https, and grpc or grpcs"]);
        check(&["http"], &["sni"], &["snis can only be set when protocols has https or grpcs"]);
        check(
            &["grpc"],
            &["method", "sni"],
            &[
                "methods cannot be set when protocols has grpc or grpcs",
                "snis can only be set when protocols has https or grpcs",
            ],
        );
    }

    fn check(protocols: &[&str], parts: &[&str], expected: &[&str]) {
        let mut rule =
            Rule { protocols: Protocols::parse(protocols.iter().copied()).unwrap(), ..Rule::default() };
        for part in parts {
            match *part {
                "path" => rule.paths.push(PathPattern::parse("/").unwrap()),
                "sni" => rule.snis.push(Sni::parse("a.example").unwrap()),
                _ => rule.methods.push(Method::GET),
            }
        }
        let problems: Vec<_> = rule.problems().into_iter().map(|invalid| invalid.what).collect();
        assert_eq!(problems, expected, "{protocols:?} {parts:?}");
    }

    #[test]
    fn a_method_is_upper_case() {
        assert_eq!(Rule::method("PURGE").unwrap(), "PURGE");
        for text in ["get", "", "A B", "M-SEARCH"] {
            assert!(Rule::method(text).is_err(), "{text}");
        }
    }
}
