//! Files that are read whole, but not without end.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The text of a file; of a longer one, so much that its reader sees that it is too long. A device or a pipe that never ends
/// is such a file too.
///
/// # Errors
/// The system's, and that it is not UTF-8.
pub(crate) fn read_text(path: &Path, most: usize) -> io::Result<String> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        // The cut may go through a character, which is not what is wrong with it.
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_read_than_can_be_used() {
        let text = read_text(Path::new("/dev/zero"), 1000).unwrap();
        assert_eq!(text.len(), 1001);
    }

    #[test]
    fn what_is_not_text_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "é").unwrap();
        assert_eq!(read_text(&path, 2).unwrap(), "é");
        assert!(read_text(&path, 1).unwrap().len() > 1);
        std::fs::write(&path, b"\xff").unwrap();
        assert_eq!(read_text(&path, 2).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
