//! Which service a request is for: values in, values out.
//!
//! `snapshot` compiles a [`Router`]; `proxy` asks it once per request. Paths are matched as
//! plain prefixes, as in Kong (kong/router/transform.lua, `OP_PREFIX`).

pub mod path;

/// Where requests of one kind go, and who may send them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// For logs.
    pub name: String,
    /// Path prefixes, each with a leading slash.
    pub paths: Vec<String>,
    /// Index of the service in the snapshot.
    pub service: usize,
    /// Index of the policy in the snapshot.
    pub policy: usize,
}

/// All routes, in the order in which they are tried.
#[derive(Debug, Default)]
pub struct Router {
    /// One entry per path, longest path first (kong/router/traditional.lua, priority 3).
    by_path: Vec<(String, usize)>,
    routes: Vec<Route>,
}

impl Router {
    /// Compiles the routes.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        let mut by_path: Vec<_> = routes
            .iter()
            .enumerate()
            .flat_map(|(index, route)| route.paths.iter().map(move |path| (path.clone(), index)))
            .collect();
        by_path.sort_by_key(|(path, index)| (std::cmp::Reverse(path.len()), *index));
        Self { by_path, routes }
    }

    /// The route for a request's path (as sent, without query); `*` of `OPTIONS *` has none.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&Route> {
        let (_, index) = self.by_path.iter().find(|(prefix, _)| path.starts_with(prefix.as_str()))?;
        self.routes.get(*index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins_and_prefixes_are_plain_text() {
        let route = |name: &str, path: &str| Route {
            name: name.into(),
            paths: vec![path.into()],
            service: 0,
            policy: 0,
        };
        let router = Router::new(vec![route("all", "/"), route("orders", "/orders"), route("or", "/or")]);
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(router.find(path).map(|route| route.name.as_str()), expected, "{path}");
        };
        check("/", Some("all"));
        check("/orders/7", Some("orders"));
        check("/orderspast", Some("orders"));
        check("/order", Some("or"));
        check("*", None);
        check("", None);
    }
}
