//! The last states, kept beside the state file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use reconcile_core::{limits, state::State};

use super::{file::replace, make_folder};
use crate::files::read_text;

/// How many earlier states are kept: one for each run that changed the state.
pub(crate) const KEPT: usize = 10;

/// The folder with the last states of one state file.
#[derive(Debug)]
pub(super) struct Backups {
    folder: PathBuf,
}

impl Backups {
    /// Those of a state file.
    pub(super) fn of(state: &Path) -> Self {
        let mut folder = state.as_os_str().to_owned();
        folder.push(".backups");
        Self { folder: folder.into() }
    }

    /// Keeps a content, whatever it is, and gives up the oldest ones. What is kept already is not kept twice.
    ///
    /// # Errors
    /// The system's, with the path that it is about.
    pub(super) fn keep(&self, content: &[u8]) -> Result<PathBuf, (PathBuf, io::Error)> {
        let here = |error| (self.folder.clone(), error);
        make_folder(&self.folder).map_err(here)?;
        let mut kept = self.list().map_err(here)?;
        if let Some(newest) = kept.last()
            && fs::read(newest).is_ok_and(|before| before == content)
        {
            return Ok(newest.clone());
        }
        let path = self.folder.join(name_of(content));
        replace(&path, content).map_err(|error| (path.clone(), error))?;
        kept.push(path.clone());
        for old in kept.iter().rev().skip(KEPT) {
            if let Err(error) = fs::remove_file(old) {
                // One state too many does no harm.
                tracing::debug!(path = %old.display(), "an old backup stays: {error}");
            }
        }
        Ok(path)
    }

    /// The newest of them that this program can use.
    pub(super) fn newest_usable(&self) -> Option<PathBuf> {
        let usable = |path: &PathBuf| read_text(path, limits::STATE_BYTES).is_ok_and(|text| State::read(&text).is_ok());
        self.list().ok()?.into_iter().rev().find(usable)
    }

    /// All of them, the oldest first: their names begin with the time.
    fn list(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            if name
                .to_str()
                .is_some_and(|name| name.starts_with("20") && name.strip_suffix(".json").is_some())
            {
                found.push(self.folder.join(name));
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Says when it was kept, and which state it is.
fn name_of(content: &[u8]) -> String {
    let at = Timestamp::now().strftime("%Y%m%dT%H%M%S.%6fZ").to_string();
    let state = std::str::from_utf8(content)
        .ok()
        .and_then(|text| State::read(text).ok());
    match state {
        Some(state) => format!("{at}-serial-{}.json", state.serial),
        None => format!("{at}-unusable.json"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn state(serial: u64) -> Vec<u8> {
        let stack = serde_json::from_value(serde_json::json!("www-example-com")).unwrap();
        let mut state = State::empty(stack, "lineage".to_owned());
        state.serial = serial;
        state.write().unwrap().into_bytes()
    }

    #[test]
    fn the_last_ones_are_kept_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let backups = Backups::of(&folder.path().join("www.json"));
        assert_eq!(backups.newest_usable(), None);
        let all: Vec<PathBuf> = (0..=KEPT as u64 + 2)
            .map(|serial| backups.keep(&state(serial)).unwrap())
            .collect();
        assert_eq!(backups.list().unwrap(), all[3..], "the oldest are gone");
        assert_eq!(backups.newest_usable().as_ref(), all.last());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&backups.folder), mode(&all[5])), (0o700, 0o600));
        assert!(all[5].to_str().unwrap().ends_with("-serial-5.json"));
    }

    #[test]
    fn a_damaged_one_is_kept_and_not_offered() {
        let folder = tempfile::tempdir().unwrap();
        let backups = Backups::of(&folder.path().join("www.json"));
        let usable = backups.keep(&state(1)).unwrap();
        let damaged = backups.keep(b"\xff{").unwrap();
        assert_eq!(backups.keep(b"\xff{").unwrap(), damaged, "not twice");
        assert!(damaged.to_str().unwrap().ends_with("-unusable.json"));
        assert_eq!(fs::read(damaged).unwrap(), b"\xff{");
        assert_eq!(backups.newest_usable(), Some(usable));
        assert_eq!(backups.list().unwrap().len(), 2);
    }

    #[test]
    fn what_others_put_there_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let backups = Backups::of(&folder.path().join("www.json"));
        backups.keep(&state(1)).unwrap();
        fs::write(backups.folder.join("note.txt"), "mine").unwrap();
        for serial in 2..=20 {
            backups.keep(&state(serial)).unwrap();
        }
        assert!(backups.folder.join("note.txt").exists());
        assert_eq!(backups.list().unwrap().len(), KEPT);
    }
}
