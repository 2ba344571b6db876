//! The configuration: what a person asked for.

pub mod defaults;
mod model;

pub use model::*;
