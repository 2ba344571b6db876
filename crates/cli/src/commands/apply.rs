//! `reconcile apply`, and `reconcile` alone: plan, show, ask, carry out.

use reconcile_engine::{OutcomeKind, StopSignal};

use super::{
    carry_out::{Consent, Question, carry_out, consent},
    session::{self, Session},
    verify,
};
use crate::{
    args::{ApplyArgs, CommonArgs},
    error::{CommandError, Ended},
    output::{self, Shell},
};

/// Makes the plan, prints it, asks, and carries it out.
pub(super) async fn run(
    args: &ApplyArgs,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let config = session::read_config(&common.config)?;
    // What is wrong with the options is told before AWS is asked for anything.
    let visitor = session::visitor(common)?;
    let (store, _lock) = session::hold(&config, common, "apply", stop).await?;
    let state = store.read(&config.name).await?;
    let session = Session::open(config, state, &args.plan, &visitor, stop)
        .await
        .map_err(|error| error.about(&store.place()))?;
    session.show_plan(shell)?;
    if session.plan.is_empty() {
        return Ok(Ended::Well);
    }
    if !args.yes {
        match consent(Question::steps(session.plan.steps.len()), shell, stop).await? {
            Consent::Given => {}
            Consent::Refused(why) if args.plan.detailed_exitcode => {
                output::note(&why.render(shell.err_paint()));
                return Ok(Ended::ChangesPending);
            }
            Consent::Refused(why) => return Err(why),
        }
    }
    let outcome = carry_out(&session, &visitor, &store, common, shell, stop).await?;
    if outcome.kind == OutcomeKind::Complete && verify::is_due(&session.config, &session.plan) {
        let state = store.read(&session.config.name).await?;
        return verify::last_stage(&session.config, &state, &session.aws, &visitor, shell, stop).await;
    }
    Ok(Ended::Well)
}
