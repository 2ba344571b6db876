//! Why a saved plan is not carried out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::Value;
use thiserror::Error;

use super::{Action, Finding, Plan, PlanFile, Seen, Severity, StateMark, Step};
use crate::{
    config::StackName,
    resource::{Address, Kind},
    value::{AccountId, Region},
};

/// How many differences of a sort are told.
const TOLD: usize = 12;

/// What the plan was made from is not what is there now.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Moved {
    /// The plan is of another stack.
    #[error("the plan is of the stack `{found}`, the configuration is of `{expected}`")]
    OtherStack {
        /// The stack of the plan.
        found: StackName,
        /// The stack of the configuration.
        expected: StackName,
    },
    /// The plan is of another account or region.
    #[error("the plan is for account {plan_account} in {plan_region}, this run is for account {account} in {region}")]
    OtherAccount {
        /// Account of the plan.
        plan_account: AccountId,
        /// Region of the plan.
        plan_region: Region,
        /// Account of the credentials.
        account: AccountId,
        /// Region of this run.
        region: Region,
    },
    /// The configuration says something else.
    #[error("the configuration changed since the plan was made")]
    Configuration {
        /// Which settings, each with what happened to it.
        differences: Vec<String>,
    },
    /// The state was written since, or is another one.
    #[error("the state moved on since the plan was made: {}", state_words(saved.as_ref(), now.as_ref()))]
    State {
        /// The state that the plan was made from.
        saved: Option<StateMark>,
        /// The state now.
        now: Option<StateMark>,
    },
    /// AWS is not as it was.
    #[error("what is in AWS moved since the plan was made")]
    World(Box<WorldMoved>),
}

/// What moved in AWS, and what a plan that is made now would do otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorldMoved {
    /// What was observed otherwise: the subject, the setting, before and after.
    pub settings: Vec<Difference>,
    /// What a plan that is made now would do otherwise, in words; empty if it would do the same.
    pub plan: Vec<String>,
}

/// A setting that was observed otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Something is there that was not.
    New {
        /// What.
        subject: String,
    },
    /// Something is not there any more.
    Gone {
        /// What.
        subject: String,
    },
    /// A setting of something is not what it was.
    Changed {
        /// What it is a setting of.
        subject: String,
        /// The setting.
        path: String,
        /// What it was, if it was set.
        before: Option<Value>,
        /// What it is, if it is set.
        after: Option<Value>,
    },
}

impl Moved {
    /// What moved, one thing each; empty where the error says it all.
    pub fn details(&self) -> Vec<String> {
        match self {
            Self::OtherStack { .. } | Self::OtherAccount { .. } | Self::State { .. } => Vec::new(),
            Self::Configuration { differences } => few(differences.clone()),
            Self::World(moved) => {
                let mut details = few(moved.settings.iter().map(ToString::to_string).collect());
                details.extend(few(moved
                    .plan
                    .iter()
                    .map(|what| format!("a plan that is made now {what}"))
                    .collect()));
                details
            }
        }
    }

    /// What to do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::OtherStack { .. } => "name that stack's configuration with `--config`, or make a plan of this one",
            Self::OtherAccount { .. } => "choose the credentials and the region that the plan was made with",
            Self::Configuration { .. } => {
                "make a new plan with `reconcile plan --out` and look at it, or put the configuration back"
            }
            Self::State { .. } => {
                "a saved plan is good for one run: make a new one with `reconcile plan --out` and look at it"
            }
            Self::World(_) => "make a new plan with `reconcile plan --out` and look at it",
        }
    }
}

impl WorldMoved {
    /// What moved between a saved plan and one that is made now, of which the planner told these findings.
    pub(super) fn between(file: &PlanFile, now: &Plan, findings: &[Finding], seen: &Seen) -> Self {
        let mut plan = other_steps(&file.plan, now);
        plan.extend(new_warnings(&file.plan, findings));
        Self {
            settings: differences(&file.observed, seen),
            plan,
        }
    }

    /// Whether a plan that is made now would do the same.
    pub fn does_the_same(&self) -> bool {
        self.plan.is_empty()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &Option<Value>| value.as_ref().map_or_else(|| "not set".to_owned(), ToString::to_string);
        match self {
            Self::New { subject } => write!(formatter, "{subject} is new"),
            Self::Gone { subject } => write!(formatter, "{subject} is gone"),
            Self::Changed {
                subject,
                path,
                before,
                after,
            } => write!(
                formatter,
                "{subject}: {path} was {} and is {}",
                value(before),
                value(after)
            ),
        }
    }
}

/// Not more than people read.
fn few(mut texts: Vec<String>) -> Vec<String> {
    let more = texts.len().saturating_sub(TOLD);
    if more > 0 {
        texts.truncate(TOLD);
        texts.push(format!("and {more} more"));
    }
    texts
}

fn state_words(saved: Option<&StateMark>, now: Option<&StateMark>) -> String {
    match (saved, now) {
        (Some(saved), Some(now)) if saved.lineage != now.lineage => {
            "it is another state than the one that the plan was made from".to_owned()
        }
        (Some(saved), Some(now)) => format!(
            "it was written {} and is now written {}; this plan or another run was carried out",
            times(saved.serial),
            times(now.serial)
        ),
        (None, Some(_)) => {
            "there was none yet, and there is one now; this plan or another run was carried out".to_owned()
        }
        (_, None) => "there was one, and there is none now".to_owned(),
    }
}

fn times(serial: u64) -> String {
    if serial == 1 {
        "once".to_owned()
    } else {
        format!("{serial} times")
    }
}

fn differences(before: &Seen, after: &Seen) -> Vec<Difference> {
    let empty = BTreeMap::new();
    let subjects: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut found = Vec::new();
    for subject in subjects {
        let subject_is = || subject.clone();
        let (was, is) = match (before.get(subject), after.get(subject)) {
            (None, Some(_)) => {
                found.push(Difference::New { subject: subject_is() });
                continue;
            }
            (Some(_), None) => {
                found.push(Difference::Gone { subject: subject_is() });
                continue;
            }
            (was, is) => (was.unwrap_or(&empty), is.unwrap_or(&empty)),
        };
        let paths: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        for path in paths {
            let (before, after) = (was.get(path), is.get(path));
            if before != after {
                found.push(Difference::Changed {
                    subject: subject_is(),
                    path: path.clone(),
                    before: before.cloned(),
                    after: after.cloned(),
                });
            }
        }
    }
    found
}

/// What the steps of one plan do that those of the other do not. Waits change nothing and are not compared.
fn other_steps(saved: &Plan, now: &Plan) -> Vec<String> {
    let changing = |plan: &'_ Plan| -> Vec<Step> {
        let steps = plan.steps.iter();
        steps
            .filter(|step| !matches!(step.action, Action::Wait { .. }))
            .cloned()
            .collect()
    };
    let mut missing = changing(saved);
    let mut found = Vec::new();
    for step in changing(now) {
        let same = |other: &Step| {
            (&other.address, other.stage, other.consequence) == (&step.address, step.stage, step.consequence)
                && written(&other.action) == written(&step.action)
        };
        if let Some(at) = missing.iter().position(same) {
            missing.swap_remove(at);
            continue;
        }
        let (address, verb) = (&step.address, step.action.name());
        let alike = |other: &Step| other.address == step.address && other.action.name() == verb;
        found.push(match missing.iter().position(alike) {
            Some(at) => {
                missing.swap_remove(at);
                format!("would {verb} {address} otherwise")
            }
            None => format!("would also {verb} {address}"),
        });
    }
    missing.sort_by_key(|step| step.id);
    let gone = missing.iter();
    found.extend(gone.map(|step| format!("would no longer {} {}", step.action.name(), step.address)));
    found
}

/// An action as the file has it: what is not written (how AWS spells a name) does not tell actions apart.
fn written(action: &Action) -> Value {
    // Structs of strings, numbers, lists and maps with string keys always serialise.
    serde_json::to_value(action).unwrap_or_default()
}

/// Warnings that nobody saw yet, except for the health of targets, which comes and goes and is waited for.
fn new_warnings(saved: &Plan, findings: &[Finding]) -> Vec<String> {
    let comes_and_goes = |finding: &Finding| {
        let address: Option<Address> = finding.subject.parse().ok();
        address.is_some_and(|address| address.kind() == Kind::Target)
    };
    let warnings = findings.iter().filter(|finding| {
        finding.severity == Severity::Warning && !comes_and_goes(finding) && !saved.findings.contains(finding)
    });
    warnings
        .map(|finding| format!("would warn of {}: {}", finding.subject, finding.message))
        .collect()
}
