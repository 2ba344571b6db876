//! `reconcile state push`: a state is brought to where the configuration keeps it.

use std::{
    io::{self, Read},
    path::Path,
};

use reconcile_core::{
    config::StackName,
    state::{State, StateError},
};
use reconcile_engine::{StateStore, StopSignal};

use super::{
    super::session,
    succession::{Succession, succession},
};
use crate::{
    args::CommonArgs,
    error::{CommandError, Ended, Failure},
    output,
    render::clean,
    store::{ReadError, Store},
};

/// What stands for stdin.
const STDIN: &str = "-";

/// Reads the state, compares it with the one in place, and puts it there.
pub(super) async fn run(
    source: &Path,
    force: bool,
    common: &CommonArgs,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let config = session::read_config(&common.config)?;
    let new = read(source, &config.name)?;
    let (store, _lock) = session::hold(&config, common, "state push", stop).await?;
    let place = store.place();
    let current = match store.existing().await {
        Err(ReadError::Unusable {
            source: StateError::Damaged { .. },
            ..
        }) => None,
        current => current?,
    };
    match succession(new, current.as_ref(), &place, force)? {
        Succession::Same => output::print(&format!("`{}` holds this state already.\n", clean(&place)))?,
        Succession::Write(state) => {
            put(&store, &state).await?;
            output::print(&format!(
                "Wrote the state with serial {} to `{}`.\n",
                state.serial,
                clean(&place)
            ))?;
        }
    }
    store.pushed(source);
    Ok(Ended::Well)
}

/// Writes a state and sees that it is there; keeps the one that was.
pub(super) async fn put(store: &Store, state: &State) -> Result<(), CommandError> {
    let backup = store.back_up()?;
    store.save(state).await?;
    if store.existing().await?.as_ref() != Some(state) {
        return Err(
            Failure::new(format!("what was written to `{}` reads otherwise", store.place()))
                .hint("something else writes there; end it, then run again")
                .into(),
        );
    }
    if let Some(backup) = backup {
        output::note(&format!("The state as it was is kept in `{}`.\n", clean(&backup)));
    }
    Ok(())
}

fn read(source: &Path, stack: &StackName) -> Result<State, CommandError> {
    let name = source.display().to_string();
    let text = if name == STDIN {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(source)
    };
    let text = text.map_err(|error| Failure::new(format!("cannot read the state in `{name}`: {error}")))?;
    let state = State::read(&text).map_err(|error| {
        CommandError::from(Failure::of(&ReadError::Unusable {
            place: name,
            source: error,
            backup: None,
        }))
    })?;
    if state.stack != *stack {
        return Err(StateError::OtherStack {
            found: state.stack,
            expected: stack.clone(),
        }
        .into());
    }
    Ok(state)
}
