//! `reconcile state list`: everything that is recorded. Changes nothing and asks nobody.

use reconcile_engine::StopSignal;

use crate::{
    args::{CommonArgs, Format},
    error::{CommandError, Ended},
    output::{self, Shell},
    render,
};

/// Prints what the state knows.
pub(super) async fn run(
    format: Format,
    common: &CommonArgs,
    shell: &Shell,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let opened = super::open(common, stop).await?;
    match format {
        Format::Text => output::print(&render::listed(&opened.state, shell.paint()))?,
        Format::Json => super::print_json(&render::listed_json(&opened.state))?,
    }
    Ok(Ended::Well)
}
