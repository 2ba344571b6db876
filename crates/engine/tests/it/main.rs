//! The engine on a simulated cloud.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as the tests do")]

mod changing;
mod creating;
mod killed;
mod planner;
mod removing;
mod simulation;
mod specs;
mod stopping;
mod waiting;
