//! Whose AWS it is.
