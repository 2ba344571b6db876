//! Which failures pass by themselves, where the SDK's own classification is not enough (`aws-facts.md` 7.1, 7.2).

use std::{
    future::Future,
    time::{Duration, Instant},
};

use aws_smithy_runtime_api::client::{
    interceptors::context::InterceptorContext,
    retries::classifiers::{ClassifyRetry, RetryAction, RetryClassifierPriority},
};
use reconcile_engine::{CloudError, ErrorKind};

use crate::{
    answer, attempts,
    error::{CloudErrorExt, is_throttle, kind_of},
    limits::FAILED_ATTEMPTS,
};

/// How often a call is made whose object is said not to exist although it has just been made: about 16 seconds.
const TRIES: u32 = 6;
/// The first pause between two of them; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause between two of them.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Makes a call that names something which may have been made a moment ago, again and again while AWS answers with one
/// of `codes`: what one service, or one server of it, knows already may be unknown to the next (`aws-facts.md` 7.1).
pub(crate) async fn while_fresh<T, F>(codes: &[&str], attempt: impl Fn() -> F) -> Result<T, CloudError>
where
    F: Future<Output = Result<T, CloudError>>,
{
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match attempt().await {
            Err(error) if error.is_code(codes) => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            answer => return answer,
        }
    }
    attempt().await
}

/// Makes a call again while AWS answers with one of `codes`, for no longer than `limit`: for what takes minutes to be
/// known everywhere.
pub(crate) async fn for_a_while<T, F>(limit: Duration, codes: &[&str], attempt: impl Fn() -> F) -> Result<T, CloudError>
where
    F: Future<Output = Result<T, CloudError>>,
{
    let since = Instant::now();
    let mut pause = PAUSE;
    loop {
        match attempt().await {
            Err(error) if error.is_code(codes) && since.elapsed() + pause < limit => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            answer => return answer,
        }
    }
}

/// Corrects the SDK's classification by the code in the answer, and by how often the call has been tried.
///
/// The codes are taken from the text of the answer, because several of them are not in the models of the services that send
/// them.
#[derive(Debug)]
pub(crate) struct Classifier;

impl ClassifyRetry for Classifier {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        self.classify_retry_v2(context, &RetryAction::NoActionIndicated)
    }

    fn classify_retry_v2(&self, context: &InterceptorContext, previous: &RetryAction) -> RetryAction {
        let judged = match context.response() {
            Some(response) => {
                let body = response.body().bytes().unwrap_or_default();
                let header = response.headers().get("x-amzn-errortype");
                let status = response.status().as_u16();
                let code = (status >= 400).then(|| answer::code(header, body)).flatten();
                judge(status, code.as_deref())
            }
            None => RetryAction::NoActionIndicated,
        };
        let action = if judged == RetryAction::NoActionIndicated {
            previous.clone()
        } else {
            judged
        };
        patient(action, attempts::number())
    }

    fn name(&self) -> &'static str {
        "reconcile"
    }

    fn priority(&self) -> RetryClassifierPriority {
        // Behind all of the SDK's, so that what it wants tried again is bounded here too.
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}

/// What to do about an answer with this status and code.
pub(crate) fn judge(status: u16, code: Option<&str>) -> RetryAction {
    if status < 400 {
        return RetryAction::NoActionIndicated;
    }
    let code = code.unwrap_or_default();
    if status == 429 || is_throttle(code) {
        return RetryAction::throttling_error();
    }
    match kind_of(code, Some(status)) {
        ErrorKind::Unavailable if code != "WAFUnavailableEntityException" => RetryAction::transient_error(),
        // The SDK takes ACM's `LimitExceededException` for throttling; it is a quota, which no waiting gives back. A missing
        // permission is not given by asking again either.
        ErrorKind::Quota | ErrorKind::Denied => RetryAction::RetryForbidden,
        _ => RetryAction::NoActionIndicated,
    }
}

/// The attempts that a call has before it is given up: many where AWS asks to slow down, fewer for other passing failures.
fn patient(action: RetryAction, attempt: u32) -> RetryAction {
    if action.should_retry() && action != RetryAction::throttling_error() && attempt >= FAILED_ATTEMPTS {
        RetryAction::RetryForbidden
    } else {
        action
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_and_denials_are_not_taken_for_throttling() {
        for code in [
            "LimitExceededException",
            "TooManyTargetGroups",
            "TooManyLoadBalancers",
            "RulesPerSecurityGroupLimitExceeded",
            "SecurityGroupLimitExceeded",
            "WAFLimitsExceededException",
            "AccessDenied",
            "AccessDeniedException",
            "UnauthorizedOperation",
            "ExpiredToken",
            "ExpiredTokenException",
            "RequestExpired",
        ] {
            // Whatever the status is.
            assert_eq!(judge(400, Some(code)), RetryAction::RetryForbidden, "{code}");
            assert_eq!(judge(503, Some(code)), RetryAction::RetryForbidden, "{code}");
        }
    }

    #[test]
    fn every_way_to_ask_to_slow_down_is_understood() {
        for code in [
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestThrottled",
            "RequestThrottledException",
            "TooManyRequestsException",
            "RequestLimitExceeded",
            "EC2ThrottledException",
            "BandwidthLimitExceeded",
            "SlowDown",
            "PriorRequestNotComplete",
        ] {
            for status in [400, 503] {
                assert_eq!(judge(status, Some(code)), RetryAction::throttling_error(), "{code}");
            }
        }
        assert_eq!(judge(429, None), RetryAction::throttling_error());
    }

    #[test]
    fn other_failures_pass_or_do_not() {
        for code in [
            "RequestTimeout",
            "RequestTimeoutException",
            "RequestInProgressException",
            "HealthUnavailable",
            "InsufficientCapacity",
            "WAFInternalErrorException",
            "InternalFailure",
        ] {
            assert_eq!(judge(400, Some(code)), RetryAction::transient_error(), "{code}");
        }
        for status in [500, 502, 503, 504] {
            assert_eq!(judge(status, None), RetryAction::transient_error());
            assert_eq!(judge(status, Some("SomethingNew")), RetryAction::transient_error());
        }
        for code in [
            "InvalidChangeBatch",
            "InvalidConfigurationRequest",
            "OperationNotPermitted",
            "TargetGroupNotFound",
            "InvalidGroup.NotFound",
            "DuplicateListener",
            "ValidationError",
        ] {
            assert_eq!(judge(400, Some(code)), RetryAction::NoActionIndicated, "{code}");
        }
        assert_eq!(judge(200, Some("Throttling")), RetryAction::NoActionIndicated);
    }

    #[test]
    fn throttling_is_borne_longer_than_what_does_not_answer() {
        let (throttled, failed) = (RetryAction::throttling_error(), RetryAction::transient_error());
        assert_eq!(patient(failed.clone(), FAILED_ATTEMPTS - 1), failed);
        assert_eq!(patient(failed, FAILED_ATTEMPTS), RetryAction::RetryForbidden);
        assert_eq!(patient(throttled.clone(), FAILED_ATTEMPTS), throttled);
    }

    #[tokio::test]
    async fn only_what_passes_is_tried_again() {
        let refused = |code: &str| CloudError {
            code: Some(code.to_owned()),
            ..crate::error::unexpected("elbv2 CreateListener", "no")
        };
        let calls = std::cell::Cell::new(0);
        let answer = while_fresh(&["TargetGroupNotFound"], || {
            calls.set(calls.get() + 1);
            std::future::ready(match calls.get() {
                1 => Err(refused("TargetGroupNotFound")),
                2 => Err::<(), _>(refused("ValidationError")),
                _ => Ok(()),
            })
        });
        assert_eq!(answer.await.unwrap_err().code.as_deref(), Some("ValidationError"));
        assert_eq!(calls.get(), 2);
    }

    #[tokio::test]
    async fn waiting_ends_with_the_limit_and_at_other_codes() {
        let refused = |code: &str| CloudError {
            code: Some(code.to_owned()),
            ..crate::error::unexpected("wafv2 AssociateWebACL", "no")
        };
        let calls = std::cell::Cell::new(0);
        let answer = for_a_while(Duration::from_millis(600), &["WAFUnavailableEntityException"], || {
            calls.set(calls.get() + 1);
            std::future::ready(Err::<(), _>(refused("WAFUnavailableEntityException")))
        });
        assert!(answer.await.is_err());
        assert_eq!(calls.get(), 2);
        let answer = for_a_while(Duration::from_mins(3), &["WAFUnavailableEntityException"], || {
            std::future::ready(Err::<(), _>(refused("WAFInvalidOperationException")))
        });
        let code = answer.await.unwrap_err().code;
        assert_eq!(code.as_deref(), Some("WAFInvalidOperationException"));
    }
}
