//! `reconcile schema`: what programs may expect.

use crate::{
    args::SchemaName,
    error::{CommandError, Ended},
    output,
};

/// Prints a JSON Schema.
pub(super) fn run(name: SchemaName) -> Result<Ended, CommandError> {
    output::print(match name {
        SchemaName::Plan => include_str!("../../../../docs/schemas/plan.json"),
        SchemaName::Events => include_str!("../../../../docs/schemas/events.json"),
        SchemaName::Status => include_str!("../../../../docs/schemas/status.json"),
        SchemaName::Verify => include_str!("../../../../docs/schemas/verify.json"),
        SchemaName::PlanFile => include_str!("../../../../docs/schemas/plan-file.json"),
    })?;
    Ok(Ended::Well)
}
