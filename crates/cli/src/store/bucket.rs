//! A state in an object on S3, shared by all machines.
//!
//! Two conditions keep runs apart. The lock is an object that only one run can make, and is for people: it says who works.
//! The state is written only if it still is what this run read or wrote last, and that alone keeps it whole: even if the
//! lock is taken from a run, it cannot write over what another one wrote.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reconcile_aws::s3::{Bucket, Swap, Tag, Versioning};
use reconcile_core::state::{State, StateError};
use reconcile_engine::{CloudError, StopSignal, StoreError};
use thiserror::Error;
use tokio::task::JoinHandle;

use super::{Holder, LockError, ReadError, Waiting, file::replace, holder::Life};
use crate::{
    output,
    render::{clean, local},
};

/// The first pause between two attempts to lock; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause between two attempts to lock: the wait is over soon after the other run is.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long a run stays for its lock to be removed.
const RELEASE_LIMIT: Duration = Duration::from_secs(15);

/// The state in an object of a bucket.
#[derive(Debug)]
pub(crate) struct BucketState {
    bucket: Bucket,
    key: String,
    /// Where a state is left that cannot be written to the bucket.
    unsaved: PathBuf,
    /// Where the state of this stack would be if it were local.
    local: PathBuf,
    known: Mutex<Known>,
}

/// What this run knows of the object.
#[derive(Debug, Default)]
struct Known {
    /// Whether it was read.
    read: bool,
    /// The content that was read or written last; `None` is no object.
    tag: Option<Tag>,
    /// Its serial.
    serial: u64,
    /// Whether this run has written it.
    written: bool,
    /// Contents that this run tried to write, with an unknown result.
    undecided: Vec<Vec<u8>>,
    /// Whether this run left an unsaved state behind.
    left: bool,
}

/// Why a state was not written to the bucket.
#[derive(Debug, Error)]
#[error("{why}{}", match kept {
    Kept::Nothing => String::new(),
    Kept::File(path) => format!("; the state with what was done is kept in `{}`", path.display()),
    Kept::Nowhere(path, error) => format!("; nor can it be kept in `{}`: {error}", path.display()),
})]
pub(crate) struct Unsaved {
    why: Why,
    kept: Kept,
}

#[derive(Debug, Error)]
enum Why {
    #[error("another run has written the state since this one did")]
    Moved,
    #[error(transparent)]
    Cloud(CloudError),
    #[error(transparent)]
    Text(#[from] serde_json::Error),
}

/// Where the state is that was not written.
#[derive(Debug)]
enum Kept {
    /// Nothing was changed, so nothing is lost.
    Nothing,
    File(PathBuf),
    Nowhere(PathBuf, io::Error),
}

impl Unsaved {
    /// What to do.
    pub(crate) fn hint(&self) -> String {
        let remedy = match &self.why {
            Why::Moved => {
                return "the lock was taken from this run (`state unlock`), and another run has worked since. Look at what \
                        it did, then run `reconcile plan`: what this run made is found again by its tags"
                    .to_owned();
            }
            Why::Cloud(error) => error.remedy.clone(),
            Why::Text(_) => None,
        };
        let push = match &self.kept {
            Kept::File(path) => Some(format!(
                "then, before the next run, `reconcile state push {}` on this machine",
                path.display()
            )),
            Kept::Nothing => Some("then run again".to_owned()),
            Kept::Nowhere(..) => Some("then run again: what was made is found again by its tags".to_owned()),
        };
        remedy.into_iter().chain(push).collect::<Vec<_>>().join("; ")
    }
}

impl BucketState {
    /// The state in this object. `local` is where it would be if it were local.
    pub(super) fn new(bucket: Bucket, key: String, local: PathBuf) -> Self {
        let mut unsaved = local.clone().into_os_string();
        unsaved.push(".unsaved");
        Self {
            bucket,
            key,
            unsaved: unsaved.into(),
            local,
            known: Mutex::default(),
        }
    }

    /// Where it is, for people.
    pub(super) fn place(&self) -> String {
        format!("s3://{}/{}", self.bucket.name(), self.key)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the state; `None` if there is no object.
    pub(super) async fn existing(&self) -> Result<Option<State>, ReadError> {
        let object = self.bucket.get(&self.key).await.map_err(ReadError::from)?;
        {
            let mut known = self.known();
            known.read = true;
            known.tag = object.as_ref().map(|object| object.tag.clone());
        }
        let Some(object) = object else { return Ok(None) };
        let unusable = |source| ReadError::Unusable {
            place: self.place(),
            source,
            backup: None,
        };
        let text = String::from_utf8(object.content).map_err(|_| {
            unusable(StateError::Damaged {
                line: 1,
                column: 1,
                message: "it is not text".to_owned(),
            })
        })?;
        let state = State::read(&text).map_err(unusable)?;
        self.known().serial = state.serial;
        Ok(Some(state))
    }

    /// Whether there is something on this machine that has to be brought to the bucket before a run goes on.
    pub(super) fn check(&self, state: Option<&State>) -> Result<(), ReadError> {
        let unsaved = fs::read_to_string(&self.unsaved)
            .ok()
            .and_then(|text| State::read(&text).ok());
        if let Some(unsaved) = unsaved
            && state.is_none_or(|state| unsaved.lineage == state.lineage && unsaved.serial > state.serial)
        {
            return Err(ReadError::Unpushed {
                file: self.unsaved.clone(),
                place: self.place(),
            });
        }
        if state.is_none() && self.local.exists() {
            return Err(ReadError::NotMigrated {
                file: self.local.clone(),
                place: self.place(),
            });
        }
        Ok(())
    }

    /// Writes the state, if it still is what this run read or wrote last.
    pub(super) async fn save(&self, state: &State) -> Result<(), StoreError> {
        let result = self.write(state).await;
        result.map_err(|why| StoreError {
            place: self.place(),
            source: Unsaved {
                kept: self.keep(state),
                why,
            }
            .into(),
        })
    }

    async fn write(&self, state: &State) -> Result<(), Why> {
        let text = state.write()?.into_bytes();
        if !self.known().read {
            let object = self.bucket.get(&self.key).await.map_err(Why::Cloud)?;
            let mut known = self.known();
            known.read = true;
            known.tag = object.map(|object| object.tag);
        }
        loop {
            let expected = self.known().tag.clone();
            match self.bucket.put(&self.key, &text, expected.as_ref()).await {
                Ok(Swap::Done(tag)) => {
                    let mut known = self.known();
                    known.tag = Some(tag);
                    known.serial = state.serial;
                    known.written = true;
                    known.undecided.clear();
                    if std::mem::take(&mut known.left) {
                        let _ = fs::remove_file(&self.unsaved);
                    }
                    return Ok(());
                }
                Ok(Swap::Lost) => {
                    // It may be an earlier write of this run that was given up too early.
                    let now = self.bucket.get(&self.key).await.map_err(Why::Cloud)?;
                    let mut known = self.known();
                    match now.filter(|now| known.undecided.contains(&now.content)) {
                        Some(own) if known.tag.as_ref() != Some(&own.tag) => known.tag = Some(own.tag),
                        _ => return Err(Why::Moved),
                    }
                }
                Err(error) => {
                    self.known().undecided.push(text);
                    return Err(Why::Cloud(error));
                }
            }
        }
    }

    /// Leaves a state on this machine that cannot be written to the bucket.
    ///
    /// Its serial is the one that follows the last that was written: if another run has written since, `state push` sees
    /// that this one is not newer.
    fn keep(&self, state: &State) -> Kept {
        let mut known = self.known();
        if !known.written {
            // Every call is preceded by a write, so none was made.
            return Kept::Nothing;
        }
        let mut state = state.clone();
        state.serial = known.serial + 1;
        let write = || replace(&self.unsaved, state.write()?.as_bytes());
        match write() {
            Ok(()) => {
                known.left = true;
                Kept::File(self.unsaved.clone())
            }
            Err(error) => Kept::Nowhere(self.unsaved.clone(), error),
        }
    }

    /// Forgets the state that an earlier run could not write, once it is in the bucket.
    pub(super) fn pushed(&self, file: &Path) {
        let same = fs::canonicalize(file).ok().zip(fs::canonicalize(&self.unsaved).ok());
        if same.is_some_and(|(file, unsaved)| file == unsaved) {
            let _ = fs::remove_file(&self.unsaved);
        }
    }

    /// Puts the object out of use: its content is kept under another key.
    pub(super) async fn retire(&self, suffix: &str) -> Result<String, CloudError> {
        let Some(object) = self.bucket.get(&self.key).await? else {
            return Ok(self.place());
        };
        let kept = format!("{}{suffix}", self.key);
        self.bucket.put(&kept, &object.content, None).await?;
        self.bucket.delete(&self.key, &object.tag).await?;
        Ok(format!("s3://{}/{kept}", self.bucket.name()))
    }

    fn lock_key(&self) -> String {
        format!("{}.lock", self.key)
    }

    /// Makes the lock, and waits for it as long as `waiting` says. That of a dead run of this machine is taken over.
    pub(super) async fn lock(
        &self,
        holder: &Holder,
        waiting: &mut Waiting<'_>,
        stop: &StopSignal,
    ) -> Result<BucketLock, LockError> {
        let key = self.lock_key();
        let content = serde_json::to_vec_pretty(holder).map_err(io::Error::from);
        let content = content.map_err(|source| LockError::System {
            path: PathBuf::from(self.place()),
            source,
        })?;
        let mut dead: Option<(Holder, Tag)> = None;
        let mut pause = FIRST_PAUSE;
        loop {
            if stop.is_raised() {
                return Err(LockError::Interrupted);
            }
            let expected = dead.as_ref().map(|(_, tag)| tag);
            if let Swap::Done(tag) = self.bucket.put(&key, &content, expected).await? {
                if let Some((dead, _)) = dead {
                    output::note(&format!(
                        "The run that held the state is dead: {dead}. Took over its lock; carrying on from what it saved.\n"
                    ));
                }
                return Ok(BucketLock {
                    bucket: self.bucket.clone(),
                    key,
                    tag,
                    id: holder.id.clone(),
                });
            }
            dead = None;
            let Some(object) = self.bucket.get(&key).await? else {
                continue;
            };
            let other: Option<Holder> = serde_json::from_slice(&object.content).ok();
            if let Some(other) = &other
                && other.life() == Life::Dead
            {
                dead = Some((other.clone(), object.tag));
                continue;
            }
            let left = waiting.begin(&self.place(), other)?;
            waiting.unless_over(left, tokio::time::sleep(pause.min(left))).await?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Who holds the lock, and which content of it that is.
    pub(super) async fn holder(&self) -> Result<Option<(Option<Holder>, Tag)>, LockError> {
        let object = self.bucket.get(&self.lock_key()).await?;
        Ok(object.map(|object| (serde_json::from_slice(&object.content).ok(), object.tag)))
    }

    /// Removes a lock, if it still is this one.
    pub(super) async fn unlock(&self, tag: &Tag) -> Result<bool, LockError> {
        Ok(self.bucket.delete(&self.lock_key(), tag).await? == Swap::Done(()))
    }

    /// Tells if earlier states would be lost.
    pub(super) async fn check_versioning(&self) {
        let bucket = clean(self.bucket.name());
        match self.bucket.versioning().await {
            Ok(Versioning::Kept) => {}
            Ok(Versioning::Lost) => output::note(&format!(
                "warning: the bucket `{bucket}` keeps no versions, so no earlier state can be brought back\nhint: `aws s3api \
                 put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled`\n"
            )),
            Err(error) => output::note(&format!(
                "warning: whether the bucket `{bucket}` keeps versions cannot be told: {}\n{}",
                clean(&error.to_string()),
                error
                    .remedy
                    .map(|remedy| format!("hint: {}\n", clean(&remedy)))
                    .unwrap_or_default()
            )),
        }
    }
}

/// Holds a state on S3 until it is dropped, or until another run on this machine sees that this one is dead.
#[derive(Debug)]
pub(crate) struct BucketLock {
    bucket: Bucket,
    key: String,
    tag: Tag,
    id: String,
}

/// Locks that are being let go of. That takes a call, for which a destructor cannot wait.
static LETTING_GO: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

impl Drop for BucketLock {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (bucket, key, tag, id) = (self.bucket.clone(), self.key.clone(), self.tag.clone(), self.id.clone());
        let going = runtime.spawn(async move {
            let unlock = match tokio::time::timeout(RELEASE_LIMIT, bucket.delete(&key, &tag)).await {
                Ok(Ok(Swap::Done(()))) => return,
                Ok(Ok(Swap::Lost)) => {
                    output::note(&format!(
                        "warning: the lock on `s3://{}/{}` was taken from this run while it worked ({})\n",
                        clean(bucket.name()),
                        clean(&key),
                        local(jiff::Timestamp::now())
                    ));
                    return;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            output::note(&format!(
                "warning: the lock of this run could not be removed: {}\nhint: `reconcile state unlock {id}`; the next run on \
                 this machine does without it\n",
                clean(&unlock)
            ));
        });
        LETTING_GO.lock().unwrap_or_else(PoisonError::into_inner).push(going);
    }
}

/// Waits until every lock that was dropped is let go of.
pub(crate) async fn let_go() {
    let going = std::mem::take(&mut *LETTING_GO.lock().unwrap_or_else(PoisonError::into_inner));
    for going in going {
        let _ = going.await;
    }
}
