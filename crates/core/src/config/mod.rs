//! The configuration: what a person asked for.
//!
//! [`Config::read`] turns the text of a file into a [`Config`] with every default filled in, or into [`ConfigErrors`]
//! that point at every mistake at once. It reads no file and asks nobody: what only AWS can tell is checked later.

mod adopt;
mod attributes;
mod checks;
pub mod defaults;
mod diagnostic;
mod dns;
mod entry;
mod fingerprint;
mod load_balancer;
mod model;
mod read;
mod reader;
mod run;
mod site;
mod state;
mod syntax;
#[cfg(test)]
mod tests;

pub use adopt::{ADOPTABLE, IdKind, a_kind, kind_of_id};
pub use diagnostic::{ConfigError, ConfigErrorKind, ConfigErrors};
pub use fingerprint::Fingerprint;
pub use model::*;
