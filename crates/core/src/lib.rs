//! The pure part of `reconcile`: configuration, resources, diff, plan and the state document.
//!
//! Nothing here does I/O, reads a clock, draws a random number or knows a type of the AWS SDK. Everything is a function
//! of its arguments.

pub mod check;
pub mod config;
pub mod diff;
pub mod explain;
pub mod import;
pub mod limits;
pub mod naming;
pub mod observed;
pub mod plan;
pub mod planner;
pub mod rebuild;
pub mod resource;
pub mod state;
pub mod status;
pub mod value;
pub mod verify;
