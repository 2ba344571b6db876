//! `reconcile destroy`: everything that the stack made is taken away.

use reconcile_core::{plan::Goal, planner::DestroyOptions};
use reconcile_engine::{OutcomeKind, StopSignal};

use super::{
    carry_out::{Consent, Question, carry_out, consent},
    session::{self, Session},
};
use crate::{
    args::{CommonArgs, DestroyArgs},
    error::{CommandError, Ended},
    output::Shell,
    store::Store,
    visit::SiteVisitor,
};

/// Makes the plan, prints it, asks for the stack's name, and carries it out.
pub(super) async fn run(
    args: &DestroyArgs,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let (config, configuration) = session::read_config_and_fingerprint(&common.config)?;
    let visitor = session::visitor(common)?;
    let (store, _lock) = if args.dry_run {
        (session::store(&config, common).await?, None)
    } else {
        let (store, lock) = session::hold(&config, common, "destroy", stop).await?;
        (store, Some(lock))
    };
    let state = store.read(&config.name).await?;
    let name = config.name.clone();
    let options = DestroyOptions {
        purge_validation: args.purge_validation,
        delete_records: args.delete_records,
    };
    let session = Session::open(Goal::Destroy { options }, config, state, &visitor, stop)
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
        let question = Question::name("This takes the stack away.", name.as_str());
        match consent(question, &session.plan, shell, stop).await? {
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
    let outcome = carry_out(session, visitor, store, common, shell, stop).await?;
    if outcome.kind == OutcomeKind::Complete {
        shell.say("The stack is gone. Remove its configuration, or `reconcile` makes it again.\n");
    }
    Ok(Ended::Well)
}
