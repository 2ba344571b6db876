//! Errors about the state: what to do about each.

use reconcile_core::{
    import::ImportError,
    state::{EditError, StateError},
};
use reconcile_engine::StoreError;

use super::{CommandError, Failure};
use crate::store::{BackupError, Life, LockError, ReadError, Unsaved};

/// What to do about a state that could not be written to its bucket.
pub(super) fn unsaved(error: &StoreError) -> Option<String> {
    Some(error.source.downcast_ref::<Unsaved>()?.hint())
}

impl From<LockError> for CommandError {
    fn from(error: LockError) -> Self {
        let hint = match &error {
            LockError::Cloud(error) => return CommandError::Cloud(Box::new(error.as_ref().clone())),
            LockError::Held {
                holder: Some(holder),
                place,
                ..
            } if place.starts_with("s3://") && holder.life() == Life::Unknown => {
                let hint = format!(
                    "wait until it has ended (`--lock-timeout 5m` does); if it is dead, run `reconcile state unlock {}`; \
                     nothing was changed",
                    holder.id
                );
                return Failure::of(&error).hint(hint).into();
            }
            LockError::Held { .. } => {
                "wait until it has ended (`--lock-timeout 5m` does), or end it, then run again; nothing was changed"
            }
            LockError::Interrupted => return Failure::of(&error).into(),
            LockError::System { .. } => {
                "make the folder writable, or choose another file with `--state`; nothing was changed"
            }
        };
        Failure::of(&error).hint(hint).into()
    }
}

impl From<ReadError> for CommandError {
    fn from(error: ReadError) -> Self {
        let hint = match &error {
            ReadError::Cloud(error) => return CommandError::Cloud(Box::new(error.as_ref().clone())),
            ReadError::Unpushed { file, .. } => {
                let file = file.display();
                let hint = format!(
                    "bring it there with `reconcile state push {file}`; or, if it is not to count any more, delete that file; \
                     nothing was changed"
                );
                return Failure::of(&error).hint(hint).into();
            }
            ReadError::NotMigrated { file, .. } => {
                let hint = format!(
                    "move it with `reconcile state migrate --from local`; or, if it is of no use any more, put `{}` away; \
                     nothing was changed",
                    file.display()
                );
                return Failure::of(&error).hint(hint).into();
            }
            ReadError::Unusable {
                source: StateError::TooNew { .. },
                ..
            } => "use the version of reconcile that wrote it, or a newer one; nothing was changed",
            ReadError::Unusable { place, .. } if place.starts_with("s3://") => {
                "bring back an earlier version of the object, as \"When the state is lost or damaged\" in the documentation \
                 tells, or run `reconcile state rebuild`: what is in AWS is found again by its tags; nothing was changed"
            }
            ReadError::Unreadable { .. } => "make the file readable, or choose another with `--state`",
            ReadError::Unusable {
                backup: Some(path),
                place,
                ..
            } => {
                let hint = format!(
                    "the newest earlier state that can be used is `{}`: copy it to `{place}`, or run `reconcile state rebuild`: \
                     what is in AWS is found again by its tags; nothing was changed",
                    path.display()
                );
                return Failure::of(&error).hint(hint).into();
            }
            ReadError::Unusable { .. } => {
                "put back a copy of it, or run `reconcile state rebuild`: what is in AWS is found again by its tags; \
                 nothing was changed"
            }
        };
        Failure::of(&error).hint(hint).into()
    }
}

impl From<BackupError> for CommandError {
    fn from(error: BackupError) -> Self {
        Failure::of(&error)
            .hint("make the folder writable; nothing was changed")
            .into()
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        if let Some(hint) = unsaved(&error) {
            return Failure::of(&error).hint(hint).into();
        }
        Failure::of(&error)
            .hint("make room or mend the permissions there, then run again")
            .into()
    }
}

impl From<EditError> for CommandError {
    fn from(error: EditError) -> Self {
        let hint = match &error {
            EditError::Unknown { .. } | EditError::NotRetired { .. } | EditError::NoSite { .. } => {
                "`reconcile state list` shows what is recorded; nothing was changed"
            }
            EditError::Kinds { .. } => "keep the kind, and change what stands behind the dot; nothing was changed",
            EditError::Taken { .. } => {
                "forget that object first with `reconcile state rm`, or choose another address; nothing was changed"
            }
            EditError::Content { .. } => {
                "to have it recorded anew, forget it with `reconcile state rm`: the next plan finds it; nothing was changed"
            }
        };
        Failure::of(&error).hint(hint).into()
    }
}

impl From<ImportError> for CommandError {
    fn from(error: ImportError) -> Self {
        Failure::of(&error)
            .hint(error.remedy() + "; nothing was changed")
            .into()
    }
}

/// What to do about a state that is about something else.
pub(super) fn state_hint(error: &StateError) -> &'static str {
    match error {
        StateError::OtherStack { .. } => "choose the state file with `--state`, or correct `name`; nothing was changed",
        StateError::OtherAccount {
            state_account, account, ..
        } if state_account == account => {
            "correct `region` (or AWS_REGION), or choose the state file with `--state`; nothing was changed"
        }
        StateError::OtherAccount { .. } => {
            "choose the credentials with `profile` or AWS_PROFILE, or the state file with `--state`; nothing was changed"
        }
        StateError::Damaged { .. } | StateError::TooNew { .. } => "choose the state file with `--state`",
    }
}

impl From<StateError> for CommandError {
    fn from(source: StateError) -> Self {
        Self::State { place: None, source }
    }
}
