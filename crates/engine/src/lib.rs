//! Carries out a plan: order, waits, journal, interruption. Generic over the cloud, the state store and the clock; knows
//! no SDK.

mod cloud;

pub use cloud::{Cloud, CloudError, ErrorKind, Made, Visitor};
