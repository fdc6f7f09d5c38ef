//! What the files of a configuration held when they were looked at: the digest of each.
//!
//! Used by `watch`, and kept with each snapshot. A file whose stamp is the same is not read again, unless it
//! was written a moment ago: stamps are coarser than writes. Files that cannot be read twice, such as pipes,
//! are never read here.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{Context, SHA256};

use super::files;
use crate::config::Config;

/// All files that a configuration names, in its order.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents(Vec<Looked>);

#[derive(Debug, Clone)]
struct Looked {
    path: PathBuf,
    stamp: Option<Stamp>,
    content: Content,
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// The same of a change of name, mode or owner.
    changed: (i64, i64),
    length: u64,
    inode: (u64, u64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Digest([u8; 32]),
    Unreadable(ErrorKind),
    /// A pipe, a folder: reading it tells nothing, or takes it away from whoever needs it.
    NoFile,
}

impl Contents {
    /// Looks at every file the configuration names. What `before` tells of those that did not change is taken
    /// over.
    pub(super) fn of(config: &Config, before: &Self) -> Self {
        let look = |(at, path): (usize, PathBuf)| {
            let known = before.0.get(at).filter(|known| known.path == path);
            Looked::at(path, known)
        };
        Self(files::named_by(config).into_iter().enumerate().map(look).collect())
    }

    /// The same, but of the files at `kept` what `before` tells.
    pub(super) fn with(self, before: &Self, kept: &[PathBuf]) -> Self {
        let is_known = |path: &Path| before.0.iter().find(|known| known.path == path);
        let of_each = self.0.into_iter().filter_map(|looked| match kept.contains(&looked.path) {
            true => is_known(&looked.path).cloned(),
            false => Some(looked),
        });
        Self(of_each.collect())
    }

    /// Whether the same files hold the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let each =
            |looked: &Looked, other: &Looked| looked.path == other.path && looked.content == other.content;
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(one, other)| each(one, other))
    }

    /// Whether one of them is the same file as in `before`, and longer: somebody may still be writing it.
    pub(super) fn has_grown_since(&self, before: &Self) -> bool {
        let grown = |now: &Stamp, before: &Stamp| now.inode == before.inode && now.length > before.length;
        self.0.iter().any(|looked| {
            let known = before.0.iter().find(|known| known.path == looked.path);
            looked
                .stamp
                .zip(known.and_then(|known| known.stamp))
                .is_some_and(|(now, before)| grown(&now, &before))
        })
    }
}

impl Looked {
    fn at(path: PathBuf, known: Option<&Self>) -> Self {
        let metadata = fs::metadata(&path);
        let stamp = metadata.as_ref().ok().map(Stamp::of);
        let content = match (metadata, stamp, known) {
            (Err(error), ..) => Content::Unreadable(error.kind()),
            (Ok(metadata), ..) if !metadata.is_file() => Content::NoFile,
            (_, Some(stamp), Some(Self { stamp: Some(before), content: Content::Digest(digest), .. }))
                if stamp == *before && !stamp.is_recent() =>
            {
                Content::Digest(*digest)
            }
            _ => digest(&path).map_or_else(|error| Content::Unreadable(error.kind()), Content::Digest),
        };
        Self { path, stamp, content }
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            length: metadata.len(),
            inode: (metadata.dev(), metadata.ino()),
        }
    }

    /// Another write may have left the same stamp: file systems count in ticks, of two seconds at most.
    fn is_recent(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        i64::try_from(now).unwrap_or_default().abs_diff(self.changed.0) <= 2
    }
}

fn digest(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?.take(MAX_BYTES);
    let (mut context, mut piece) = (Context::new(&SHA256), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => context.update(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    Ok(bytes)
}

/// More than any of them may have: what is longer is refused by its reader.
const MAX_BYTES: u64 = 65 << 20;
