//! Files that are made once and never overwritten.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use super::Error;

/// A file that does not exist yet.
pub struct NewFile {
    /// Where it goes.
    pub path: PathBuf,
    /// What it holds.
    pub contents: String,
    /// Who may read it.
    pub access: Access,
}

/// Who may read a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody: mode 0644, less the umask.
    Public,
    /// The owner alone: mode 0600 from the first byte on.
    Secret,
    /// This user alone, likewise: only root can give a file away.
    SecretOf {
        /// The numeric user.
        user: u32,
        /// The numeric group, which may not read it either.
        group: u32,
    },
}

impl NewFile {
    /// `NAME.crt` and `NAME.key`: `stem` is the path without the ending.
    pub fn pair(stem: &Path, certificate_pem: String, key_pem: String) -> [Self; 2] {
        // Not `with_extension`, which would take the `.com` of a host name for an extension.
        let path = |ending: &str| {
            let mut path = stem.as_os_str().to_owned();
            path.push(ending);
            PathBuf::from(path)
        };
        [
            Self { path: path(".crt"), contents: certificate_pem, access: Access::Public },
            Self { path: path(".key"), contents: key_pem, access: Access::Secret },
        ]
    }
}

/// Writes all of them, and the directories they need, or none.
///
/// # Errors
/// [`Error::Exists`] when one is there already (a dangling link counts), [`Error::Write`] for any other
/// reason. Files made before the failure are removed again.
pub fn create_all(files: &[NewFile]) -> Result<(), Error> {
    for file in files {
        // A look first, so that the usual mistake touches nothing; `create_new` decides in a race.
        if file.path.symlink_metadata().is_ok() {
            return Err(Error::Exists(file.path.clone()));
        }
    }
    for (made, file) in files.iter().enumerate() {
        if let Err(error) = create(file) {
            for earlier in &files[..made] {
                // Best effort: the first error is the one to tell.
                let _ = fs::remove_file(&earlier.path);
            }
            return Err(error);
        }
    }
    Ok(())
}

fn create(file: &NewFile) -> Result<(), Error> {
    let failed = |path: &Path, source| Error::Write { path: path.to_owned(), source };
    if let Some(parent) = file.path.parent() {
        fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
    }
    let mode = match file.access {
        Access::Public => 0o644,
        Access::Secret | Access::SecretOf { .. } => 0o600,
    };
    let mut opened =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(&file.path).map_err(|error| {
            match error.kind() {
                io::ErrorKind::AlreadyExists => Error::Exists(file.path.clone()),
                _ => failed(&file.path, error),
            }
        })?;
    let given = match file.access {
        Access::SecretOf { user, group } => fchown(&opened, Some(user), Some(group)),
        Access::Public | Access::Secret => Ok(()),
    };
    given.and_then(|()| opened.write_all(file.contents.as_bytes())).map_err(|error| {
        let _ = fs::remove_file(&file.path); // half a key is worse than none
        failed(&file.path, error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(path: PathBuf) -> NewFile {
        NewFile { path, contents: "new".to_owned(), access: Access::Public }
    }

    #[test]
    fn a_failure_half_way_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let [first, below_a_file] = ["first", "first/second"].map(|name| public(directory.path().join(name)));
        let refusal = create_all(&[first, below_a_file]).unwrap_err();
        assert!(matches!(refusal, Error::Write { .. }), "{refusal}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_appears_after_the_look_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("raced");
        fs::write(&path, "theirs").unwrap();
        assert!(matches!(create(&public(path.clone())), Err(Error::Exists(named)) if named == path));
        assert_eq!(fs::read_to_string(path).unwrap(), "theirs");
    }

    #[test]
    fn a_dangling_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let [link, target] = ["link", "target"].map(|name| directory.path().join(name));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(matches!(create_all(&[public(link)]), Err(Error::Exists(_))));
        assert!(!target.exists());
    }

    #[test]
    fn a_host_name_keeps_its_last_label() {
        let [certificate, key] =
            NewFile::pair(Path::new("pki/api.example.com"), String::new(), String::new());
        assert_eq!(certificate.path, Path::new("pki/api.example.com.crt"));
        assert_eq!(key.path, Path::new("pki/api.example.com.key"));
    }
}
