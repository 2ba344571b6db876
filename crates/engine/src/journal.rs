//! The state while a run changes it: every change is stored before the run goes on.

use std::cell::{Cell, RefCell};

use reconcile_core::state::State;
use tokio::sync::Mutex;

use crate::{StateStore, StoreError};

/// The state of a run. All steps share it; the store sees one write at a time.
pub(crate) struct Journal<'a, S> {
    state: RefCell<State>,
    store: &'a S,
    writing: Mutex<()>,
    /// Whether the store lacks what the last write should have brought.
    behind: Cell<bool>,
}

impl<'a, S: StateStore> Journal<'a, S> {
    pub(crate) fn new(state: State, store: &'a S) -> Self {
        Self {
            state: RefCell::new(state),
            store,
            writing: Mutex::new(()),
            behind: Cell::new(false),
        }
    }

    /// Looks at the state.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.borrow())
    }

    /// Changes the state and stores it; a change that changes nothing is not stored.
    ///
    /// # Errors
    /// If it cannot be stored. The change is kept all the same, so that a later write of another step brings it.
    pub(crate) async fn write(&self, change: impl FnOnce(&mut State)) -> Result<(), StoreError> {
        let _one_at_a_time = self.writing.lock().await;
        let changed = {
            let mut state = self.state.borrow_mut();
            let before = state.clone();
            change(&mut state);
            *state != before
        };
        if changed { self.save().await } else { Ok(()) }
    }

    /// Tries once more to store what the last write could not.
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.writing.lock().await;
        if self.behind.get() { self.save().await } else { Ok(()) }
    }

    async fn save(&self) -> Result<(), StoreError> {
        let snapshot = {
            let mut state = self.state.borrow_mut();
            state.serial += 1;
            state.clone()
        };
        self.behind.set(true);
        self.store.save(&snapshot).await?;
        self.behind.set(false);
        Ok(())
    }
}
