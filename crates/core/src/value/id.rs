//! AWS identifiers, checked no tighter than needed: AWS is free to lengthen them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is not an identifier of the expected sort.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not {what}, expected something like `{example}`")]
pub struct IdError {
    /// What was written.
    pub text: String,
    /// The sort of identifier that was expected, with its article.
    pub what: &'static str,
    /// An identifier of that sort.
    pub example: &'static str,
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $what:literal, $example:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let check: fn(&str) -> Option<String> = $check;
                check(text).map(Self).ok_or_else(|| IdError {
                    text: text.to_owned(),
                    what: $what,
                    example: $example,
                })
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

/// Accepts `prefix` and at least one hexadecimal digit behind it.
fn prefixed(prefix: &str, text: &str) -> Option<String> {
    let digits = text.strip_prefix(prefix)?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_owned())
}

identifier!(
    /// The id of an EC2 instance.
    InstanceId, "an instance id", "i-0123456789abcdef0", |text| prefixed("i-", text)
);
identifier!(
    /// The id of a subnet.
    SubnetId, "a subnet id", "subnet-0123456789abcdef0", |text| prefixed("subnet-", text)
);
identifier!(
    /// The id of a VPC.
    VpcId, "a VPC id", "vpc-0123456789abcdef0", |text| prefixed("vpc-", text)
);
identifier!(
    /// The id of a security group.
    SecurityGroupId, "a security group id", "sg-0123456789abcdef0", |text| prefixed("sg-", text)
);
identifier!(
    /// The id of a Route 53 hosted zone, without the `/hostedzone/` that the API puts in front (`aws-facts.md` 5.1).
    ZoneId, "a hosted zone id", "Z0123456789ABCDEFGHIJ", |text| {
        let id = text.strip_prefix("/hostedzone/").unwrap_or(text);
        (!id.is_empty() && id.len() <= 32 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            .then(|| id.to_owned())
    }
);
identifier!(
    /// The twelve digits of an AWS account.
    AccountId, "an account id", "123456789012", |text| {
        (text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.to_owned())
    }
);
identifier!(
    /// The code of an AWS region.
    Region, "a region", "ap-northeast-1", |text| {
        let parts: Vec<&str> = text.split('-').collect();
        let number = parts.last().is_some_and(|last| {
            !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit())
        });
        let words = parts.iter().rev().skip(1).all(|word| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase())
        });
        (parts.len() >= 3 && number && words).then(|| text.to_owned())
    }
);
identifier!(
    /// The ARN of a certificate in ACM.
    CertificateArn,
    "the ARN of an ACM certificate",
    "arn:aws:acm:ap-northeast-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef",
    |text| {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", partition, "acm", region, account, resource]
                if !partition.is_empty()
                    && region.parse::<Region>().is_ok()
                    && account.parse::<AccountId>().is_ok()
                    && resource.strip_prefix("certificate/").is_some_and(|id| !id.is_empty()) =>
            {
                Some(text.to_owned())
            }
            _ => None,
        }
    }
);

identifier!(
    /// The ARN of a role in IAM.
    RoleArn,
    "the ARN of an IAM role",
    "arn:aws:iam::123456789012:role/reconcile-dns",
    |text| {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", partition, "iam", "", account, resource]
                if !partition.is_empty()
                    && account.parse::<AccountId>().is_ok()
                    && resource.strip_prefix("role/").is_some_and(|name| {
                        !name.is_empty() && !name.ends_with('/') && name.bytes().all(|byte| byte.is_ascii_graphic())
                    }) =>
            {
                Some(text.to_owned())
            }
            _ => None,
        }
    }
);

impl CertificateArn {
    /// The region that the certificate lives in: an ALB can use it only in the same one (`aws-facts.md` 1.1).
    pub fn region(&self) -> &str {
        self.0.split(':').nth(3).unwrap_or_default()
    }

    /// The account that the certificate belongs to.
    pub fn account(&self) -> &str {
        self.0.split(':').nth(4).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_checked_by_their_shape() {
        assert!("i-0123456789abcdef0".parse::<InstanceId>().is_ok());
        assert!("0123".parse::<InstanceId>().is_err());
        assert!("us-gov-west-1".parse::<Region>().is_ok());
        assert!("tokyo".parse::<Region>().is_err());
        assert_eq!("/hostedzone/Z1".parse::<ZoneId>().unwrap().as_str(), "Z1");
    }

    #[test]
    fn a_role_arn_names_a_role_and_nothing_else() {
        for text in [
            "arn:aws:iam::123456789012:role/dns",
            "arn:aws-cn:iam::123456789012:role/team/dns",
        ] {
            assert_eq!(text.parse::<RoleArn>().unwrap().as_str(), text);
        }
        for text in [
            "dns",
            "arn:aws:iam::123456789012:user/dns",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/team/",
            "arn:aws:iam::1234:role/dns",
            "arn:aws:iam:us-east-1:123456789012:role/dns",
            "arn:aws:sts::123456789012:assumed-role/dns/session",
        ] {
            let error = text.parse::<RoleArn>().unwrap_err().to_string();
            assert!(error.contains("ARN of an IAM role"), "{text}: {error}");
        }
    }

    #[test]
    fn a_certificate_arn_tells_its_region() {
        let arn = "arn:aws:acm:us-east-1:123456789012:certificate/abc";
        assert_eq!(arn.parse::<CertificateArn>().unwrap().region(), "us-east-1");
        let error = "arn:aws:iam::123456789012:server-certificate/x"
            .parse::<CertificateArn>()
            .unwrap_err();
        assert!(error.to_string().contains("ARN of an ACM certificate"));
    }
}
