//! Carries out a plan: stage after stage, and within a stage everything at once that does not wait for something else.

use futures_util::{StreamExt, stream::FuturesUnordered};
use reconcile_core::{
    plan::{Action, Plan, Stage, Step, StepId},
    state::State,
};

use crate::{
    ApplyError, Environment, Event, FailedRun, Failure, Options, Outcome, OutcomeKind,
    create::Predecessor,
    error::{title_of, verb},
    run::{Break, Ending, Flow, Run},
};

/// Carries out `plan`.
///
/// Every call that changes something in AWS has an intent that is stored before it and a result that is stored after it,
/// so a run may be killed at any instant: the next one converges. A step that fails, or a signal to stop, lets the steps
/// that are changing something come to their next safe point, ends waits at once, and begins nothing new.
///
/// The future may be dropped at any point, as if the process had been killed.
///
/// # Errors
/// If the state is about something else, cannot be stored, or a step fails; what is done and what is left is told.
pub async fn apply<E: Environment>(
    plan: &Plan,
    state: State,
    environment: &E,
    options: &Options,
) -> Result<Outcome, ApplyError> {
    state.check(&plan.stack, &options.identity).map_err(ApplyError::State)?;
    let run = Run::new(environment, options, plan, state);
    let mut tally = Tally::default();
    if !plan.is_empty() {
        run.start(plan).await.map_err(ApplyError::Unwritable)?;
        for stage in Stage::ALL {
            let steps: Vec<&Step> = plan.steps.iter().filter(|step| step.stage == stage).collect();
            run.stage(plan, steps, &mut tally).await;
            if run.is_ending() || tally.ends_here() {
                break;
            }
        }
        if let Err(error) = run.journal.flush().await {
            // The step that could not store its result has failed with the same error.
            tracing::warn!(%error, "the last state is not stored");
            tally.unsaved = Some(error);
        }
    }
    run.conclude(plan, tally)
}

/// What became of the steps so far.
#[derive(Debug, Default)]
struct Tally {
    done: Vec<StepId>,
    failures: Vec<Failure>,
    later: Option<jiff::Timestamp>,
    in_use: bool,
    /// Steps that could not be begun though nothing stops the run.
    stuck: bool,
    /// A step is done but for the look at what AWS made of it.
    is_cut: bool,
    /// The store lacks what the run did last.
    unsaved: Option<crate::StoreError>,
}

impl Tally {
    fn ends_here(&self) -> bool {
        !self.failures.is_empty() || self.later.is_some() || self.in_use || self.stuck
    }
}

impl<E: Environment> Run<'_, E> {
    /// Binds the state to the account before anything is changed, and closes what earlier runs left open and this plan
    /// found to have succeeded.
    async fn start(&self, plan: &Plan) -> Result<(), crate::StoreError> {
        let identity = &self.options.identity;
        let bind = |state: &mut State| {
            state.account.get_or_insert_with(|| identity.account.clone());
            state.region.get_or_insert_with(|| identity.region.clone());
            for address in &plan.unchanged {
                state.intents.remove(address);
            }
        };
        self.journal.write(bind).await
    }

    /// Runs the steps of one stage.
    async fn stage(&self, plan: &Plan, mut waiting: Vec<&Step>, tally: &mut Tally) {
        let mut running = FuturesUnordered::new();
        loop {
            if !self.is_ending() {
                waiting.retain(|step| {
                    let ready = step
                        .after
                        .iter()
                        .all(|before| tally.done.contains(before) || !plan.steps.iter().any(|step| step.id == *before));
                    if ready {
                        running.push(self.step(step));
                    }
                    !ready
                });
            }
            let Some((step, ending)) = running.next().await else {
                break;
            };
            self.note(step, ending, tally);
        }
        tally.stuck = !waiting.is_empty() && !self.is_ending() && !tally.ends_here();
    }

    async fn step<'s>(&self, step: &'s Step) -> (&'s Step, Flow<Ending>) {
        self.tell(step, Event::Started);
        let ending = match &step.action {
            Action::Create { desired } => self.create(step, desired, None).await,
            Action::Replace {
                retire,
                observed,
                desired,
            } => {
                let old = Predecessor {
                    id: retire,
                    spec: observed,
                };
                self.create(step, desired, Some(old)).await
            }
            Action::Update { id, observed, desired } => self.update(step, id, observed, desired).await,
            Action::Delete { id, observed } => self.delete_referred(step, id, observed).await,
            Action::Record { id } => self.record(step, id).await,
            Action::Reinstate { id, retire, observed } => self.reinstate(step, id, retire, observed).await,
            Action::Forget { id } => self.forget(step, id).await,
            Action::Wait { condition, deadline } => self.wait(step, condition, *deadline).await,
        };
        (step, ending)
    }

    fn note(&self, step: &Step, ending: Flow<Ending>, tally: &mut Tally) {
        match ending {
            Ok(Ending::Done) => self.count_as_done(step, tally),
            // What was left is the look at what AWS made of it; the next plan has that.
            Err(Break::Stopped) if self.is_recorded(&step.address) && step.action.is_mutating() => {
                tally.is_cut = true;
                self.count_as_done(step, tally);
            }
            Ok(Ending::Later(not_before)) => {
                tally.later = tally.later.max(Some(not_before));
                let why = format!("not before {not_before:.0}");
                self.tell(step, Event::Left { why: &why });
            }
            Ok(Ending::InUse) => {
                tally.in_use = true;
                self.tell(step, Event::Left { why: "still in use" });
            }
            Err(Break::Stopped) => self.tell(step, Event::Left { why: "stopped" }),
            Err(Break::Failed(error)) => {
                self.failed.0.stop();
                self.tell(step, Event::Failed { error: &error });
                tally.failures.push(Failure {
                    step: step.id,
                    address: step.address.clone(),
                    verb: verb(&step.action),
                    error,
                });
            }
        }
    }

    fn count_as_done(&self, step: &Step, tally: &mut Tally) {
        tally.done.push(step.id);
        self.tell(step, Event::Finished);
    }

    fn conclude(self, plan: &Plan, tally: Tally) -> Result<Outcome, ApplyError> {
        let done = tally.done;
        let undone = || plan.steps.iter().filter(|step| !done.contains(&step.id));
        let left: Vec<StepId> = undone().map(|step| step.id).collect();
        let left_titles: Vec<String> = undone().map(title_of).collect();
        let warnings = self.warnings.into_inner();
        let mut failures = tally.failures.into_iter();
        if let Some(first) = failures.next() {
            return Err(ApplyError::Steps(Box::new(FailedRun {
                first,
                others: failures.collect(),
                done,
                left,
                left_titles,
                warnings,
                is_saved: tally.unsaved.is_none(),
            })));
        }
        if tally.stuck {
            return Err(ApplyError::Order { done, left });
        }
        let kind = if left.is_empty() && !tally.is_cut {
            OutcomeKind::Complete
        } else if self.options.stop.is_raised() || tally.is_cut {
            OutcomeKind::Interrupted
        } else if let Some(not_before) = tally.later {
            OutcomeKind::Later { not_before }
        } else {
            OutcomeKind::StillInUse
        };
        Ok(Outcome {
            done,
            left,
            kind,
            warnings,
        })
    }
}
