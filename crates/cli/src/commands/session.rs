//! From the command line to a plan: the steps that `plan` and `apply` share.

use std::{io, path::Path};

use jiff::Timestamp;
use reconcile_aws::{Aws, Notices, Options};
use reconcile_core::{
    config::{Config, Fingerprint, SiteName, StateBackend},
    limits,
    observed::{Identity, Observed},
    plan::{FILE_FORMAT_VERSION, Finding, Goal, Plan, PlanFile, Seen, Stage, StateMark, seen},
    planner,
    state::State,
};
use reconcile_engine::{Cloud, StopSignal};
use reconcile_probe::Network;

use crate::{
    args::CommonArgs,
    error::{CommandError, Failure},
    files::read_text,
    output::{self, Shell},
    plan_file,
    render::{self, Header, PlanDocument},
    store::{self, Lock, Store},
    visit::SiteVisitor,
};

/// A plan and what it was made from.
#[derive(Debug)]
pub(super) struct Session {
    /// What the plan is made for.
    pub(super) goal: Goal,
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
    /// What was observed, to be kept beside a saved plan.
    pub(super) seen: Seen,
    /// What the planner tells, without what the sites were asked.
    pub(super) findings: Vec<Finding>,
}

/// Reads the configuration file.
///
/// # Errors
/// If it cannot be read, and every mistake in it.
pub(super) fn read_config(path: &Path) -> Result<Config, CommandError> {
    Ok(read_config_and_fingerprint(path)?.0)
}

/// The same with what tells its content from others.
///
/// # Errors
/// As [`read_config`].
pub(super) fn read_config_and_fingerprint(path: &Path) -> Result<(Config, Fingerprint), CommandError> {
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
    let config = Config::read(&path.display().to_string(), &text)?;
    Ok((config, Fingerprint::of(&text)))
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
pub(super) async fn recorded(
    config: &Config,
    common: &CommonArgs,
    stop: &StopSignal,
) -> Result<(Store, State), CommandError> {
    let reading = async {
        let store = store(config, common).await?;
        let state = store.read(&config.name).await?;
        Ok((store, state))
    };
    tokio::select! {
        recorded = reading => recorded,
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
    // In long silences a user wants to know who is waited for.
    let notices = Notices::new(|what| output::note(&format!("note: {what}\n")));
    Ok(Aws::connect_telling(options, notices).await?)
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
    /// Looks at AWS and makes the plan.
    ///
    /// # Errors
    /// If the state belongs to something else, AWS cannot be asked, or the plan is refused.
    pub(super) async fn open(
        goal: Goal,
        config: Config,
        state: State,
        visitor: &SiteVisitor,
        stop: &StopSignal,
    ) -> Result<Self, CommandError> {
        tokio::select! {
            session = Self::look(goal, config, state, visitor) => session,
            () = stop.raised() => Err(interrupted()),
        }
    }

    async fn look(goal: Goal, config: Config, state: State, visitor: &SiteVisitor) -> Result<Self, CommandError> {
        let aws = connect(&config).await?;
        let observed = observe(&aws, &config, &state).await?;
        let now = Timestamp::now();
        let mut plan = match &goal {
            Goal::Apply { .. } => planner::plan(&config, &observed, &state, now)?,
            Goal::Rollback { site } => planner::rollback(&config, &observed, &state, site.as_ref())?,
            Goal::Destroy { options } => planner::destroy(&config, &observed, &state, *options, now)?,
        };
        let findings = plan.findings.clone();
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
        let (plan, cut) = match goal.until() {
            Some(stage) => {
                let plan = plan.until(stage);
                let left_out = all - plan.steps.len();
                (plan, Some((stage, left_out)))
            }
            None => (plan, None),
        };
        let seen = seen(&config, &observed, &state);
        Ok(Self {
            goal,
            config,
            aws,
            identity: observed.identity,
            state,
            plan,
            cut,
            seen,
            findings,
        })
    }

    /// Saves the plan.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn save(&self, path: &Path, configuration: Fingerprint) -> Result<(), CommandError> {
        let file = PlanFile {
            format_version: FILE_FORMAT_VERSION,
            reconcile_version: env!("CARGO_PKG_VERSION").to_owned(),
            made_at: Timestamp::now(),
            stack: self.config.name.clone(),
            account: self.identity.account.clone(),
            region: self.identity.region.clone(),
            goal: self.goal.clone(),
            configuration,
            state: StateMark::of(&self.state),
            observed: self.seen.clone(),
            plan: self.plan.clone(),
        };
        plan_file::write(path, &file)
    }

    /// Checks that this plan does what a saved one does, for the same account.
    ///
    /// # Errors
    /// If it does something else; with what moved.
    pub(super) fn check(&self, saved: &PlanFile) -> Result<(), CommandError> {
        saved.check_identity(&self.identity)?;
        Ok(saved.check_world(&self.plan, &self.findings, &self.seen)?)
    }

    /// The plan for programs.
    pub(super) fn document(&self) -> PlanDocument<'_> {
        PlanDocument::new(&self.plan, &self.identity, self.cut, Timestamp::now())
    }

    /// Tells a run's plan: as text, or as its first event.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn tell_plan(&self, shell: &Shell) -> Result<(), CommandError> {
        if let Some(events) = shell.events() {
            events.plan(&self.document());
            if self.plan.is_empty() {
                events.no_changes();
            } else {
                events.planned(&self.plan);
            }
            return Ok(());
        }
        // What nobody could read is not done.
        output::print(&self.plan_as_text(shell)).map_err(|error| match CommandError::from(error) {
            CommandError::BrokenPipe => Failure::new("nobody reads the plan on stdout; nothing was changed")
                .hint("to keep only the end of the output, write it to a file first")
                .into(),
            error => error,
        })
    }

    /// The plan for people.
    pub(super) fn plan_as_text(&self, shell: &Shell) -> String {
        render::plan(&self.plan, &self.header(), shell.paint())
    }

    /// The plan for one comment of a pull request.
    pub(super) fn plan_as_markdown(&self) -> String {
        render::markdown(&self.plan, &self.header())
    }

    fn header(&self) -> Header<'_> {
        Header {
            stack: &self.config.name,
            identity: &self.identity,
            cut: self.cut,
            state: &self.state,
            now: Timestamp::now(),
        }
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
