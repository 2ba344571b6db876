//! `reconcile plan`: what would be done. Changes nothing, in AWS or in the state, and so takes no lock.

use reconcile_core::plan::{Goal, Stage};
use reconcile_engine::StopSignal;

use super::session::{self, Session};
use crate::{
    args::{CommonArgs, PlanArgs, PlanFormat},
    error::{CommandError, Ended},
    output::{self, Shell},
    render,
};

/// Makes the plan, prints it, and saves it if that is asked for.
pub(super) async fn run(
    args: &PlanArgs,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let (config, configuration) = session::read_config_and_fingerprint(&common.config)?;
    let visitor = session::visitor(common)?;
    let (store, state) = session::recorded(&config, common, stop).await?;
    let goal = Goal::Apply {
        until: args.cut.until.map(Stage::from),
    };
    let session = Session::open(goal, config, state, &visitor, stop)
        .await
        .map_err(|error| error.about(&store.place()))?;
    if let Some(path) = &args.out {
        session.save(path, configuration)?;
    }
    output::print(&match args.format {
        PlanFormat::Text => session.plan_as_text(shell),
        PlanFormat::Json => render::json(&session.document())?,
        PlanFormat::Markdown => session.plan_as_markdown(),
    })?;
    Ok(if args.cut.detailed_exitcode && !session.plan.is_empty() {
        Ended::ChangesPending
    } else {
        Ended::Well
    })
}
