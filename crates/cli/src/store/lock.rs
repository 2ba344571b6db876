//! The lock of a state file.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{Holder, LockError, Waiting, folder_of, make_folder};

/// Holds a state file until it is dropped or the process ends, however it ends: the system then lets go of the lock.
///
/// The lock is on a file beside the state, because the state file itself is replaced by every write. That file stays:
/// removing it could take it from under a run that is about to lock it.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: File,
}

/// Whether a state file is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Now {
    /// Nobody holds it.
    Free,
    /// This run does, if it can be read.
    Held(Option<Holder>),
}

/// What a lock file says that nobody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Left {
    /// The last holder let go of it.
    Nothing,
    /// The last holder ended without that.
    By(Holder),
}

impl FileLock {
    /// Locks the state file at `state`, and waits for it as long as `waiting` says. Also tells who was killed holding it.
    ///
    /// # Errors
    /// If another run holds it all the time, the user stops the wait, or the system refuses.
    pub(super) async fn take(
        state: &Path,
        holder: &Holder,
        waiting: &mut Waiting<'_>,
    ) -> Result<(Self, Left), LockError> {
        let path = lock_path(state);
        let system = |source| LockError::System {
            path: path.clone(),
            source,
        };
        make_folder(folder_of(&path)).map_err(system)?;
        let mut file = open(&path).map_err(system)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let other = read_holder(&mut file);
                let left = waiting.begin(&state.display().to_string(), other)?;
                // A thread of its own waits for the system to hand the lock on; if the wait is given up, so is the process.
                let waiter = tokio::task::spawn_blocking(move || lock(file));
                let result = waiting
                    .unless_over(left, waiter)
                    .await
                    .map_err(|error| error.now_held_by(|| read_holder(&mut open(&path).ok()?)))?;
                file = result.map_err(io::Error::other).and_then(|file| file).map_err(system)?;
            }
            Err(TryLockError::Error(source)) => return Err(system(source)),
        }
        let left = read_holder(&mut file).map_or(Left::Nothing, Left::By);
        // Who holds the lock is said for people only; the lock holds without it.
        let _ = write_holder(&mut file, holder);
        Ok((Self { file }, left))
    }

    /// Who holds the state file at `state` at present; what a killed holder left behind is cleared away.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn holder(state: &Path) -> Result<Now, LockError> {
        let path = lock_path(state);
        let system = |source| LockError::System {
            path: path.clone(),
            source,
        };
        if !path.exists() {
            return Ok(Now::Free);
        }
        let mut file = open(&path).map_err(system)?;
        match file.try_lock() {
            Ok(()) => {
                drop(Self { file });
                Ok(Now::Free)
            }
            Err(TryLockError::WouldBlock) => Ok(Now::Held(read_holder(&mut file))),
            Err(TryLockError::Error(source)) => Err(system(source)),
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

/// Waits until the lock is there.
fn lock(file: File) -> io::Result<File> {
    loop {
        match file.lock() {
            Ok(()) => return Ok(file),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn lock_path(state: &Path) -> PathBuf {
    // A link and the file that it leads to are one state.
    let state = fs::canonicalize(state).unwrap_or_else(|_| state.to_owned());
    let mut name = state.into_os_string();
    name.push(".lock");
    PathBuf::from(name)
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(LONGEST_HOLDER).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// No holder has a longer description.
const LONGEST_HOLDER: u64 = 16 * 1024;

fn write_holder(file: &mut File, holder: &Holder) -> io::Result<()> {
    let text = serde_json::to_string(holder)? + "\n";
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use reconcile_engine::{StopSignal, stop_signal};

    use super::*;

    async fn take(state: &Path) -> Result<(FileLock, Left), LockError> {
        take_within(state, None, &StopSignal::never()).await
    }

    async fn take_within(
        state: &Path,
        limit: Option<Duration>,
        stop: &StopSignal,
    ) -> Result<(FileLock, Left), LockError> {
        FileLock::take(state, &Holder::this("apply"), &mut Waiting::new(limit, stop)).await
    }

    #[tokio::test]
    async fn a_second_run_is_told_who_holds_the_state() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deep/www.json");
        let (held, left) = take(&state).await.unwrap();
        assert_eq!(left, Left::Nothing);
        let error = take(&state).await.unwrap_err();
        let LockError::Held { holder: Some(told), .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(
            (told.pid, told.command.as_str()),
            (std::process::id(), "reconcile apply")
        );
        assert!(error.to_string().contains("`reconcile apply`, process"), "{error}");
        assert!(error.to_string().contains(&format!("(lock {})", told.id)), "{error}");
        assert_eq!(
            FileLock::holder(&state).unwrap(),
            Now::Held(Some(told.as_ref().clone()))
        );
        drop(held);
        assert_eq!(FileLock::holder(&state).unwrap(), Now::Free);
        take(&state).await.unwrap();
    }

    #[tokio::test]
    async fn what_a_dead_run_left_behind_is_told_and_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("www.json");
        let path = folder.path().join("www.json.lock");
        let dead = Holder::this("destroy");
        fs::write(&path, serde_json::to_string(&dead).unwrap()).unwrap();
        let (lock, left) = take(&state).await.unwrap();
        assert_eq!(left, Left::By(dead));
        let error = take(&state).await.unwrap_err();
        assert!(matches!(&error, LockError::Held { holder: Some(holder), .. } if holder.command == "reconcile apply"));
        drop(lock);
        fs::write(&path, "{ \"pid\": 1 }").unwrap();
        assert_eq!(take(&state).await.unwrap().1, Left::Nothing, "no description");
    }

    #[tokio::test]
    async fn the_lock_is_waited_for_until_the_limit_or_a_signal() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("www.json");
        let (held, _) = take(&state).await.unwrap();
        let never = StopSignal::never();
        let error = take_within(&state, Some(Duration::from_millis(50)), &never)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("waited 50ms"), "{error}");

        let (stopper, stop) = stop_signal();
        let since = Instant::now();
        let long = Some(Duration::from_mins(10));
        let (waited, ()) = tokio::join!(take_within(&state, long, &stop), async { stopper.stop() });
        assert!(matches!(waited, Err(LockError::Interrupted)));
        assert!(since.elapsed() < Duration::from_mins(1));

        let (waited, ()) = tokio::join!(take_within(&state, long, &never), async { drop(held) });
        waited.unwrap();
    }

    #[tokio::test]
    async fn two_states_are_held_apart() {
        let folder = tempfile::tempdir().unwrap();
        let one = take(&folder.path().join("a.json")).await.unwrap();
        let other = take(&folder.path().join("b.json")).await.unwrap();
        drop((one, other));
    }
}
