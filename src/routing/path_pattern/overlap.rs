//! Whether one path may match two patterns.

use std::collections::HashSet;

use regex_automata::nfa::thompson::{NFA, State, Transition};
use regex_automata::util::look::Look;
use regex_automata::util::primitives::StateID;

use super::{PathPattern, nfa, parsed};

impl PathPattern {
    /// Whether there is a path that both match. `steps` is what may be spent on that, and becomes less; where
    /// nothing of it is left, and where a word boundary decides, the answer is yes.
    pub(in crate::routing) fn overlaps(&self, other: &Self, steps: &mut usize) -> bool {
        let (first, second) = (&*self.prefix, &*other.prefix);
        if !first.starts_with(second) && !second.starts_with(first) {
            return false;
        }
        match (self.automaton(), other.automaton()) {
            (Some(first), Some(second)) => Both { first: &first, second: &second }.have_a_path(steps),
            // Two prefixes, or one and an expression: those are never equal in priority.
            _ => true,
        }
    }

    fn automaton(&self) -> Option<NFA> {
        self.expression.as_ref()?;
        nfa(&parsed(&self.written[1..]).ok()?).ok()
    }
}

/// Two automata that read the same path.
struct Both<'a> {
    first: &'a NFA,
    second: &'a NFA,
}

/// Where both are. `None` has matched, and takes whatever follows.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Reached {
    first: Option<StateID>,
    second: Option<StateID>,
    /// One of them asked for the end of the path here.
    ended: bool,
}

impl Both<'_> {
    /// Visits every pair of states that some path leads to.
    fn have_a_path(&self, steps: &mut usize) -> bool {
        let (first, second) = (self.first.start_anchored(), self.second.start_anchored());
        let start = Reached { first: Some(first), second: Some(second), ended: false };
        let (mut seen, mut todo) = (HashSet::from([start]), vec![start]);
        while let Some(reached) = todo.pop() {
            if reached.first.is_none() && reached.second.is_none() {
                return true;
            }
            let Some(left) = steps.checked_sub(1) else { return true };
            *steps = left;
            self.follow(reached, &mut |next| {
                if seen.insert(next) {
                    todo.push(next);
                }
            });
        }
        false
    }

    fn follow(&self, at: Reached, see: &mut impl FnMut(Reached)) {
        if let Some(moves) = at.first.and_then(|id| free_moves(self.first.state(id))) {
            return moves.each(|first, ended| see(Reached { first, ended: at.ended || ended, ..at }));
        }
        if let Some(moves) = at.second.and_then(|id| free_moves(self.second.state(id))) {
            return moves.each(|second, ended| see(Reached { second, ended: at.ended || ended, ..at }));
        }
        if at.ended {
            return;
        }
        let (first, second) = (readings(self.first, at.first), readings(self.second, at.second));
        for (from, to, first) in &first {
            for (other_from, other_to, second) in &second {
                let (from, to) = (*from.max(other_from), *to.min(other_to));
                // Paths have nothing but these.
                if from.max(b'!') <= to.min(b'~') {
                    see(Reached { first: *first, second: *second, ended: false });
                }
            }
        }
    }
}

/// Where a state leads without reading anything.
enum Moves<'a> {
    To(&'a [StateID]),
    Either(StateID, StateID),
    One(StateID),
    AtTheEnd(StateID),
    Matched,
}

impl Moves<'_> {
    fn each(&self, mut see: impl FnMut(Option<StateID>, bool)) {
        match *self {
            Self::To(all) => all.iter().for_each(|id| see(Some(*id), false)),
            Self::Either(first, second) => {
                see(Some(first), false);
                see(Some(second), false);
            }
            Self::One(id) => see(Some(id), false),
            Self::AtTheEnd(id) => see(Some(id), true),
            Self::Matched => see(None, false),
        }
    }
}

/// `None` for a state that reads.
fn free_moves(state: &State) -> Option<Moves<'_>> {
    Some(match state {
        State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => return None,
        State::Union { alternates } => Moves::To(alternates),
        State::BinaryUnion { alt1, alt2 } => Moves::Either(*alt1, *alt2),
        State::Look { look: Look::End, next } => Moves::AtTheEnd(*next),
        State::Look { next, .. } | State::Capture { next, .. } => Moves::One(*next),
        State::Fail => Moves::To(&[]),
        State::Match { .. } => Moves::Matched,
    })
}

/// The bytes a state reads, from the first to the last, and where each leads.
fn readings(nfa: &NFA, at: Option<StateID>) -> Vec<(u8, u8, Option<StateID>)> {
    let one = |transition: &Transition| (transition.start, transition.end, Some(transition.next));
    match at.map(|id| nfa.state(id)) {
        None => vec![(u8::MIN, u8::MAX, None)],
        Some(State::ByteRange { trans }) => vec![one(trans)],
        Some(State::Sparse(all)) => all.transitions.iter().map(one).collect(),
        Some(State::Dense(all)) => {
            let one = |byte| Some((byte, byte, Some(all.matches_byte(byte)?)));
            (u8::MIN..=u8::MAX).filter_map(one).collect()
        }
        Some(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn two_expressions_overlap_where_a_path_fits_both() {
        for (first, second, expected) in [
            (r"~/orders/\d+$", r"~/orders/[0-9]+$", true),
            (r"~/orders/\d+$", r"~/orders/[a-z]+$", false),
            (r"~/orders/\d+$", r"~/orders/\d+/items$", false),
            (r"~/orders/\d+", r"~/orders/\d+/items$", true),
            (r"~/orders/\d+$", r"~/orders/.*", true),
            (r"~/(a|b)/c", r"~/(b|d)/c", true),
            (r"~/(a|b)/c", r"~/(d|e)/c", false),
            (r"~/(?i)a", r"~/A", true),
            (r"~/a$", r"~/ab", false),
            (r"~/a", r"~/b", false),
            (r"~/[^/]+$", r"~/a/b", false),
            (r"~/x\b", r"~/x", true),
        ] {
            let (first, second) = (PathPattern::parse(first).unwrap(), PathPattern::parse(second).unwrap());
            for (first, second) in [(&first, &second), (&second, &first)] {
                assert_eq!(first.overlaps(second, &mut 10_000), expected, "{first} {second}");
            }
        }
    }

    #[test]
    fn what_cannot_be_found_out_in_time_may_be() {
        let (first, second) =
            (PathPattern::parse("~/(a|b)/c").unwrap(), PathPattern::parse("~/(d|e)/c").unwrap());
        assert!(first.overlaps(&second, &mut 3));
    }

    proptest! {
        #[test]
        fn whatever_matches_both_shows_that_they_overlap(
            first in "/[ab.]{0,3}(\\(a\\|b\\)|\\[ab\\]\\+|a\\?|\\$)[ab/]{0,2}\\$?",
            second in "/[ab.]{0,3}(\\(a\\|b\\)|\\[ab\\]\\+|a\\?|\\$)[ab/]{0,2}\\$?",
            path in "/[ab/]{0,5}",
        ) {
            let pattern = |text: &str| PathPattern::parse(&format!("~{text}")).unwrap();
            let (first, second) = (pattern(&first), pattern(&second));
            let both = first.matched_from(&path) && second.matched_from(&path);
            prop_assert!(!both || first.overlaps(&second, &mut 10_000), "{} {} {}", first, second, path);
        }
    }

    impl PathPattern {
        fn matched_from(&self, path: &str) -> bool {
            path.starts_with(self.prefix()) && self.matched(path).is_some()
        }
    }
}
