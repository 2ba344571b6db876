//! Values that another resource supplies once it exists.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Address;
use crate::value::DomainName;

/// Something that a resource supplies to others once it exists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Output {
    /// Its ARN or id.
    Id,
    /// The DNS name of a load balancer.
    DnsName,
    /// The hosted zone id of a load balancer's DNS name, as `DescribeLoadBalancers` tells it (`aws-facts.md` 3).
    ZoneId,
    /// The name of the validation record of a certificate for one name, in normal form without trailing dot.
    ValidationName(DomainName),
    /// The value of that record, likewise.
    ValidationValue(DomainName),
}

/// The outputs of one resource.
pub type Outputs = BTreeMap<Output, String>;

/// A value given outright, or one that another resource supplies once it exists.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Ref {
    /// The value.
    Known(String),
    /// An output of another resource.
    Of(Address, Output),
}

/// A reference was needed before the resource behind it existed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{output} of `{address}` is not known yet")]
pub struct Unresolved {
    /// The resource that should supply the value.
    pub address: Address,
    /// The output that is missing.
    pub output: Output,
}

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a reference, expected for example `${{certificate.www#id}}`")]
pub struct RefError {
    /// What was written.
    pub text: String,
}

impl Ref {
    /// The id of the resource at `address`.
    pub fn id_of(address: &Address) -> Self {
        Self::Of(address.clone(), Output::Id)
    }

    /// The value, if it is known.
    pub fn known(&self) -> Result<&str, Unresolved> {
        match self {
            Self::Known(value) => Ok(value),
            Self::Of(address, output) => Err(Unresolved {
                address: address.clone(),
                output: output.clone(),
            }),
        }
    }

    /// The address that supplies the value, if it is not known outright.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Known(_) => None,
            Self::Of(address, _) => Some(address),
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id => formatter.write_str("id"),
            Self::DnsName => formatter.write_str("dns_name"),
            Self::ZoneId => formatter.write_str("zone_id"),
            Self::ValidationName(name) => write!(formatter, "validation_name:{name}"),
            Self::ValidationValue(name) => write!(formatter, "validation_value:{name}"),
        }
    }
}

impl FromStr for Output {
    type Err = RefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || RefError { text: text.to_owned() };
        match text.split_once(':') {
            None => match text {
                "id" => Ok(Self::Id),
                "dns_name" => Ok(Self::DnsName),
                "zone_id" => Ok(Self::ZoneId),
                _ => Err(error()),
            },
            Some((output, name)) => {
                let name = name.parse().map_err(|_| error())?;
                match output {
                    "validation_name" => Ok(Self::ValidationName(name)),
                    "validation_value" => Ok(Self::ValidationValue(name)),
                    _ => Err(error()),
                }
            }
        }
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(value) => formatter.write_str(value),
            Self::Of(address, output) => write!(formatter, "${{{address}#{output}}}"),
        }
    }
}

impl FromStr for Ref {
    type Err = RefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(inner) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) else {
            return Ok(Self::Known(text.to_owned()));
        };
        let error = || RefError { text: text.to_owned() };
        let (address, output) = inner.split_once('#').ok_or_else(error)?;
        Ok(Self::Of(address.parse().map_err(|_| error())?, output.parse()?))
    }
}

macro_rules! through_text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = RefError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}

through_text!(Output);
through_text!(Ref);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Kind;

    #[test]
    fn references_survive_being_written_and_read() {
        let certificate = Address::new(Kind::Certificate, "www");
        let name: DomainName = "www.example.com".parse().unwrap();
        for reference in [
            Ref::Known("arn:aws:acm:...".into()),
            Ref::id_of(&certificate),
            Ref::Of(certificate, Output::ValidationName(name)),
        ] {
            assert_eq!(reference.to_string().parse(), Ok(reference));
        }
        assert!("${nonsense}".parse::<Ref>().is_err());
    }
}
