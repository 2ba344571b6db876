//! What the commands take that make a plan or carry one out.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use reconcile_core::plan::Stage;

use super::{Format, duration};

/// How often a sign of life is written among the events, unless said otherwise.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// What `plan` takes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) cut: CutArgs,
    /// Save the plan too, to be carried out by `reconcile apply FILE` if nothing has moved by then
    #[arg(long, value_name = "FILE", value_parser = out_file)]
    pub(crate) out: Option<PathBuf>,
    /// How the plan is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: PlanFormat,
}

/// How far a plan goes, and how it is told that something is pending.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub(crate) struct CutArgs {
    /// Go no further than this stage
    #[arg(long, value_name = "STAGE")]
    pub(crate) until: Option<Until>,
    /// End with exit code 2 if changes are pending
    #[arg(long)]
    pub(crate) detailed_exitcode: bool,
}

/// What `reconcile` alone takes, and `apply` without a file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub(crate) struct RunArgs {
    /// Do not ask; needed where stdin or stderr is not a terminal
    #[arg(long, short)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) cut: CutArgs,
    #[command(flatten)]
    pub(crate) events: EventArgs,
}

/// What `apply` takes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub(crate) struct ApplyArgs {
    /// A plan that `reconcile plan --out FILE` saved: it is carried out unasked, or refused if anything has moved since
    #[arg(value_name = "FILE", conflicts_with = "until")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// How a run is told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub(crate) struct EventArgs {
    /// How the run is told on stdout; `json` is one object a line
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
    /// With `--format json`: how often a sign of life is written [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) heartbeat: Option<Duration>,
}

impl EventArgs {
    /// How often a sign of life is written, if events are.
    pub(crate) fn heartbeat(&self) -> Option<Duration> {
        (self.format == Format::Json).then(|| self.heartbeat.unwrap_or(HEARTBEAT))
    }
}

/// What `rollback` takes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub(crate) struct RollbackArgs {
    /// Do not ask; needed where stdin or stderr is not a terminal
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Show the plan only
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With --dry-run: save the plan too, for `reconcile apply FILE`
    #[arg(long, value_name = "FILE", requires = "dry_run", value_parser = out_file)]
    pub(crate) out: Option<PathBuf>,
    /// Only this site of the configuration
    #[arg(long, value_name = "NAME")]
    pub(crate) site: Option<String>,
    #[command(flatten)]
    pub(crate) events: EventArgs,
}

/// What `destroy` takes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of the command line by itself"
)]
pub(crate) struct DestroyArgs {
    /// Do not ask for the stack's name; needed where stdin or stderr is not a terminal
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Show the plan only
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// With --dry-run: save the plan too, for `reconcile apply FILE`
    #[arg(long, value_name = "FILE", requires = "dry_run", value_parser = out_file)]
    pub(crate) out: Option<PathBuf>,
    /// Delete the validation records too where no other certificate of the account needs them
    #[arg(long)]
    pub(crate) purge_validation: bool,
    /// Delete records of which it is not known where they led before
    #[arg(long)]
    pub(crate) delete_records: bool,
    #[command(flatten)]
    pub(crate) events: EventArgs,
}

/// How a plan is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum PlanFormat {
    /// For people
    #[default]
    Text,
    /// For programs, with a `format_version`
    Json,
    /// For one comment of a pull request
    Markdown,
}

/// A stage to stop after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Until {
    /// Build the new path beside the old one
    Prepare,
    /// Prove the new path
    Prove,
    /// Move visitors
    Cutover,
    /// Wait until the old address is forgotten
    Drain,
    /// Close the instance to all but the load balancer
    Lockdown,
    /// Ask the sites from outside
    Verify,
}

impl From<Until> for Stage {
    fn from(until: Until) -> Self {
        match until {
            Until::Prepare => Self::Prepare,
            Until::Prove => Self::Prove,
            Until::Cutover => Self::Cutover,
            Until::Drain => Self::Drain,
            Until::Lockdown => Self::Lockdown,
            Until::Verify => Self::Verify,
        }
    }
}

/// A file to write to: what is written to stdout has a format of its own.
fn out_file(text: &str) -> Result<PathBuf, String> {
    if text == "-" {
        return Err("a saved plan goes to a file; `--format json` writes the plan to stdout".to_owned());
    }
    Ok(PathBuf::from(text))
}
