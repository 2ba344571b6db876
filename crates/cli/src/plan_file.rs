//! Saved plans on disk.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use reconcile_core::plan::{LARGEST_FILE, PlanFile, PlanFileError};
use tempfile::NamedTempFile;

use crate::error::{CommandError, Failure};

/// Writes a plan: as a whole or not at all, readable by its owner only.
///
/// # Errors
/// If the system refuses.
pub(crate) fn write(path: &Path, file: &PlanFile) -> Result<(), CommandError> {
    let text = file.write().map_err(io::Error::from)?;
    put(path, text.as_bytes()).map_err(|error| {
        Failure::new(format!("cannot save the plan in `{}`: {error}", path.display()))
            .hint("name a new file, or an earlier plan, in a folder that exists and is writable; nothing was changed")
            .into()
    })
}

fn put(path: &Path, content: &[u8]) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::other("what stands there is no plain file"));
    }
    if holds_something_else(path)? {
        return Err(io::Error::other(
            "what stands there is no saved plan, and would be lost",
        ));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // The temporary file is the owner's alone (mode 0600), and so is what it becomes.
    let mut file = NamedTempFile::with_prefix_in(".plan-", folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// Whether a file is there that is neither empty nor a saved plan: the configuration, for example, by a slip.
fn holds_something_else(path: &Path) -> io::Result<bool> {
    let content = match fs::read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let is_plan = |text| match PlanFile::read(text) {
        Ok(_) | Err(PlanFileError::OtherVersion { .. }) => true,
        Err(PlanFileError::Damaged { .. } | PlanFileError::TooLarge | PlanFileError::Contradiction { .. }) => false,
    };
    Ok(!content.is_empty() && !std::str::from_utf8(&content).is_ok_and(is_plan))
}

/// Reads a plan.
///
/// # Errors
/// If there is none, or it cannot be used.
pub(crate) fn read(path: &Path) -> Result<PlanFile, CommandError> {
    let unreadable = |error: &io::Error| {
        let failure = Failure::new(format!("cannot read the saved plan `{}`: {error}", path.display()));
        CommandError::from(failure.hint("name a file that `reconcile plan --out FILE` wrote; nothing was changed"))
    };
    let limit = u64::try_from(LARGEST_FILE).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let reading = File::open(path).and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes));
    reading.map_err(|error| unreadable(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| PlanFileError::Damaged {
        line: 1,
        column: 1,
        message: "it is not text".to_owned(),
    })?;
    Ok(PlanFile::read(&text)?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_is_the_owners_alone_and_replaces_plain_files_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        for content in [b"".as_slice(), b"{ \"format_version\": 7 }", b"two"] {
            put(&path, content).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing temporary is left"
        );
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        // The last content is no plan.
        for wrong in [
            &path,
            &link,
            &folder.path().to_path_buf(),
            &folder.path().join("no/plan"),
        ] {
            put(wrong, b"three").unwrap_err();
        }
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }

    #[test]
    fn what_is_no_plan_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        let said = |content: &[u8]| {
            fs::write(&path, content).unwrap();
            read(&path).unwrap_err().render(crate::output::Paint::PLAIN)
        };
        assert!(said(b"\xff\xfe").contains("it is not text"));
        assert!(said(b"").contains("damaged, or no saved plan, at line 1"));
        assert!(said(b"{ \"format_version\": 7 }").contains("format version 7"));
        fs::remove_file(&path).unwrap();
        let missing = read(&path).unwrap_err().render(crate::output::Paint::PLAIN);
        assert!(
            missing.contains("cannot read the saved plan") && missing.contains("hint: "),
            "{missing}"
        );
    }
}
