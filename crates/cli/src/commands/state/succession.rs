//! Whether one state may take the place of another.

use reconcile_core::state::State;

use crate::error::{CommandError, Failure};

/// What becomes of a state that is brought to where another one may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Succession {
    /// It is there already.
    Same,
    /// It is written, like this.
    Write(Box<State>),
}

/// Judges whether `new` may take the place of `current`. With `force` it may in any case; its serial is raised then, so that
/// nobody takes the other one for newer.
///
/// # Errors
/// If it may not.
pub(super) fn succession(
    new: State,
    current: Option<&State>,
    place: &str,
    force: bool,
) -> Result<Succession, CommandError> {
    let Some(current) = current else {
        return Ok(Succession::Write(Box::new(new)));
    };
    if new == *current {
        return Ok(Succession::Same);
    }
    if force {
        let serial = new.serial.max(current.serial.saturating_add(1));
        return Ok(Succession::Write(Box::new(State { serial, ..new })));
    }
    let refused = if new.lineage != current.lineage {
        Failure::new(format!(
            "the state in `{place}` is another one: its lineage is {}, that of the new one {}",
            current.lineage, new.lineage
        ))
        .hint("one of the two does not know what the other does; compare them with `reconcile state list`")
    } else if new.serial <= current.serial {
        Failure::new(format!(
            "the state in `{place}` is not older: its serial is {}, that of the new one {}",
            current.serial, new.serial
        ))
        .hint("it holds what later runs did; compare them with `reconcile state list`")
    } else {
        return Ok(Succession::Write(Box::new(new)));
    };
    Err(refused
        .hint("to give up the one that is there, run with `--force`; nothing was changed")
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(lineage: &str, serial: u64) -> State {
        let stack = serde_json::from_value(serde_json::json!("www-example-com")).unwrap();
        let mut state = State::empty(stack, lineage.to_owned());
        state.serial = serial;
        state
    }

    fn written(new: &State, current: Option<&State>, force: bool) -> Option<u64> {
        match succession(new.clone(), current, "there", force).ok()? {
            Succession::Same => panic!("the same"),
            Succession::Write(state) => Some(state.serial),
        }
    }

    #[test]
    fn only_a_newer_one_of_the_same_life_takes_over() {
        let current = state("a", 5);
        assert_eq!(written(&state("a", 5), None, false), Some(5));
        assert_eq!(written(&state("a", 6), Some(&current), false), Some(6));
        assert_eq!(written(&state("a", 4), Some(&current), false), None, "older");
        assert_eq!(written(&state("b", 9), Some(&current), false), None, "of another life");
        let mut fork = state("a", 5);
        fork.region = Some("eu-west-1".parse().unwrap());
        assert_eq!(written(&fork, Some(&current), false), None, "as old, and another");
        assert_eq!(
            succession(current.clone(), Some(&current), "there", false).unwrap(),
            Succession::Same
        );
    }

    #[test]
    fn what_is_forced_is_newer_than_what_it_replaces() {
        let current = state("a", 5);
        assert_eq!(written(&state("b", 2), Some(&current), true), Some(6));
        assert_eq!(written(&state("a", 9), Some(&current), true), Some(9));
    }
}
