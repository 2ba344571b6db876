//! `reconcile plan`: what would be done. Changes nothing, in AWS or on disk, and so takes no lock.

use reconcile_engine::StopSignal;

use super::session::{self, Session};
use crate::{
    args::{CommonArgs, PlanArgs},
    error::{CommandError, Ended},
    output::Shell,
};

/// Makes the plan and prints it.
pub(super) async fn run(
    args: &PlanArgs,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let config = session::read_config(&common.config)?;
    let visitor = session::visitor(common)?;
    let (store, state) = session::recorded(&config, common, stop).await?;
    let session = Session::open(config, state, args, &visitor, stop)
        .await
        .map_err(|error| error.about(&store.place()))?;
    session.print_plan(shell)?;
    Ok(if args.detailed_exitcode && !session.plan.is_empty() {
        Ended::ChangesPending
    } else {
        Ended::Well
    })
}
