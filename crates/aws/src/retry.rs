//! Which failures pass by themselves, where the SDK's own classification is not enough (`aws-facts.md` 7.2).

use aws_smithy_runtime_api::client::{
    interceptors::context::InterceptorContext,
    retries::classifiers::{ClassifyRetry, RetryAction, RetryClassifierPriority},
};

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
}
