//! What was found to be as it should, or not: the lines that `verify` and `status` print.

use serde::{Deserialize, Serialize};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What it is about: a resource's address, a name, or an AWS id.
    pub subject: String,
    /// What was looked at, in a few words that stay the same from run to run, for example `certificate chain`.
    pub name: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen.
    pub message: String,
    /// What to do; empty where nothing has to be done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It could not be looked at from here, which says nothing about it.
    Unknown,
    /// It works, and somebody should look at it.
    Warning,
    /// It is broken, or defeats the purpose.
    Failure,
}

impl Verdict {
    /// The word that is printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }
}

impl Check {
    /// Something that is as it should be.
    pub fn ok(subject: impl Into<String>, name: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            name: name.into(),
            verdict: Verdict::Ok,
            message: message.into(),
            remedy: String::new(),
        }
    }

    /// The same with another verdict and what to do about it.
    #[must_use]
    pub fn but(mut self, verdict: Verdict, remedy: impl Into<String>) -> Self {
        self.verdict = verdict;
        self.remedy = remedy.into();
        self
    }
}

/// The worst of the verdicts; `Ok` of none.
pub fn worst(checks: &[Check]) -> Verdict {
    checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok)
}
