//! Values with a form of their own: names, identifiers, addresses, durations.
//!
//! Normalisation (case, trailing dots, octal escapes, canonical CIDRs) happens in the constructors and nowhere else, so
//! two spellings of one thing cannot differ in a diff.

mod arn;
mod domain;
mod duration;
mod id;
mod network;

pub use arn::Arn;
pub use domain::{DomainName, DomainNameError, MAX_COMMON_NAME_OCTETS, MAX_LABEL_OCTETS, MAX_OCTETS};
pub use duration::{Seconds, SecondsError};
pub use id::{
    AccountId, CertificateArn, IdError, InstanceId, Region, RoleArn, SecurityGroupId, SubnetId, VpcId, ZoneId,
};
pub use network::{CanonicalCidr, CidrError};
