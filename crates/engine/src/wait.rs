//! Waits for conditions.

use reconcile_core::{
    config::RequestProof,
    plan::{Condition, Progress, SiteRequest, Step, Through},
    resource::{Address, Kind, Output, Outputs},
    value::Seconds,
};

use crate::{
    Clock, Cloud, Environment, ErrorKind, Event, StepError, Visitor, memory, record,
    run::{Break, Ending, Flow, Patience, Run},
};

/// What a look at a condition showed.
struct Seen {
    progress: Progress,
    /// What the resource that was read supplies to others.
    outputs: Option<(Address, String, Outputs)>,
}

impl<E: Environment> Run<'_, E> {
    /// Waits until `condition` holds, for at most `deadline`.
    pub(crate) async fn wait(&self, step: &Step, condition: &Condition, deadline: Seconds) -> Flow<Ending> {
        match condition {
            Condition::Drained { record, margin, .. } => self.drain(step, record, *margin, deadline).await,
            Condition::SiteAnswers {
                proof: RequestProof::Off,
                ..
            } => Ok(Ending::Done),
            Condition::SiteAnswers {
                proof: RequestProof::Warn,
                ..
            } => match self.until_met(step, condition, deadline).await {
                Err(Break::Failed(error @ (StepError::Deadline { .. } | StepError::Never { .. }))) => {
                    self.warn(step, error.to_string());
                    Ok(Ending::Done)
                }
                other => other.map(|()| Ending::Done),
            },
            _ => self.until_met(step, condition, deadline).await.map(|()| Ending::Done),
        }
    }

    async fn until_met(&self, step: &Step, condition: &Condition, deadline: Seconds) -> Flow<()> {
        let mut patience = self.until(deadline.duration());
        loop {
            // Nothing is written in here, so it may be dropped at any point.
            let Seen { progress, outputs } = self.unless_ending(self.see(condition)).await??;
            let said = match progress {
                Progress::Met => {
                    if let Some((address, id, outputs)) = outputs {
                        self.record_outputs(&address, &id, outputs).await?;
                    }
                    if let Condition::RecordInSync { record } = condition {
                        let now = self.now();
                        self.journal.write(|state| memory::in_sync(state, record, now)).await?;
                    }
                    return Ok(());
                }
                Progress::NotYet(said) => said,
                Progress::Never { reason, remedy } => return Err(StepError::Never { reason, remedy }.into()),
            };
            if !self.pause(step, &mut patience, &said).await? {
                return Err(StepError::Deadline { deadline, said }.into());
            }
        }
    }

    /// Pauses within a wait; `false` if its time is over.
    async fn pause(&self, step: &Step, patience: &mut Patience, said: &str) -> Flow<bool> {
        let Some(pause) = patience.pause(self.now()) else {
            return Ok(false);
        };
        let until = patience.until;
        self.tell(step, Event::Waiting { said, until });
        self.unless_ending(self.environment.clock().sleep(pause)).await?;
        Ok(true)
    }

    async fn see(&self, condition: &Condition) -> Result<Seen, StepError> {
        let seen = match condition {
            Condition::SiteAnswers { request, .. } => self.ask(request).await,
            Condition::RecordInSync { record } => self.is_in_sync(record).await,
            _ => self.read_for(condition).await,
        };
        match seen {
            // A passing fault does not end a wait; it is told, and the deadline bounds it.
            Err(StepError::Cloud(error)) if error.kind == ErrorKind::Unavailable => Ok(Seen {
                progress: Progress::NotYet(error.to_string()),
                outputs: None,
            }),
            seen => seen,
        }
    }

    async fn read_for(&self, condition: &Condition) -> Result<Seen, StepError> {
        let Some(address) = condition.resource() else {
            return Ok(Seen {
                progress: condition.judge(None),
                outputs: None,
            });
        };
        let (id, actual) = self.read_recorded(address).await?;
        Ok(Seen {
            progress: condition.judge(actual.as_ref()),
            outputs: actual.map(|actual| (address.clone(), id, actual.outputs)),
        })
    }

    async fn read_recorded(
        &self,
        address: &Address,
    ) -> Result<(String, Option<reconcile_core::observed::Actual>), StepError> {
        let not_recorded = || StepError::NotRecorded {
            address: address.clone(),
        };
        let id = self
            .journal
            .read(|state| state.id(address).map(str::to_owned))
            .ok_or_else(not_recorded)?;
        let like = record::like(address, &id).ok_or_else(not_recorded)?;
        let actual = self.environment.cloud().read(address, &id, &like).await?;
        Ok((id, actual))
    }

    async fn ask(&self, request: &SiteRequest) -> Result<Seen, StepError> {
        let (name, outputs) = match &request.through {
            Through::Name | Through::NameNotAt(_) | Through::Instance { .. } => (None, None),
            Through::LoadBalancer(address) => {
                let recorded = self.journal.read(|state| {
                    let outputs = &state.resources.get(address)?.outputs;
                    outputs.get(&Output::DnsName).cloned()
                });
                match recorded {
                    Some(name) => (Some(name), None),
                    // A state that was rebuilt does not have it.
                    None => match self.read_recorded(address).await? {
                        (id, Some(actual)) if actual.outputs.contains_key(&Output::DnsName) => (
                            actual.outputs.get(&Output::DnsName).cloned(),
                            Some((address.clone(), id, actual.outputs)),
                        ),
                        _ => {
                            return Ok(Seen {
                                progress: Progress::NotYet("the load balancer has no DNS name yet".to_owned()),
                                outputs: None,
                            });
                        }
                    },
                }
            }
        };
        let progress = self.environment.visitor().ask(request, name.as_deref()).await;
        Ok(Seen { progress, outputs })
    }

    async fn is_in_sync(&self, record: &Address) -> Result<Seen, StepError> {
        let change = self
            .journal
            .read(|state| state.cutovers.get(record)?.dns_change.clone());
        let met = match change {
            Some(change) => self.environment.cloud().is_in_sync(&change).await?,
            // Route 53 forgets old changes, and one whose answer was lost was never known.
            None => true,
        };
        let progress = if met {
            Progress::Met
        } else {
            Progress::NotYet("PENDING".to_owned())
        };
        Ok(Seen {
            progress,
            outputs: None,
        })
    }

    /// Waits until resolvers have forgotten what the record said before the cutover, or tells when that will be.
    async fn drain(&self, step: &Step, record: &Address, margin: Seconds, deadline: Seconds) -> Flow<Ending> {
        let cutover = || self.journal.read(|state| state.cutovers.get(record).cloned());
        match cutover() {
            None => return Ok(Ending::Done),
            Some(cutover) if cutover.in_sync_at.is_none() => {
                let condition = Condition::RecordInSync { record: record.clone() };
                self.until_met(step, &condition, deadline).await?;
            }
            Some(_) => {}
        }
        let drained_at = cutover()
            .and_then(|cutover| cutover.drained_at(margin))
            .unwrap_or(jiff::Timestamp::MAX);
        let left =
            |now: jiff::Timestamp| std::time::Duration::try_from(drained_at.duration_since(now)).unwrap_or_default();
        if left(self.now()) > self.options.drain_wait.duration() {
            return Ok(Ending::Later(drained_at));
        }
        let mut patience = self.until(left(self.now()));
        let said = if record.kind() == Kind::AliasRecord {
            format!("resolvers may remember the old answer until {drained_at:.0}")
        } else {
            format!("requests may be under way to the old target group until {drained_at:.0}")
        };
        while self.pause(step, &mut patience, &said).await? {}
        Ok(Ending::Done)
    }
}
