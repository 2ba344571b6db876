//! What a user should see while AWS is slow, where there would be silence.

use std::{fmt, sync::Arc};

/// Whoever is told, in one line each time, that AWS asks to slow down or does not answer and that a call is tried again.
#[derive(Clone)]
pub struct Notices(Arc<dyn Fn(&str) + Send + Sync>);

impl Notices {
    /// Tells by calling `tell`, from any thread.
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(crate) fn tell(&self, what: &str) {
        (self.0)(what);
    }
}

impl Default for Notices {
    /// Tells nobody.
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Notices")
    }
}
