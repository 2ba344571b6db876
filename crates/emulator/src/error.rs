//! What can go wrong while starting or steering the emulator.

use std::path::PathBuf;

/// An error of the emulator's launcher, control client or data plane.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No usable Python interpreter was found.
    #[error("`{interpreter}` cannot be run; the emulator needs Python 3.10 or newer (or set RECONCILE_PYTHON)")]
    NoPython {
        /// The interpreter that was tried.
        interpreter: String,
        /// Why it could not be run.
        #[source]
        source: std::io::Error,
    },
    /// The interpreter is there but cannot do what is needed.
    #[error("{step} ended with {status}:\n{output}")]
    Setup {
        /// What was being done, for example `python3 -m venv`.
        step: String,
        /// The exit status.
        status: std::process::ExitStatus,
        /// The last lines it printed.
        output: String,
    },
    /// A file or folder could not be used.
    #[error("{action} `{}`", path.display())]
    File {
        /// What was attempted.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why it did not work.
        #[source]
        source: std::io::Error,
    },
    /// The emulator's process ended or stayed silent instead of becoming ready.
    #[error("the emulator did not become ready: {reason}\n{log}")]
    NotReady {
        /// What happened instead.
        reason: String,
        /// The last lines of its log.
        log: String,
    },
    /// A request to the control interface got no answer.
    #[error("{method} {path}: {reason}")]
    Unreachable {
        /// The request's method.
        method: String,
        /// The request's path.
        path: String,
        /// What happened.
        reason: String,
    },
    /// The control interface refused a request.
    #[error("{method} {path}: status {status}: {body}")]
    Refused {
        /// The request's method.
        method: String,
        /// The request's path.
        path: String,
        /// The HTTP status.
        status: u16,
        /// The answer's body.
        body: String,
    },
    /// An answer was not of the expected shape.
    #[error("{what} is not what was expected: `{text}`")]
    Unreadable {
        /// Whose answer it is.
        what: String,
        /// The answer, shortened.
        text: String,
        /// Where reading it stopped.
        #[source]
        source: serde_json::Error,
    },
    /// A Python script ended with an error.
    #[error("the Python script ended with {status}:\n{output}")]
    Script {
        /// The exit status.
        status: std::process::ExitStatus,
        /// What it wrote to standard error.
        output: String,
    },
    /// No loopback network or port was free.
    #[error("no free {what} on loopback")]
    NothingFree {
        /// What was looked for.
        what: &'static str,
        /// The last attempt's error.
        #[source]
        source: Option<std::io::Error>,
    },
    /// A certificate could not be made.
    #[error("making a certificate: {reason}")]
    Certificate {
        /// What was wrong.
        reason: String,
    },
    /// Something awaited did not happen in time.
    #[error("{what} did not happen within {seconds} s")]
    Deadline {
        /// What was awaited.
        what: &'static str,
        /// How long, in seconds.
        seconds: u64,
    },
    /// A background task ended unexpectedly.
    #[error("a background task ended: {reason}")]
    Task {
        /// How it ended.
        reason: String,
    },
}

impl Error {
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }

    /// That `what`, of which this is the text, is not the JSON that it should be.
    pub fn unreadable(what: &str, text: &str) -> impl FnOnce(serde_json::Error) -> Self {
        let what = what.to_owned();
        let text = text.chars().take(400).collect();
        move |source| Self::Unreadable { what, text, source }
    }
}

impl From<rcgen::Error> for Error {
    fn from(error: rcgen::Error) -> Self {
        Self::Certificate {
            reason: error.to_string(),
        }
    }
}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Self {
        Self::Certificate {
            reason: error.to_string(),
        }
    }
}
