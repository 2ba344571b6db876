//! What is asked, and what answers mean.

mod addresses;
mod asking;
mod judging;

use jiff::Timestamp;

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}
