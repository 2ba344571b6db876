//! `reconcile rollback`: visitors are led back to the instances, the load balancer stays warm.

use reconcile_core::plan::Goal;
use reconcile_engine::StopSignal;

use super::{
    carry_out::{Consent, Question, carry_out, consent},
    session::{self, Session},
};
use crate::{
    args::{CommonArgs, RollbackArgs},
    error::{CommandError, Ended},
    output::Shell,
    store::Store,
    visit::SiteVisitor,
};

/// Makes the plan of the way back, prints it, asks, and carries it out.
pub(super) async fn run(
    args: &RollbackArgs,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let (config, configuration) = session::read_config_and_fingerprint(&common.config)?;
    let site = args
        .site
        .as_deref()
        .map(|name| session::site(&config, name))
        .transpose()?;
    let visitor = session::visitor(common)?;
    let (store, _lock) = if args.dry_run {
        (session::store(&config, common).await?, None)
    } else {
        let (store, lock) = session::hold(&config, common, "rollback", stop).await?;
        (store, Some(lock))
    };
    let state = store.read(&config.name).await?;
    let session = Session::open(Goal::Rollback { site }, config, state, &visitor, stop)
        .await
        .map_err(|error| error.about(&store.place()))?;
    if let Some(path) = &args.out {
        session.save(path, configuration)?;
    }
    session.tell_plan(shell)?;
    if session.plan.is_empty() || args.dry_run {
        return Ok(Ended::Well);
    }
    if !args.yes {
        match consent(Question::steps(session.plan.steps.len()), &session.plan, shell, stop).await? {
            Consent::Given => {}
            Consent::Refused(why) => return Err(why),
        }
    }
    go(&session, &visitor, &store, common, shell, stop).await
}

/// Carries the plan out.
pub(super) async fn go(
    session: &Session,
    visitor: &SiteVisitor,
    store: &Store,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    carry_out(session, visitor, store, common, shell, stop).await?;
    shell.say("Run `reconcile` to go forward again.\n");
    Ok(Ended::Well)
}
