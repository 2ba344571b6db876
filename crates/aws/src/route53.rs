//! Hosted zones, record sets and changes.
