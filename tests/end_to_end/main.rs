//! The real binary against the emulated AWS, looked at through another client.
#![expect(clippy::unwrap_used, reason = "everything here is a test")]
#![expect(
    clippy::needless_raw_string_hashes,
    reason = "all Python snippets are written in one form"
)]

mod bad_input;
mod bucket;
mod dns_account;
mod drift;
mod foreign;
mod going_back;
mod import;
mod interrupted;
mod locked;
mod options;
mod pipelines;
mod replacing;
mod secrets;
mod shared_state;
mod state_commands;
mod status;
mod story;
mod support;
mod trouble;
mod verify;
mod watched;
mod wire;
