//! Why a command failed, as people see it, and the only place that picks an exit code.

mod report;
mod state;

use std::{error::Error, io};

use miette::{GraphicalReportHandler, GraphicalTheme};
use reconcile_core::{
    config::ConfigErrors,
    plan::{Moved, PlanFileError},
    planner::Refused,
    state::StateError,
};
use reconcile_engine::{ApplyError, CloudError, ErrorKind, StepError};

use crate::{
    output::Paint,
    render::{clean, counted},
    signals::Asked,
};

pub(crate) use report::ErrorReport;
use state::{state_hint, unsaved};

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Done, or nothing to do.
    Well,
    /// Changes are pending, and the user asked to be told by the exit code.
    ChangesPending,
    /// Something that was looked at is not as it should be, and the user asked to be told by the exit code.
    ChecksFailed,
    /// A signal ended it at once.
    AtOnce(Asked),
}

impl Ended {
    /// The exit code of the process.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::ChecksFailed => 1,
            Self::ChangesPending => 2,
            // What a shell reports for a program that the signal ended.
            Self::AtOnce(asked) => 128 + asked.number(),
        }
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// The configuration has mistakes.
    Config(ConfigErrors),
    /// No plan is made.
    Refused(Refused),
    /// A run did not begin.
    Apply(ApplyError),
    /// Steps of a run failed; each with its title.
    Steps(Vec<(String, StepError)>),
    /// AWS refused, or could not be reached.
    Cloud(Box<CloudError>),
    /// The state is about something else.
    State {
        /// Where it is, once that is known.
        place: Option<String>,
        /// What it is about.
        source: StateError,
    },
    /// The user did not want it.
    Declined(String),
    /// Anything else.
    Other(Failure),
    /// Who read stdout is gone: nobody is left to be told.
    BrokenPipe,
}

/// What failed, why, and what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    causes: Vec<String>,
    details: Vec<String>,
    hints: Vec<String>,
}

impl Failure {
    /// A failure without a cause.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            causes: Vec::new(),
            details: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// A failure that an error describes, with its sources.
    pub(crate) fn of(error: &dyn Error) -> Self {
        Self {
            message: error.to_string(),
            causes: sources(error),
            details: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// With what it is about in detail, one thing a line.
    pub(crate) fn details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// With something to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl CommandError {
    /// If the error is about the state: with the place where that is.
    pub(crate) fn about(self, place: &str) -> Self {
        match self {
            Self::State { place: None, source } => Self::State {
                place: Some(place.to_owned()),
                source,
            },
            other => other,
        }
    }

    /// The exit code of the process.
    #[expect(clippy::unused_self, reason = "the one place where an error's exit code is picked")]
    pub(crate) fn exit_code(&self) -> u8 {
        1
    }

    /// What is written to stderr.
    pub(crate) fn render(&self, paint: Paint) -> String {
        let mut page = Page {
            paint,
            lines: Vec::new(),
        };
        match self {
            Self::Config(errors) => page.config(errors),
            Self::Refused(refused) => page.refused(refused),
            Self::Apply(error) => {
                page.error(&error.to_string());
                page.causes(&sources(error));
                let unsaved = match error {
                    ApplyError::Unwritable(error) => unsaved(error),
                    _ => None,
                };
                page.hint(unsaved.or_else(|| error.remedy()).as_deref());
            }
            Self::Steps(failures) => failures.iter().for_each(|(title, error)| page.step(title, error)),
            Self::State { place, source } => {
                match place {
                    Some(place) => {
                        page.error(&format!("cannot use the state in `{place}`"));
                        page.causes(&[source.to_string()]);
                    }
                    None => page.error(&source.to_string()),
                }
                page.hint(Some(state_hint(source)));
            }
            Self::Declined(message) => page.lines.push(clean(message)),
            Self::Cloud(error) => {
                page.error(&error.to_string());
                page.aws(error);
                let denied = (error.kind == ErrorKind::Denied).then_some(DENIED);
                page.hint(error.remedy.as_deref().or(denied));
            }
            Self::Other(failure) => {
                page.error(&failure.message);
                page.causes(&failure.causes);
                page.lines
                    .extend(failure.details.iter().map(|detail| format!("  {}", clean(detail))));
                failure.hints.iter().for_each(|hint| page.hint(Some(hint)));
            }
            Self::BrokenPipe => return String::new(),
        }
        page.lines.join("\n") + "\n"
    }
}

const DENIED: &str = "give the credentials the permission that AWS names, then run again";

struct Page {
    paint: Paint,
    lines: Vec<String>,
}

impl Page {
    fn error(&mut self, message: &str) {
        self.lines
            .push(format!("{} {}", self.paint.red("error:"), clean(message)));
    }

    fn causes(&mut self, causes: &[String]) {
        self.lines
            .extend(causes.iter().map(|cause| format!("  caused by: {}", clean(cause))));
    }

    fn hint(&mut self, hint: Option<&str>) {
        self.lines
            .extend(hint.map(|hint| format!("{} {}", self.paint.cyan("hint:"), clean(hint))));
    }

    /// The request id on a line of its own: that is what a support case asks for.
    fn aws(&mut self, error: &CloudError) {
        self.lines.extend(
            error
                .request_id
                .iter()
                .map(|id| format!("  AWS request id: {}", clean(id))),
        );
    }

    fn config(&mut self, errors: &ConfigErrors) {
        self.error(&errors.to_string());
        let theme = if self.paint.is_coloured() {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(110)
            .with_links(false);
        for error in errors {
            self.lines.push(String::new());
            let mut text = String::new();
            if handler.render_report(&mut text, error).is_ok() {
                self.lines
                    .extend(text.trim_end().lines().map(|line| hinted(line.trim_end())));
            } else {
                // A picture of the file could not be drawn; its place is told all the same.
                let (line, column) = (error.line(), error.column());
                self.lines.push(format!(
                    "  {}:{line}:{column}: {}",
                    error.source_name(),
                    clean(error.message())
                ));
                self.hint(Some(error.hint()));
            }
        }
    }

    fn refused(&mut self, refused: &Refused) {
        let count = counted(refused.refusals.len(), "reason");
        self.error(&format!("no plan is made, for {count}; nothing was changed"));
        for refusal in &refused.refusals {
            self.lines.push(String::new());
            self.lines
                .push(format!("  {}: {}", clean(&refusal.subject), clean(&refusal.reason)));
            self.lines
                .push(format!("  {} {}", self.paint.cyan("hint:"), clean(&refusal.remedy)));
        }
    }

    fn step(&mut self, title: &str, error: &StepError) {
        self.error(&format!("{title}: {error}"));
        self.causes(&sources(error));
        if let StepError::Cloud(error) = error {
            self.aws(error);
        }
        let unsaved = match error {
            StepError::Store(error) => unsaved(error),
            _ => None,
        };
        self.hint(unsaved.or_else(|| error.remedy()).as_deref());
    }
}

/// A line of a picture of the file with this program's word for what to do.
fn hinted(line: &str) -> String {
    let label = line.find("help: ");
    match label.filter(|at| {
        line.get(..*at)
            .is_some_and(|before| before.ends_with("  ") && before.len() < 10)
    }) {
        Some(_) => line.replacen("help: ", "hint: ", 1),
        None => line.to_owned(),
    }
}

/// The sources of an error in order, without those that only repeat what was said.
fn sources(error: &dyn Error) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if text != said {
            causes.push(text.clone());
        }
        said = text;
        source = cause.source();
    }
    causes
}

impl From<ConfigErrors> for CommandError {
    fn from(errors: ConfigErrors) -> Self {
        Self::Config(errors)
    }
}

impl From<Refused> for CommandError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<ApplyError> for CommandError {
    fn from(error: ApplyError) -> Self {
        Self::Apply(error)
    }
}

impl From<CloudError> for CommandError {
    fn from(error: CloudError) -> Self {
        Self::Cloud(Box::new(error))
    }
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl From<PlanFileError> for CommandError {
    fn from(error: PlanFileError) -> Self {
        let hint = match &error {
            PlanFileError::OtherVersion { .. } => {
                "use the version of reconcile that made it, or make a new plan with `reconcile plan --out`"
            }
            PlanFileError::Damaged { .. } | PlanFileError::TooLarge | PlanFileError::Contradiction { .. } => {
                "make a new plan with `reconcile plan --out`"
            }
        };
        let message = format!("the saved plan cannot be used, and nothing was changed: {error}");
        Failure::new(message).hint(hint).into()
    }
}

impl From<Moved> for CommandError {
    fn from(moved: Moved) -> Self {
        Failure::new(format!("the saved plan is not carried out: {moved}"))
            .details(moved.details())
            .hint(format!("{}; nothing was changed", moved.remedy()))
            .into()
    }
}

impl From<reconcile_aws::ConnectError> for CommandError {
    fn from(error: reconcile_aws::ConnectError) -> Self {
        Failure::of(&error).into()
    }
}

impl From<reconcile_probe::NetworkError> for CommandError {
    fn from(error: reconcile_probe::NetworkError) -> Self {
        Failure::of(&error).hint("check `--ca-file`").into()
    }
}

impl From<io::Error> for CommandError {
    /// For stdin and stdout; errors of files carry their path and come otherwise.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::BrokenPipe
        } else {
            Failure::new(format!("cannot read the answer or write the result: {error}")).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use reconcile_core::planner::Refusal;

    use super::*;

    fn shown(error: impl Into<CommandError>) -> String {
        let error = error.into();
        assert_eq!(error.exit_code(), 1);
        error.render(Paint::PLAIN)
    }

    #[test]
    fn an_error_of_aws_has_its_code_and_request_id_and_what_to_do() {
        let error = CloudError {
            operation: "elbv2 CreateListener".to_owned(),
            kind: ErrorKind::Denied,
            code: Some("AccessDenied".to_owned()),
            message: "not authorized to perform: elasticloadbalancing:CreateListener".to_owned(),
            request_id: Some("0a1b-2c3d".to_owned()),
            remedy: None,
        };
        insta::assert_snapshot!(shown(error), @"
        error: elbv2 CreateListener: not authorized to perform: elasticloadbalancing:CreateListener (AccessDenied)
          AWS request id: 0a1b-2c3d
        hint: give the credentials the permission that AWS names, then run again
        ");
    }

    #[test]
    fn every_reason_of_a_refusal_is_told() {
        let refusal = |subject: &str| Refusal {
            subject: subject.to_owned(),
            reason: "it is so".to_owned(),
            remedy: "do that".to_owned(),
        };
        insta::assert_snapshot!(shown(Refused { refusals: vec![refusal("site www"), refusal("vpc-0a")] }), @"
        error: no plan is made, for 2 reasons; nothing was changed

          site www: it is so
          hint: do that

          vpc-0a: it is so
          hint: do that
        ");
    }

    #[test]
    fn every_mistake_of_a_configuration_is_told_with_its_place() {
        let errors =
            reconcile_core::config::Config::read("site.toml", "region = \"tokyo\"\nnmae = \"x\"\n").unwrap_err();
        let text = shown(errors.clone());
        assert!(text.starts_with("error: `site.toml` has "), "{text}");
        assert!(
            text.contains("[site.toml:1:10]") && text.contains("[site.toml:2:1]"),
            "{text}"
        );
        assert!(
            text.contains("\n\n  × ") && text.contains("\n  hint: did you mean `name`?"),
            "{text}"
        );
        assert!(!text.contains("help:"), "{text}");
        let coloured = CommandError::from(errors).render(Paint::COLOUR);
        assert!(
            coloured.contains("hint: ") && !coloured.contains("help: "),
            "{coloured}"
        );
    }

    #[test]
    fn a_reader_that_is_gone_is_told_nothing() {
        assert_eq!(shown(io::Error::from(io::ErrorKind::BrokenPipe)), "");
    }
}
