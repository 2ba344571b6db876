//! Plans and outcomes as text. Nothing is decided here, and nothing is printed: a caller gets the text.

mod checks;
mod condition;
mod document;
mod markdown;
mod outcome;
mod plan;
mod settings;
mod state;
mod status;
mod step;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod time;

pub(crate) use checks::{checks, checks_as_json};
pub(crate) use document::PlanDocument;
pub(crate) use markdown::markdown;
pub(crate) use outcome::{applied, failed_run, left_in_the_middle};
pub(crate) use plan::{Header, plan};
pub(crate) use state::{listed, listed_json, rebuilt, shown, shown_json};
pub(crate) use status::status;
pub(crate) use step::{lines as step_lines, title};
pub(crate) use text::{aligned, clean, counted, json, json_line, safe};
pub(crate) use time::{elapsed, local};
