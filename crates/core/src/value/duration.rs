//! Durations of whole seconds with their unit written.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A duration in whole seconds, written with its unit: `30s`, `5m`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Seconds(u32);

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SecondsError {
    /// A bare number.
    #[error("`{text}` has no unit: write for example `{text}s`")]
    NoUnit {
        /// What was written.
        text: String,
    },
    /// Not readable as a duration of whole seconds.
    #[error("`{text}` is not a duration of whole seconds such as `30s`, `5m` or `1h`")]
    NotADuration {
        /// What was written.
        text: String,
    },
}

impl Seconds {
    /// A duration of `seconds` seconds.
    pub const fn new(seconds: u32) -> Self {
        Self(seconds)
    }

    /// The number of seconds.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The same as a standard duration.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

impl FromStr for Seconds {
    type Err = SecondsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SecondsError::NoUnit { text: text.to_owned() });
        }
        let error = || SecondsError::NotADuration { text: text.to_owned() };
        let parsed: jiff::SignedDuration = text.parse().map_err(|_| error())?;
        if parsed.subsec_nanos() != 0 {
            return Err(error());
        }
        u32::try_from(parsed.as_secs()).map(Self).map_err(|_| error())
    }
}

impl TryFrom<String> for Seconds {
    type Error = SecondsError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Seconds> for String {
    fn from(seconds: Seconds) -> Self {
        seconds.to_string()
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds) = (self.0 / 3600, self.0 / 60 % 60, self.0 % 60);
        if hours > 0 {
            write!(formatter, "{hours}h")?;
        }
        if minutes > 0 {
            write!(formatter, "{minutes}m")?;
        }
        if seconds > 0 || self.0 == 0 {
            write!(formatter, "{seconds}s")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_the_same_form() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("1h30m", 5400), ("0s", 0)] {
            assert_eq!(text.parse(), Ok(Seconds::new(seconds)));
            assert_eq!(Seconds::new(seconds).to_string(), text);
        }
    }

    #[test]
    fn a_number_without_a_unit_is_refused_with_the_way_out() {
        let error = "30".parse::<Seconds>().unwrap_err();
        assert!(error.to_string().contains("`30s`"));
        assert!("-5s".parse::<Seconds>().is_err());
        assert!("1.5s".parse::<Seconds>().is_err());
    }
}
