//! `reconcile state show`: everything that is recorded of one address.

use reconcile_core::{resource::Address, state::EditError};
use reconcile_engine::StopSignal;

use crate::{
    args::{CommonArgs, Format},
    error::{CommandError, Ended},
    output, render,
};

/// Prints what the state knows of `address`.
pub(super) async fn run(
    address: &Address,
    format: Format,
    common: &CommonArgs,
    stop: &StopSignal,
) -> Result<Ended, CommandError> {
    let opened = super::open(common, stop).await?;
    let Some(text) = render::shown(&opened.state, address) else {
        return Err(EditError::Unknown {
            address: address.clone(),
        }
        .into());
    };
    match format {
        Format::Text => output::print(&text)?,
        Format::Json => super::print_json(&render::shown_json(&opened.state, address))?,
    }
    Ok(Ended::Well)
}
