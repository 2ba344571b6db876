//! Domain names in one normal form.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest domain name in octets, without the trailing dot (RFC 1035; `aws-facts.md` 1.1).
pub const MAX_OCTETS: usize = 253;
/// The longest label in octets (RFC 1035; `aws-facts.md` 1.1).
pub const MAX_LABEL_OCTETS: usize = 63;
/// The longest name that a certificate may carry as its common name (`aws-facts.md` 1.1).
pub const MAX_COMMON_NAME_OCTETS: usize = 64;

/// A domain name in lower case and ASCII (punycode), without octal escapes and without a trailing dot.
///
/// The first label may be `*`. Underscores are allowed, as validation records have them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DomainName(String);

/// Why a text is not a domain name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DomainNameError {
    /// There is nothing, or nothing but a dot.
    #[error("a domain name is needed, found nothing")]
    Empty,
    /// The name is longer than DNS can carry.
    #[error("a domain name has at most {MAX_OCTETS} octets, this one has {found}")]
    TooLong {
        /// Length in octets.
        found: usize,
    },
    /// A label is empty or longer than DNS can carry.
    #[error("the label `{label}` has {found} octets, expected 1 to {MAX_LABEL_OCTETS}")]
    LabelLength {
        /// The offending label.
        label: String,
        /// Its length in octets.
        found: usize,
    },
    /// A label holds something else than letters, digits, hyphens and underscores.
    #[error("the label `{label}` may hold letters, digits, `-` and `_` only, and no `-` at its ends")]
    LabelCharacters {
        /// The offending label.
        label: String,
    },
    /// A `*` that is not the whole first label (`aws-facts.md` 1.1).
    #[error("`*` can stand only as the whole first label, as in `*.example.com`")]
    Wildcard,
    /// The name has one label only.
    #[error("`{name}` has no dot: a public name such as `www.example.com` is needed")]
    SingleLabel {
        /// The name.
        name: String,
    },
    /// The name is not valid as an international name.
    #[error("`{name}` is not a valid international domain name")]
    International {
        /// The name.
        name: String,
    },
}

impl DomainName {
    /// The name as text, without a trailing dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name with a trailing dot, as Route 53 stores it.
    pub fn absolute(&self) -> String {
        format!("{}.", self.0)
    }

    /// Whether the first label is `*`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// The name without a leading `*.`: a wildcard and its parent share one validation record (`aws-facts.md` 1.3).
    #[must_use]
    pub fn without_wildcard(&self) -> Self {
        Self(self.0.strip_prefix("*.").unwrap_or(&self.0).to_owned())
    }

    /// Whether this name equals `zone` or lies below it, compared by whole labels.
    pub fn is_within(&self, zone: &Self) -> bool {
        self.0 == zone.0 || self.0.strip_suffix(&zone.0).is_some_and(|rest| rest.ends_with('.'))
    }

    /// Whether a certificate for this name serves `name`: equal, or a wildcard for exactly one label
    /// (`aws-facts.md` 1.1).
    pub fn covers(&self, name: &Self) -> bool {
        if self == name {
            return true;
        }
        match (self.0.strip_prefix("*."), name.0.split_once('.')) {
            (Some(parent), Some((first, rest))) => first != "*" && parent == rest,
            _ => false,
        }
    }

    /// The number of labels.
    pub fn labels(&self) -> usize {
        self.0.split('.').count()
    }
}

/// Turns Route 53's octal escapes (`\052`) back into characters (`aws-facts.md` 5.2).
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = (first == b'\\')
            .then(|| tail.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(byte) = octal {
            bytes.push(byte);
            rest = tail.get(3..).unwrap_or_default();
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl FromStr for DomainName {
    type Err = DomainNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = unescape(text.trim());
        let text = text.strip_suffix('.').unwrap_or(&text);
        if text.is_empty() {
            return Err(DomainNameError::Empty);
        }
        let ascii = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii(text).map_err(|_| DomainNameError::International { name: text.to_owned() })?
        };
        if ascii.len() > MAX_OCTETS {
            return Err(DomainNameError::TooLong { found: ascii.len() });
        }
        let mut labels = ascii.split('.').peekable();
        if labels.peek() == Some(&"*") {
            labels.next();
        }
        let mut count = 0;
        for label in labels {
            count += 1;
            if label.is_empty() || label.len() > MAX_LABEL_OCTETS {
                return Err(DomainNameError::LabelLength {
                    label: label.to_owned(),
                    found: label.len(),
                });
            }
            if label.contains('*') {
                return Err(DomainNameError::Wildcard);
            }
            let valid = label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
            if !valid || label.starts_with('-') || label.ends_with('-') {
                return Err(DomainNameError::LabelCharacters {
                    label: label.to_owned(),
                });
            }
        }
        if count < 2 {
            // A zone may be a single label only at the root of DNS, which Route 53 does not host for anybody here.
            return Err(DomainNameError::SingleLabel { name: ascii });
        }
        Ok(Self(ascii))
    }
}

impl TryFrom<String> for DomainName {
    type Error = DomainNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DomainName> for String {
    fn from(name: DomainName) -> Self {
        name.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    #[test]
    fn spellings_of_one_name_are_equal() {
        for spelling in ["www.example.com", "WWW.Example.COM.", " www.example.com "] {
            assert_eq!(name(spelling).as_str(), "www.example.com");
        }
        assert_eq!(name("\\052.example.com.").as_str(), "*.example.com");
        assert_eq!(name("bücher.example").as_str(), "xn--bcher-kva.example");
    }

    #[test]
    fn wildcards_cover_exactly_one_label() {
        let wildcard = name("*.example.com");
        assert!(wildcard.covers(&name("www.example.com")));
        assert!(!wildcard.covers(&name("example.com")));
        assert!(!wildcard.covers(&name("a.b.example.com")));
        assert_eq!(wildcard.without_wildcard(), name("example.com"));
    }

    #[test]
    fn zones_hold_whole_labels_only() {
        assert!(name("www.example.com").is_within(&name("example.com")));
        assert!(!name("www.badexample.com").is_within(&name("example.com")));
    }

    #[test]
    fn impossible_names_are_refused_with_the_reason() {
        let long = "a".repeat(64) + ".example.com";
        let cases: [(&str, &str); 6] = [
            ("", "a domain name is needed"),
            ("localhost", "has no dot"),
            ("a..example.com", "0 octets"),
            (&long, "64 octets"),
            ("www.*.example.com", "whole first label"),
            ("w w.example.com", "letters, digits"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<DomainName>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
