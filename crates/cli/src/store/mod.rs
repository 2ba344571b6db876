//! The state file: read whole, written whole, and held by one run at a time.

mod lock;

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use reconcile_core::{
    config::StackName,
    limits,
    state::{State, StateError},
};
use reconcile_engine::{StateStore, StoreError};
use tempfile::NamedTempFile;
use thiserror::Error;

use crate::files::read_text;

pub(crate) use lock::{Holder, Lock, LockError};

/// Where a stack's state is kept unless said otherwise, relative to the working directory.
pub(crate) fn default_path(stack: &StackName) -> PathBuf {
    Path::new("state").join(format!("{stack}.json"))
}

/// A state file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateFile {
    path: PathBuf,
}

/// Why a state file cannot be read.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    /// The system refuses.
    #[error("cannot read the state file `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// It is damaged or too new.
    #[error("cannot use the state file `{}`", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: StateError,
    },
}

/// Why a state file cannot be kept as a backup.
#[derive(Debug, Error)]
#[error("cannot keep a backup of the state file: `{}`", path.display())]
pub(crate) struct BackupError {
    /// The file that cannot be read or written.
    path: PathBuf,
    /// The system's error.
    source: io::Error,
}

impl StateFile {
    /// The file at `path`, which need not exist.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the state; a file that is not there is the state of a stack of which nothing exists yet.
    ///
    /// # Errors
    /// If it cannot be read or used. An empty file is damaged, not new: a state that got lost must not pass for none.
    pub(crate) fn read(&self, stack: &StackName) -> Result<State, ReadError> {
        let state = self.existing()?;
        Ok(state.unwrap_or_else(|| State::empty(stack.clone(), new_lineage())))
    }

    /// Reads the state; `None` if there is no file.
    ///
    /// # Errors
    /// If it cannot be read or used.
    pub(crate) fn existing(&self) -> Result<Option<State>, ReadError> {
        let text = match read_text(&self.path, limits::STATE_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // No text at all is damage of the content, not of the way to it.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(ReadError::Unusable {
                    path: self.path.clone(),
                    source: StateError::Damaged {
                        line: 1,
                        column: 1,
                        message: "it is not text".to_owned(),
                    },
                });
            }
            Err(source) => {
                return Err(ReadError::Unreadable {
                    path: self.path.clone(),
                    source,
                });
            }
        };
        let state = State::read(&text).map_err(|source| ReadError::Unusable {
            path: self.path.clone(),
            source,
        })?;
        Ok(Some(state))
    }

    /// Keeps the file as it is beside itself, in place of an earlier backup; `None` if there is no file.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub(crate) fn back_up(&self) -> Result<Option<PathBuf>, BackupError> {
        let failed = |path: &Path, source| BackupError {
            path: path.to_owned(),
            source,
        };
        let target = self.target().map_err(|source| failed(&self.path, source))?;
        let content = match fs::read(&target) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(&target, source)),
        };
        let mut backup = target.into_os_string();
        backup.push(".backup");
        let backup = PathBuf::from(backup);
        replace(&backup, &content).map_err(|source| failed(&backup, source))?;
        Ok(Some(backup))
    }

    /// The file itself: a link is followed, so that what it leads to is replaced and not the link.
    fn target(&self) -> io::Result<PathBuf> {
        match fs::canonicalize(&self.path) {
            Ok(target) => Ok(target),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(self.path.clone()),
            Err(error) => Err(error),
        }
    }

    /// Replaces the state: when this returns, the new one is durable; a crash leaves the old or the new one.
    fn write(&self, text: &str) -> io::Result<()> {
        replace(&self.target()?, text.as_bytes())
    }
}

/// Replaces a file as a whole and makes that durable.
fn replace(target: &Path, content: &[u8]) -> io::Result<()> {
    let folder = folder_of(target);
    make_folder(folder)?;
    // The temporary file is the owner's alone (mode 0600), and so is what it becomes.
    let mut file = NamedTempFile::with_prefix_in(".state-", folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(target).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// What tells a new state from all others.
pub(crate) fn new_lineage() -> String {
    uuid::Uuid::new_v4().to_string()
}

impl StateStore for StateFile {
    async fn save(&self, state: &State) -> Result<(), StoreError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| StoreError {
            place: self.path.display().to_string(),
            source,
        };
        let text = state.write().map_err(|error| failed(error.into()))?;
        let file = self.clone();
        // A disk can take its time to sync; the other steps of the run go on meanwhile.
        let written = tokio::task::spawn_blocking(move || file.write(&text)).await;
        match written {
            Ok(result) => result.map_err(|error| failed(error.into())),
            Err(error) => Err(failed(error.into())),
        }
    }
}

/// The folder that holds the file.
fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Makes the folder if it is not there, for its owner alone. One that is there stays as it is.
fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes the new name of a file durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn stack() -> StackName {
        serde_json::from_value(serde_json::json!("www-example-com")).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn what_is_saved_is_read_again_and_is_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path().join("new/folder/www.json"));
        let mut state = file.read(&stack()).unwrap();
        assert_eq!((state.serial, state.lineage.len()), (0, 36));
        state.serial = 7;
        file.save(&state).await.unwrap();
        file.save(&state).await.unwrap();
        assert_eq!(file.read(&stack()).unwrap(), state);
        let mode = fs::metadata(file.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            names(file.path().parent().unwrap()),
            ["www.json"],
            "nothing temporary is left"
        );
    }

    #[tokio::test]
    async fn a_state_that_cannot_be_written_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path().join("www.json"));
        let state = file.read(&stack()).unwrap();
        file.save(&state).await.unwrap();
        // A folder in the place of the file cannot be replaced by a file.
        let blocked = StateFile::new(folder.path().join("blocked"));
        fs::create_dir_all(folder.path().join("blocked/inside")).unwrap();
        let error = blocked.save(&state).await.unwrap_err();
        assert!(error.place.ends_with("blocked"));
        assert_eq!(
            names(folder.path()),
            ["blocked", "www.json"],
            "nothing temporary is left"
        );
        assert_eq!(file.read(&stack()).unwrap(), state);
    }

    #[tokio::test]
    async fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let real = StateFile::new(folder.path().join("real.json"));
        let state = real.read(&stack()).unwrap();
        real.save(&state).await.unwrap();
        let link = folder.path().join("link.json");
        symlink(real.path(), &link).unwrap();
        let mut newer = state;
        newer.serial = 1;
        StateFile::new(link.clone()).save(&newer).await.unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
        assert_eq!(real.read(&stack()).unwrap(), newer);
    }

    #[test]
    fn a_backup_is_the_file_as_it_was_whatever_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path().join("www.json"));
        assert_eq!(file.back_up().unwrap(), None);
        for content in [b"{ damaged".as_slice(), b"\xff\xfe newer"] {
            fs::write(file.path(), content).unwrap();
            let backup = file.back_up().unwrap().unwrap();
            assert!(backup.ends_with("www.json.backup"));
            assert_eq!(fs::read(&backup).unwrap(), content);
            let mode = fs::metadata(&backup).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert!(matches!(file.existing(), Err(ReadError::Unusable { .. })));
    }

    #[test]
    fn damage_is_told_with_its_place_and_a_lost_content_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path().join("www.json"));
        let cause = |text: &str| {
            fs::write(file.path(), text).unwrap();
            let error = file.read(&stack()).unwrap_err();
            assert!(error.to_string().contains("www.json"), "{error}");
            std::error::Error::source(&error).unwrap().to_string()
        };
        assert!(cause("").contains("damaged at line 1"));
        assert!(cause("{\n  \"format_version\": 1\n").contains("line 3"));
        assert!(cause("{ \"format_version\": 99 }").contains("99"));
    }
}
