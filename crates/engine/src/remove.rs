//! Deletes objects and forgets them.

use reconcile_core::{
    plan::Step,
    resource::{Ref, Spec},
    state::{Operation, State},
};

use crate::{
    Cloud, Environment, ErrorKind, StepError,
    run::{Break, Ending, Flow, Run},
};

impl<E: Environment> Run<'_, E> {
    /// Deletes an object that the plan names, or that an earlier step of it has made.
    pub(crate) async fn delete_referred(&self, step: &Step, id: &Ref, observed: &Spec) -> Flow<Ending> {
        let resolved = match id {
            Ref::Known(id) => Some(id.clone()),
            Ref::Of(address, _) => self.journal.read(|state| state.id(address).map(str::to_owned)),
        };
        match resolved {
            Some(id) => self.delete(step, &id, observed).await,
            // An earlier run has done it.
            None => Ok(Ending::Done),
        }
    }

    /// Deletes an object that the state knows as the stack's. AWS counts things as in use for a while after their last
    /// user is gone (`aws-facts.md` 1.6, 2.1, 3); what takes longer than `release` is left for the next run.
    async fn delete(&self, step: &Step, id: &str, observed: &Spec) -> Flow<Ending> {
        let address = &step.address;
        let ours = self.journal.read(|state| {
            let retired = state
                .retired
                .iter()
                .any(|retired| retired.id == id && retired.address == *address);
            retired || state.id(address) == Some(id)
        });
        if !ours {
            return Err(Break::Failed(StepError::NotOurs { id: id.to_owned() }));
        }
        self.begin(address, self.intent(Operation::Delete), |_| {}).await?;
        let mut patience = self.until(self.options.release.duration());
        loop {
            tracing::debug!(%address, id, "delete");
            let error = match self.environment.cloud().delete(address, id, observed).await {
                Ok(()) => break,
                Err(error) if error.kind == ErrorKind::InUse => error,
                Err(error) => return Err(error.into()),
            };
            let waited = self.wait_on(step, &mut patience, &error.to_string()).await;
            if matches!(waited, Ok(true)) {
                continue;
            }
            // AWS refused, so nothing is under way.
            self.end(address, |_| {}).await?;
            waited?;
            self.warn(
                step,
                format!("`{id}` is not deleted yet, the next run tries again: {error}"),
            );
            return Ok(Ending::InUse);
        }
        self.end(address, |state| drop_id(state, step, id)).await?;
        Ok(Ending::Done)
    }

    /// Takes an object out of the state that AWS no longer has or the configuration no longer names.
    pub(crate) async fn forget(&self, step: &Step, id: &str) -> Flow<Ending> {
        self.end(&step.address, |state| drop_id(state, step, id)).await?;
        Ok(Ending::Done)
    }
}

fn drop_id(state: &mut State, step: &Step, id: &str) {
    state
        .retired
        .retain(|retired| retired.id != id || retired.address != step.address);
    // Without an entry, what is remembered is of a change that was begun only.
    if state.id(&step.address).is_none_or(|current| current == id) {
        state.resources.remove(&step.address);
        // What is no longer the stack's has no way back and no visitors under way.
        state.saved.remove(&step.address);
        state.cutovers.remove(&step.address);
    }
}
