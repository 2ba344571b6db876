//! Makes objects.

use reconcile_core::{
    diff, naming,
    observed::Actual,
    plan::Step,
    resource::{Address, Outputs, Spec},
    state::{Entry, Intent, Operation, Origin, Retired, State},
};

use crate::{
    Cloud, Environment, StepError, memory,
    run::{Break, Ending, Flow, Run},
    settle::own_outputs,
};

/// The object that a new one takes the place of.
pub(crate) struct Predecessor<'a> {
    /// Its id.
    pub(crate) id: &'a str,
    /// Its settings.
    pub(crate) spec: &'a Spec,
}

impl<E: Environment> Run<'_, E> {
    /// Makes an object, or takes the one that an earlier run made and could not record, and brings its settings about.
    pub(crate) async fn create(&self, step: &Step, desired: &Spec, old: Option<Predecessor<'_>>) -> Flow<Ending> {
        let address = &step.address;
        let desired = self.resolve(desired)?;
        let id = match self.find_made(address, &desired, old.as_ref()).await? {
            Some(actual) => self.take(address, actual, old.as_ref()).await?,
            None => self.make(address, &desired, old.as_ref()).await?,
        };
        let (mut actual, changes) = self.read_new(step, &id, &desired).await?;
        if !changes.is_empty() {
            actual = if desired.tags().is_some() {
                self.change(step, &id, &actual.spec, &desired).await?
            } else {
                // Such an object is made whole by one call; what differs is a late answer or somebody else's doing.
                self.read_settled(step, &id, &desired, &desired).await?
            };
        }
        self.record_outputs(address, &id, actual.outputs).await?;
        Ok(Ending::Done)
    }

    /// Looks for what an earlier run, or one with a lost state, may have made.
    async fn find_made(
        &self,
        address: &Address,
        desired: &Spec,
        old: Option<&Predecessor<'_>>,
    ) -> Flow<Option<Actual>> {
        let Some(actual) = self.look(self.environment.cloud().find(address, desired)).await? else {
            return Ok(None);
        };
        if address.kind().has_id() {
            // At whatever address: a site that gets another name has rules for the same names at two.
            let known = self.journal.read(|state| {
                let mut current = state
                    .resources
                    .iter()
                    .filter(|(other, _)| other.kind() == address.kind())
                    .map(|(_, entry)| &entry.id);
                current.any(|id| *id == actual.id) || state.retired.iter().any(|retired| retired.id == actual.id)
            });
            if known || old.is_some_and(|old| old.id == actual.id) {
                // Not the new one: it is being replaced, or the plan found it gone.
                return Ok(None);
            }
            if !naming::is_owned(&actual.tags, self.stack, address) {
                return Err(Break::Failed(StepError::Foreign { id: actual.id }));
            }
        } else if desired.tags().is_none() {
            // The plan was made from a world without it, so it may not be changed without being shown first.
            let changes = diff::changes(&actual.spec, desired);
            if !changes.is_empty() {
                return Err(Break::Failed(StepError::Moved { id: actual.id, changes }));
            }
        }
        Ok(Some(actual))
    }

    async fn take(&self, address: &Address, actual: Actual, old: Option<&Predecessor<'_>>) -> Flow<String> {
        let now = self.now();
        let Actual { id, outputs, .. } = actual;
        let origin = self.origin_of_found(address);
        self.end(address, |state| {
            enter(state, address, &id, outputs, origin, old, now);
            memory::found(state, address, now);
        })
        .await?;
        Ok(id)
    }

    async fn make(&self, address: &Address, desired: &Spec, old: Option<&Predecessor<'_>>) -> Flow<String> {
        let token = self.token(address, desired);
        let begun = self.now();
        let intent = Intent {
            token: Some(token.clone()),
            id: desired.content_id(),
            ..self.intent(Operation::Create)
        };
        self.begin(address, intent, |state| {
            memory::before_create(state, address, desired, begun);
        })
        .await?;
        tracing::debug!(%address, "create");
        let made = self.environment.cloud().create(address, desired, &token).await?;
        let now = self.now();
        self.end(address, |state| {
            enter(state, address, &made.id, made.outputs, Origin::Created, old, now);
            memory::carried_by(state, address, made.dns_change);
            memory::took_effect(state, address, now);
        })
        .await?;
        Ok(made.id)
    }

    /// The token of a creation: the same one again while an earlier attempt at the same settings is open, so that AWS
    /// recognises it; otherwise a new one.
    fn token(&self, address: &Address, desired: &Spec) -> String {
        self.journal.read(|state| {
            let head = naming::token_head(&state.lineage, address, desired);
            state
                .intents
                .get(address)
                .and_then(|intent| intent.token.clone())
                .filter(|token| token.starts_with(&head))
                .unwrap_or_else(|| head + &naming::short_hash(&[&state.serial.to_string()], 12))
        })
    }
}

/// Records an object, and in the same write that the one before it is retired.
fn enter(
    state: &mut State,
    address: &Address,
    id: &str,
    outputs: Outputs,
    origin: Origin,
    old: Option<&Predecessor<'_>>,
    now: jiff::Timestamp,
) {
    if let Some(old) = old
        // The web ACL of a load balancer has its id, and each is retired.
        && !state
            .retired
            .iter()
            .any(|retired| retired.id == old.id && retired.address == *address)
    {
        state.retired.push(Retired {
            address: address.clone(),
            id: old.id.to_owned(),
            spec: old.spec.clone(),
            retired_at: now,
        });
    }
    // What is the resource now is not on its way out any more.
    state
        .retired
        .retain(|retired| retired.id != id || retired.address != *address);
    let entry = Entry {
        id: id.to_owned(),
        outputs: own_outputs(outputs),
        origin,
        recorded_at: now,
    };
    state.resources.insert(address.clone(), entry);
}
