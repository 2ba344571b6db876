//! Carries out a plan: order, waits, journal, interruption.
//!
//! [`apply()`] makes no choice that the plan did not make: it resolves references, calls, waits, reads back and records. It
//! is generic over an [`Environment`] (the cloud, a visitor, the state store, the clock, the report) and knows no SDK.

mod apply;
mod cloud;
mod create;
mod environment;
mod error;
mod journal;
mod memory;
mod options;
mod outcome;
mod record;
mod remove;
mod report;
mod run;
mod settle;
mod stop;
mod update;
mod wait;

pub use apply::apply;
pub use cloud::{Cloud, CloudError, ErrorKind, Made, Visitor};
pub use environment::{Clock, Environment, StateStore, StoreError, SystemClock};
pub use error::{ApplyError, FailedRun, Failure, StepError, title_of};
pub use options::{Options, PollIntervals};
pub use outcome::{Outcome, OutcomeKind, Warning};
pub use report::{Event, Report, Silent};
pub use stop::{StopSignal, Stopper, stop_signal};
