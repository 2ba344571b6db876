//! The state: read whole, written whole, and held by one run at a time, wherever it is kept.

mod backups;
mod bucket;
mod file;
mod holder;
mod lock;
mod waiting;

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use reconcile_aws::{
    ConnectError,
    s3::{Bucket, Place, Tag},
};
use reconcile_core::{
    config::{Config, S3State, StackName},
    state::{State, StateError},
};
use reconcile_engine::{CloudError, StateStore, StopSignal, StoreError};
use thiserror::Error;

use bucket::{BucketLock, BucketState};
pub(crate) use bucket::{Unsaved, let_go};
pub(crate) use file::StateFile;
pub(crate) use holder::{Holder, Life};
use lock::{FileLock, Left, Now};
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
    /// In an object on S3.
    Bucket(Arc<BucketState>),
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
    /// One on S3.
    Bucket {
        /// Lets go of it.
        _lock: BucketLock,
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
    /// S3 refuses, or cannot be reached.
    #[error(transparent)]
    Cloud(#[from] Box<CloudError>),
    /// A run on this machine could not write what it did.
    #[error("an earlier run could not write the state to `{place}` and left it in `{}`", file.display())]
    Unpushed {
        /// Where it is.
        file: PathBuf,
        /// Where it should be.
        place: String,
    },
    /// The state is still where it was before it was shared.
    #[error("there is no state in `{place}`, and one in `{}`", file.display())]
    NotMigrated {
        /// Where it is.
        file: PathBuf,
        /// Where it should be.
        place: String,
    },
}

impl From<CloudError> for ReadError {
    fn from(error: CloudError) -> Self {
        Self::Cloud(Box::new(error))
    }
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
    /// S3 refuses, or cannot be reached.
    #[error(transparent)]
    Cloud(#[from] Box<CloudError>),
}

impl From<CloudError> for LockError {
    fn from(error: CloudError) -> Self {
        Self::Cloud(Box::new(error))
    }
}

/// What came of the wish to remove a lock.
#[derive(Debug)]
pub(crate) enum Unlocking {
    /// Nothing holds the state.
    Free,
    /// This one does, if it can be read.
    Held(Option<Box<Holder>>, Removal),
}

/// How a lock is removed.
#[derive(Debug)]
pub(crate) enum Removal {
    /// Only by ending the process that holds it: the system keeps the lock.
    ByEndingIt,
    /// By [`Store::unlock`].
    ByDeleting(Tag),
}

impl Store {
    /// The state in a file, which need not exist.
    pub(crate) fn file(path: PathBuf) -> Self {
        Self::File(StateFile::new(path))
    }

    /// The state of a stack in an object on S3; makes no call.
    ///
    /// # Errors
    /// If the calls cannot be prepared.
    pub(crate) async fn bucket(config: &Config, state: &S3State) -> Result<Self, ConnectError> {
        let place = Place {
            bucket: state.bucket.clone(),
            region: state.region.clone().or_else(|| config.region.clone()),
            profile: config.profile.clone(),
            owner: state.owner.clone(),
            kms_key: state.kms_key.clone(),
        };
        let bucket = Bucket::connect(place).await?;
        let key = state.key(&config.name);
        Ok(Self::Bucket(Arc::new(BucketState::new(
            bucket,
            key,
            default_path(&config.name),
        ))))
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::File(file) => file.path().display().to_string(),
            Self::Bucket(bucket) => bucket.place(),
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
            Self::Bucket(bucket) => {
                let (lock, ()) = tokio::join!(bucket.lock(&holder, &mut waiting, stop), bucket.check_versioning());
                Ok(Lock::Bucket { _lock: lock? })
            }
        }
    }

    /// Reads the state; where none is kept, it is that of a stack of which nothing exists yet.
    ///
    /// # Errors
    /// If it cannot be read or used. An empty file is damaged, not new: a state that got lost must not pass for none.
    pub(crate) async fn read(&self, stack: &StackName) -> Result<State, ReadError> {
        let state = self.existing().await?;
        if let Self::Bucket(bucket) = self {
            bucket.check(state.as_ref())?;
        }
        Ok(state.unwrap_or_else(|| State::empty(stack.clone(), new_lineage())))
    }

    /// Reads the state; `None` if none is kept.
    ///
    /// # Errors
    /// If it cannot be read or used.
    pub(crate) async fn existing(&self) -> Result<Option<State>, ReadError> {
        match self {
            Self::File(file) => file.existing(),
            Self::Bucket(bucket) => bucket.existing().await,
        }
    }

    /// Keeps the state as it is, whatever it is, and tells where; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub(crate) fn back_up(&self) -> Result<Option<String>, BackupError> {
        match self {
            Self::File(file) => Ok(file.back_up()?.map(|path| path.display().to_string())),
            // The bucket keeps the versions.
            Self::Bucket(_) => Ok(None),
        }
    }
}

impl Store {
    /// Whether anything holds the state, and how that could be removed.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub(crate) async fn unlocking(&self) -> Result<Unlocking, LockError> {
        Ok(match self {
            Self::File(file) => match FileLock::holder(file.path())? {
                Now::Free => Unlocking::Free,
                Now::Held(holder) => Unlocking::Held(holder.map(Box::new), Removal::ByEndingIt),
            },
            Self::Bucket(bucket) => match bucket.holder().await? {
                None => Unlocking::Free,
                Some((holder, tag)) => Unlocking::Held(holder.map(Box::new), Removal::ByDeleting(tag)),
            },
        })
    }

    /// Removes a lock, if it still is this one.
    ///
    /// # Errors
    /// If S3 refuses or cannot be reached.
    pub(crate) async fn unlock(&self, tag: &Tag) -> Result<bool, LockError> {
        match self {
            Self::File(_) => Ok(false),
            Self::Bucket(bucket) => bucket.unlock(tag).await,
        }
    }

    /// The state of this file is in its place now.
    pub(crate) fn pushed(&self, file: &Path) {
        if let Self::Bucket(bucket) = self {
            bucket.pushed(file);
        }
    }

    /// Puts the state out of use here, and tells where it is kept.
    ///
    /// # Errors
    /// If it cannot be moved.
    pub(crate) async fn retire(&self) -> Result<String, RetireError> {
        let suffix = format!(".migrated-{}", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"));
        match self {
            Self::File(file) => Ok(file.retire(&suffix)?.display().to_string()),
            Self::Bucket(bucket) => Ok(bucket.retire(&suffix).await.map_err(Box::new)?),
        }
    }
}

/// Why a state cannot be put out of use.
#[derive(Debug, Error)]
pub(crate) enum RetireError {
    /// The system refuses.
    #[error(transparent)]
    System(#[from] io::Error),
    /// S3 refuses, or cannot be reached.
    #[error(transparent)]
    Cloud(#[from] Box<CloudError>),
}

impl StateStore for Store {
    async fn save(&self, state: &State) -> Result<(), StoreError> {
        match self {
            Self::File(file) => file.save(state).await,
            Self::Bucket(bucket) => bucket.save(state).await,
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
