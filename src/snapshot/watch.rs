//! Replaced certificates are taken over without a restart, and what was refused is tried again.
//!
//! Run by `app`. Files are looked at rather than watched: that works on every mount, with the symbolic links of
//! Kubernetes secrets and with docker volumes, and costs a handful of system calls. What cannot be loaded changes
//! nothing: the last good one stays, and a refusal lasts as long as its cause.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rustls::pki_types::UnixTime;
use tokio::sync::Notify;

use super::Snapshot;
use super::contents::Contents;
use super::rest::Rest;
use crate::config::{Config, Problems};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What is refused is tried again after this time, then after twice as long, and so on.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// But never later than this.
const LAST_RETRY: Duration = Duration::from_secs(30);

/// A file system that answers later than this is named.
const SLOW: Duration = Duration::from_secs(30);

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

/// Replaces the published snapshot whenever one of its files changes or one of its certificates begins or ends
/// to be valid, and when `look_now` is asked, for as long as it is polled.
pub async fn replace_on_change(config: Config, published: Arc<ArcSwap<Snapshot>>, look_now: LookNow) {
    let mut watcher = Watcher::new(config, published);
    loop {
        let asked = tokio::time::timeout(LOOK_EVERY, look_now.0.notified()).await.is_ok();
        watcher.look(asked).await;
    }
}

struct Watcher {
    config: Arc<Config>,
    /// For people.
    what: &'static str,
    published: Arc<ArcSwap<Snapshot>>,
    /// What the files held at the last look.
    seen: Arc<Contents>,
    rest: Rest,
    refused: Option<Refused>,
    /// Problems of what is refused that were told already.
    told: BTreeSet<String>,
}

/// What is on disk and cannot be loaded.
struct Refused {
    contents: Arc<Contents>,
    since: Instant,
    retry_after: Duration,
    retry_at: Instant,
}

impl Watcher {
    fn new(config: Config, published: Arc<ArcSwap<Snapshot>>) -> Self {
        let what = if config.declarative.is_some() { "configuration files" } else { "certificates" };
        let seen = Arc::new(published.load().contents.clone());
        let (config, rest, told) = (Arc::new(config), Rest::default(), BTreeSet::new());
        Self { config, what, published, seen, rest, refused: None, told }
    }

    async fn look(&mut self, asked: bool) {
        let (config, before) = (Arc::clone(&self.config), Arc::clone(&self.seen));
        let Some(seen) = self.off_thread(move || Contents::of(&config, &before)).await else { return };
        let now = Instant::now();
        if !seen.is_same(&self.seen) {
            self.rest.note_change(now, seen.has_grown_since(&self.seen));
        }
        self.seen = Arc::new(seen);
        let in_force = self.published.load_full();
        if asked {
            self.told.clear();
            self.load(&in_force, true).await;
        } else if self.is_due(&in_force, now) {
            self.load(&in_force, false).await;
        }
    }

    fn is_due(&mut self, in_force: &Snapshot, now: Instant) -> bool {
        let differs = !self.seen.is_same(&in_force.contents);
        let is_taken_unrested = self.rest.is_restless(now) && !self.may_be_half_a_configuration();
        match &self.refused {
            Some(refused) if refused.contents.is_same(&self.seen) => now >= refused.retry_at,
            _ if differs => self.rest.is_at_rest(now) || is_taken_unrested,
            Some(refused) => {
                let seconds = now.duration_since(refused.since).as_secs();
                tracing::info!("{} are again those that are in force, after {seconds} s", self.what);
                (self.refused, self.told) = (None, BTreeSet::new());
                false
            }
            None => in_force.judged.until.is_some_and(|until| UnixTime::now() >= until),
        }
    }

    /// A declarative file that is still being written may leave out the plugins at its end.
    fn may_be_half_a_configuration(&self) -> bool {
        self.config.declarative.is_some() && self.rest.may_be_partial()
    }

    async fn load(&mut self, in_force: &Arc<Snapshot>, asked: bool) {
        let (config, seen, before) = (Arc::clone(&self.config), Arc::clone(&self.seen), Arc::clone(in_force));
        let read = move || {
            let loaded = before.again(&config, Contents::clone(&seen), UnixTime::now());
            (loaded, Contents::of(&config, &seen))
        };
        // On a thread of its own: a large file takes a while, in which connections are accepted all the same.
        let Some((loaded, after)) = self.off_thread(read).await else {
            return self.refuse(&Problems::default(), Instant::now());
        };
        let now = Instant::now();
        let is_restless = self.rest.is_restless(now);
        if !after.is_same(&self.seen) && !asked && !is_restless {
            // Changed while it was read: it is looked at again.
            self.rest.note_change(now, after.has_grown_since(&self.seen));
            self.seen = Arc::new(after);
            return;
        }
        match loaded {
            Ok(snapshot) => self.put_in_force(snapshot, in_force, asked, now),
            Err(problems) => {
                self.refuse(&problems, now);
                self.rest.tried_in_vain(now);
            }
        }
    }

    fn put_in_force(&mut self, snapshot: Snapshot, before: &Snapshot, asked: bool, now: Instant) {
        let what = self.what;
        let is_replaced = !snapshot.contents.is_same(&before.contents);
        let is_judged_anew = !snapshot.judged.is_same(&before.judged);
        let kept = snapshot.kept().clone();
        let refused = if kept.is_empty() { self.refused.take() } else { None };
        if kept.is_empty() {
            self.told.clear();
            self.rest.taken_over(now);
        }
        let known: BTreeSet<_> =
            before.cautions.iter().map(|caution| timeless(&caution.to_string())).collect();
        let cautions = snapshot.cautions.iter().map(ToString::to_string);
        let cautions: Vec<_> = cautions.filter(|caution| !known.contains(&timeless(caution))).collect();
        let has_more = snapshot.judged.takes_in_since(&before.judged);
        if is_replaced || is_judged_anew {
            self.published.store(Arc::new(snapshot));
        }
        for caution in cautions {
            tracing::warn!("{caution}");
        }
        let after = refused.map(|refused| {
            let seconds = now.duration_since(refused.since).as_secs();
            format!(" (they were refused for {seconds} s)")
        });
        let after = after.unwrap_or_default();
        match () {
            () if is_replaced && !kept.is_empty() => {
                tracing::info!("{what} were replaced: those of them that are good are in force");
            }
            () if !kept.is_empty() => {}
            () if is_replaced => tracing::info!("{what} were replaced: the new ones are in force{after}"),
            () if has_more => tracing::info!("{what} that were not valid before are in force{after}"),
            () if asked && !is_judged_anew => tracing::info!("looked at all files: nothing changed"),
            () if asked => tracing::info!("looked at all files: what is valid of them was judged anew"),
            () => {}
        }
        if !kept.is_empty() {
            self.refuse(&kept, now);
            self.rest.tried_in_vain(now);
        }
    }

    fn refuse(&mut self, problems: &Problems, now: Instant) {
        let is_known = |refused: &Refused| refused.contents.is_same(&self.seen);
        let known = self.refused.take();
        let since = known.as_ref().map_or(now, |refused| refused.since);
        let retry_after = match known.filter(is_known) {
            Some(refused) => (refused.retry_after * 2).min(LAST_RETRY),
            None => {
                // Of other contents the same may be told again, but not several times a second.
                if self.rest.is_at_rest(now) {
                    self.told.clear();
                }
                FIRST_RETRY
            }
        };
        for problem in problems.iter().map(ToString::to_string) {
            if self.told.insert(timeless(&problem)) {
                tracing::warn!("the last good {} stay in force: {problem}", self.what);
            }
        }
        let (contents, retry_at) = (Arc::clone(&self.seen), now + retry_after);
        self.refused = Some(Refused { contents, since, retry_after, retry_at });
    }

    /// Nobody waits for a file system but the watcher itself. `None` after a panic, which is logged.
    async fn off_thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let mut task = tokio::task::spawn_blocking(work);
        let done = match tokio::time::timeout(SLOW, &mut task).await {
            Ok(done) => done,
            Err(_) => {
                let what = self.what;
                tracing::warn!(
                    "reading {what} again takes longer than {SLOW:?}: the last good ones stay in force; does a network file system not answer?"
                );
                task.await
            }
        };
        // That it panicked was told with its place; the error would quote what was read.
        done.inspect_err(|_| tracing::error!("reading {} again failed", self.what)).ok()
    }
}

/// A line without its numbers and units of time, by which two lines about one thing differ: `expired 5 minutes
/// ago`.
fn timeless(line: &str) -> String {
    let units = ["second", "minute", "hour", "day"];
    let is_time = |word: &&str| {
        word.bytes().all(|byte| byte.is_ascii_digit()) || units.contains(&word.trim_end_matches('s'))
    };
    line.split(' ').filter(|word| !is_time(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::config::{self, Layers, Mode};
    use crate::pki::{Authority, Development, create_all};

    /// A watcher of a gateway whose files are in this folder.
    fn watcher(folder: &Path) -> Watcher {
        create_all(&Development::new(&["localhost"], "app", 2).unwrap().files(folder)).unwrap();
        let path = |name: &str| folder.join(name).display().to_string();
        let environment = [
            ("UPSTREAM_URL", "http://127.0.0.1:9".to_owned()),
            ("SSL_CERT", path("server.crt")),
            ("SSL_CERT_KEY", path("server.key")),
            ("MTLS_AUTH_CA_CERTIFICATES", path("ca.crt")),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.into())).to_vec();
        let layers = Layers { mode: Some(Mode::Gateway), environment, flags: Vec::new() };
        let config = config::load(&layers).unwrap().config;
        let snapshot = Snapshot::load(&config, UnixTime::now()).unwrap();
        Watcher::new(config, Arc::new(ArcSwap::from_pointee(snapshot)))
    }

    #[tokio::test]
    async fn what_just_changed_waits_for_its_rest_unless_somebody_asks() {
        let folder = tempfile::tempdir().unwrap();
        let mut watcher = watcher(folder.path());
        let first = watcher.published.load_full();
        fs::write(folder.path().join("ca.crt"), Authority::new("another").unwrap().certificate_pem())
            .unwrap();
        watcher.look(false).await;
        assert!(Arc::ptr_eq(&first, &watcher.published.load_full()));
        watcher.look(true).await;
        let second = watcher.published.load_full();
        assert!(!Arc::ptr_eq(&first, &second));
        watcher.look(true).await;
        assert!(Arc::ptr_eq(&second, &watcher.published.load_full()), "nothing changed");
    }

    #[tokio::test]
    async fn what_is_refused_is_tried_after_twice_as_long_each_time_up_to_half_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let mut watcher = watcher(folder.path());
        fs::write(folder.path().join("server.key"), "garbage").unwrap();
        let mut waits = Vec::new();
        for _ in 0..7 {
            watcher.look(true).await;
            waits.push(watcher.refused.as_ref().unwrap().retry_after.as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        let told = watcher.told.len();
        watcher.look(false).await;
        assert_eq!((told, watcher.told.len()), (1, 1), "it is not due, and told once");
    }

    #[test]
    fn lines_that_differ_in_the_time_alone_are_one() {
        let line = |time: &str| timeless(&format!("ssl_cert=/a (default): it expired {time} ago"));
        assert_eq!(line("1 second"), line("2 days"));
        assert_ne!(line("1 second"), timeless("ssl_cert=/b (default): it expired 1 second ago"));
        assert_ne!(timeless("line 3: wrong"), timeless("line 5: wrong"));
    }
}
