//! `reconcile state list`: everything that is recorded. Reads one file and asks nobody.

use crate::{
    args::{CommonArgs, Format},
    error::{CommandError, Ended},
    output::{self, Shell},
    render,
};

/// Prints what the state knows.
pub(super) fn run(format: Format, common: &CommonArgs, shell: &Shell) -> Result<Ended, CommandError> {
    let opened = super::open(common)?;
    match format {
        Format::Text => output::print(&render::listed(&opened.state, shell.paint()))?,
        Format::Json => super::print_json(&render::listed_json(&opened.state))?,
    }
    Ok(Ended::Well)
}
