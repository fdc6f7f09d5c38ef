//! Finds what is kept for a host among many, by hash.

use std::collections::{BTreeSet, HashMap};

use super::host::HostPattern;
use super::name_pattern::Wildcard;

/// Values by host pattern; patterns that differ in the port alone share one.
#[derive(Debug)]
pub(super) struct Hosts<T> {
    plain: HashMap<Box<str>, T>,
    /// By what follows the wildcard.
    ends: Parts<T>,
    /// By what stands before the wildcard.
    starts: Parts<T>,
    /// For every host, and for none.
    any: Option<T>,
}

/// Values by how names begin or end. A name is looked up once for each length there is: no more often than
/// a host name has characters, and mostly once or twice.
#[derive(Debug)]
struct Parts<T> {
    by_text: HashMap<Box<str>, T>,
    lengths: BTreeSet<usize>,
}

impl<T: Default> Hosts<T> {
    /// The value for a pattern, or for every host; made if it is not there.
    pub(super) fn entry(&mut self, pattern: Option<&HostPattern>) -> &mut T {
        let Some(HostPattern { name, .. }) = pattern else { return self.any.get_or_insert_default() };
        let parts = match name.wildcard {
            None => return self.plain.entry(name.text.clone()).or_default(),
            Some(Wildcard::First) => &mut self.ends,
            Some(Wildcard::Last) => &mut self.starts,
        };
        parts.lengths.insert(name.text.len());
        parts.by_text.entry(name.text.clone()).or_default()
    }
}

impl<T> Hosts<T> {
    /// Every value whose pattern the name fits.
    pub(super) fn each<'s>(&'s self, name: &str, mut see: impl FnMut(&'s T)) {
        // A wildcard may stand for nothing, but not where there is no host at all.
        if !name.is_empty() {
            self.plain.get(name).into_iter().for_each(&mut see);
            self.ends.each(name.len(), |length| name.get(name.len() - length..), &mut see);
            self.starts.each(name.len(), |length| name.get(..length), &mut see);
        }
        self.any.iter().for_each(see);
    }

    /// The same with other values.
    pub(super) fn map<U>(self, mut change: impl FnMut(T) -> U) -> Hosts<U> {
        let mut each =
            |map: HashMap<Box<str>, T>| map.into_iter().map(|(key, value)| (key, change(value))).collect();
        let plain = each(self.plain);
        let ends = Parts { by_text: each(self.ends.by_text), lengths: self.ends.lengths };
        let starts = Parts { by_text: each(self.starts.by_text), lengths: self.starts.lengths };
        Hosts { plain, ends, starts, any: self.any.map(change) }
    }
}

impl<T> Parts<T> {
    fn each<'s, 'n>(
        &'s self,
        longest: usize,
        part: impl Fn(usize) -> Option<&'n str>,
        see: &mut impl FnMut(&'s T),
    ) {
        let parts = self.lengths.range(..=longest).filter_map(|length| part(*length));
        parts.filter_map(|part| self.by_text.get(part)).for_each(see);
    }
}

impl<T> Default for Hosts<T> {
    fn default() -> Self {
        Self { plain: HashMap::new(), ends: Parts::default(), starts: Parts::default(), any: None }
    }
}

impl<T> Default for Parts<T> {
    fn default() -> Self {
        Self { by_text: HashMap::new(), lengths: BTreeSet::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_takes_any_text() {
        check("a.example", &["a.example", "*.example", "*a.example", "a.*", "a*", "*", "any"]);
        check("b.a.example", &["*.a.example", "*.example", "*a.example", "*", "any"]);
        check("a.example.com", &["a.*", "a.example.*", "a*", "*", "any"]);
        check("example", &["*", "any"]);
        check("ba.example", &["*.example", "*a.example", "*", "any"]);
        check("ab.example", &["*.example", "a*", "*", "any"]);
        check("é", &["*", "any"]);
        check("", &["any"]);
    }

    fn check(name: &str, expected: &[&str]) {
        let mut hosts = Hosts::<String>::default();
        *hosts.entry(None) = "any".into();
        for pattern in
            ["a.example", "*.example", "*.a.example", "*a.example", "a.*", "a.example.*", "a*", "*"]
        {
            *hosts.entry(Some(&HostPattern::parse(pattern).unwrap())) = pattern.into();
        }
        let mut found = Vec::new();
        hosts.each(name, |value| found.push(value.as_str()));
        let mut expected = expected.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{name}");
    }
}
