//! The state: read whole, written whole, and held by one run at a time, wherever it is kept.

mod backups;
mod file;
mod holder;
mod lock;
mod waiting;

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use reconcile_core::{
    config::StackName,
    state::{State, StateError},
};
use reconcile_engine::{StateStore, StopSignal, StoreError};
use thiserror::Error;

pub(crate) use file::StateFile;
pub(crate) use holder::Holder;
use lock::{FileLock, Left};
use waiting::Waiting;

use crate::output;

/// Where a stack's state is kept unless said otherwise, relative to the working directory.
pub(crate) fn default_path(stack: &StackName) -> PathBuf {
    Path::new("state").join(format!("{stack}.json"))
}

/// What tells a new state from all others.
pub(crate) fn new_lineage() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Where the state of a stack is kept.
#[derive(Debug, Clone)]
pub(crate) enum Store {
    /// In a file of this machine.
    File(StateFile),
}

/// Holds a state until it is dropped.
#[derive(Debug)]
#[must_use = "the state is let go of when this is dropped"]
pub(crate) enum Lock {
    /// One in a file.
    File {
        /// Lets go of it.
        _lock: FileLock,
    },
}

/// Why a state cannot be read.
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
    #[error("cannot use the state in `{place}`")]
    Unusable {
        /// The file or object.
        place: String,
        /// Why.
        source: StateError,
        /// The newest earlier state that can be used.
        backup: Option<PathBuf>,
    },
}

/// Why a state cannot be kept as a backup.
#[derive(Debug, Error)]
#[error("cannot keep a backup of the state: `{}`", path.display())]
pub(crate) struct BackupError {
    /// The file that cannot be read or written.
    path: PathBuf,
    /// The system's error.
    source: io::Error,
}

/// Why a state cannot be locked.
#[derive(Debug, Error)]
pub(crate) enum LockError {
    /// Another run holds it.
    #[error(
        "another run holds the state in `{place}`{}{}",
        holder.as_ref().map(|holder| format!(": {holder}")).unwrap_or_default(),
        waited.as_ref().map(|waited| format!("; waited {waited:?}")).unwrap_or_default()
    )]
    Held {
        /// Where the state is.
        place: String,
        /// Who, if it can be read.
        holder: Option<Box<Holder>>,
        /// How long was waited for it, if at all.
        waited: Option<Duration>,
    },
    /// The user ended the wait.
    #[error("interrupted while waiting for the state; nothing was changed")]
    Interrupted,
    /// The system refuses.
    #[error("cannot lock the state file by `{}`", path.display())]
    System {
        /// The lock file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl Store {
    /// The state in a file, which need not exist.
    pub(crate) fn file(path: PathBuf) -> Self {
        Self::File(StateFile::new(path))
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::File(file) => file.path().display().to_string(),
        }
    }

    /// Holds the state against other runs, and waits for it up to `limit` if another run does.
    ///
    /// # Errors
    /// If another run holds it, or it cannot be locked.
    pub(crate) async fn lock(
        &self,
        command: &str,
        limit: Option<Duration>,
        stop: &StopSignal,
    ) -> Result<Lock, LockError> {
        let holder = Holder::this(command);
        let mut waiting = Waiting::new(limit, stop);
        match self {
            Self::File(file) => {
                let (lock, left) = FileLock::take(file.path(), &holder, &mut waiting).await?;
                if let Left::By(dead) = left {
                    output::note(&format!(
                        "The last run that held the state ended without letting go of it: {dead}. Carrying on from what it \
                         saved.\n"
                    ));
                }
                Ok(Lock::File { _lock: lock })
            }
        }
    }

    /// Reads the state; where none is kept, it is that of a stack of which nothing exists yet.
    ///
    /// # Errors
    /// If it cannot be read or used. An empty file is damaged, not new: a state that got lost must not pass for none.
    pub(crate) async fn read(&self, stack: &StackName) -> Result<State, ReadError> {
        let state = self.existing().await?;
        Ok(state.unwrap_or_else(|| State::empty(stack.clone(), new_lineage())))
    }

    /// Reads the state; `None` if none is kept.
    ///
    /// # Errors
    /// If it cannot be read or used.
    #[expect(clippy::unused_async, reason = "a state that is kept elsewhere is asked for")]
    pub(crate) async fn existing(&self) -> Result<Option<State>, ReadError> {
        match self {
            Self::File(file) => file.existing(),
        }
    }

    /// Keeps the state as it is, whatever it is, and tells where; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub(crate) fn back_up(&self) -> Result<Option<String>, BackupError> {
        match self {
            Self::File(file) => Ok(file.back_up()?.map(|path| path.display().to_string())),
        }
    }
}

impl StateStore for Store {
    async fn save(&self, state: &State) -> Result<(), StoreError> {
        match self {
            Self::File(file) => file.save(state).await,
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
