//! Finds, of many expressions, those whose texts a path has, in one pass over the path.
//!
//! Used by `router` under each host and prefix. What it leaves out cannot match; what it gives must
//! still be tried.

use std::cmp::Reverse;
use std::collections::HashMap;

use aho_corasick::{AhoCorasick, MatchKind};

/// So few are tried sooner than looked for.
const FEW: usize = 4;

/// Values, each under the one of the texts it asks for that the fewest others ask for.
#[derive(Debug)]
pub(super) struct Literals<T> {
    /// What is always given: what asks for nothing.
    always: Vec<T>,
    found: Option<Box<Found<T>>>,
}

#[derive(Debug)]
struct Found<T> {
    /// Its patterns are numbered as the values.
    texts: AhoCorasick,
    values: Vec<Vec<T>>,
}

impl<T> Literals<T> {
    /// Each value with the texts that a path must have for it. Values under the same text keep their
    /// order, and so do those without one.
    pub(super) fn new(asking: Vec<(&[Box<[u8]>], T)>) -> Self {
        if asking.iter().filter(|(texts, _)| !texts.is_empty()).count() <= FEW {
            return Self { always: asking.into_iter().map(|(_, value)| value).collect(), found: None };
        }
        let mut askers = HashMap::<&[u8], usize>::new();
        for text in asking.iter().flat_map(|(texts, _)| *texts) {
            *askers.entry(text).or_default() += 1;
        }
        let (mut always, mut numbers) = (Vec::new(), HashMap::<&[u8], usize>::new());
        let (mut texts, mut values) = (Vec::<&[u8]>::new(), Vec::<Vec<T>>::new());
        for (asked, value) in asking {
            let rarest = asked.iter().min_by_key(|text| (askers.get(&***text), Reverse(text.len())));
            let Some(text) = rarest else {
                always.push(value);
                continue;
            };
            let number = *numbers.entry(text).or_insert(texts.len());
            if number == texts.len() {
                texts.push(text);
                values.push(Vec::new());
            }
            values[number].push(value);
        }
        let built = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&texts);
        // The only failure is more texts than it can number.
        let texts = built.expect("there are fewer than two thousand million bytes of them");
        Self { always, found: Some(Box::new(Found { texts, values })) }
    }

    /// Sees the values without a text, and then those of every text that is in `path`, each once.
    pub(super) fn each<'s>(&'s self, path: &str, mut see: impl FnMut(&'s [T])) {
        see(&self.always);
        let Some(found) = &self.found else { return };
        // A path may have a text many times over: what is tried must not grow with that.
        let mut texts: Vec<_> =
            found.texts.find_overlapping_iter(path).map(|found| found.pattern().as_usize()).collect();
        texts.sort_unstable();
        texts.dedup();
        texts.into_iter().filter_map(|text| found.values.get(text)).for_each(|values| see(values));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whoever_has_all_its_texts_in_the_path_is_found_once_and_in_order(
            texts in proptest::collection::vec(proptest::collection::vec("[ab/]{1,3}", 0..3), 0..30),
            path in "[ab/]{0,8}",
        ) {
            let texts: Vec<Vec<Box<[u8]>>> =
                texts.into_iter().map(|texts| texts.into_iter().map(|it| it.into_bytes().into()).collect()).collect();
            let literals = Literals::new(texts.iter().enumerate().map(|(at, texts)| (&**texts, at)).collect());
            let mut found = Vec::new();
            literals.each(&path, |values| {
                assert!(values.is_sorted());
                found.extend_from_slice(values);
            });
            let has = |text: &[u8]| path.as_bytes().windows(text.len()).any(|part| part == text);
            for (at, texts) in texts.iter().enumerate() {
                let times = found.iter().filter(|it| **it == at).count();
                prop_assert!(times <= 1);
                prop_assert!(times == 1 || !texts.iter().all(|text| has(text)), "{} {:?}", path, texts);
            }
        }
    }

    #[test]
    fn a_text_that_all_ask_for_tells_nothing() {
        let all: Vec<_> = (0..100).map(|at| texts(&["/api/v1/orders/", &format!("/x{at}/")])).collect();
        check(&all, "/a/api/v1/orders/7/x42/", &[42]);
        check(&all, "/x7/x8/x7/", &[7, 8]);
        check(&all, "/a/api/v1/orders/7", &[]);
        check(&[&[texts(&[])][..], &all].concat(), "/x42/", &[0, 43]);
        check(&all[..FEW], "/", &(0..FEW).collect::<Vec<_>>());
    }

    fn texts(texts: &[&str]) -> Vec<Box<[u8]>> {
        texts.iter().map(|text| text.as_bytes().into()).collect()
    }

    fn check(asked: &[Vec<Box<[u8]>>], path: &str, expected: &[usize]) {
        let literals = Literals::new(asked.iter().enumerate().map(|(at, texts)| (&**texts, at)).collect());
        let mut found = Vec::new();
        literals.each(path, |values| found.extend_from_slice(values));
        assert_eq!(found, expected, "{path}");
    }
}
