//! Why a command failed, as data: what programs read of it.

use reconcile_engine::{CloudError, StepError};
use serde::Serialize;

use super::{CommandError, DENIED, ErrorKind, Failure, sources, state_hint};

/// What failed, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct ErrorReport {
    /// What failed.
    pub(crate) message: String,
    /// Why, from the nearest cause to the last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) causes: Vec<String>,
    /// AWS's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    /// AWS's request id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<String>,
    /// The parts of an error that has several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) details: Vec<Detail>,
}

/// One part of an error.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Detail {
    /// What it is about: a place in a file, a step, a resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<String>,
}

impl ErrorReport {
    /// Why a step failed.
    pub(crate) fn of_step(error: &StepError) -> Self {
        let mut report = match error {
            StepError::Cloud(error) => Self::of_cloud(error),
            _ => Self::default(),
        };
        report.message = error.to_string();
        report.causes = sources(error);
        report.remedy = error.remedy();
        report
    }

    fn of_cloud(error: &CloudError) -> Self {
        let denied = (error.kind == ErrorKind::Denied).then(|| DENIED.to_owned());
        Self {
            message: error.to_string(),
            code: error.code.clone(),
            request_id: error.request_id.clone(),
            remedy: error.remedy.clone().or(denied),
            ..Self::default()
        }
    }

    fn of_failure(failure: &Failure) -> Self {
        let details = failure.details.iter().map(|detail| Detail {
            message: detail.clone(),
            ..Detail::default()
        });
        Self {
            message: failure.message.clone(),
            causes: failure.causes.clone(),
            remedy: (!failure.hints.is_empty()).then(|| failure.hints.join("; ")),
            details: details.collect(),
            ..Self::default()
        }
    }
}

impl CommandError {
    /// The same as data; none where nobody is left to be told.
    pub(crate) fn report(&self) -> Option<ErrorReport> {
        let message = |message: &str| ErrorReport {
            message: message.to_owned(),
            ..ErrorReport::default()
        };
        Some(match self {
            Self::Config(errors) => ErrorReport {
                details: errors
                    .into_iter()
                    .map(|error| Detail {
                        subject: Some(format!("{}:{}:{}", error.source_name(), error.line(), error.column())),
                        message: error.message().to_owned(),
                        remedy: Some(error.hint().to_owned()).filter(|hint| !hint.is_empty()),
                    })
                    .collect(),
                ..message(&errors.to_string())
            },
            Self::Refused(refused) => ErrorReport {
                details: refused
                    .refusals
                    .iter()
                    .map(|refusal| Detail {
                        subject: Some(refusal.subject.clone()),
                        message: refusal.reason.clone(),
                        remedy: Some(refusal.remedy.clone()),
                    })
                    .collect(),
                ..message("no plan is made; nothing was changed")
            },
            Self::Apply(error) => ErrorReport {
                causes: sources(error),
                remedy: error.remedy(),
                ..message(&error.to_string())
            },
            Self::Steps(failures) => match failures.as_slice() {
                [(title, error)] => {
                    let report = ErrorReport::of_step(error);
                    ErrorReport {
                        message: format!("{title}: {}", report.message),
                        ..report
                    }
                }
                _ => ErrorReport {
                    details: failures
                        .iter()
                        .map(|(title, error)| Detail {
                            subject: Some(title.clone()),
                            message: error.to_string(),
                            remedy: error.remedy(),
                        })
                        .collect(),
                    ..message(&format!("{} steps failed", failures.len()))
                },
            },
            Self::Cloud(error) => ErrorReport::of_cloud(error),
            Self::State { place, source } => {
                let (said, causes) = match place {
                    Some(place) => (format!("cannot use the state in `{place}`"), vec![source.to_string()]),
                    None => (source.to_string(), Vec::new()),
                };
                ErrorReport {
                    causes,
                    remedy: Some(state_hint(source).to_owned()),
                    ..message(&said)
                }
            }
            Self::Declined(text) => message(text),
            Self::Other(failure) => ErrorReport::of_failure(failure),
            Self::BrokenPipe => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use reconcile_core::plan::{Moved, StateMark};

    use super::*;

    #[test]
    fn an_error_of_aws_has_its_code_and_request_id_and_what_to_do() {
        let error = CloudError {
            operation: "elbv2 CreateListener".to_owned(),
            kind: ErrorKind::Denied,
            code: Some("AccessDenied".to_owned()),
            message: "not authorized".to_owned(),
            request_id: Some("0a1b-2c3d".to_owned()),
            remedy: None,
        };
        let steps = CommandError::Steps(vec![("create listener.443".to_owned(), StepError::Cloud(error))]);
        let report = steps.report().unwrap();
        assert_eq!(
            report.message,
            "create listener.443: elbv2 CreateListener: not authorized (AccessDenied)"
        );
        assert_eq!(
            (report.code.as_deref(), report.request_id.as_deref()),
            (Some("AccessDenied"), Some("0a1b-2c3d"))
        );
    }

    #[test]
    fn mistakes_of_a_configuration_have_their_places() {
        let errors = reconcile_core::config::Config::read("site.toml", "region = \"tokyo\"\n").unwrap_err();
        let report = CommandError::from(errors).report().unwrap();
        assert!(
            report
                .details
                .iter()
                .any(|detail| detail.subject.as_deref() == Some("site.toml:1:10")),
            "{report:?}"
        );
    }

    #[test]
    fn what_moved_says_that_nothing_was_changed() {
        let moved = Moved::State {
            saved: Some(StateMark {
                lineage: "a".to_owned(),
                serial: 3,
            }),
            now: None,
        };
        let error = CommandError::from(moved);
        insta::assert_snapshot!(error.render(crate::output::Paint::PLAIN), @"
        error: the saved plan is not carried out: the state moved on since the plan was made: there was one, and there is none now
        hint: a saved plan is good for one run: make a new one with `reconcile plan --out` and look at it; nothing was changed
        ");
    }
}
