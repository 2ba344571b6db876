//! `reconcile state migrate`: the state moves to where the configuration keeps it.

use std::path::PathBuf;

use reconcile_core::{
    config::{Config, S3State, StateBackend},
    state::StateError,
};
use reconcile_engine::StopSignal;

use super::{
    super::session,
    push::put,
    succession::{Succession, succession},
};
use crate::{
    args::CommonArgs,
    error::{CommandError, Ended, Failure},
    output,
    render::clean,
    store::{self, Store},
};

/// What stands for the file in which a state is kept unless said otherwise.
const LOCAL: &str = "local";
const COMMAND: &str = "state migrate";

/// Copies the state, compares the copy, and only then puts the old one out of use.
pub(super) async fn run(
    from: &str,
    force: bool,
    common: &CommonArgs,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let config = session::read_config(&common.config)?;
    let source = source(&config, from).await?;
    let target = session::store(&config, common).await?;
    let (from, to) = (source.place(), target.place());
    if from == to {
        return Err(Failure::new(format!("the state is kept in `{to}` already"))
            .hint("set in `[state]` where it shall be, and name with `--from` where it is")
            .into());
    }
    let missing = || {
        Failure::new(format!("there is no state in `{from}`"))
            .hint("name where it is with `--from`: `local`, a file, or s3://BUCKET/KEY; nothing was changed")
    };
    if let Store::File(file) = &source
        && !file.path().exists()
    {
        return Err(missing().into());
    }
    let _target_lock = target.lock(COMMAND, common.lock_timeout, stop).await?;
    let _source_lock = source.lock(COMMAND, common.lock_timeout, stop).await?;
    let state = source.existing().await?.ok_or_else(missing)?;
    if state.stack != config.name {
        return Err(StateError::OtherStack {
            found: state.stack,
            expected: config.name,
        }
        .into());
    }
    let current = target.existing().await?;
    let serial = state.serial;
    if let Succession::Write(state) = succession(state, current.as_ref(), &to, force)? {
        put(&target, &state).await?;
    }
    let kept = source.retire().await.map_err(|error| {
        Failure::of(&error).hint(format!(
            "the state is in `{to}` now; put the one in `{from}` away, so that nobody works with it"
        ))
    })?;
    output::print(&format!(
        "Moved the state with serial {serial} from `{}` to `{}`.\nThe old one is kept in `{}` and is not used any more.\n",
        clean(&from),
        clean(&to),
        clean(&kept)
    ))?;
    Ok(Ended::Well)
}

/// Where the state is.
async fn source(config: &Config, from: &str) -> Result<Store, CommandError> {
    if from == LOCAL {
        return Ok(Store::file(store::default_path(&config.name)));
    }
    if !from.starts_with("s3://") {
        return Ok(Store::file(PathBuf::from(from)));
    }
    let like = match &config.state {
        StateBackend::S3(state) => Some(state),
        StateBackend::Local => None,
    };
    let state = S3State::at(from, like)
        .ok_or_else(|| Failure::new(format!("`{from}` is no object on S3")).hint("write it as s3://BUCKET/KEY"))?;
    Ok(Store::bucket(config, &state).await?)
}
