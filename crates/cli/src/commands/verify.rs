//! `reconcile verify`: the sites from outside, as visitors see them. Changes nothing, in AWS or on disk, and so takes no
//! lock. Also the last stage of an apply.

use std::{io, time::Duration};

use jiff::Timestamp;
use reconcile_aws::Aws;
use reconcile_core::{
    check::{Check, Verdict, worst},
    config::{Config, RequestProof, SiteName},
    plan::{Plan, Stage},
    state::State,
    verify,
};
use reconcile_engine::StopSignal;

use super::session;
use crate::{
    args::{CommonArgs, Format, VerifyArgs},
    error::{CommandError, Ended, Failure},
    output::{self, Shell},
    render::{self, clean, counted},
    visit::SiteVisitor,
};

/// Right after an apply AWS may still show rules that are gone, for up to a minute (`aws-facts.md` 7.1), and let visitors by
/// rules that it shows no more: what is not as it should be is looked at once more after this long.
const SETTLING: Duration = Duration::from_secs(10);

/// Asks the sites, prints the checks, and fails if one of them does.
pub(super) async fn run(
    args: &VerifyArgs,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let config = session::read_config(&common.config)?;
    let site = args
        .site
        .as_deref()
        .map(|name| session::site(&config, name))
        .transpose()?;
    let visitor = session::visitor(common)?;
    let store = session::state_file(&config, common);
    let state = store.read(&config.name)?;
    let looking = async {
        let aws = session::connect(&config).await?;
        checks(&config, site.as_ref(), &state, &aws, &visitor).await
    };
    let checks = tokio::select! {
        checks = looking => checks.map_err(|error| error.about(store.path()))?,
        () = stop.raised() => return Err(session::interrupted()),
    };
    output::print(&match args.format {
        Format::Text => format!(
            "Stack {}, from outside:\n\n{}",
            clean(config.name.as_str()),
            render::checks(&checks, shell.paint())
        ),
        Format::Json => render::checks_as_json(&config.name, &checks).map_err(io::Error::from)?,
    })?;
    match failures(&checks) {
        0 => Ok(Ended::Well),
        failed => Err(Failure::new(format!("{} failed", counted(failed, "check"))).into()),
    }
}

/// Whether a run that has carried out this plan ends with these checks.
pub(super) fn is_due(config: &Config, plan: &Plan) -> bool {
    config.prove.request != RequestProof::Off && plan.steps.iter().any(|step| step.stage == Stage::Verify)
}

/// The last stage of an apply: what was set up is looked at from outside.
///
/// # Errors
/// If AWS cannot be asked, or if a check fails and the configuration requires them to succeed.
pub(super) async fn last_stage(
    config: &Config,
    state: &State,
    aws: &Aws,
    visitor: &SiteVisitor,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let looking = async {
        let first = checks(config, None, state, aws, visitor).await?;
        if worst(&first) < Verdict::Warning {
            return Ok::<_, CommandError>(first);
        }
        tokio::time::sleep(SETTLING).await;
        checks(config, None, state, aws, visitor).await
    };
    let checks = tokio::select! {
        checks = looking => checks?,
        () = stop.raised() => {
            let interrupted = Failure::new("interrupted; everything was done, and was not verified");
            return Err(interrupted.hint("run `reconcile verify`").into());
        }
    };
    output::tell(&format!(
        "\nVerified from outside:\n\n{}",
        render::checks(&checks, shell.paint())
    ));
    match failures(&checks) {
        0 => Ok(Ended::Well),
        // The configuration knows that requests from here may fail.
        _ if config.prove.request == RequestProof::Warn => Ok(Ended::Well),
        failed => Err(Failure::new(format!(
            "everything was done, and {} failed; what was done stays done",
            counted(failed, "check")
        ))
        .hint("follow the hints above, then run `reconcile verify`")
        .into()),
    }
}

async fn checks(
    config: &Config,
    site: Option<&SiteName>,
    state: &State,
    aws: &Aws,
    visitor: &SiteVisitor,
) -> Result<Vec<Check>, CommandError> {
    output::note("Looking at the sites from outside ...\n");
    let observed = session::observe(aws, config, state).await?;
    let questions = verify::questions(config, site, &observed, state, Timestamp::now());
    let checks = visitor.verify(&questions).await;
    tracing::debug!(questions = questions.len(), worst = worst(&checks).name(), "verified");
    Ok(checks)
}

fn failures(checks: &[Check]) -> usize {
    checks.iter().filter(|check| check.verdict == Verdict::Failure).count()
}
