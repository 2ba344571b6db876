//! The sorts of trouble that can be left out.

/// Which sorts of trouble a schedule has.
#[expect(clippy::struct_excessive_bools, reason = "each is a sort of its own")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sorts {
    pub(crate) kills: bool,
    pub(crate) faults: bool,
    pub(crate) drift: bool,
    pub(crate) lags: bool,
    pub(crate) stops: bool,
    pub(crate) store: bool,
    pub(crate) losses: bool,
    pub(crate) changes: bool,
    pub(crate) ends: bool,
}

impl Sorts {
    /// The names that leave a sort out.
    pub(crate) const NAMES: [&str; 9] = [
        "kills", "faults", "drift", "lags", "stops", "store", "losses", "changes", "ends",
    ];

    pub(crate) const ALL: Self = Self {
        kills: true,
        faults: true,
        drift: true,
        lags: true,
        stops: true,
        store: true,
        losses: true,
        changes: true,
        ends: true,
    };

    /// Without the sort of this name.
    pub(crate) fn without(mut self, name: &str) -> Self {
        *match name {
            "kills" => &mut self.kills,
            "faults" => &mut self.faults,
            "drift" => &mut self.drift,
            "lags" => &mut self.lags,
            "stops" => &mut self.stops,
            "store" => &mut self.store,
            "losses" => &mut self.losses,
            "changes" => &mut self.changes,
            "ends" => &mut self.ends,
            other => panic!("`{other}` is no sort of trouble, expected one of {:?}", Self::NAMES),
        } = false;
        self
    }
}
