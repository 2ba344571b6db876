//! Which failures pass by themselves, where the SDK's own classification is not enough (`aws-facts.md` 7.1, 7.2).

use std::{
    future::Future,
    time::{Duration, Instant},
};

use aws_smithy_runtime_api::client::{
    interceptors::context::InterceptorContext,
    retries::classifiers::{ClassifyRetry, RetryAction, RetryClassifierPriority},
};
use reconcile_engine::CloudError;

use crate::error::CloudErrorExt;

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

/// Corrects the SDK's classification by the code in the answer.
///
/// The codes are looked for in the text of the answer, because several of them are not in the models of the services
/// that send them.
#[derive(Debug)]
pub(crate) struct Classifier;

impl ClassifyRetry for Classifier {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(response) = context.response() else {
            return RetryAction::NoActionIndicated;
        };
        let body = response.body().bytes().unwrap_or_default();
        let kind = response.headers().get("x-amzn-errortype").unwrap_or_default();
        classify(
            response.status().as_u16(),
            &format!("{kind}\n{}", String::from_utf8_lossy(body)),
        )
    }

    fn name(&self) -> &'static str {
        "reconcile"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::modeled_as_retryable_classifier())
    }
}

/// What to do about an answer with this status and text.
fn classify(status: u16, text: &str) -> RetryAction {
    if status < 400 {
        return RetryAction::NoActionIndicated;
    }
    let has = |code: &str| text.contains(code);
    if has("LimitExceededException") {
        // The SDK takes it for throttling; ACM means a quota, which no waiting gives back.
        RetryAction::RetryForbidden
    } else if has("PriorRequestNotComplete") || status == 429 {
        RetryAction::throttling_error()
    } else if has("RequestInProgressException") || has("HealthUnavailable") {
        RetryAction::transient_error()
    } else {
        RetryAction::NoActionIndicated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_not_taken_for_throttling() {
        let text = r#"{"__type":"LimitExceededException","message":"quota"}"#;
        assert_eq!(classify(400, text), RetryAction::RetryForbidden);
    }

    #[test]
    fn passing_failures_are_retried() {
        let text = "<Error><Code>PriorRequestNotComplete</Code></Error>";
        assert!(classify(400, text).should_retry());
        assert!(classify(429, "").should_retry());
        assert!(classify(400, "RequestInProgressException").should_retry());
        assert_eq!(classify(400, "InvalidChangeBatch"), RetryAction::NoActionIndicated);
        assert_eq!(classify(200, "LimitExceededException"), RetryAction::NoActionIndicated);
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
