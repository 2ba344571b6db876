//! `reconcile state`: one file per subcommand, and what they share.

mod list;
mod mv;
mod rebuild;
mod rm;
mod show;

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
    store::{Holder, Lock, StateFile},
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
        StateCommand::List { format } => list::run(*format, common, shell),
        StateCommand::Show { address, format } => show::run(address, *format, common),
        StateCommand::Rm { addresses, id, yes } => {
            let wanted = rm::Wanted {
                addresses,
                ids: id,
                yes: *yes,
            };
            rm::run(&wanted, common, shell, stop).await
        }
        StateCommand::Mv { from, to, site } => mv::run((from, to), *site, common).await,
        StateCommand::Rebuild { force, yes } => rebuild::run(*force, *yes, common, shell, stop).await,
    }
}

/// A state file that can be used, and the configuration that it belongs to, if there is one.
struct Opened {
    file: StateFile,
    state: State,
    config: Option<Config>,
}

/// Reads the state. With `--state`, it can be read without its configuration.
fn open(common: &CommonArgs) -> Result<Opened, CommandError> {
    let (file, config) = locate(common)?;
    read(file, config)
}

/// The same, held against other runs. The state is read when it is held, not before.
fn open_locked(common: &CommonArgs, command: &str) -> Result<(Lock, Opened), CommandError> {
    let (file, config) = locate(common)?;
    if !file.path().exists() {
        // A lock would make the folder.
        return Err(no_state(&file));
    }
    let lock = Lock::take(file.path(), &Holder::this(command))?;
    Ok((lock, read(file, config)?))
}

fn locate(common: &CommonArgs) -> Result<(StateFile, Option<Config>), CommandError> {
    match &common.state {
        Some(path) if !common.config.exists() => Ok((StateFile::new(path.clone()), None)),
        _ => {
            let config = session::read_config(&common.config)?;
            Ok((session::state_file(&config, common), Some(config)))
        }
    }
}

fn read(file: StateFile, config: Option<Config>) -> Result<Opened, CommandError> {
    let Some(state) = file.existing()? else {
        return Err(no_state(&file));
    };
    if let Some(config) = &config
        && state.stack != config.name
    {
        let error = StateError::OtherStack {
            found: state.stack,
            expected: config.name.clone(),
        };
        return Err(CommandError::from(error).about(file.path()));
    }
    Ok(Opened { file, state, config })
}

fn no_state(file: &StateFile) -> CommandError {
    Failure::new(format!("there is no state file `{}`", file.path().display()))
        .hint("the first `reconcile apply` writes it; if it got lost, `reconcile state rebuild` makes a new one")
        .into()
}

/// Replaces the state, and keeps the old file beside it.
async fn replace(file: &StateFile, mut state: State) -> Result<(), CommandError> {
    let backup = file.back_up()?;
    state.serial += 1;
    file.save(&state).await?;
    if let Some(backup) = backup {
        let path = clean(&backup.display().to_string());
        output::note(&format!("The state as it was is kept in `{path}`.\n"));
    }
    Ok(())
}

/// Writes a result for programs.
fn print_json(value: &Value) -> Result<(), CommandError> {
    Ok(output::print(&format!("{value:#}\n"))?)
}
