//! `reconcile validate`: the configuration alone, without asking AWS.

use super::session;
use crate::{
    args::CommonArgs,
    error::{CommandError, Ended},
    output,
    render::{clean, counted},
};

/// Reads the configuration and says that it is good.
pub(super) fn run(common: &CommonArgs) -> Result<Ended, CommandError> {
    let config = session::read_config(&common.config)?;
    let sites = counted(config.sites.len(), "site");
    let path = clean(&common.config.display().to_string());
    output::print(&format!("`{path}` is valid: stack {}, {sites}\n", config.name))?;
    Ok(Ended::Well)
}
