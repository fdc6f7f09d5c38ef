//! Which routes nothing but an id tells apart.

use std::collections::{HashMap, HashSet};

use super::order::{Entry, Priority};
use super::{PathPattern, Route};

/// Pairs of routes, by their places in the list, that are equal by priority, that one request may be for,
/// and of which `differ` says that they differ. The first of each pair is tried first.
///
/// At most `most` of them, of as many as can be found in a few hundred milliseconds: a file may have
/// thousands of routes.
#[must_use]
pub fn equals(
    routes: &[Route],
    most: usize,
    mut differ: impl FnMut(usize, usize) -> bool,
) -> Vec<(usize, usize)> {
    let mut steps = STEPS;
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    for group in groups(routes) {
        for (at, first) in group.iter().enumerate() {
            for second in &group[at + 1..] {
                let Some(left) = steps.checked_sub(1) else { return found };
                steps = left;
                let pair = (first.route, second.route);
                if pair.0 == pair.1
                    || !differ(pair.0, pair.1)
                    || !overlap(routes, *first, *second, &mut steps)
                {
                    continue;
                }
                // The other way round, an order of two entries of theirs was told already.
                if !seen.contains(&(pair.1, pair.0)) && seen.insert(pair) {
                    found.push(pair);
                }
                if found.len() == most {
                    return found;
                }
            }
        }
    }
    found
}

/// Comparisons of two routes, and steps in comparing their expressions.
const STEPS: usize = 3_000_000;

/// Entries that are equal by priority, in their order; of those with prefixes or with plain hosts alone
/// only those of the same, since others have no request in common.
fn groups(routes: &[Route]) -> Vec<Vec<Entry>> {
    type Key<'a> = (Priority, Option<&'a str>, Option<&'a str>);
    let mut numbers = HashMap::<Key<'_>, usize>::new();
    let mut groups = Vec::<Vec<Entry>>::new();
    for entry in Entry::sorted(routes) {
        let route = &routes[entry.route];
        let (priority, pattern) = (entry.priority(route), entry.pattern(route));
        let prefix = pattern.filter(|pattern| !pattern.is_regex()).map(PathPattern::prefix);
        let mut add = |host| {
            let number = *numbers.entry((priority, prefix, host)).or_insert(groups.len());
            if number == groups.len() {
                groups.push(Vec::new());
            }
            groups[number].push(entry);
        };
        match priority.has_plain_hosts() {
            true => {
                let names: HashSet<_> = entry.hosts(route).map(|host| &*host.name.text).collect();
                names.into_iter().for_each(|name| add(Some(name)));
            }
            false => add(None),
        }
    }
    groups
}

fn overlap(routes: &[Route], first: Entry, second: Entry, steps: &mut usize) -> bool {
    let (one, two) = (&routes[first.route], &routes[second.route]);
    one.rule.overlaps(&two.rule)
        && match (first.pattern(one), second.pattern(two)) {
            (Some(one), Some(two)) => one.overlaps(two, steps),
            _ => true,
        }
}
