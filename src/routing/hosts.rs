//! Finds what is kept for a host among many, by hash.

use std::collections::HashMap;

use super::host::{HostPattern, Wildcard};

/// Values by host pattern; patterns that differ in the port alone share one.
#[derive(Debug)]
pub(super) struct Hosts<T> {
    plain: HashMap<Box<str>, T>,
    /// By what follows the wildcard.
    left: HashMap<Box<str>, T>,
    /// By what stands before the wildcard.
    right: HashMap<Box<str>, T>,
    /// For every host, and for none.
    any: Option<T>,
}

impl<T: Default> Hosts<T> {
    /// The value for a pattern, or for every host; made if it is not there.
    pub(super) fn entry(&mut self, pattern: Option<&HostPattern>) -> &mut T {
        let Some(pattern) = pattern else { return self.any.get_or_insert_default() };
        let map = match pattern.wildcard {
            None => &mut self.plain,
            Some(Wildcard::Left) => &mut self.left,
            Some(Wildcard::Right) => &mut self.right,
        };
        map.entry(pattern.name.clone()).or_default()
    }
}

impl<T> Hosts<T> {
    /// Every value whose pattern the name fits.
    pub(super) fn each<'s>(&'s self, name: &str, mut see: impl FnMut(&'s T)) {
        if let Some(value) = self.plain.get(name) {
            see(value);
        }
        if !self.left.is_empty() || !self.right.is_empty() {
            // A wildcard takes at least one character.
            let dots = name.bytes().enumerate().filter(|(_, byte)| *byte == b'.').map(|(at, _)| at);
            for at in dots {
                if at > 0
                    && let Some(value) = self.left.get(&name[at + 1..])
                {
                    see(value);
                }
                if at + 1 < name.len()
                    && let Some(value) = self.right.get(&name[..at])
                {
                    see(value);
                }
            }
        }
        if let Some(value) = &self.any {
            see(value);
        }
    }

    /// The same with other values.
    pub(super) fn map<U>(self, mut change: impl FnMut(T) -> U) -> Hosts<U> {
        let mut each =
            |map: HashMap<Box<str>, T>| map.into_iter().map(|(key, value)| (key, change(value))).collect();
        let (plain, left, right) = (each(self.plain), each(self.left), each(self.right));
        Hosts { plain, left, right, any: self.any.map(change) }
    }
}

impl<T> Default for Hosts<T> {
    fn default() -> Self {
        Self { plain: HashMap::new(), left: HashMap::new(), right: HashMap::new(), any: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_takes_labels_but_not_none() {
        check("a.example", &["a.example", "*.example", "a.*", "any"]);
        check("b.a.example", &["*.a.example", "*.example", "any"]);
        check("a.example.com", &["a.*", "a.example.*", "any"]);
        check("example", &["any"]);
        check(".example", &["any"]);
        check("a.", &["any"]);
        check("a..example", &["*.example", "a.*", "any"]);
        check("", &["any"]);
    }

    fn check(name: &str, expected: &[&str]) {
        let mut hosts = Hosts::<String>::default();
        *hosts.entry(None) = "any".into();
        for pattern in ["a.example", "*.example", "*.a.example", "a.*", "a.example.*"] {
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
