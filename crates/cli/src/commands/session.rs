//! From the command line to a plan: the steps that `plan` and `apply` share.

use std::{io, path::Path};

use jiff::Timestamp;
use reconcile_aws::{Aws, Options};
use reconcile_core::{
    config::{Config, SiteName, StateBackend},
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
    output::{self, Shell},
    render::{self, Header},
    store::{self, Lock, Store},
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
    let text = std::fs::read_to_string(path).map_err(|error| {
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

/// Where the state of a stack is kept.
///
/// # Errors
/// If the place cannot be prepared.
pub(super) async fn store(config: &Config, common: &CommonArgs) -> Result<Store, CommandError> {
    match (&config.state, &common.state) {
        (StateBackend::Local, path) => {
            let path = path.clone().unwrap_or_else(|| store::default_path(&config.name));
            Ok(Store::file(path))
        }
        (StateBackend::S3(state), None) => Ok(Store::bucket(config, state).await?),
        (StateBackend::S3(state), Some(path)) => Err(Failure::new(format!(
            "the configuration keeps the state in `s3://{}/{}`, and `--state` names a file",
            state.bucket,
            state.key(&config.name)
        ))
        .hint(format!(
            "leave `--state` out; to bring a state there, run `reconcile state push {}`",
            path.display()
        ))
        .into()),
    }
}

/// The same, held against other runs until the lock is dropped. The state is read when it is held, not before.
///
/// # Errors
/// If another run holds it, or it cannot be locked.
pub(super) async fn hold(
    config: &Config,
    common: &CommonArgs,
    command: &str,
    stop: &StopSignal,
) -> Result<(Store, Lock), CommandError> {
    let store = store(config, common).await?;
    let lock = store.lock(command, common.lock_timeout, stop).await?;
    Ok((store, lock))
}

/// The state as it is, for commands that change nothing and so take no lock: a state is replaced as a whole, and they see
/// the one from before or after a write of another run.
///
/// # Errors
/// If it cannot be read or used, or a signal comes.
pub(super) async fn recorded(config: &Config, common: &CommonArgs, stop: &StopSignal) -> Result<State, CommandError> {
    let reading = async { Ok(store(config, common).await?.read(&config.name).await?) };
    tokio::select! {
        state = reading => state,
        () = stop.raised() => Err(interrupted()),
    }
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
    state.check(&config.name, &observed.identity)?;
    Ok(observed)
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
