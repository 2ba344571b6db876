//! From the command line to a plan: the steps that `plan` and `apply` share.

use std::{io, path::Path};

use jiff::Timestamp;
use reconcile_aws::{Aws, Options};
use reconcile_core::{
    config::{Config, SiteName},
    limits,
    observed::{Identity, Observed},
    plan::{Plan, Stage},
    planner::{self, DestroyOptions},
    state::State,
};
use reconcile_engine::{Cloud, StopSignal};
use reconcile_probe::Network;

use crate::{
    args::{CommonArgs, PlanArgs},
    error::{CommandError, Failure},
    files::read_text,
    output::{self, Shell},
    render::{self, Header},
    store::{self, StateFile},
    visit::SiteVisitor,
};

/// A plan and what it was made from.
#[derive(Debug)]
pub(super) struct Session {
    /// What is wanted.
    pub(super) config: Config,
    /// Where it is.
    pub(super) aws: Aws,
    /// Whose AWS it is.
    pub(super) identity: Identity,
    /// What is remembered.
    pub(super) state: State,
    /// What is to be done.
    pub(super) plan: Plan,
    /// The stage after which the plan was cut off, and how many steps that left out.
    pub(super) cut: Option<(Stage, usize)>,
}

/// Reads the configuration file.
///
/// # Errors
/// If it cannot be read, and every mistake in it.
pub(super) fn read_config(path: &Path) -> Result<Config, CommandError> {
    let text = read_text(path, limits::CONFIG_BYTES).map_err(|error| {
        let failure = Failure::new(format!(
            "cannot read the configuration file `{}`: {error}",
            path.display()
        ));
        match error.kind() {
            io::ErrorKind::NotFound => {
                failure.hint("write one, as `config.example.toml` shows, or name it with `--config`")
            }
            io::ErrorKind::InvalidData => failure.hint("save it as UTF-8 text"),
            io::ErrorKind::IsADirectory => failure.hint("name the file in it with `--config`"),
            io::ErrorKind::PermissionDenied => failure.hint("make it readable, or name another with `--config`"),
            _ => failure,
        }
    })?;
    Ok(Config::read(&path.display().to_string(), &text)?)
}

/// The state file of a stack.
pub(super) fn state_file(config: &Config, common: &CommonArgs) -> StateFile {
    StateFile::new(
        common
            .state
            .clone()
            .unwrap_or_else(|| store::default_path(&config.name)),
    )
}

/// Who asks the sites, the way that the options say.
///
/// # Errors
/// If the options cannot be followed, for example because a file cannot be read.
pub(super) fn visitor(common: &CommonArgs) -> Result<SiteVisitor, CommandError> {
    Ok(SiteVisitor::new(Network::new(&common.network.options())?))
}

/// What a plan is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Goal {
    /// What the configuration asks for.
    Apply,
    /// The way back, of all sites or of one.
    Rollback(Option<SiteName>),
    /// Nothing of the stack.
    Destroy(DestroyOptions),
}

/// The site of that name.
///
/// # Errors
/// If the configuration has none.
pub(super) fn site(config: &Config, name: &str) -> Result<SiteName, CommandError> {
    config
        .sites
        .keys()
        .find(|site| site.as_str() == name)
        .cloned()
        .ok_or_else(|| {
            let known: Vec<String> = config.sites.keys().map(|site| format!("`{site}`")).collect();
            Failure::new(format!("there is no site `{name}` in the configuration"))
                .hint(format!("its sites are {}", known.join(", ")))
                .into()
        })
}

/// Prepares the calls to AWS, as the configuration says.
///
/// # Errors
/// If there is no region, or the profile does not exist.
pub(super) async fn connect(config: &Config) -> Result<Aws, CommandError> {
    let options = Options {
        region: config.region.clone(),
        profile: config.profile.clone(),
        dns: config.dns.clone(),
    };
    Ok(Aws::connect(options).await?)
}

/// What is in AWS of all that the configuration and the state name.
///
/// # Errors
/// If the state belongs to something else, or AWS cannot be asked.
pub(super) async fn observe(aws: &Aws, config: &Config, state: &State) -> Result<Observed, CommandError> {
    let observed = aws.observe(&planner::query(config, state)).await?;
    check(config, state, &observed.identity)?;
    Ok(observed)
}

/// Whether this is the account that the configuration demands, and the stack, account and region of the state.
///
/// # Errors
/// If it is another.
pub(super) fn check(config: &Config, state: &State, identity: &Identity) -> Result<(), CommandError> {
    config.check_account(identity).map_err(|error| {
        Failure::of(&error)
            .hint("choose the credentials with `profile` or AWS_PROFILE, or correct `account`; nothing was changed")
    })?;
    Ok(state.check(&config.name, identity)?)
}

impl Session {
    /// Looks at AWS and makes the plan for a goal, in whole.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub(super) async fn open_for(
        goal: Goal,
        config: Config,
        state: State,
        visitor: &SiteVisitor,
        stop: &StopSignal,
    ) -> Result<Self, CommandError> {
        let whole = PlanArgs::default();
        tokio::select! {
            session = Self::look(goal, config, state, &whole, visitor) => session,
            () = stop.raised() => Err(interrupted()),
        }
    }

    /// Looks at AWS and makes the plan.
    ///
    /// # Errors
    /// If the state belongs to something else, AWS cannot be asked, or the plan is refused.
    pub(super) async fn open(
        config: Config,
        state: State,
        args: &PlanArgs,
        visitor: &SiteVisitor,
        stop: &StopSignal,
    ) -> Result<Self, CommandError> {
        tokio::select! {
            session = Self::look(Goal::Apply, config, state, args, visitor) => session,
            () = stop.raised() => Err(interrupted()),
        }
    }

    async fn look(
        goal: Goal,
        config: Config,
        state: State,
        args: &PlanArgs,
        visitor: &SiteVisitor,
    ) -> Result<Self, CommandError> {
        let aws = connect(&config).await?;
        let observed = observe(&aws, &config, &state).await?;
        let now = Timestamp::now();
        let mut plan = match goal {
            Goal::Apply => planner::plan(&config, &observed, &state, now)?,
            Goal::Rollback(only) => planner::rollback(&config, &observed, &state, only.as_ref())?,
            Goal::Destroy(options) => planner::destroy(&config, &observed, &state, options, now)?,
        };
        let health = planner::health_probes(&config, &observed, &plan);
        let delegation = planner::delegation_probes(&config, &observed, &plan);
        let asked = tokio::join!(
            visitor.health_findings(&health),
            visitor.delegation_findings(&delegation)
        );
        plan.findings.extend(asked.0);
        plan.findings.extend(asked.1);
        plan.findings.sort();
        let all = plan.steps.len();
        let (plan, cut) = match args.until.map(Stage::from) {
            Some(stage) => {
                let plan = plan.until(stage);
                let left_out = all - plan.steps.len();
                (plan, Some((stage, left_out)))
            }
            None => (plan, None),
        };
        Ok(Self {
            config,
            aws,
            identity: observed.identity,
            state,
            plan,
            cut,
        })
    }

    /// Writes a plan to stdout that is about to be carried out: what nobody could read is not done.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn show_plan(&self, shell: &Shell) -> Result<(), CommandError> {
        self.print_plan(shell).map_err(|error| match error {
            CommandError::BrokenPipe => Failure::new("nobody reads the plan on stdout; nothing was changed")
                .hint("to keep only the end of the output, write it to a file first")
                .into(),
            error => error,
        })
    }

    /// Writes the plan to stdout.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn print_plan(&self, shell: &Shell) -> Result<(), CommandError> {
        let header = Header {
            stack: &self.config.name,
            identity: &self.identity,
            cut: self.cut,
            state: &self.state,
            now: Timestamp::now(),
        };
        Ok(output::print(&render::plan(&self.plan, &header, shell.paint()))?)
    }
}

/// Looks at everything that a plan needs, and ends at a signal.
///
/// # Errors
/// If AWS cannot be asked, or the state belongs to something else.
pub(super) async fn look_at(
    config: &Config,
    state: &State,
    stop: &StopSignal,
) -> Result<(Aws, Observed), CommandError> {
    let look = async {
        let aws = connect(config).await?;
        let observed = observe(&aws, config, state).await?;
        Ok((aws, observed))
    };
    tokio::select! {
        seen = look => seen,
        () = stop.raised() => Err(interrupted()),
    }
}

/// A signal came while nothing was changed yet.
pub(super) fn interrupted() -> CommandError {
    Failure::new("interrupted; nothing was changed").into()
}
