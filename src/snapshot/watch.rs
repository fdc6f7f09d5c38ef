//! Replaced certificates are taken over without a restart.
//!
//! Run by `app`. Files are looked at once a second rather than watched: that works on every
//! mount, with the symbolic links of Kubernetes secrets and with docker volumes, and costs a
//! handful of system calls. What cannot be loaded changes nothing: the last good one stays.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::pki_types::UnixTime;
use tokio::sync::Notify;

use super::{Snapshot, files};
use crate::config::Config;

/// A new certificate is in force within about this time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Asks for a look at all files now, whatever their stamps say; the outcome is logged. Clones ask the
/// same watcher, and what is asked several times before it looks is asked once.
#[derive(Debug, Clone, Default)]
pub struct LookNow(Arc<Notify>);

impl LookNow {
    /// Returns at once; may be called from any thread.
    pub fn ask(&self) {
        self.0.notify_one();
    }
}

/// Replaces the published snapshot whenever one of its files changes, or when `look_now` is asked, for as
/// long as it is polled.
pub async fn replace_on_change(config: Config, published: Arc<ArcSwap<Snapshot>>, look_now: LookNow) {
    let mut told = BTreeSet::new();
    let (mut before, mut refused) = (None, None);
    loop {
        let asked = tokio::time::timeout(LOOK_EVERY, look_now.0.notified()).await.is_ok();
        let now = Stamps::of(&config);
        if asked && now == published.load().stamps {
            tracing::info!("looked at all files: nothing changed");
        }
        if asked {
            (before, refused) = (Some(now.clone()), None);
            told.clear();
        }
        let is_new = now != published.load().stamps && Some(&now) != refused.as_ref();
        // Half a declarative file can be a whole one that says less: it must have come to rest. Half a
        // certificate is none.
        let is_resting = config.declarative.is_none() || before.replace(now.clone()).as_ref() == Some(&now);
        if !is_new || !is_resting {
            continue;
        }
        let what = if config.declarative.is_some() { "configuration files" } else { "certificates" };
        // On a thread of its own: a large file takes a while, in which connections are accepted all the same.
        let again = config.clone();
        match tokio::task::spawn_blocking(move || Snapshot::load(&again, UnixTime::now())).await {
            // Changed while it was read: it is looked at again.
            Ok(Ok(_)) if config.declarative.is_some() && Stamps::of(&config) != now => {}
            Ok(Ok(snapshot)) => {
                published.store(Arc::new(snapshot));
                told.clear();
                tracing::info!("{what} were replaced: the new ones are in force");
            }
            Ok(Err(problems)) => {
                // A pair is replaced file by file, so a mismatch may be gone a second later.
                for problem in problems.iter().map(ToString::to_string) {
                    if told.insert(problem.clone()) {
                        tracing::warn!("the last good {what} stay in force: {problem}");
                    }
                }
                refused = Some(now);
            }
            Err(error) => tracing::error!("reading {what} again failed: {error}"),
        }
    }
}

/// How the files of a snapshot looked just before they were read, so that no change in
/// between is missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamps(Vec<(PathBuf, Stamp)>);

/// What tells one state of a file from another; `None` while there is none.
type Stamp = Option<(SystemTime, u64, u64)>;

impl Stamps {
    /// Looks at every file the configuration names.
    pub(super) fn of(config: &Config) -> Self {
        Self(files::named_by(config).into_iter().map(|path| (path.clone(), look(&path))).collect())
    }
}

fn look(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
}
