//! One file per command, and what they share.

mod apply;
mod carry_out;
mod destroy;
mod import;
mod plan;
mod rollback;
mod schema;
mod session;
mod state;
mod status;
mod validate;
mod verify;

use reconcile_engine::StopSignal;

use crate::{
    args::{Command, CommonArgs},
    error::{CommandError, Ended},
    output::Shell,
    store,
};

/// Carries out a command.
///
/// # Errors
/// Whatever made it fail.
pub(crate) async fn run(
    command: &Command,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let command = dispatch(command, common, shell, stop);
    let result = match shell.events() {
        None => command.await,
        Some(events) => tokio::select! {
            biased;
            ended = command => ended,
            never = events.beat() => match never {},
        },
    };
    store::let_go().await;
    result
}

async fn dispatch(
    command: &Command,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    match command {
        Command::Plan(args) => plan::run(args, common, shell, stop).await,
        Command::Apply(args) => apply::run(args, common, shell, stop).await,
        Command::Rollback(args) => rollback::run(args, common, shell, stop).await,
        Command::Destroy(args) => destroy::run(args, common, shell, stop).await,
        Command::Status(args) => status::run(args, common, shell, stop).await,
        Command::Verify(args) => verify::run(args, common, shell, stop).await,
        Command::Validate => validate::run(common),
        Command::State(command) => state::run(command, common, shell, stop).await,
        Command::Import(args) => import::run(args, common, shell, stop).await,
        Command::Schema(name) => schema::run(*name),
    }
}
