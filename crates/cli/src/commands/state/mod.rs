//! `reconcile state`: one file per subcommand, and what they share.

mod list;
mod migrate;
mod mv;
mod pull;
mod push;
mod rebuild;
mod rm;
mod show;
mod succession;
mod unlock;

use reconcile_core::{
    config::Config,
    state::{State, StateError},
};
use reconcile_engine::{StateStore, StopSignal};
use serde_json::Value;

use super::session;
use crate::{
    args::{CommonArgs, StateCommand},
    error::{CommandError, Ended, Failure},
    output::{self, Shell},
    render::clean,
    store::{Lock, Store},
};

/// Carries out a subcommand.
///
/// # Errors
/// Whatever made it fail.
pub(super) async fn run(
    command: &StateCommand,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    match command {
        StateCommand::List { format } => list::run(*format, common, shell, stop).await,
        StateCommand::Show { address, format } => show::run(address, *format, common, stop).await,
        StateCommand::Rm { addresses, id, yes } => {
            let wanted = rm::Wanted {
                addresses,
                ids: id,
                yes: *yes,
            };
            rm::run(&wanted, common, shell, stop).await
        }
        StateCommand::Mv { from, to, site } => mv::run((from, to), *site, common, stop).await,
        StateCommand::Pull { file } => pull::run(file.as_deref(), common, stop).await,
        StateCommand::Push { file, force } => push::run(file, *force, common, stop).await,
        StateCommand::Migrate { from, force } => migrate::run(from, *force, common, stop).await,
        StateCommand::Unlock { id, yes } => unlock::run(id, *yes, common, shell, stop).await,
        StateCommand::Rebuild { force, yes } => rebuild::run(*force, *yes, common, shell, stop).await,
    }
}

/// A state that can be used, and the configuration that it belongs to, if there is one.
struct Opened {
    store: Store,
    state: State,
    config: Option<Config>,
}

/// Reads the state. With `--state`, it can be read without its configuration.
async fn open(common: &CommonArgs, stop: &StopSignal) -> Result<Opened, CommandError> {
    let reading = async {
        let (store, config) = match &common.state {
            // Any state can be looked at, wherever the configuration keeps its own.
            Some(path) => (Store::file(path.clone()), None),
            None => locate(common).await?,
        };
        read(store, config).await
    };
    tokio::select! {
        opened = reading => opened,
        () = stop.raised() => Err(session::interrupted()),
    }
}

/// The same, held against other runs. The state is read when it is held, not before.
async fn open_locked(common: &CommonArgs, command: &str, stop: &StopSignal) -> Result<(Lock, Opened), CommandError> {
    let (store, config) = locate(common).await?;
    if let Store::File(file) = &store
        && !file.path().exists()
    {
        // A lock would make the folder.
        return Err(no_state(&store));
    }
    let lock = store.lock(command, common.lock_timeout, stop).await?;
    Ok((lock, read(store, config).await?))
}

async fn locate(common: &CommonArgs) -> Result<(Store, Option<Config>), CommandError> {
    match &common.state {
        Some(path) if !common.config.exists() => Ok((Store::file(path.clone()), None)),
        _ => {
            let config = session::read_config(&common.config)?;
            Ok((session::store(&config, common).await?, Some(config)))
        }
    }
}

async fn read(store: Store, config: Option<Config>) -> Result<Opened, CommandError> {
    let Some(state) = store.existing().await? else {
        return Err(no_state(&store));
    };
    if let Some(config) = &config
        && state.stack != config.name
    {
        let error = StateError::OtherStack {
            found: state.stack,
            expected: config.name.clone(),
        };
        return Err(CommandError::from(error).about(&store.place()));
    }
    Ok(Opened { store, state, config })
}

fn no_state(store: &Store) -> CommandError {
    Failure::new(format!("there is no state in `{}`", store.place()))
        .hint("the first `reconcile apply` writes it; if it got lost, `reconcile state rebuild` makes a new one")
        .into()
}

/// Replaces the state, and keeps the old one.
async fn replace(store: &Store, mut state: State) -> Result<(), CommandError> {
    let backup = store.back_up()?;
    state.serial += 1;
    store.save(&state).await?;
    if let Some(backup) = backup {
        let path = clean(&backup);
        output::note(&format!("The state as it was is kept in `{path}`.\n"));
    }
    Ok(())
}

/// Writes a result for programs.
fn print_json(value: &Value) -> Result<(), CommandError> {
    Ok(output::print(&format!("{value:#}\n"))?)
}
