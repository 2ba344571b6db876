//! `reconcile`: moves a web site on one EC2 instance behind an Application Load Balancer with an ACM certificate.
//!
//! This crate is the command line: it reads files and options, asks, prints and keeps the state. What is to be done is
//! decided in `reconcile-core`, carried out by `reconcile-engine`, and brought to AWS by `reconcile-aws`.

mod args;
mod commands;
mod error;
mod files;
mod logging;
mod output;
mod plan_file;
mod progress;
mod render;
mod signals;
mod store;
mod visit;

use std::{process::ExitCode, time::Duration};

use reconcile_engine::stop_signal;

use args::{Command, CommonArgs, EventArgs};
use error::{CommandError, Ended};
use output::Shell;
use progress::Events;
use signals::Signals;

/// How long a write of the state that is under way may take when a signal ends the program at once.
const LAST_WRITE: Duration = Duration::from_millis(300);

fn main() -> ExitCode {
    let (command, common) = match args::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => {
            // That help cannot be written is nothing that could be told.
            let _ = error.print();
            return args::exit_code(&error).into();
        }
    };
    let heartbeat = command.events().and_then(EventArgs::heartbeat);
    let shell = Shell::new(common.color).with_events(heartbeat.map(Events::new));
    logging::start(common.verbose, shell.err_paint().is_coloured());
    tracing::debug!(
        version = env!("CARGO_PKG_VERSION"),
        command = command.name(),
        "starting"
    );
    let result = run(&command, &common, &shell);
    if let Some(events) = shell.events() {
        events.end(&result);
    }
    match result {
        Ok(ended) => ended.exit_code().into(),
        Err(error) => {
            output::note(&error.render(shell.err_paint()));
            error.exit_code().into()
        }
    }
}

fn run(command: &Command, common: &CommonArgs, shell: &Shell) -> Result<Ended, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let signals = Signals::take()?;
        let (stopper, stop) = stop_signal();
        tokio::select! {
            result = commands::run(command, common, shell, &stop) => result,
            asked = signals.watch(stopper) => Ok(Ended::AtOnce(asked)),
        }
    });
    match result {
        // A state that is being written comes to its end.
        Ok(Ended::AtOnce(_)) => runtime.shutdown_timeout(LAST_WRITE),
        // A question that nobody answers any more holds a thread; it is not waited for.
        _ => runtime.shutdown_background(),
    }
    result
}
