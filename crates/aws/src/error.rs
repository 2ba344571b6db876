//! What a failed call means: the SDK's errors in the engine's words.
//!
//! Codes are matched as text, because services send codes that their models do not list (`aws-facts.md` 4.1, 7.2).

mod codes;

use std::{error::Error, future::Future};

use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::request_id::RequestId;
use reconcile_core::resource::Unresolved;
use reconcile_engine::{CloudError, ErrorKind};

use crate::{answer::Malformed, attempts, role};
use codes::remedy_of;
pub(crate) use codes::{is_throttle, kind_of};

/// Awaits one call to AWS and translates its error. `operation` is the service and the call, for example
/// `elbv2 CreateListener`.
///
/// The SDK's futures are some twenty kilobytes each; boxed they do not add up where calls are joined.
pub(crate) fn call<T, E>(
    operation: &str,
    future: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
) -> impl Future<Output = Result<T, CloudError>>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let future = Box::pin(future);
    async move {
        tracing::debug!(operation, "calling");
        let (answer, attempts) = attempts::counted(operation, future).await;
        answer.map_err(|error| {
            let mut error = translate(operation, &error);
            error.message += &attempts.to_string();
            let CloudError {
                code,
                request_id,
                message,
                ..
            } = &error;
            tracing::debug!(operation, code, request_id, "refused: {message}");
            error
        })
    }
}

/// The SDK's error in the engine's words.
pub(crate) fn translate<E>(operation: &str, error: &SdkError<E, HttpResponse>) -> CloudError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let meta = error.meta();
    let response = error.raw_response();
    let status = response.map(|response| response.status().as_u16());
    let request_id = meta
        .request_id()
        .or_else(|| {
            let headers = response?.headers();
            headers
                .get("x-amzn-requestid")
                .or_else(|| headers.get("x-amz-request-id"))
        })
        .map(str::to_owned);
    let code = meta.code().map(str::to_owned);
    let (kind, message, remedy) = match error {
        // It keeps the call from being made at all.
        _ if let Some(not_taken_on) = role::NotTakenOn::behind(error) => (
            not_taken_on.kind(),
            not_taken_on.to_string(),
            Some(not_taken_on.remedy()),
        ),
        _ if let Some(malformed) = behind::<Malformed>(error) => {
            (ErrorKind::Unavailable, malformed.to_string(), Some(malformed.remedy()))
        }
        SdkError::ServiceError(refused) => {
            let kind = kind_of(code.as_deref().unwrap_or_default(), status);
            let message = match (meta.message(), status) {
                (Some(message), _) if !message.is_empty() => message.to_owned(),
                // The SDK could not make sense of it.
                (_, Some(status)) if status < 400 => {
                    format!("the answer cannot be read: {}", chain(refused.err()))
                }
                (_, Some(status)) => format!("AWS answered with HTTP status {status} and no message"),
                (_, None) => "AWS gave no message".to_owned(),
            };
            let remedy = remedy_of(operation, kind, code.as_deref().unwrap_or_default(), &message);
            (kind, message, remedy)
        }
        SdkError::ResponseError(_) => match status {
            Some(status) if status >= 500 => (
                ErrorKind::Unavailable,
                format!("AWS answered with HTTP status {status}"),
                None,
            ),
            _ => (
                ErrorKind::Unexpected,
                format!("the answer cannot be read: {}", chain(error)),
                None,
            ),
        },
        SdkError::TimeoutError(_) => (
            ErrorKind::Unavailable,
            "no answer in time".to_owned(),
            Some("run again: what the call did, if anything, is found then".to_owned()),
        ),
        // The connection itself failed, not what the SDK does before it, such as finding credentials.
        SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => no_connection(&chain(error)),
        _ => unanswered(&chain(error)),
    };
    CloudError {
        operation: operation.to_owned(),
        kind,
        code,
        message,
        request_id,
        remedy,
    }
}

/// The error of this type that lies behind another.
fn behind<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// A call that never reached AWS: no credentials, or no connection. `chain` holds the messages of the error's sources.
fn unanswered(chain: &str) -> (ErrorKind, String, Option<String>) {
    let lower = chain.to_ascii_lowercase();
    // As a word: "No address associated with hostname" is about something else.
    let is_sso = lower
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .any(|word| word == "sso");
    if lower.contains("credential") || is_sso || lower.contains("profile") {
        // The SDK lists every place that it looked at; those that are not in use explain nothing.
        let used: Vec<&str> = chain
            .split('\n')
            .flat_map(|line| line.split("\\n"))
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.contains("was not enabled"))
            .collect();
        let message = if used.is_empty() {
            "no credentials found".to_owned()
        } else {
            used.join(": ")
        };
        (
            ErrorKind::Denied,
            message,
            Some(
                "give credentials: a profile (`profile` in the configuration or AWS_PROFILE), AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY, or `aws sso login`"
                    .to_owned(),
            ),
        )
    } else {
        no_connection(chain)
    }
}

fn no_connection(chain: &str) -> (ErrorKind, String, Option<String>) {
    (
        ErrorKind::Unavailable,
        format!("no connection: {chain}"),
        Some("check the network, the region, and AWS_ENDPOINT_URL if it is set".to_owned()),
    )
}

/// The messages of an error and its sources, without the SDK's outermost and the layers of its HTTP client, and without
/// repetitions.
fn chain(error: &dyn Error) -> String {
    const LAYERS: [&str; 3] = ["io error", "other", "client error (Connect)"];
    let mut parts: Vec<String> = Vec::new();
    let mut next = error.source().or(Some(error));
    while let Some(error) = next {
        let text = error.to_string();
        if !text.is_empty() && !LAYERS.contains(&text.as_str()) && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}

/// An answer that makes no sense.
pub(crate) fn unexpected(operation: &str, message: impl Into<String>) -> CloudError {
    CloudError {
        operation: operation.to_owned(),
        kind: ErrorKind::Unexpected,
        code: None,
        message: message.into(),
        request_id: None,
        remedy: None,
    }
}

/// A failure of our own making or finding, which no call of AWS reported.
pub(crate) fn failure(
    operation: &str,
    kind: ErrorKind,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> CloudError {
    CloudError {
        kind,
        remedy: Some(remedy.into()),
        ..unexpected(operation, message)
    }
}

/// A reference that should have been resolved by now.
pub(crate) fn unresolved(operation: &str, error: &Unresolved) -> CloudError {
    unexpected(operation, error.to_string())
}

/// What is asked of an error again and again.
pub(crate) trait CloudErrorExt {
    /// Whether AWS's code is one of these.
    fn is_code(&self, codes: &[&str]) -> bool;
}

impl CloudErrorExt for CloudError {
    fn is_code(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }
}

/// Turns "there is no such object" into `None`.
pub(crate) trait OrMissing<T> {
    /// The answer, or `None` if the object does not exist.
    fn or_missing(self) -> Result<Option<T>, CloudError>;
}

impl<T> OrMissing<T> for Result<T, CloudError> {
    fn or_missing(self) -> Result<Option<T>, CloudError> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_elasticloadbalancingv2::{error::ErrorMetadata, operation::create_listener::CreateListenerError};
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn refused(status: u16, code: &str, message: &str) -> CloudError {
        refused_by("elbv2 CreateListener", status, code, message)
    }

    fn refused_by(operation: &str, status: u16, code: &str, message: &str) -> CloudError {
        let meta = ErrorMetadata::builder().code(code).message(message).build();
        let mut response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
        response.headers_mut().insert("x-amzn-requestid", "r-1");
        let error = SdkError::service_error(CreateListenerError::generic(meta), response);
        translate(operation, &error)
    }

    #[test]
    fn codes_fall_into_kinds() {
        for (kind, codes) in [
            (
                ErrorKind::NotFound,
                &[
                    "LoadBalancerNotFound",
                    "InvalidGroup.NotFound",
                    "ResourceNotFoundException",
                    "NoSuchHostedZone",
                    "NoSuchChange",
                    "RuleNotFound",
                    "WAFNonexistentItemException",
                    "InvalidSecurityGroupRuleId.NotFound",
                ][..],
            ),
            (
                ErrorKind::Conflict,
                &[
                    "InvalidChangeBatch",
                    "DuplicateListener",
                    "PriorityInUse",
                    "TargetGroupAssociationLimit",
                    "InvalidGroup.Duplicate",
                    "InvalidPermission.Duplicate",
                ],
            ),
            (
                ErrorKind::InUse,
                &[
                    "ResourceInUse",
                    "ResourceInUseException",
                    "DependencyViolation",
                    "CertificateInUse",
                    "WAFAssociatedItemException",
                ],
            ),
            (
                ErrorKind::Denied,
                &[
                    "AccessDenied",
                    "AccessDeniedException",
                    "UnauthorizedOperation",
                    "ExpiredToken",
                    "ExpiredTokenException",
                    "RequestExpired",
                    "InvalidClientTokenId",
                ],
            ),
            (
                ErrorKind::Quota,
                &[
                    "LimitExceededException",
                    "TooManyTargetGroups",
                    "TooManyRules",
                    "TooManyCertificates",
                    "WAFLimitsExceededException",
                    "RulesPerSecurityGroupLimitExceeded",
                    "LimitsExceeded",
                ],
            ),
            (
                ErrorKind::Refused,
                &[
                    "ValidationError",
                    "UnsupportedCertificate",
                    "WAFInvalidOperationException",
                    "WAFInvalidParameterException",
                    "InvalidInstanceID.Malformed",
                ],
            ),
            (
                ErrorKind::Unavailable,
                &[
                    "PriorRequestNotComplete",
                    "Throttling",
                    "ThrottlingException",
                    "TooManyRequestsException",
                    "RequestLimitExceeded",
                    "ServiceUnavailable",
                    "WAFUnavailableEntityException",
                ],
            ),
        ] {
            for code in codes {
                assert_eq!(refused(400, code, "why").kind, kind, "{code}");
            }
        }
        assert_eq!(refused(503, "SomethingNew", "why").kind, ErrorKind::Unavailable);
    }

    #[test]
    fn an_error_names_call_code_message_and_request() {
        let error = refused(400, "SSLPolicyNotFound", "no policy `x`");
        assert_eq!(
            error.to_string(),
            "elbv2 CreateListener: no policy `x` (SSLPolicyNotFound)"
        );
        assert_eq!(error.request_id.as_deref(), Some("r-1"));
        assert!(error.remedy.unwrap().contains("describe-ssl-policies"));
    }

    #[test]
    fn a_denial_names_the_missing_permission() {
        let remedy = |message: &str| refused(403, "AccessDenied", message).remedy.unwrap();
        assert!(remedy("no").contains("`elasticloadbalancing:CreateListener`"));
        let text =
            "User: arn:aws:iam::1:user/u is not authorized to perform: elasticloadbalancing:AddTags on resource: x";
        assert!(remedy(text).contains("`elasticloadbalancing:AddTags`"));
        assert!(remedy("needs iam:CreateServiceLinkedRole").contains("create-service-linked-role"));
    }

    #[test]
    fn a_session_that_is_over_is_told_with_the_way_to_a_new_one() {
        for code in ["ExpiredToken", "ExpiredTokenException", "RequestExpired"] {
            let error = refused(400, code, "the session is over");
            assert_eq!(error.kind, ErrorKind::Denied);
            let remedy = error.remedy.unwrap();
            for part in ["have expired", "aws sso login", "AWS_SESSION_TOKEN", "carries on"] {
                assert!(remedy.contains(part), "{code}: {remedy}");
            }
        }
        assert!(refused(400, "RequestExpired", "").remedy.unwrap().contains("clock"));
    }

    #[test]
    fn what_never_reached_aws_is_told_apart() {
        let nothing =
            "the credential provider was not enabled\\n  Environment: the credential provider was not enabled";
        let (kind, message, remedy) = unanswered(nothing);
        assert_eq!((kind, message.as_str()), (ErrorKind::Denied, "no credentials found"));
        assert!(remedy.unwrap().contains("AWS_PROFILE"));
        let expired = "no credentials found\n  Environment: x was not enabled\n  Profile: the SSO session has expired";
        assert!(unanswered(expired).1.contains("the SSO session has expired"));
        let (kind, message, remedy) = unanswered("tcp connect error: Connection refused (os error 111)");
        assert_eq!(kind, ErrorKind::Unavailable);
        assert!(message.contains("Connection refused") && remedy.unwrap().contains("AWS_ENDPOINT_URL"));
        let offline = "failed to lookup address information: No address associated with hostname";
        assert_eq!(unanswered(offline).0, ErrorKind::Unavailable);
    }

    #[test]
    fn one_code_has_a_remedy_for_each_call() {
        let remedy = |operation| refused_by(operation, 400, "OperationNotPermitted", "no").remedy;
        let has = |operation, word| remedy(operation).is_some_and(|remedy| remedy.contains(word));
        assert!(has("elbv2 DeleteLoadBalancer", "deletion_protection.enabled"));
        assert!(has("elbv2 RemoveListenerCertificates", "default certificate"));
        assert!(has("elbv2 DeleteRule", "default rule"));
        assert_eq!(remedy("elbv2 ModifyListener"), None);
    }
}
