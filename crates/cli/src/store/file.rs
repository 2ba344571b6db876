//! A state in a file of this machine.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use reconcile_core::{
    limits,
    state::{State, StateError},
};
use reconcile_engine::StoreError;

use super::{BackupError, ReadError, backups::Backups, folder_of, make_folder};
use crate::files::read_text;

/// A state file.
#[derive(Debug, Clone)]
pub(crate) struct StateFile {
    path: PathBuf,
    /// Whether this run has kept a backup of what was there before it.
    backed_up: Arc<AtomicBool>,
}

impl StateFile {
    /// The file at `path`, which need not exist.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            backed_up: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
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
                return Err(self.unusable(StateError::Damaged {
                    line: 1,
                    column: 1,
                    message: "it is not text".to_owned(),
                }));
            }
            Err(source) => {
                return Err(ReadError::Unreadable {
                    path: self.path.clone(),
                    source,
                });
            }
        };
        State::read(&text).map(Some).map_err(|source| self.unusable(source))
    }

    /// Gives the file another name, and tells it.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn retire(&self, suffix: &str) -> io::Result<PathBuf> {
        let target = self.target()?;
        let mut kept = target.clone().into_os_string();
        kept.push(suffix);
        let kept = PathBuf::from(kept);
        fs::rename(&target, &kept)?;
        sync_folder(folder_of(&target))?;
        Ok(kept)
    }

    fn unusable(&self, source: StateError) -> ReadError {
        ReadError::Unusable {
            place: self.path.display().to_string(),
            source,
            backup: self
                .target()
                .ok()
                .and_then(|target| Backups::of(&target).newest_usable()),
        }
    }

    /// Keeps the file as it is among the last states, once in a run; `None` if there is no file.
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
            Ok(content) => Some(content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(failed(&target, source)),
        };
        let backup = match content {
            Some(content) => {
                let kept = Backups::of(&target).keep(&content);
                Some(kept.map_err(|(path, source)| BackupError { path, source })?)
            }
            None => None,
        };
        sweep(&target);
        self.backed_up.store(true, Ordering::Relaxed);
        Ok(backup)
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

    /// Replaces the state, and keeps the one from before the run.
    ///
    /// # Errors
    /// If it cannot be written; the old one is still there then.
    pub(crate) async fn save(&self, state: &State) -> Result<(), StoreError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| StoreError {
            place: self.path.display().to_string(),
            source,
        };
        let text = state.write().map_err(|error| failed(error.into()))?;
        let file = self.clone();
        // A disk can take its time to sync; the other steps of the run go on meanwhile.
        let written = tokio::task::spawn_blocking(move || {
            if !file.backed_up.load(Ordering::Relaxed) {
                file.back_up()?;
            }
            file.write(&text).map_err(Box::from)
        })
        .await;
        match written {
            Ok(result) => result.map_err(failed),
            Err(error) => Err(failed(error.into())),
        }
    }
}

/// Replaces a file as a whole and makes that durable.
pub(super) fn replace(target: &Path, content: &[u8]) -> io::Result<()> {
    let folder = folder_of(target);
    make_folder(folder)?;
    // The temporary file is the owner's alone (mode 0600), and so is what it becomes.
    let mut file = tempfile::Builder::new()
        .prefix(&temporary_prefix(target))
        .suffix(TEMPORARY)
        .tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(target).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// How the name of a file ends that is being written.
const TEMPORARY: &str = ".tmp";

fn temporary_prefix(target: &Path) -> OsString {
    let mut prefix = OsString::from(".");
    prefix.push(target.file_name().unwrap_or_default());
    prefix.push("-");
    prefix
}

/// Removes what runs left behind that were killed while they wrote this file. It is held by this run, so nobody else writes
/// it. That something cannot be removed does no harm.
fn sweep(target: &Path) {
    let prefix = temporary_prefix(target);
    let is_left = |name: &OsStr| {
        let name = name.as_encoded_bytes();
        name.strip_prefix(prefix.as_encoded_bytes())
            .and_then(|rest| rest.strip_suffix(TEMPORARY.as_bytes()))
            // A file whose name only begins as this one's does has more before the random part.
            .is_some_and(|random| random.iter().all(u8::is_ascii_alphanumeric))
    };
    for entry in fs::read_dir(folder_of(target)).into_iter().flatten().flatten() {
        if is_left(&entry.file_name()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes the new name of a file durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn new_state() -> State {
        let stack = serde_json::from_value(serde_json::json!("www-example-com")).unwrap();
        State::empty(stack, super::super::new_lineage())
    }

    fn read(file: &StateFile) -> State {
        file.existing().unwrap().unwrap()
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
        let mut state = new_state();
        assert!(file.existing().unwrap().is_none());
        assert_eq!((state.serial, state.lineage.len()), (0, 36));
        state.serial = 7;
        file.save(&state).await.unwrap();
        file.save(&state).await.unwrap();
        assert_eq!(read(&file), state);
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
        let state = new_state();
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
        assert_eq!(read(&file), state);
    }

    #[tokio::test]
    async fn what_killed_runs_left_half_written_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let here = |name: &str| folder.path().join(name);
        for name in [
            ".www.json-a1B2c3.tmp",
            ".www.json-x-a1B2c3.tmp",
            ".www.json-a1B2c3",
            ".shop.json-a1B2c3.tmp",
        ] {
            fs::write(here(name), "half").unwrap();
        }
        let file = StateFile::new(here("www.json"));
        file.save(&new_state()).await.unwrap();
        assert_eq!(
            names(folder.path()),
            [
                ".shop.json-a1B2c3.tmp",
                ".www.json-a1B2c3",
                ".www.json-x-a1B2c3.tmp",
                "www.json"
            ]
        );
    }

    #[tokio::test]
    async fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let real = StateFile::new(folder.path().join("real.json"));
        let state = new_state();
        real.save(&state).await.unwrap();
        let link = folder.path().join("link.json");
        symlink(real.path(), &link).unwrap();
        let mut newer = state;
        newer.serial = 1;
        StateFile::new(link.clone()).save(&newer).await.unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
        assert_eq!(read(&real), newer);
    }

    #[tokio::test]
    async fn what_stood_there_before_a_run_is_kept_once_whatever_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("www.json");
        let kept = || names(&folder.path().join("www.json.backups"));
        let mut state = new_state();
        let first = StateFile::new(path.clone());
        assert_eq!(first.back_up().unwrap(), None);
        for serial in 1..=3 {
            state.serial = serial;
            first.save(&state).await.unwrap();
        }
        assert!(
            !folder.path().join("www.json.backups").exists(),
            "nothing stood there before"
        );
        let second = StateFile::new(path.clone());
        for serial in 4..=6 {
            state.serial = serial;
            second.save(&state).await.unwrap();
        }
        assert_eq!(kept().len(), 1);
        assert!(kept()[0].ends_with("-serial-3.json"));

        fs::write(&path, b"\xff{ damaged").unwrap();
        let third = StateFile::new(path.clone());
        let Err(ReadError::Unusable { backup, .. }) = third.existing() else {
            panic!()
        };
        assert!(backup.unwrap().ends_with(&kept()[0]), "the way out is told");
        let backup = third.back_up().unwrap().unwrap();
        assert_eq!(fs::read(&backup).unwrap(), b"\xff{ damaged");
        third.save(&state).await.unwrap();
        assert_eq!(kept().len(), 2);
    }

    #[test]
    fn damage_is_told_with_its_place_and_a_lost_content_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(folder.path().join("www.json"));
        let cause = |text: &str| {
            fs::write(file.path(), text).unwrap();
            let error = file.existing().unwrap_err();
            assert!(error.to_string().contains("www.json"), "{error}");
            std::error::Error::source(&error).unwrap().to_string()
        };
        assert!(cause("").contains("damaged at line 1"));
        assert!(cause("{\n  \"format_version\": 1\n").contains("line 3"));
        assert!(cause("{ \"format_version\": 99 }").contains("99"));
    }
}
