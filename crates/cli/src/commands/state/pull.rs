//! `reconcile state pull`: the state as it is, for people and for keeping.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use reconcile_engine::StopSignal;

use crate::{
    args::CommonArgs,
    error::{CommandError, Ended, Failure},
    output,
    render::clean,
};

/// Writes the state to a new file, or to stdout.
pub(super) async fn run(target: Option<&Path>, common: &CommonArgs, stop: &StopSignal) -> Result<Ended, CommandError> {
    let opened = super::open(common, stop).await?;
    let text = opened.state.write().map_err(io::Error::from)?;
    let Some(target) = target else {
        output::print(&text)?;
        return Ok(Ended::Well);
    };
    let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(target);
    let written = new.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| {
        let failure = Failure::new(format!("cannot write `{}`: {error}", target.display()));
        match error.kind() {
            io::ErrorKind::AlreadyExists => failure.hint("choose the name of a file that is not there yet"),
            _ => failure,
        }
    })?;
    output::note(&format!(
        "Wrote the state with serial {} of `{}` to `{}`.\n",
        opened.state.serial,
        clean(&opened.store.place()),
        clean(&target.display().to_string())
    ));
    Ok(Ended::Well)
}
