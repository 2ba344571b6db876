//! Whether a site answers as it did.

use std::fmt;

use http::StatusCode;

use crate::answer::Answer;

/// What is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Another status.
    Status {
        /// As it was.
        before: StatusCode,
        /// As it is.
        after: StatusCode,
        /// Whether the load balancer wrote the new answer, because no target answered.
        from_load_balancer: bool,
    },
    /// A redirect leads elsewhere, or is new, or is gone.
    Location {
        /// Where it led, if it was a redirect.
        before: Option<String>,
        /// Where it leads, if it is a redirect.
        after: Option<String>,
    },
    /// Another media type.
    MediaType {
        /// As it was.
        before: Option<String>,
        /// As it is.
        after: Option<String>,
    },
}

/// How much a difference means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a look.
    Minor,
    /// Visitors get something else than before.
    Breaking,
}

impl Difference {
    /// Breaking: another class of status (2xx became 5xx) or another place to be redirected to.
    /// Minor: the rest.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Status { before, after, .. } if class(*before) == class(*after) => Severity::Minor,
            Self::Status { .. } | Self::Location { .. } => Severity::Breaking,
            Self::MediaType { .. } => Severity::Minor,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |value: &Option<String>| match value {
            Some(value) => format!("`{value}`"),
            None => "none".to_owned(),
        };
        match self {
            Self::Status {
                before,
                after,
                from_load_balancer,
            } => {
                write!(f, "the status was {before}, now it is {after}")?;
                if *from_load_balancer {
                    f.write_str(" (written by the load balancer, not by the site)")?;
                }
                Ok(())
            }
            Self::Location {
                before: None,
                after: Some(after),
            } => {
                write!(f, "there was no redirect, now it leads to `{after}`")
            }
            Self::Location {
                before: Some(before),
                after: None,
            } => {
                write!(f, "the redirect led to `{before}`, now there is none")
            }
            Self::Location { before, after } => {
                write!(
                    f,
                    "the redirect led to {}, now it leads to {}",
                    quoted(before),
                    quoted(after)
                )
            }
            Self::MediaType { before, after } => {
                write!(
                    f,
                    "the content type was {}, now it is {}",
                    quoted(before),
                    quoted(after)
                )
            }
        }
    }
}

/// What a visitor would notice between two answers: status, where a redirect leads (as an absolute
/// URL, so that `/x` and `https://host/x` are the same), media type. Bodies are not compared, they
/// differ from one request to the next.
pub fn differences(before: &Answer, after: &Answer) -> Vec<Difference> {
    let mut found = Vec::new();
    if before.status != after.status {
        found.push(Difference::Status {
            before: before.status,
            after: after.status,
            from_load_balancer: after.is_from_load_balancer(),
        });
    }
    let target = |answer: &Answer| answer.redirect_target().filter(|_| answer.is_redirect());
    let (was, is) = (target(before), target(after));
    if was != is {
        found.push(Difference::Location { before: was, after: is });
    }
    // Of two different pages the type is no news.
    if found.is_empty() {
        let (was, is) = (before.media_type(), after.media_type());
        if was != is {
            found.push(Difference::MediaType { before: was, after: is });
        }
    }
    found
}

fn class(status: StatusCode) -> u16 {
    status.as_u16() / 100
}
