//! The real binary against the emulated AWS, looked at through another client.

mod bad_input;
mod drift;
mod interrupted;
mod story;
mod support;
mod trouble;
