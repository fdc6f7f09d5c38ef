//! Routes that are equal by priority and let different people in.
//!
//! Which of them a request takes is decided by a number nobody chose, in Kong too: a rule that is written for
//! one of them may not be asked.

use std::collections::HashMap;

use super::Loading;
use super::plugins::{Effective, Name, Set};
use super::rules::name;
use crate::config::Caution;
use crate::config::declarative::model::Route;
use crate::routing;

/// A caution for each pair, and no more than [`MOST`].
pub(super) fn cautions(
    loading: &Loading<'_>,
    effective: &Effective,
    routes: &[routing::Route],
) -> Vec<Caution> {
    let mut known = HashMap::new();
    let mut differ = |first: usize, second: usize| {
        let sets = (effective.of_route[first], effective.of_route[second]);
        let sets = (sets.0.min(sets.1), sets.0.max(sets.1));
        let compare = || !let_the_same_in(loading, &effective.sets[sets.0], &effective.sets[sets.1]);
        sets.0 != sets.1 && *known.entry(sets).or_insert_with(compare)
    };
    let pairs = routing::equals(routes, MOST, &mut differ);
    pairs.into_iter().map(|(first, second)| caution(loading, first, second)).collect()
}

fn let_the_same_in(loading: &Loading<'_>, first: &Set, second: &Set) -> bool {
    let config = |at: &Option<usize>| at.map(|at| &loading.model.plugins[at].config);
    DECIDING.iter().all(|name| config(&first[*name as usize]) == config(&second[*name as usize]))
}

fn caution(loading: &Loading<'_>, first: usize, second: usize) -> Caution {
    let called = |route: &Route| format!("`{}` at {}", name(route), route.place);
    let [first, second] = [first, second].map(|at| &loading.model.routes[at]);
    let what = format!(
        "{}: equal by priority to {}, which takes what fits both, and the two let different callers in",
        second.place,
        called(first),
    );
    let advice = "give both the same plugins, or tell them apart by one more host, path, method or header";
    Caution::new(loading.source.said(), what, advice)
}

/// The plugins that say who may pass.
const DECIDING: [Name; 7] = [
    Name::MtlsAuth,
    Name::HeaderCertAuth,
    Name::IpRestriction,
    Name::CallistaMtlsAuth,
    Name::Acl,
    Name::CallistaMtlsAcl,
    Name::RequestTermination,
];

/// So many are read; more would hide other cautions.
const MOST: usize = 20;
