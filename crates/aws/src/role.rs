//! The role that is taken on for Route 53, where the hosted zones are in another account.

use std::{error::Error, fmt};

use aws_config::{SdkConfig, sts::AssumeRoleProvider};
use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError, future};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::{display::DisplayErrorContext, metadata::ProvideErrorMetadata};
use reconcile_core::{config::DnsRole, value::RoleArn};
use reconcile_engine::ErrorKind;

/// How the sessions are called in the other account's logs.
const SESSION_NAME: &str = "reconcile";

/// Credentials of a role, whose errors say which role it is.
#[derive(Debug)]
pub(crate) struct TakenOn {
    arn: RoleArn,
    inner: AssumeRoleProvider,
}

impl TakenOn {
    /// Prepares to take a role on with the credentials of `config`; makes no call.
    pub(crate) async fn new(role: DnsRole, config: &SdkConfig) -> Self {
        let DnsRole { arn, external_id } = role;
        let mut builder = AssumeRoleProvider::builder(arn.as_str())
            .session_name(SESSION_NAME)
            .configure(config);
        if let Some(id) = external_id {
            builder = builder.external_id(id);
        }
        Self {
            arn,
            inner: builder.build().await,
        }
    }
}

impl ProvideCredentials for TakenOn {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            self.inner.provide_credentials().await.map_err(|error| {
                let (code, reason) = reason(&error);
                CredentialsError::provider_error(NotTakenOn {
                    arn: self.arn.clone(),
                    code,
                    reason,
                })
            })
        })
    }
}

/// The role could not be taken on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotTakenOn {
    arn: RoleArn,
    /// STS's code, if it answered.
    code: Option<String>,
    /// STS's message, or why it was not asked.
    reason: String,
}

impl NotTakenOn {
    /// The one that lies behind a call that could not be made.
    pub(crate) fn behind<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            next = error.source();
        }
        None
    }

    /// What sort of failure it is.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self.code.as_deref() {
            Some("Throttling" | "ThrottlingException" | "ServiceUnavailable" | "InternalFailure") => {
                ErrorKind::Unavailable
            }
            _ => ErrorKind::Denied,
        }
    }

    /// What to do.
    pub(crate) fn remedy(&self) -> String {
        match self.code.as_deref() {
            Some("AccessDenied") => format!(
                "allow the caller `sts:AssumeRole` on `{}`, and name the caller in the role's trust policy; if that asks for \
                 an external id, set `dns.external_id`",
                self.arn
            ),
            Some("RegionDisabledException") => {
                "enable the region's STS endpoint in the account, in IAM's account settings".to_owned()
            }
            Some("ExpiredToken" | "ExpiredTokenException") => {
                "the credentials that take the role on have expired: sign in again (`aws sso login`) and run again"
                    .to_owned()
            }
            Some(_) => "check `dns.role` and the credentials that take it on".to_owned(),
            None => {
                "check the credentials that take the role on (`dns.profile`, else those of all other calls), and the \
                     network"
                    .to_owned()
            }
        }
    }
}

impl fmt::Display for NotTakenOn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "the role `{}` for Route 53 (`dns.role`) cannot be assumed: {}",
            self.arn, self.reason
        )?;
        match &self.code {
            Some(code) => write!(formatter, " ({code})"),
            None => Ok(()),
        }
    }
}

impl Error for NotTakenOn {}

/// STS's code and message, if it answered; else why it did not.
fn reason(error: &CredentialsError) -> (Option<String>, String) {
    type Refused = SdkError<aws_sdk_sts::operation::assume_role::AssumeRoleError, HttpResponse>;
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(source) = next {
        if let Some(refused @ SdkError::ServiceError(_)) = source.downcast_ref::<Refused>() {
            let meta = refused.meta();
            let message = meta.message().unwrap_or("AWS gave no message").to_owned();
            return (meta.code().map(str::to_owned), message);
        }
        next = source.source();
    }
    let text = error
        .source()
        .map_or_else(|| error.to_string(), |source| DisplayErrorContext(source).to_string());
    (None, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_taken_on(code: Option<&str>) -> NotTakenOn {
        NotTakenOn {
            arn: "arn:aws:iam::210987654321:role/dns".parse().unwrap(),
            code: code.map(str::to_owned),
            reason: "User: arn:aws:iam::123456789012:user/me is not authorized".to_owned(),
        }
    }

    #[test]
    fn a_role_that_may_not_be_assumed_is_named_with_what_to_do() {
        let denied = not_taken_on(Some("AccessDenied"));
        assert_eq!(
            denied.to_string(),
            "the role `arn:aws:iam::210987654321:role/dns` for Route 53 (`dns.role`) cannot be assumed: User: \
             arn:aws:iam::123456789012:user/me is not authorized (AccessDenied)"
        );
        assert_eq!(denied.kind(), ErrorKind::Denied);
        for part in [
            "`sts:AssumeRole` on `arn:aws:iam::210987654321:role/dns`",
            "trust policy",
            "`dns.external_id`",
        ] {
            assert!(denied.remedy().contains(part), "{}", denied.remedy());
        }
        assert!(not_taken_on(None).remedy().contains("`dns.profile`"));
        assert_eq!(not_taken_on(Some("Throttling")).kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn it_is_found_behind_what_the_sdk_makes_of_it() {
        let wrapped = CredentialsError::provider_error(not_taken_on(None));
        assert_eq!(NotTakenOn::behind(&wrapped), Some(&not_taken_on(None)));
        assert_eq!(NotTakenOn::behind(&CredentialsError::not_loaded("none")), None);
    }
}
