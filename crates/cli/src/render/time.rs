//! Times and durations for people.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

/// A moment in the time zone of this machine.
pub(crate) fn local(at: Timestamp) -> String {
    at_zone(at, TimeZone::system())
}

fn at_zone(at: Timestamp, zone: TimeZone) -> String {
    at.to_zoned_datetime(zone).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// A duration in whole seconds, with its two largest units.
pub(crate) fn elapsed(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    if days > 0 {
        format!("{days}d {hours}h")
    } else if hours > 0 {
        format!("{hours}h {minutes}m")
    } else if minutes > 0 {
        format!("{minutes}m {}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_their_two_largest_units() {
        for (seconds, shown) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m 0s"),
            (3725, "1h 2m"),
            (176_400, "2d 1h"),
        ] {
            assert_eq!(elapsed(Duration::from_secs(seconds)), shown);
        }
    }

    #[test]
    fn moments_name_their_zone() {
        let at: Timestamp = "2026-03-01T12:30:05.75Z".parse().unwrap();
        assert_eq!(at_zone(at, TimeZone::UTC), "2026-03-01 12:30:05 UTC");
    }
}
