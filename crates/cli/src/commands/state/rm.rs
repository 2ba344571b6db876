//! `reconcile state rm`: forgets objects, which stay in AWS as they are.

use std::collections::BTreeSet;

use reconcile_core::{
    naming::{RESOURCE_TAG, STACK_TAG},
    resource::Address,
    state::State,
};
use reconcile_engine::StopSignal;

use super::super::carry_out::{Consent, Question, ask};
use crate::{
    args::CommonArgs,
    error::{CommandError, Ended},
    output::{self, Shell},
    render::{self, clean, counted},
};

/// What is to be forgotten.
pub(super) struct Wanted<'a> {
    /// Addresses whose objects are.
    pub(super) addresses: &'a [Address],
    /// Ids of retired objects.
    pub(super) ids: &'a [String],
    /// Whether nobody is asked.
    pub(super) yes: bool,
}

/// Shows what is forgotten and what that means, asks, and does it.
pub(super) async fn run(
    wanted: &Wanted<'_>,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let (_lock, opened) = super::open_locked(common, "state rm", stop).await?;
    let mut state = opened.state.clone();
    let mut rows = Vec::new();
    for address in wanted.addresses.iter().collect::<BTreeSet<_>>() {
        let forgotten = state.forget(address)?;
        let id = forgotten
            .entry
            .map_or("begun, with an unknown result".to_owned(), |entry| entry.id);
        rows.push([address.to_string(), id]);
    }
    for id in wanted.ids.iter().collect::<BTreeSet<_>>() {
        let retired = state.forget_retired(id)?;
        rows.push([format!("{} (retired)", retired.address), retired.id]);
    }
    let count = counted(rows.len(), "object");
    output::print(&page(rows, &state, wanted))?;
    if !wanted.yes {
        let question = Question::of(&format!("Forget {count}?"));
        match ask(question, shell, stop).await? {
            Consent::Given => {}
            Consent::Refused(why) => return Err(why),
        }
    }
    super::replace(&opened.store, state).await?;
    output::tell(&format!("Forgot {count}.\n"));
    Ok(Ended::Well)
}

fn page(rows: Vec<[String; 2]>, state: &State, wanted: &Wanted<'_>) -> String {
    let mut lines = vec!["These are forgotten, and AWS is not changed:".to_owned(), String::new()];
    lines.extend(render::aligned(rows));
    lines.push(String::new());
    if !wanted.addresses.is_empty() {
        lines.push(format!(
            "The next plan finds each again by the stack's tags, or where it stands, as long as the configuration asks for\n\
             it. To let go of an object for good, take it out of the configuration and remove its tags `{STACK_TAG}`\n\
             and `{RESOURCE_TAG}`; it then stays in AWS, and costs what it costs."
        ));
    }
    if !wanted.ids.is_empty() {
        lines.push(
            "A retired object that is forgotten is not deleted any more: delete it by hand when nothing needs it."
                .to_owned(),
        );
    }
    let remembers = |address: &&Address| state.saved.contains_key(*address) || state.cutovers.contains_key(*address);
    lines.extend(wanted.addresses.iter().filter(remembers).map(|address| {
        let address = clean(&address.to_string());
        format!("What was saved for going back at {address}, and when it was moved, is kept.")
    }));
    lines.join("\n") + "\n"
}
