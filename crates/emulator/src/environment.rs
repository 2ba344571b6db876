//! The virtual environment that the emulator's Python side runs in.
//!
//! It is made on first use under the target folder, from a lock file with hashes, and shared by all processes that
//! want it. A virtual environment cannot be moved, so it is made in place and a marker file says that it is complete.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::Error;

const LOCK_FILE: &str = "requirements.lock";
const MARKER: &str = ".complete";
/// Names another interpreter than `python3`.
const INTERPRETER_VARIABLE: &str = "RECONCILE_PYTHON";

/// A complete virtual environment with moto, boto3 and pytest.
#[derive(Debug, Clone)]
pub struct PythonEnvironment {
    folder: PathBuf,
}

impl PythonEnvironment {
    /// Finds the environment or makes it, which takes up to a few minutes and blocks.
    ///
    /// Processes that ask at the same time wait for the first. What an interrupted process left half made is made
    /// anew. `RECONCILE_PYTHON` names the interpreter to use instead of `python3`.
    pub fn prepare() -> Result<Self, Error> {
        let interpreter = std::env::var(INTERPRETER_VARIABLE).unwrap_or_else(|_| "python3".to_owned());
        let version = interpreter_version(&interpreter)?;
        Self::prepare_in(
            &target_folder().join("emulator"),
            &interpreter,
            &version,
            &python_folder().join(LOCK_FILE),
        )
    }

    /// Tells whether [`PythonEnvironment::prepare`] would have nothing to do, so that a caller can announce the wait.
    pub fn is_prepared() -> bool {
        let interpreter = std::env::var(INTERPRETER_VARIABLE).unwrap_or_else(|_| "python3".to_owned());
        let Ok(version) = interpreter_version(&interpreter) else {
            return false;
        };
        fs::read(python_folder().join(LOCK_FILE)).is_ok_and(|lock| {
            folder_for(&target_folder().join("emulator"), &lock, &version)
                .join(MARKER)
                .exists()
        })
    }

    fn prepare_in(root: &Path, interpreter: &str, version: &str, requirements: &Path) -> Result<Self, Error> {
        let lock = fs::read(requirements).map_err(Error::file("reading", requirements))?;
        let folder = folder_for(root, &lock, version);
        let marker = folder.join(MARKER);
        if marker.exists() {
            return Ok(Self { folder });
        }

        fs::create_dir_all(root).map_err(Error::file("creating", root))?;
        let lock_path = folder.with_extension("lock");
        let guard = File::create(&lock_path).map_err(Error::file("creating", &lock_path))?;
        guard.lock().map_err(Error::file("locking", &lock_path))?;
        // Another process may have finished it while this one waited for the lock.
        if marker.exists() {
            return Ok(Self { folder });
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(Error::file("removing the half-made", &folder))?;
        }
        tracing::info!(folder = %folder.display(), "making the emulator's Python environment");
        run(
            &format!("{interpreter} -m venv (is the venv module installed?)"),
            Command::new(interpreter).args(["-m", "venv"]).arg(&folder),
        )?;
        let environment = Self { folder };
        run(
            "pip install",
            Command::new(environment.interpreter())
                .args(["-m", "pip", "install", "--quiet", "--no-input"])
                .args(["--disable-pip-version-check", "--require-hashes", "-r"])
                .arg(requirements),
        )?;
        fs::write(&marker, version).map_err(Error::file("writing", &marker))?;
        Ok(environment)
    }

    /// The environment's Python interpreter.
    pub fn interpreter(&self) -> PathBuf {
        self.folder.join("bin").join("python")
    }

    /// A command that runs the interpreter with the emulator's Python package in reach.
    ///
    /// Compiled files are not written, so the source tree stays clean.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.interpreter());
        command
            .env("PYTHONPATH", python_folder())
            .env("PYTHONUNBUFFERED", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env_remove("PYTHONHOME");
        command
    }
}

/// The folder of the emulator's Python package and its lock file.
pub(crate) fn python_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}

/// The build's target folder: where the running program lies, since neither a relative `CARGO_TARGET_DIR` nor a
/// `build.target-dir` setting can be read back reliably.
pub(crate) fn target_folder() -> PathBuf {
    let tagged = std::env::current_exe().ok().and_then(|program| {
        program
            .ancestors()
            .find(|folder| folder.join("CACHEDIR.TAG").is_file())
            .map(Path::to_owned)
    });
    tagged
        .or_else(|| {
            std::env::var_os("CARGO_TARGET_DIR")
                .map(PathBuf::from)
                .filter(|folder| folder.is_absolute())
        })
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"))
}

fn folder_for(root: &Path, lock: &[u8], version: &str) -> PathBuf {
    let digest = Sha256::new().chain_update(lock).chain_update(version).finalize();
    let head = digest
        .iter()
        .take(6)
        .fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    root.join(format!("venv-{head:012x}"))
}

fn interpreter_version(interpreter: &str) -> Result<String, Error> {
    let output = Command::new(interpreter)
        .args(["-c", "import sys; print(sys.version)"])
        .output()
        .map_err(|source| Error::NoPython {
            interpreter: interpreter.to_owned(),
            source,
        })?;
    if !output.status.success() {
        return Err(Error::Setup {
            step: format!("{interpreter} -c"),
            status: output.status,
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn run(step: &str, command: &mut Command) -> Result<(), Error> {
    let output = command.output().map_err(|source| Error::NoPython {
        interpreter: step.to_owned(),
        source,
    })?;
    if output.status.success() {
        return Ok(());
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(Error::Setup {
        step: step.to_owned(),
        status: output.status,
        output: last_lines(&text, 30),
    })
}

/// The last lines of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_made_environment_is_replaced_and_a_complete_one_kept() {
        let root = tempfile::tempdir().unwrap();
        let requirements = root.path().join(LOCK_FILE);
        fs::write(&requirements, "").unwrap();
        let version = interpreter_version("python3").unwrap();
        let folder = folder_for(root.path(), b"", &version);
        fs::create_dir_all(folder.join("rubbish")).unwrap();

        let made = PythonEnvironment::prepare_in(root.path(), "python3", &version, &requirements).unwrap();
        assert!(made.interpreter().exists());
        assert!(!folder.join("rubbish").exists());

        fs::write(folder.join("kept"), "").unwrap();
        PythonEnvironment::prepare_in(root.path(), "python3", &version, &requirements).unwrap();
        assert!(folder.join("kept").exists());
    }

    #[test]
    fn a_missing_interpreter_is_named() {
        let error = interpreter_version("/nowhere/python3").unwrap_err();
        assert!(error.to_string().contains("/nowhere/python3"), "{error}");
        assert!(error.to_string().contains("RECONCILE_PYTHON"), "{error}");
    }

    #[test]
    fn another_lock_file_or_python_makes_another_folder() {
        let root = Path::new("/t");
        let first = folder_for(root, b"a", "3.11");
        assert_ne!(first, folder_for(root, b"b", "3.11"));
        assert_ne!(first, folder_for(root, b"a", "3.12"));
        assert_eq!(first, folder_for(root, b"a", "3.11"));
    }
}
