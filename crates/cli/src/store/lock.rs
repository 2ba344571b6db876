//! One run at a time per state file.

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{folder_of, make_folder};
use crate::render;

/// Holds a state file until it is dropped or the process ends, however it ends: the system then lets go of the lock.
///
/// The lock is on a file beside the state, because the state file itself is replaced by every write. That file stays:
/// removing it could take it from under a run that is about to lock it.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Holder {
    /// Its process.
    pub(crate) pid: u32,
    /// Its machine.
    pub(crate) host: String,
    /// Since when.
    pub(crate) since: Timestamp,
    /// What it does.
    pub(crate) command: String,
}

/// Why a state file cannot be locked.
#[derive(Debug, Error)]
pub(crate) enum LockError {
    /// Another run holds it.
    #[error(
        "another run holds the state file `{}`{}",
        state.display(),
        holder.as_ref().map(|holder| format!(": {holder}")).unwrap_or_default()
    )]
    Held {
        /// The state file.
        state: PathBuf,
        /// Who, if it can be read.
        holder: Option<Holder>,
    },
    /// The system refuses.
    #[error("cannot lock the state file by `{}`", path.display())]
    System {
        /// The lock file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pid,
            host,
            since,
            command,
        } = self;
        let (command, host) = (render::clean(command), render::clean(host));
        write!(
            formatter,
            "`{command}`, process {pid} on {host}, since {}",
            render::local(*since)
        )
    }
}

impl Holder {
    /// This process.
    pub(crate) fn this(command: &str) -> Self {
        Self {
            pid: std::process::id(),
            host: host_name(),
            since: Timestamp::now(),
            command: format!("reconcile {command}"),
        }
    }
}

impl Lock {
    /// Locks the state file at `state`, without waiting.
    ///
    /// # Errors
    /// If another run holds it.
    pub(crate) fn take(state: &Path, holder: &Holder) -> Result<Self, LockError> {
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
                let mut text = String::new();
                let holder = file
                    .read_to_string(&mut text)
                    .ok()
                    .and_then(|_| serde_json::from_str(&text).ok());
                return Err(LockError::Held {
                    state: state.to_owned(),
                    holder,
                });
            }
            Err(TryLockError::Error(source)) => return Err(system(source)),
        }
        // Who holds the lock is said for people only; the lock holds without it.
        let _ = write_holder(&mut file, holder);
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
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

fn write_holder(file: &mut File, holder: &Holder) -> io::Result<()> {
    let text = serde_json::to_string(holder)? + "\n";
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(text.as_bytes())
}

fn host_name() -> String {
    let read = |path| fs::read_to_string(path).ok().map(|name| name.trim().to_owned());
    read("/proc/sys/kernel/hostname")
        .or_else(|| read("/etc/hostname"))
        .or_else(|| std::env::var("HOSTNAME").ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "this machine".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_told_who_holds_the_state() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deep/www.json");
        let holder = Holder::this("apply");
        let held = Lock::take(&state, &holder).unwrap();
        let error = Lock::take(&state, &Holder::this("apply")).unwrap_err();
        let LockError::Held { holder: Some(told), .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!((told.pid, &told.command), (std::process::id(), &holder.command));
        assert!(error.to_string().contains("`reconcile apply`, process"), "{error}");
        drop(held);
        Lock::take(&state, &holder).unwrap();
    }

    #[test]
    fn what_a_dead_run_left_behind_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("www.json");
        fs::write(folder.path().join("www.json.lock"), "{ \"pid\": 1 }").unwrap();
        let lock = Lock::take(&state, &Holder::this("apply")).unwrap();
        let error = Lock::take(&state, &Holder::this("apply")).unwrap_err();
        assert!(matches!(&error, LockError::Held { holder: Some(holder), .. } if holder.pid == std::process::id()));
        drop(lock);
    }

    #[test]
    fn two_states_are_held_apart() {
        let folder = tempfile::tempdir().unwrap();
        let one = Lock::take(&folder.path().join("a.json"), &Holder::this("apply")).unwrap();
        let other = Lock::take(&folder.path().join("b.json"), &Holder::this("apply")).unwrap();
        drop((one, other));
    }
}
