//! Finds, of many expressions, those whose text a path has, in one pass over the path.
//!
//! Used by `router` under each host and prefix. What it leaves out cannot match; what it gives must
//! still be tried.

use aho_corasick::{AhoCorasick, MatchKind};

/// So few are tried sooner than looked for.
const FEW: usize = 4;

/// Values with a text that a path must have; the empty text asks for nothing.
#[derive(Debug)]
pub(super) struct Literals<T> {
    /// What is always given.
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
    /// Values of the same text keep their order, and so do those with no text.
    pub(super) fn new(pairs: Vec<(&[u8], T)>) -> Self {
        if pairs.iter().filter(|(text, _)| !text.is_empty()).count() <= FEW {
            return Self { always: pairs.into_iter().map(|(_, value)| value).collect(), found: None };
        }
        let (mut with, without): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(text, _)| !text.is_empty());
        with.sort_by_key(|(text, _)| *text);
        let (mut texts, mut values) = (Vec::new(), Vec::<Vec<T>>::new());
        for (text, value) in with {
            match values.last_mut().filter(|_| texts.last() == Some(&text)) {
                Some(same) => same.push(value),
                None => {
                    texts.push(text);
                    values.push(vec![value]);
                }
            }
        }
        let built = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&texts);
        // The only failure is more texts than it can number.
        let texts = built.expect("there are fewer than two thousand million bytes of them");
        let always = without.into_iter().map(|(_, value)| value).collect();
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
        fn every_text_in_the_path_is_found_once(
            texts in proptest::collection::vec("[ab/]{0,3}", 0..30),
            path in "[ab/]{0,8}",
        ) {
            let literals =
                Literals::new(texts.iter().enumerate().map(|(at, text)| (text.as_bytes(), at)).collect());
            let mut found = Vec::new();
            literals.each(&path, |values| {
                assert!(values.is_sorted());
                found.extend_from_slice(values);
            });
            found.sort_unstable();
            let asks = texts.iter().filter(|text| !text.is_empty()).count();
            let expected: Vec<_> =
                (0..texts.len()).filter(|at| asks <= FEW || path.contains(&texts[*at])).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
