//! What has changed in the files that hold settings since the start.
//!
//! Certificates and declarative files are taken over while the program runs (`snapshot::watch`); settings
//! are read once. Whoever sends SIGHUP after changing one is told that it waits for a restart, and whether
//! the restart would work.

use std::collections::BTreeMap;

use crate::config::{self, Layers, Loaded, Said};

/// Where the settings came from, and which are in force.
#[derive(Debug)]
pub struct InForce {
    layers: Layers,
    effective: Vec<Said>,
}

impl InForce {
    /// Remembers what was loaded from where.
    #[must_use]
    pub fn new(layers: &Layers, loaded: &Loaded) -> Self {
        Self { layers: layers.clone(), effective: loaded.effective.clone() }
    }

    /// Reads the files again and logs what in them waits for a restart. The environment is that of the start.
    pub fn tell_changes(&self) {
        match config::load(&self.layers) {
            Ok(now) => {
                let changed = changed(&self.effective, &now.effective);
                if !changed.is_empty() {
                    let changed = changed.join(", ");
                    tracing::warn!("a restart is needed for what has changed in the settings: {changed}");
                }
            }
            Err(problems) => {
                for problem in problems.iter() {
                    tracing::warn!(
                        "the settings stay as they are; the next start would be refused: {problem}"
                    );
                }
            }
        }
    }
}

/// The keys of settings that have another value, each with where it comes from now; never the value,
/// which may be secret.
fn changed(before: &[Said], now: &[Said]) -> Vec<String> {
    let by_key = |said: &'_ [Said]| -> BTreeMap<String, Said> {
        said.iter().map(|said| (said.key().to_owned(), said.clone())).collect()
    };
    let (before, now) = (by_key(before), by_key(now));
    let is_new = |said: &&Said| before.get(said.key()).is_none_or(|old| old.value() != said.value());
    let new = now.values().filter(is_new).map(|said| format!("{} ({})", said.key(), said.origin()));
    let gone = before.values().filter(|said| !now.contains_key(said.key()));
    new.chain(gone.map(|said| format!("{} (no longer set)", said.key()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    #[test]
    fn changes_are_named_by_key_and_origin_without_their_values() {
        let said = |key: &str, value: &str| Said::new(key, value, Origin::DEFAULT);
        let before = [said("a", "1"), said("secret", "old"), said("gone", "x")];
        let now = [said("a", "1"), said("secret", "hunter2"), said("added", "y")];
        assert_eq!(changed(&before, &now), ["added (default)", "secret (default)", "gone (no longer set)"]);
        assert_eq!(changed(&now, &now), Vec::<String>::new());
    }
}
