//! `reconcile apply`, and `reconcile` alone: plan, show, ask, carry out; or carry out a plan that was saved.

use std::path::Path;

use reconcile_core::plan::{Goal, Stage};
use reconcile_engine::{OutcomeKind, StopSignal};

use super::{
    carry_out::{Consent, Question, carry_out, consent},
    destroy, rollback,
    session::{self, Session},
    verify,
};
use crate::{
    args::{ApplyArgs, CommonArgs},
    error::{CommandError, Ended},
    output::{self, Shell},
    plan_file,
    store::Store,
    visit::SiteVisitor,
};

/// Makes the plan, prints it, asks, and carries it out.
pub(super) async fn run(
    args: &ApplyArgs,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    if let Some(file) = &args.file {
        return saved(file, common, shell, stop).await;
    }
    let args = &args.run;
    let config = session::read_config(&common.config)?;
    // What is wrong with the options is told before AWS is asked for anything.
    let visitor = session::visitor(common)?;
    let (store, _lock) = session::hold(&config, common, "apply", stop).await?;
    let state = store.read(&config.name).await?;
    let goal = Goal::Apply {
        until: args.cut.until.map(Stage::from),
    };
    let session = Session::open(goal, config, state, &visitor, stop)
        .await
        .map_err(|error| error.about(&store.place()))?;
    session.tell_plan(shell)?;
    if session.plan.is_empty() {
        return Ok(Ended::Well);
    }
    if !args.yes {
        match consent(Question::steps(session.plan.steps.len()), &session.plan, shell, stop).await? {
            Consent::Given => {}
            Consent::Refused(why) if args.cut.detailed_exitcode => {
                output::note(&why.render(shell.err_paint()));
                return Ok(Ended::ChangesPending);
            }
            Consent::Refused(why) => return Err(why),
        }
    }
    go(&session, &visitor, &store, common, shell, stop).await
}

/// Carries out a plan that was saved, if nothing has moved since. Nobody is asked: who saved it has seen it, and who names
/// the file wants it.
///
/// What is carried out is the plan that is made now, which was compared with the saved one. So a file from elsewhere can
/// order nothing, and waits are those of today.
async fn saved(path: &Path, common: &CommonArgs, shell: &Shell, stop: &StopSignal) -> Result<Ended, CommandError> {
    let file = plan_file::read(path)?;
    let (config, configuration) = session::read_config_and_fingerprint(&common.config)?;
    file.check_configuration(&config.name, &configuration)?;
    let visitor = session::visitor(common)?;
    let (store, _lock) = session::hold(&config, common, "apply", stop).await?;
    let state = store.read(&config.name).await?;
    file.check_state(&state)?;
    let session = Session::open(file.goal.clone(), config, state, &visitor, stop)
        .await
        .map_err(|error| error.about(&store.place()))?;
    session.check(&file)?;
    session.tell_plan(shell)?;
    if session.plan.is_empty() {
        return Ok(Ended::Well);
    }
    match session.goal {
        Goal::Apply { .. } => go(&session, &visitor, &store, common, shell, stop).await,
        Goal::Rollback { .. } => rollback::go(&session, &visitor, &store, common, shell, stop).await,
        Goal::Destroy { .. } => destroy::go(&session, &visitor, &store, common, shell, stop).await,
    }
}

/// Carries the plan out and looks at what came of it.
async fn go(
    session: &Session,
    visitor: &SiteVisitor,
    store: &Store,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let outcome = carry_out(session, visitor, store, common, shell, stop).await?;
    if outcome.kind == OutcomeKind::Complete && verify::is_due(&session.config, &session.plan) {
        let state = store.read(&session.config.name).await?;
        return verify::last_stage(&session.config, &state, &session.aws, visitor, shell, stop).await;
    }
    Ok(Ended::Well)
}
