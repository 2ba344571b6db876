//! Takes over one object that others made: whether it can be, what that means, and what is done at once.
//!
//! Taking over marks the object as the stack's, in its tags and in the state. What else differs from the configuration is
//! left to the next plan, which shows it like any other difference.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use thiserror::Error;

use crate::{
    config::{ADOPTABLE, Adoption, Config, IdKind, a_kind, kind_of_id},
    diff, naming,
    observed::{Identity, Observed},
    plan::{Action, Consequence, Plan, Stage, Step, StepId},
    resource::{Address, Kind, Outputs, Spec},
    state::{Cutover, Entry, Origin, State},
    value::{Arn, DomainName},
};

/// Where an object is to go: an address, or a kind of which the configuration asks for one only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The address.
    Address(Address),
    /// The kind.
    Kind(Kind),
}

impl FromStr for Place {
    type Err = ImportError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == text);
        kind.map(Self::Kind)
            .or_else(|| text.parse().ok().map(Self::Address))
            .ok_or_else(|| ImportError::NoPlace { text: text.to_owned() })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(formatter),
            Self::Kind(kind) => kind.fmt(formatter),
        }
    }
}

/// Why an object cannot be taken over. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImportError {
    /// Neither a kind nor an address.
    #[error("`{text}` is neither a kind nor the address of a resource")]
    NoPlace {
        /// What was written.
        text: String,
    },
    /// Objects of the kind are not taken over.
    #[error("{} cannot be taken over: it is found by what it says", a_kind(*kind))]
    NotAdoptable {
        /// The kind.
        kind: Kind,
    },
    /// The id is of something else.
    #[error("`{id}` is {found}, not {}", a_kind(*kind))]
    OtherKind {
        /// The id.
        id: String,
        /// What it is, with its article.
        found: String,
        /// What is needed.
        kind: Kind,
    },
    /// The configuration asks for several of the kind, or it does not tell by itself.
    #[error("several addresses could take {}", a_kind(*kind))]
    Several {
        /// The kind.
        kind: Kind,
        /// The addresses, as far as known.
        addresses: Vec<Address>,
    },
    /// The configuration has no place for it.
    #[error("the configuration asks for no `{place}` that it could become")]
    NotWanted {
        /// Where it should go.
        place: String,
        /// Addresses of the kind that the configuration has.
        known: Vec<Address>,
    },
    /// AWS has no such object.
    #[error("there is no {} `{id}` in account {} in {}", kind.name().replace('_', " "), identity.account, identity.region)]
    NotThere {
        /// The kind.
        kind: Kind,
        /// The id.
        id: String,
        /// Where it was looked for.
        identity: Identity,
    },
    /// It lies in another region or account.
    #[error("`{id}` lies in account {} in {}, the stack in account {} in {}", at.0, at.1, identity.account, identity.region)]
    Elsewhere {
        /// The id.
        id: String,
        /// The account and the region of its ARN.
        at: (String, String),
        /// Those of the stack.
        identity: Identity,
    },
    /// The address has an object.
    #[error("`{address}` has an object already: `{id}`")]
    Taken {
        /// The address.
        address: Address,
        /// What is recorded there.
        id: String,
    },
    /// It is the stack's at this address, or at another.
    #[error("`{id}` is the stack's already, at `{address}`")]
    AlreadyOurs {
        /// The id.
        id: String,
        /// Where it is recorded.
        address: Address,
    },
    /// Its tags mark it as another stack's.
    #[error("`{id}` carries the tags of the stack `{stack}`")]
    OtherStack {
        /// The id.
        id: String,
        /// The other stack.
        stack: String,
    },
}

impl ImportError {
    /// What to do.
    pub fn remedy(&self) -> String {
        let list = |addresses: &[Address]| {
            let addresses: Vec<String> = addresses.iter().map(|address| format!("`{address}`")).collect();
            addresses.join(" or ")
        };
        match self {
            Self::NoPlace { .. } | Self::NotAdoptable { .. } => {
                let kinds: Vec<&str> = ADOPTABLE.iter().map(|kind| kind.name()).collect();
                format!(
                    "kinds are `{}`; an address is a kind and a name, such as `target_group.www`",
                    kinds.join("`, `")
                )
            }
            Self::OtherKind { .. } => "check the id: the console shows ARNs and ids of each object".to_owned(),
            Self::Several { addresses, .. } if addresses.is_empty() => {
                "write its address in place of the kind; `reconcile plan` shows the addresses".to_owned()
            }
            Self::Several { addresses, .. } => format!("write its address in place of the kind: {}", list(addresses)),
            Self::NotWanted { known, .. } if known.is_empty() => {
                "add to the configuration what it should become, then run again".to_owned()
            }
            Self::NotWanted { known, .. } => format!("the configuration has {}", list(known)),
            Self::NotThere { .. } => "check the id, the region and the credentials".to_owned(),
            Self::Elsewhere { .. } => "a stack lives in one account and region: name an object from there".to_owned(),
            Self::Taken { address, .. } => format!(
                "to use the new object in its place, forget the old one with `reconcile state rm {address}`: it then stays in \
                 AWS as it is"
            ),
            Self::AlreadyOurs { .. } => "`reconcile plan` shows whether it is as configured".to_owned(),
            Self::OtherStack { stack, .. } => format!(
                "an object belongs to one stack: forget it in `{stack}` with `reconcile state rm`, and remove its tags `{}` \
                 and `{}`",
                naming::STACK_TAG,
                naming::RESOURCE_TAG
            ),
        }
    }
}

/// What is asked for, as far as it can be judged without AWS.
///
/// # Errors
/// If nothing of the kind is taken over, the id is of something else, or the configuration has no place, or several.
pub fn adoption(config: &Config, place: &Place, id: &str) -> Result<Adoption, ImportError> {
    let kind = match place {
        Place::Address(address) => address.kind(),
        Place::Kind(kind) => *kind,
    };
    if !ADOPTABLE.contains(&kind) {
        return Err(ImportError::NotAdoptable { kind });
    }
    let other = |found: &str| ImportError::OtherKind {
        id: id.to_owned(),
        found: found.to_owned(),
        kind,
    };
    match kind_of_id(id) {
        IdKind::Adoptable(found) if found == kind => {}
        IdKind::Adoptable(found) => return Err(other(&a_kind(found))),
        IdKind::OtherLoadBalancer => return Err(other("of a load balancer that is no Application Load Balancer")),
        IdKind::Other => return Err(other("not such an id")),
    }
    let known = config.addresses(kind);
    let not_wanted = |place: &dyn fmt::Display| ImportError::NotWanted {
        place: place.to_string(),
        known: known.clone().unwrap_or_default(),
    };
    if kind == Kind::AliasRecord {
        // The name is both: where it is, and what it is.
        let name: DomainName = id.parse().map_err(|_| other("not such an id"))?;
        let address = Address::new(kind, name.as_str());
        let fits = matches!(place, Place::Kind(_)) || *place == Place::Address(address.clone());
        return if fits && known.as_ref().is_some_and(|known| known.contains(&address)) {
            Ok(Adoption {
                address: Some(address),
                id: name.to_string(),
            })
        } else {
            Err(not_wanted(&address))
        };
    }
    let address = match (place, known.as_deref()) {
        (Place::Address(address), Some(known)) if !known.contains(address) => return Err(not_wanted(address)),
        (Place::Address(address), _) => Some(address.clone()),
        (Place::Kind(kind), Some([])) => return Err(not_wanted(kind)),
        (Place::Kind(_), Some([only])) => Some(only.clone()),
        // Its port tells, once it was looked at.
        (Place::Kind(Kind::Listener), _) => None,
        (Place::Kind(kind), known) => {
            return Err(ImportError::Several {
                kind: *kind,
                addresses: known.unwrap_or_default().to_vec(),
            });
        }
    };
    Ok(Adoption {
        address,
        id: id.to_owned(),
    })
}

/// An object that can be taken over, and what that means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Takeover {
    /// What it becomes.
    pub address: Address,
    /// Its ARN or id; for records their zone and name.
    pub id: String,
    /// What differs from the configuration, tags included, as the plan would change it; `None` if nothing does.
    pub step: Option<Step>,
    /// What marks it in AWS: a plan of one change of its tags. `None` for kinds without tags.
    pub tagging: Option<Plan>,
}

/// Judges what `plan`, made from a configuration with the adoption in it, found.
///
/// # Errors
/// If the object is not there, is somebody else's, or its place is taken.
pub fn takeover(
    config: &Config,
    observed: &Observed,
    state: &State,
    adoption: &Adoption,
    plan: &Plan,
) -> Result<Takeover, ImportError> {
    let Adoption { address, id } = adoption;
    if let Some(address) = address
        && address.kind() == Kind::AliasRecord
    {
        return record_takeover(observed, state, address, plan);
    }
    let kind = adoption
        .kind()
        .ok_or_else(|| ImportError::NoPlace { text: id.clone() })?;
    let identity = &observed.identity;
    if let Some(arn) = Arn::parse(id)
        && (arn.region != identity.region.as_str() || arn.account != identity.account.as_str())
    {
        return Err(ImportError::Elsewhere {
            id: id.clone(),
            at: (arn.account.to_owned(), arn.region.to_owned()),
            identity: identity.clone(),
        });
    }
    let recorded = state.resources.iter().find(|(_, entry)| entry.id == *id);
    if let Some((address, _)) = recorded {
        return Err(ImportError::AlreadyOurs {
            id: id.clone(),
            address: address.clone(),
        });
    }
    let mut found = observed.found.iter();
    let actual = found
        .find(|actual| actual.id == *id && actual.spec.kind() == kind)
        .ok_or_else(|| ImportError::NotThere {
            kind,
            id: id.clone(),
            identity: identity.clone(),
        })?;
    if let Some(stack) = actual.tags.get(naming::STACK_TAG)
        && stack != config.name.as_str()
    {
        return Err(ImportError::OtherStack {
            id: id.clone(),
            stack: stack.clone(),
        });
    }
    let address = match (address, &actual.spec) {
        (Some(address), _) => address.clone(),
        (None, Spec::Listener(listener)) => Address::new(kind, listener.port.to_string()),
        (None, _) => {
            return Err(ImportError::Several {
                kind,
                addresses: config.addresses(kind).unwrap_or_default(),
            });
        }
    };
    free(state, &address)?;
    let step = plan
        .steps
        .iter()
        .find(|step| step.address == address && is_about(step, id));
    if step.is_none() && !plan.unchanged.contains(&address) {
        return Err(ImportError::NotWanted {
            place: address.to_string(),
            known: config.addresses(kind).unwrap_or_default(),
        });
    }
    let mut desired = actual.spec.clone();
    let tagging = desired.tags_mut().map(|tags| {
        tags.extend(config.tags.clone());
        tags.extend(naming::ownership(&config.name, &address));
    });
    let tagging = tagging.map(|()| Plan {
        steps: vec![Step {
            id: StepId(1),
            address: address.clone(),
            changes: diff::changes(&actual.spec, &desired),
            action: Action::Update {
                id: id.clone(),
                observed: actual.spec.clone(),
                desired,
            },
            stage: Stage::Prepare,
            consequence: Consequence::None,
            reason: "taken over".to_owned(),
            after: Vec::new(),
        }],
        unchanged: Vec::new(),
        findings: Vec::new(),
        ..plan.clone()
    });
    Ok(Takeover {
        step: step.filter(|step| step.action.is_mutating()).cloned(),
        address,
        id: id.clone(),
        tagging,
    })
}

/// Records are found by their name, and carry no tags.
fn record_takeover(
    observed: &Observed,
    state: &State,
    address: &Address,
    plan: &Plan,
) -> Result<Takeover, ImportError> {
    free(state, address)?;
    let step = plan.steps.iter().find(|step| step.address == *address);
    let id = step.and_then(|step| match &step.action {
        Action::Update { id, .. } | Action::Record { id } | Action::Reinstate { id, .. } => Some(id.clone()),
        _ => None,
    });
    let Some(id) = id else {
        return Err(ImportError::NotThere {
            kind: address.kind(),
            id: address.key().to_owned(),
            identity: observed.identity.clone(),
        });
    };
    Ok(Takeover {
        address: address.clone(),
        id,
        step: step.filter(|step| step.action.is_mutating()).cloned(),
        tagging: None,
    })
}

fn free(state: &State, address: &Address) -> Result<(), ImportError> {
    match state.id(address) {
        Some(id) => Err(ImportError::Taken {
            address: address.clone(),
            id: id.to_owned(),
        }),
        None => Ok(()),
    }
}

fn is_about(step: &Step, wanted: &str) -> bool {
    match &step.action {
        Action::Update { id, .. }
        | Action::Replace { retire: id, .. }
        | Action::Record { id }
        | Action::Reinstate { id, .. } => id == wanted,
        Action::Create { .. } | Action::Delete { .. } | Action::Forget { .. } | Action::Wait { .. } => false,
    }
}

impl Takeover {
    /// Records the object as taken over.
    pub fn record(&self, state: &mut State, identity: &Identity, now: Timestamp) {
        state.account.get_or_insert_with(|| identity.account.clone());
        state.region.get_or_insert_with(|| identity.region.clone());
        let entry = Entry {
            id: self.id.clone(),
            outputs: Outputs::new(),
            origin: Origin::Adopted,
            recorded_at: now,
        };
        state.resources.insert(self.address.clone(), entry);
        if self.address.kind() == Kind::AliasRecord && self.step.is_none() {
            // It leads to the load balancer already.
            let found = Cutover::found(now);
            state.cutovers.entry(self.address.clone()).or_insert(found);
        }
        state.serial += 1;
    }
}
