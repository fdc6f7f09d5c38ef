//! All routes, and the one a request is for.
//!
//! Every route, once for each of its paths, has a rank (`order`). They are kept by host, by what their paths
//! begin with, and by what their expressions must have, so that a request is compared with the few that are
//! left; the one of best rank that fits is the one that trying all of them in order would find.

use std::borrow::Cow;

use super::host::AskedHost;
use super::hosts::Hosts;
use super::literals::Literals;
use super::order::Entry;
use super::prefixes::Prefixes;
use super::{Asked, Fit, Found, PathHandling, PathPattern, Route, normalise};

/// All routes, ready to be asked.
#[derive(Debug, Default)]
pub struct Router {
    routes: Vec<Route>,
    /// By rank.
    entries: Vec<Entry>,
    hosts: Hosts<Prefixes<Literals<Candidate>>>,
    /// Whether any route sees the path in its normal form.
    normalises: bool,
}

/// An entry under one of its route's hosts.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    rank: usize,
    port: Option<u16>,
}

impl Router {
    /// Compiles the routes; of equals, the one with the higher id goes first.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        let entries = Entry::sorted(&routes);
        let mut hosts = Hosts::<Vec<(&str, (&[Box<[u8]>], Candidate))>>::default();
        for (rank, entry) in entries.iter().enumerate() {
            let route = &routes[entry.route];
            let pattern = entry.pattern(route);
            let prefix = pattern.map_or("", PathPattern::prefix);
            let literals = pattern.map_or(&[][..], PathPattern::literals);
            if route.rule.hosts.is_empty() {
                hosts.entry(None).push((prefix, (literals, Candidate { rank, port: None })));
            }
            for host in entry.hosts(route) {
                let candidate = Candidate { rank, port: host.port };
                hosts.entry(Some(host)).push((prefix, (literals, candidate)));
            }
        }
        let hosts = hosts.map(|pairs| Prefixes::new(pairs, Literals::new));
        let normalises = routes.iter().any(|route| route.rule.path_handling != PathHandling::Kept);
        Self { routes, entries, hosts, normalises }
    }

    /// The route for a request.
    ///
    /// It is found whatever protocol the request speaks: look at [`Found::fit`].
    #[must_use]
    pub fn find<'r>(&'r self, asked: &Asked<'_>) -> Option<Found<'r>> {
        if !asked.path.starts_with('/') {
            return None;
        }
        let path = if self.normalises { normalise(asked.path) } else { asked.path.into() };
        let host = AskedHost::new(asked.host.unwrap_or_default(), asked.tls);
        let mut search = Search { router: self, asked, path: &path, port: host.port, best: None };
        self.hosts.each(&host.name, |prefixes| search.among(prefixes));
        let (rank, matched) = search.best?;
        let route = &self.routes[self.entries[rank].route];
        let fit = Fit::of(route.rule.protocols, asked);
        let normalised = if let Cow::Owned(path) = path { Some(path) } else { None };
        Some(Found { route, fit, normalised, matched })
    }
}

/// One request among the candidates.
struct Search<'a> {
    router: &'a Router,
    asked: &'a Asked<'a>,
    /// In normal form, unless nobody asks for that.
    path: &'a str,
    port: u16,
    /// The rank of the best so far, and how much of the path it matched.
    best: Option<(usize, Option<usize>)>,
}

impl Search<'_> {
    fn among(&mut self, prefixes: &Prefixes<Literals<Candidate>>) {
        for literals in prefixes.of(self.path) {
            literals.each(self.path, |candidates| self.best_of(candidates));
        }
    }

    fn best_of(&mut self, candidates: &[Candidate]) {
        // They are in order of rank.
        let better = candidates.iter().take_while(|it| self.best.is_none_or(|(best, _)| it.rank < best));
        let found = better.filter(|it| it.port.is_none_or(|port| port == self.port));
        if let Some(best) = found.filter_map(|it| Some((it.rank, self.matched(it.rank)?))).next() {
            self.best = Some(best);
        }
    }

    /// How much of the path an entry matches whose host and prefix fit; `None` if the rest does not.
    fn matched(&self, rank: usize) -> Option<Option<usize>> {
        let entry = self.router.entries[rank];
        let route = &self.router.routes[entry.route];
        let (rule, asked) = (&route.rule, self.asked);
        let sni = || {
            let asks = |name| rule.snis.iter().any(|sni| sni.matches(name));
            !asked.tls || asked.server_name.is_some_and(asks)
        };
        let fits = (rule.methods.is_empty() || rule.methods.contains(asked.method))
            && (rule.snis.is_empty() || sni())
            && rule.headers.iter().all(|header| header.matches(asked.headers));
        if !fits {
            return None;
        }
        match entry.pattern(route) {
            Some(pattern) => pattern.matched(self.path).map(Some),
            None => Some(None),
        }
    }
}

#[cfg(test)]
mod tests;
