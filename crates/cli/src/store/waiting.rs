//! Waiting for a lock: told once, and ended by its limit or by the user.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use reconcile_engine::StopSignal;

use super::{Holder, LockError};
use crate::{output, render};

/// The wait of one run for one lock.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    /// How long; `None` is not at all.
    limit: Option<Duration>,
    stop: &'a StopSignal,
    begun: Option<Begun>,
}

#[derive(Debug)]
struct Begun {
    at: Instant,
    place: String,
    holder: Option<Holder>,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(limit: Option<Duration>, stop: &'a StopSignal) -> Self {
        Self {
            limit,
            stop,
            begun: None,
        }
    }

    /// Another run holds the lock: tells how much longer it is waited for, and the user, the first time, for whom.
    ///
    /// # Errors
    /// If it is not waited for, or no longer.
    pub(super) fn begin(&mut self, place: &str, holder: Option<Holder>) -> Result<Duration, LockError> {
        let Some(limit) = self.limit else {
            return Err(held(place, holder, None));
        };
        let Some(begun) = &mut self.begun else {
            let who = holder
                .as_ref()
                .map_or_else(|| "another run".to_owned(), Holder::to_string);
            output::note(&format!(
                "Waiting up to {} for the state in `{}`, which is held by {who} ...\n",
                render::elapsed(limit),
                render::clean(place)
            ));
            self.begun = Some(Begun {
                at: Instant::now(),
                place: place.to_owned(),
                holder,
            });
            return Ok(limit);
        };
        begun.holder = holder;
        match limit.checked_sub(begun.at.elapsed()).filter(|left| !left.is_zero()) {
            Some(left) => Ok(left),
            None => Err(self.over()),
        }
    }

    /// What `future` gives, within the time that is `left`.
    ///
    /// # Errors
    /// If the time is over before, or the user ends the wait.
    pub(super) async fn unless_over<T>(&self, left: Duration, future: impl Future<Output = T>) -> Result<T, LockError> {
        tokio::select! {
            value = future => Ok(value),
            () = tokio::time::sleep(left) => Err(self.over()),
            () = self.stop.raised() => Err(LockError::Interrupted),
        }
    }

    fn over(&self) -> LockError {
        match &self.begun {
            Some(begun) => held(&begun.place, begun.holder.clone(), self.limit),
            None => held("", None, self.limit),
        }
    }
}

fn held(place: &str, holder: Option<Holder>, waited: Option<Duration>) -> LockError {
    LockError::Held {
        place: place.to_owned(),
        holder: holder.map(Box::new),
        waited,
    }
}

impl LockError {
    /// The same with who holds the lock by now, if that can be told.
    pub(super) fn now_held_by(mut self, look: impl FnOnce() -> Option<Holder>) -> Self {
        if let Self::Held { holder, .. } = &mut self
            && let Some(now) = look()
        {
            *holder = Some(Box::new(now));
        }
        self
    }
}
