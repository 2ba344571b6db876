//! `reconcile state unlock`: removes the lock of a run that is dead and could not let go of it.

use reconcile_engine::StopSignal;

use super::super::carry_out::{Consent, Question, ask};
use crate::{
    args::CommonArgs,
    error::{CommandError, Ended, Failure},
    output::{self, Shell},
    render::clean,
    store::{Life, Removal, Unlocking},
};

/// Shows whose lock it is, asks, and removes it.
pub(super) async fn run(
    id: &str,
    yes: bool,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let (store, _) = super::locate(common).await?;
    let place = store.place();
    let (holder, removal) = match store.unlocking().await? {
        Unlocking::Free => {
            output::print(&format!("Nothing holds the state in `{}`.\n", clean(&place)))?;
            return Ok(Ended::Well);
        }
        Unlocking::Held(holder, removal) => (holder, removal),
    };
    let Some(holder) = holder else {
        return Err(
            Failure::new(format!("the state in `{place}` is locked, and by whom cannot be read"))
                .hint("if no run is under way, delete the lock beside it by hand: its name ends in `.lock`")
                .into(),
        );
    };
    if holder.id != id {
        return Err(Failure::new(format!(
            "the state in `{place}` is not held under the lock `{id}` but by {holder}"
        ))
        .hint("give the id that is shown here, if that run is dead; nothing was changed")
        .into());
    }
    let tag = match removal {
        Removal::ByDeleting(tag) if holder.life() != Life::Alive => tag,
        Removal::ByDeleting(_) | Removal::ByEndingIt => {
            return Err(Failure::new(format!("the run that holds the state is alive: {holder}"))
                .hint(format!(
                    "wait until it has ended, or end it (`kill {}`): it lets go of the state then; nothing was changed",
                    holder.pid
                ))
                .into());
        }
    };
    output::note(&format!(
        "{} holds the state in `{}`.\nIf it is still at work, it will not be able to save what it does from now on.\n",
        holder,
        clean(&place)
    ));
    if !yes {
        match ask(Question::of("Remove its lock?"), shell, stop).await? {
            Consent::Given => {}
            Consent::Refused(why) => return Err(why),
        }
    }
    if !store.unlock(&tag).await? {
        return Err(Failure::new("the lock is another one by now; nothing was changed").into());
    }
    output::print(&format!("Removed the lock on `{}`.\n", clean(&place)))?;
    Ok(Ended::Well)
}
