//! Reads back what was written.

use reconcile_core::{
    diff::{self, Change},
    observed::Actual,
    plan::Step,
    resource::{Address, Output, Outputs, Spec},
};

use crate::{
    Clock, Cloud, Environment, Event, StepError,
    run::{Break, Flow, Patience, Run},
};

impl<E: Environment> Run<'_, E> {
    /// Reads a new object until AWS knows it and shows no setting that is wrong for good; its mutable settings may still
    /// differ.
    ///
    /// # Errors
    /// If that takes longer than `poll.patience`.
    pub(crate) async fn read_new(&self, step: &Step, id: &str, desired: &Spec) -> Flow<(Actual, Vec<Change>)> {
        let mut patience = self.patience();
        loop {
            let read = self.environment.cloud().read(&step.address, id, desired);
            let actual = self.look(read).await?;
            let wrong = match actual {
                Some(actual) => {
                    let changes = diff::changes(&actual.spec, desired);
                    let immutable: Vec<Change> = changes
                        .iter()
                        .filter(|change| change.forces_replacement)
                        .cloned()
                        .collect();
                    if immutable.is_empty() {
                        return Ok((actual, changes));
                    }
                    immutable
                }
                None => Vec::new(),
            };
            let said = if wrong.is_empty() {
                "AWS does not know it yet"
            } else {
                "AWS shows other settings"
            };
            if !self.wait_on(step, &mut patience, said).await? {
                let id = id.to_owned();
                let waited = patience.duration;
                return Err(Break::Failed(if wrong.is_empty() {
                    StepError::Unknown { id, waited }
                } else {
                    StepError::Immutable { id, changes: wrong }
                }));
            }
        }
    }

    /// Reads an object until it is as wanted. `like` is what it is found by where its kind has no ids.
    ///
    /// # Errors
    /// If that takes longer than `poll.patience`.
    pub(crate) async fn read_settled(&self, step: &Step, id: &str, like: &Spec, desired: &Spec) -> Flow<Actual> {
        let mut patience = self.patience();
        loop {
            let read = self.environment.cloud().read(&step.address, id, like);
            let changes = match self.look(read).await? {
                Some(actual) => {
                    let changes = diff::changes(&actual.spec, desired);
                    if changes.is_empty() {
                        return Ok(actual);
                    }
                    Some(changes)
                }
                None => None,
            };
            if !self
                .wait_on(step, &mut patience, "AWS does not show the new settings yet")
                .await?
            {
                let id = id.to_owned();
                let waited = patience.duration;
                return Err(Break::Failed(match changes {
                    Some(changes) => StepError::Unsettled { id, waited, changes },
                    None => StepError::Unknown { id, waited },
                }));
            }
        }
    }

    /// Stores what an object supplies to others, as far as it is known by now.
    pub(crate) async fn record_outputs(&self, address: &Address, id: &str, outputs: Outputs) -> Flow<()> {
        let store = |state: &mut reconcile_core::state::State| {
            if let Some(entry) = state.resources.get_mut(address)
                && entry.id == id
            {
                entry.outputs.extend(own_outputs(outputs));
            }
        };
        Ok(self.journal.write(store).await?)
    }

    /// Pauses within a step that changes something; `false` if patience is over.
    pub(crate) async fn wait_on(&self, step: &Step, patience: &mut Patience, said: &str) -> Flow<bool> {
        let Some(pause) = patience.pause(self.now()) else {
            return Ok(false);
        };
        let until = patience.until;
        self.tell(step, Event::Waiting { said, until });
        let slept = self.options.stop.unless(self.environment.clock().sleep(pause)).await;
        slept.map(|()| true).ok_or(Break::Stopped)
    }
}

/// Outputs beside the id, which the state holds once already.
pub(crate) fn own_outputs(mut outputs: Outputs) -> Outputs {
    outputs.remove(&Output::Id);
    outputs
}
