//! What the engine works with: the cloud, a visitor, a place for the state, a clock, and somebody to report to.

use std::{future::Future, time::Duration};

use jiff::Timestamp;
use reconcile_core::state::State;
use thiserror::Error;

use crate::{Cloud, Report, Visitor};

/// Everything outside of the engine that a run needs.
pub trait Environment {
    /// Where resources are.
    type Cloud: Cloud;
    /// Who asks the sites.
    type Visitor: Visitor;
    /// Where the state is kept.
    type Store: StateStore;
    /// What tells the time.
    type Clock: Clock;
    /// Who is told what happens.
    type Report: Report;

    /// Where resources are.
    fn cloud(&self) -> &Self::Cloud;
    /// Who asks the sites.
    fn visitor(&self) -> &Self::Visitor;
    /// Where the state is kept.
    fn store(&self) -> &Self::Store;
    /// What tells the time.
    fn clock(&self) -> &Self::Clock;
    /// Who is told what happens.
    fn report(&self) -> &Self::Report;
}

/// Where the state is kept.
pub trait StateStore {
    /// Replaces the stored state as a whole. When this returns, the new one is durable; if it fails or the process dies,
    /// either the old one or the new one is there.
    ///
    /// The engine never makes two calls at the same time.
    fn save(&self, state: &State) -> impl Future<Output = Result<(), StoreError>>;
}

/// Why the state could not be stored.
#[derive(Debug, Error)]
#[error("cannot store the state in `{place}`")]
pub struct StoreError {
    /// The file or object.
    pub place: String,
    /// What went wrong.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Tells the time and lets it pass.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> {
        tokio::time::sleep(duration)
    }
}
