//! How long is waited for AWS, and how often a call is tried: all of it in one place.
//!
//! `docs/src/reference/trouble.md` has these numbers for users.

use std::time::Duration;

/// Time to wait for a connection: long enough for a slow link, short enough to notice a wrong endpoint.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(6);
/// Time from sending a request to the end of its answer. Mutating calls such as `CreateLoadBalancer` answer within
/// seconds. The wait for a place in the budget of the service comes before it and does not count.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_mins(1);
/// Time that one call may take with all of its attempts, the pauses between them and the waits for a place in the budget.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_mins(5);
/// Attempts of a call that AWS asks to slow down: with half of all requests throttled, one call in a million gives up.
/// With the pauses below the last attempt comes after two and a half minutes or so, and after less than five.
pub(crate) const THROTTLED_ATTEMPTS: u32 = 20;
/// Attempts of a call that fails in another passing way: an outage, a lost connection, an answer that cannot be read. The
/// last one comes after half a minute or so; whoever has a wrong endpoint or no network shall not wait longer to be told.
pub(crate) const FAILED_ATTEMPTS: u32 = 8;
/// Upper bound of the first pause; it doubles, and jitter takes a random part of it.
pub(crate) const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// The longest pause.
pub(crate) const LONGEST_BACKOFF: Duration = Duration::from_secs(20);
/// The longest answer that is read. The longest of AWS's have some hundred kilobytes.
pub(crate) const LONGEST_ANSWER: usize = 32 << 20;
/// How often, at most, it is told that a service asks to slow down or does not answer.
pub(crate) const TOLD_EVERY: Duration = Duration::from_secs(30);
/// Failed attempts of one call before it is told: a single one is nothing to speak of.
pub(crate) const TOLD_AFTER: u32 = 2;
/// A failed attempt that took so long is told in any case.
pub(crate) const LONG: Duration = Duration::from_secs(10);
