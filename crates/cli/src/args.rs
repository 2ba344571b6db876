//! The command line: what can be asked for, and how it is written.

mod run;
mod state;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum, error::ErrorKind};
use reconcile_probe::{ConnectTo, DnsServer, NetworkOptions, Resolve};
pub(crate) use run::{ApplyArgs, DestroyArgs, EventArgs, PlanArgs, PlanFormat, RollbackArgs, RunArgs};
pub(crate) use state::{ImportArgs, StateCommand};

const EXIT_CODES: &str = "\
Exit codes:
  0   done, or nothing to do
  1   an error, an interruption, something that `verify` or `status --check` found to have
      failed, or a plan that was not applied: the answer was not `yes`, or there was no
      terminal to ask on and no --yes
  2   with --detailed-exitcode: changes are pending and were not applied
  64  the command line cannot be understood
  130 ended at once by a second Ctrl-C

Environment:
  AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, ...  read by the AWS SDK as everywhere
  NO_COLOR  no colours, as with `--color never`";

/// The exit code for a command line that cannot be understood (`EX_USAGE` of BSD's sysexits). clap's own, 2, would be
/// taken for pending changes.
pub(crate) const USAGE_EXIT_CODE: u8 = 64;

/// Moves a web site on EC2 behind an Application Load Balancer with an ACM certificate
///
/// Reads what is wanted from a TOML file, compares it with what is in AWS, shows the plan, asks, and carries it out.
/// Without a command it does the same as `reconcile apply`.
#[derive(Debug, Parser)]
#[command(name = "reconcile", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<CommandLine>,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, Subcommand)]
enum CommandLine {
    /// Show what would be done, and change nothing
    #[command(after_help = EXIT_CODES)]
    Plan(PlanArgs),
    /// Show the plan, ask, and carry it out; or carry out a plan that was saved
    #[command(after_help = EXIT_CODES)]
    Apply(ApplyArgs),
    /// Show how every resource is, and whether the certificates will be renewed
    #[command(after_help = EXIT_CODES)]
    Status(StatusArgs),
    /// Ask the sites from outside, as visitors do, whether all is as it should be
    #[command(after_help = EXIT_CODES)]
    Verify(VerifyArgs),
    /// Check the configuration file without asking AWS
    #[command(after_help = EXIT_CODES)]
    Validate,
    /// Lead visitors back to the instances as before the cutover; the load balancer stays ready
    #[command(after_help = EXIT_CODES)]
    Rollback(RollbackArgs),
    /// Lead visitors back and take away everything that the stack made
    #[command(after_help = EXIT_CODES)]
    Destroy(DestroyArgs),
    /// Look into the state file, or mend it; AWS is not changed
    #[command(subcommand, after_help = EXIT_CODES, disable_help_subcommand = true)]
    State(StateCommand),
    /// Take over an object that others made
    #[command(after_help = state::IMPORT)]
    Import(ImportArgs),
    /// Print the JSON Schema of something that `--format json` or `plan --out` writes
    #[command(after_help = EXIT_CODES)]
    Schema {
        /// Of what
        #[arg(value_name = "NAME")]
        name: SchemaName,
    },
}

/// What every command takes.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct CommonArgs {
    /// The configuration file
    #[arg(
        long,
        short = 'c',
        global = true,
        value_name = "FILE",
        default_value = "reconcile.toml"
    )]
    pub(crate) config: PathBuf,
    /// The state file [default: state/NAME.json in the working directory, NAME being the stack's]
    #[arg(long, short = 's', global = true, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// When to colour the output
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,
    /// Say on stderr what is asked of AWS and the sites; twice: with details
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// How often AWS is asked while waiting, such as `5s` [default: growing from 2s to 15s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub(crate) poll_interval: Option<Duration>,
    /// Wait so long for another run that holds the state, such as `5m` [default: do not wait]
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub(crate) lock_timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

/// How the sites are reached; calls to AWS are not affected.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Ways to the sites")]
pub(crate) struct NetworkArgs {
    /// Resolve the names of sites and load balancers at this DNS server
    #[arg(long, global = true, value_name = "ADDR[:PORT]")]
    pub(crate) dns_server: Option<DnsServer>,
    /// Trust the certificates in this PEM file besides the system's
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Connect to HOST2:PORT2 instead of HOST1:PORT1, as curl does; can be repeated
    #[arg(long, global = true, value_name = "HOST1:PORT1:HOST2:PORT2")]
    pub(crate) connect_to: Vec<ConnectTo>,
    /// Take these addresses for HOST at PORT instead of asking DNS, as curl does; can be repeated, `*` is any name
    #[arg(long, global = true, value_name = "HOST:PORT:ADDR[,ADDR]...")]
    pub(crate) resolve: Vec<Resolve>,
}

impl NetworkArgs {
    /// The same for the probe.
    pub(crate) fn options(&self) -> NetworkOptions {
        NetworkOptions {
            dns_server: self.dns_server,
            ca_file: self.ca_file.clone(),
            connect_to: self.connect_to.clone(),
            resolve: self.resolve.clone(),
            ..NetworkOptions::default()
        }
    }
}

/// What `status` takes.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct StatusArgs {
    /// End with exit code 1 if something is a failure
    #[arg(long)]
    pub(crate) check: bool,
    /// With --check: a warning counts as a failure
    #[arg(long, requires = "check")]
    pub(crate) strict: bool,
    /// How the result is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
}

/// What `verify` takes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Args)]
pub(crate) struct VerifyArgs {
    /// Look at this site only, by its name in the configuration
    #[arg(long, value_name = "NAME")]
    pub(crate) site: Option<String>,
    /// How the checks are written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
}

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Text,
    /// For programs, with a `format_version`
    Json,
}

/// What has a JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaName {
    /// What `plan --format json` writes
    Plan,
    /// What `apply`, `rollback` and `destroy` write with `--format json`, line by line
    Events,
    /// What `status --format json` writes
    Status,
    /// What `verify --format json` writes
    Verify,
    /// What `plan --out FILE` writes
    PlanFile,
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Show the plan.
    Plan(PlanArgs),
    /// Show the plan, ask, and carry it out.
    Apply(ApplyArgs),
    /// Show how everything is.
    Status(StatusArgs),
    /// Ask the sites from outside.
    Verify(VerifyArgs),
    /// Check the configuration.
    Validate,
    /// Lead visitors back.
    Rollback(RollbackArgs),
    /// Take everything away.
    Destroy(DestroyArgs),
    /// Look into the state file, or mend it.
    State(StateCommand),
    /// Take over an object.
    Import(ImportArgs),
    /// Print a JSON Schema.
    Schema(SchemaName),
}

impl Command {
    /// The name on the command line.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Plan(_) => "plan",
            Self::Apply(_) => "apply",
            Self::Status(_) => "status",
            Self::Verify(_) => "verify",
            Self::Validate => "validate",
            Self::Rollback(_) => "rollback",
            Self::Destroy(_) => "destroy",
            Self::State(command) => command.name(),
            Self::Import(_) => "import",
            Self::Schema(_) => "schema",
        }
    }

    /// How a run is told, for the commands that carry out plans.
    pub(crate) fn events(&self) -> Option<&EventArgs> {
        match self {
            Self::Apply(args) => Some(&args.run.events),
            Self::Rollback(args) => Some(&args.events),
            Self::Destroy(args) => Some(&args.events),
            Self::Plan(_)
            | Self::Status(_)
            | Self::Verify(_)
            | Self::Validate
            | Self::State(_)
            | Self::Import(_)
            | Self::Schema(_) => None,
        }
    }
}

/// Reads the command line.
///
/// # Errors
/// clap's error, which is also how `--help` and `--version` come out: [`exit_code`] tells them apart.
pub(crate) fn parse<I, T>(arguments: I) -> Result<(Command, CommonArgs), clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<std::ffi::OsString> + Clone,
{
    let Cli { command, run, common } = Cli::try_parse_from(arguments)?;
    let misplaced = |wanted: &str| {
        Err(clap::Error::raw(
            ErrorKind::ArgumentConflict,
            format!("write the options of `{wanted}` after its name, as in `reconcile {wanted} --yes`\n"),
        ))
    };
    let no_plan = |command: &str| {
        Err(clap::Error::raw(
            ErrorKind::ArgumentConflict,
            format!("`{command}` carries out no plan and takes none of its options\n"),
        ))
    };
    let stands_alone = run == RunArgs::default();
    let command = match command {
        None => Command::Apply(ApplyArgs { file: None, run }),
        Some(CommandLine::Apply(apply)) if stands_alone => Command::Apply(apply),
        Some(CommandLine::Plan(plan)) if stands_alone => Command::Plan(plan),
        Some(CommandLine::Status(status)) if stands_alone => Command::Status(status),
        Some(CommandLine::Verify(verify)) if stands_alone => Command::Verify(verify),
        Some(CommandLine::Validate) if stands_alone => Command::Validate,
        Some(CommandLine::Rollback(args)) if stands_alone => Command::Rollback(args),
        Some(CommandLine::Destroy(args)) if stands_alone => Command::Destroy(args),
        Some(CommandLine::Apply(_)) => return misplaced("apply"),
        Some(CommandLine::Plan(_)) => return misplaced("plan"),
        Some(CommandLine::Rollback(_)) => return misplaced("rollback"),
        Some(CommandLine::Destroy(_)) => return misplaced("destroy"),
        Some(CommandLine::Status(_)) => return no_plan("status"),
        Some(CommandLine::Validate) => return no_plan("validate"),
        Some(CommandLine::Verify(_)) => return no_plan("verify"),
        Some(CommandLine::State(state)) if stands_alone => Command::State(state),
        Some(CommandLine::Import(import)) if stands_alone => Command::Import(import),
        Some(CommandLine::State(state)) => return no_plan(state.name()),
        Some(CommandLine::Import(_)) => return no_plan("import"),
        Some(CommandLine::Schema { name }) if stands_alone => Command::Schema(name),
        Some(CommandLine::Schema { .. }) => return no_plan("schema"),
    };
    Ok((command, common))
}

/// The exit code that goes with an error of [`parse`].
pub(crate) fn exit_code(error: &clap::Error) -> u8 {
    if error.use_stderr() { USAGE_EXIT_CODE } else { 0 }
}

fn duration(text: &str) -> Result<Duration, String> {
    let problem = || format!("`{text}` is not a duration such as `5s` or `500ms`");
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| problem())?;
    Duration::try_from(parsed)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(problem)
}
