//! `reconcile state rebuild`: a new state of what is found in AWS, where the old one is lost or damaged.

use std::fmt::Write as _;

use jiff::Timestamp;
use reconcile_core::{
    planner,
    rebuild::rebuild,
    state::{State, StateError},
};
use reconcile_engine::StopSignal;

use super::super::{
    carry_out::{Consent, Question, ask},
    session,
};
use crate::{
    args::CommonArgs,
    error::{CommandError, Ended, Failure},
    output::{self, Shell},
    render::{self, clean, counted},
    store::{ReadError, Store, new_lineage},
};

/// Shows what is found, asks, and writes it as the new state.
pub(super) async fn run(
    force: bool,
    yes: bool,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let config = session::read_config(&common.config)?;
    let (store, _lock) = session::hold(&config, common, "state rebuild", stop).await?;
    let old = match old(&store).await? {
        Old::Healthy(state) if state.stack != config.name => {
            return Err(StateError::OtherStack {
                found: state.stack,
                expected: config.name.clone(),
            }
            .into());
        }
        Old::Healthy(state) if !force => return Err(healthy(&store, &state)),
        old => old,
    };
    let empty = State::empty(config.name.clone(), new_lineage());
    let (_aws, observed) = session::look_at(&config, &empty, stop).await?;
    let now = Timestamp::now();
    let plan = planner::plan(&config, &observed, &empty, now)?;
    let rebuilt = rebuild(&config, &observed, &plan, empty.lineage, now);
    output::print(&render::rebuilt(&rebuilt, shell.paint()))?;
    if rebuilt.found.is_empty() {
        output::print("\nNothing of the stack was found, so nothing is written.\n")?;
        return Ok(Ended::Well);
    }
    output::note(&format!("\n{}", means(&old)));
    if !yes {
        let count = counted(rebuilt.found.len(), "object");
        let question = Question::of(&format!("Write a new state with {count}?"));
        match ask(question, shell, stop).await? {
            Consent::Given => {}
            Consent::Refused(why) => return Err(why),
        }
    }
    let count = counted(rebuilt.found.len(), "object");
    super::replace(&store, rebuilt.state).await?;
    let path = clean(&store.place());
    output::tell(&format!("\nWrote `{path}` with {count}.\n"));
    Ok(Ended::Well)
}

/// What stands in the place of the new state.
enum Old {
    Absent,
    Damaged(StateError),
    Healthy(Box<State>),
}

async fn old(store: &Store) -> Result<Old, CommandError> {
    match store.existing().await {
        Ok(None) => Ok(Old::Absent),
        Ok(Some(state)) => Ok(Old::Healthy(Box::new(state))),
        Err(ReadError::Unusable {
            source: source @ StateError::Damaged { .. },
            ..
        }) => Ok(Old::Damaged(source)),
        // A newer version of the program may know more than this one would find.
        Err(error) => Err(error.into()),
    }
}

fn healthy(store: &Store, state: &State) -> CommandError {
    Failure::new(format!("the state in `{}` is in order", store.place()))
        .hint(format!(
            "a rebuilt one would lose {}; to make one all the same, run with `--force`; nothing was changed",
            memory(state)
        ))
        .into()
}

/// What a state knows that AWS does not.
fn memory(state: &State) -> String {
    let parts: Vec<String> = [
        (state.saved.len(), "what was saved for going back", "addresses"),
        (state.cutovers.len(), "when names were moved", "names"),
        (state.retired.len(), "what is still to be deleted", "objects"),
        (state.intents.len(), "what was begun", "calls"),
    ]
    .into_iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, what, of)| format!("{what} ({of}: {count})"))
    .collect();
    if parts.is_empty() {
        "who made the objects, and nothing else".to_owned()
    } else {
        parts.join(", ")
    }
}

/// What the new state means.
fn means(old: &Old) -> String {
    let mut text = String::new();
    match old {
        Old::Absent => {}
        Old::Damaged(error) => {
            let _ = writeln!(text, "The old state cannot be used: {}.", clean(&error.to_string()));
        }
        Old::Healthy(state) => {
            let _ = writeln!(text, "The old state is in order. Lost with it: {}.", memory(state));
        }
    }
    text += "What stood there before the stack is not known to the new state, so `rollback` cannot bring it back; and\n\
             resolvers are given time once more to forget old addresses.\n";
    text
}
