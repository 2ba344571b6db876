//! Under the SDK's HTTP client: one mechanism that no call and no attempt goes past.
//!
//! Every request waits here for its place in the service's budget, has its time limit, is read to its end and looked at, and
//! is written to the log.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use aws_sdk_ec2::config::{AsyncSleep, SharedAsyncSleep};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        connector_metadata::ConnectorMetadata,
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        retries::classifiers::RetryAction,
        runtime_components::{RuntimeComponents, RuntimeComponentsBuilder},
    },
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream, config_bag::ConfigBag, retry::ErrorKind};
use futures_util::future::{self, Either};

use crate::{
    answer::{self, Format},
    attempts,
    limits::{ATTEMPT_TIMEOUT, LONG, LONGEST_ANSWER, TOLD_AFTER, TOLD_EVERY},
    notice::Notices,
    pacing::{self, Pacer},
    retry,
};

/// The HTTP client of one service.
#[derive(Debug, Clone)]
pub(crate) struct ServiceHttp {
    inner: SharedHttpClient,
    service: Arc<Service>,
}

#[derive(Debug)]
struct Service {
    name: &'static str,
    format: Format,
    pacer: Pacer,
    notices: Notices,
    told_at: Mutex<Option<Instant>>,
}

impl ServiceHttp {
    /// For a service with this name, budget and format of answers.
    pub(crate) fn new(
        inner: SharedHttpClient,
        name: &'static str,
        format: Format,
        pacer: Pacer,
        notices: Notices,
    ) -> Self {
        let service = Service {
            name,
            format,
            pacer,
            notices,
            told_at: Mutex::new(None),
        };
        Self {
            inner,
            service: Arc::new(service),
        }
    }
}

impl HttpClient for ServiceHttp {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            inner: self.inner.http_connector(settings, components),
            service: Arc::clone(&self.service),
            sleep: components.sleep_impl(),
        })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.inner.validate_base_client_config(components, config)
    }

    fn validate_final_config(&self, components: &RuntimeComponents, config: &ConfigBag) -> Result<(), BoxError> {
        self.inner.validate_final_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.inner.connector_metadata()
    }
}

#[derive(Debug, Clone)]
struct Connector {
    inner: SharedHttpConnector,
    service: Arc<Service>,
    sleep: Option<SharedAsyncSleep>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let connector = self.clone();
        HttpConnectorFuture::new(async move { connector.attempt(request).await })
    }
}

impl Connector {
    async fn attempt(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let is_read = pacing::is_read(&request);
        let has_result = pacing::has_result(&request);
        let (operation, number) = attempts::begin();
        let pause = self.service.pacer.take(is_read);
        if !pause.is_zero() {
            tracing::debug!(
                operation,
                milliseconds = pause.as_millis(),
                "waiting for a place in the budget"
            );
            match &self.sleep {
                Some(sleep) => sleep.sleep(pause).await,
                None => tokio::time::sleep(pause).await,
            }
        }
        let since = Instant::now();
        let answer = self.in_time(exchange(&self.inner, request)).await;
        let milliseconds = since.elapsed().as_millis();
        let (answer, body) = match answer {
            Ok(whole) => whole,
            Err(error) => {
                tracing::debug!(operation, attempt = number, milliseconds, "no answer: {error}");
                let number = if since.elapsed() >= LONG { TOLD_AFTER } else { number };
                self.service.tell_of_failure(number, "does not answer");
                return Err(error);
            }
        };
        let status = answer.status().as_u16();
        let header = answer.headers().get("x-amzn-errortype");
        let code = (status >= 400).then(|| answer::code(header, &body)).flatten();
        tracing::debug!(operation, attempt = number, status, code, milliseconds, "answered");
        if let Err(malformed) = self.service.format.check(status, &body, has_result) {
            tracing::debug!(operation, attempt = number, "{malformed}");
            let kind = malformed.may_pass().then_some(ErrorKind::TransientError);
            if kind.is_some() {
                self.service.tell_of_failure(number, "does not answer as it should");
            }
            return Err(ConnectorError::other(malformed.into(), kind));
        }
        if retry::judge(status, code.as_deref()) == RetryAction::throttling_error() {
            self.service.pacer.slow_down(is_read);
            self.service.tell_of_throttling(code.as_deref().unwrap_or("429"));
        } else if status >= 500 {
            self.service
                .tell_of_failure(number, &format!("answers with HTTP status {status}"));
        }
        Ok(answer)
    }

    /// Gives up an exchange that takes too long.
    async fn in_time<T>(&self, exchange: impl Future<Output = Result<T, ConnectorError>>) -> Result<T, ConnectorError> {
        let Some(sleep) = &self.sleep else {
            return exchange.await;
        };
        match future::select(Box::pin(exchange), sleep.sleep(ATTEMPT_TIMEOUT)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => {
                let limit = format!("no whole answer within {} s", ATTEMPT_TIMEOUT.as_secs());
                Err(ConnectorError::timeout(limit.into()))
            }
        }
    }
}

/// Sends a request and reads the answer to its end.
async fn exchange(
    inner: &SharedHttpConnector,
    request: HttpRequest,
) -> Result<(HttpResponse, Vec<u8>), ConnectorError> {
    let mut answer = inner.call(request).await?;
    let mut stream = ByteStream::new(answer.take_body());
    let mut body = Vec::new();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|error| ConnectorError::io(format!("the answer broke off: {error}").into()))?;
        body.extend_from_slice(&part);
        if body.len() > LONGEST_ANSWER {
            let limit = format!("the answer is longer than {LONGEST_ANSWER} bytes");
            return Err(ConnectorError::other(limit.into(), None));
        }
    }
    *answer.body_mut() = SdkBody::from(body.clone());
    Ok((answer, body))
}

impl Service {
    fn tell_of_throttling(&self, code: &str) {
        self.tell(&format!(
            "{} asks to slow down ({code}); trying again more slowly",
            self.name
        ));
    }

    fn tell_of_failure(&self, attempt: u32, what: &str) {
        if attempt >= TOLD_AFTER {
            self.tell(&format!("{} {what}; trying again", self.name));
        }
    }

    /// Says something, unless something of this service was said a moment ago.
    fn tell(&self, what: &str) {
        let mut told_at = self.told_at.lock().unwrap_or_else(PoisonError::into_inner);
        if told_at.is_none_or(|told| told.elapsed() >= TOLD_EVERY) {
            *told_at = Some(Instant::now());
            self.notices.tell(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll},
        time::Duration,
    };

    use aws_sdk_elasticloadbalancingv2::{
        Client,
        config::{BehaviorVersion, Credentials, Region, Sleep, retry::RetryConfig, timeout::TimeoutConfig},
    };
    use aws_smithy_runtime_api::{http::StatusCode, shared::IntoShared};

    use super::*;
    use crate::{
        clients::unrationed,
        error::call,
        limits::{CALL_TIMEOUT, FAILED_ATTEMPTS, FIRST_BACKOFF, LONGEST_BACKOFF, THROTTLED_ATTEMPTS},
        retry::Classifier,
    };

    /// Time that goes on only when everybody waits, and then to the next moment that somebody waits for.
    #[derive(Debug, Clone, Default)]
    struct FakeTime(Arc<Mutex<(Duration, Vec<Duration>)>>);

    impl FakeTime {
        fn passed(&self) -> Duration {
            self.0.lock().unwrap().0
        }
    }

    impl AsyncSleep for FakeTime {
        fn sleep(&self, duration: Duration) -> Sleep {
            let until = self.passed() + duration;
            self.0.lock().unwrap().1.push(until);
            Sleep::new(Sleeper {
                time: self.clone(),
                until,
            })
        }
    }

    struct Sleeper {
        time: FakeTime,
        until: Duration,
    }

    impl Future for Sleeper {
        type Output = ();

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            let mut time = self.time.0.lock().unwrap();
            if time.1.iter().any(|other| *other < self.until) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            time.0 = time.0.max(self.until);
            Poll::Ready(())
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let mut time = self.time.0.lock().unwrap();
            if let Some(place) = time.1.iter().position(|until| *until == self.until) {
                time.1.swap_remove(place);
            }
        }
    }

    /// Answers every request alike, or never.
    #[derive(Debug, Clone)]
    struct Always(Option<(u16, &'static str)>);

    impl HttpConnector for Always {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            match self.0 {
                Some((status, body)) => {
                    let status = StatusCode::try_from(status).unwrap();
                    HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
                }
                None => HttpConnectorFuture::new(std::future::pending()),
            }
        }
    }

    impl HttpClient for Always {
        fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
            self.clone().into_shared()
        }
    }

    /// What a call ends with that is always answered like this, how long that takes, and what a user was told meanwhile.
    async fn asked(answer: Option<(u16, &'static str)>) -> (reconcile_engine::CloudError, Duration, Vec<String>) {
        let (time, told) = (FakeTime::default(), Arc::new(Mutex::new(Vec::new())));
        let listener = Arc::clone(&told);
        let notices = Notices::new(move |what| listener.lock().unwrap().push(what.to_owned()));
        let http = ServiceHttp::new(Always(answer).into_shared(), "ELB", Format::Xml, pacing::elb(), notices);
        let retries = RetryConfig::standard()
            .with_max_attempts(THROTTLED_ATTEMPTS)
            .with_initial_backoff(FIRST_BACKOFF)
            .with_max_backoff(LONGEST_BACKOFF);
        let config = aws_sdk_elasticloadbalancingv2::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("a", "b", None, None, "test"))
            .http_client(http)
            .sleep_impl(time.clone())
            .retry_config(retries)
            .timeout_config(TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).build())
            .retry_classifier(Classifier)
            .retry_partition(unrationed())
            .build();
        let client = Client::from_conf(config);
        let request = client.describe_load_balancers().send();
        let error = call("elbv2 DescribeLoadBalancers", request).await.unwrap_err();
        let told = told.lock().unwrap().clone();
        (error, time.passed(), told)
    }

    #[tokio::test]
    async fn throttling_is_borne_for_minutes_and_told_once() {
        let body =
            "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";
        let (error, took, told) = asked(Some((400, body))).await;
        assert_eq!(error.code.as_deref(), Some("Throttling"));
        let tried = format!("Rate exceeded; tried {THROTTLED_ATTEMPTS} times within ");
        assert!(error.message.starts_with(&tried), "{error}");
        assert!(took > Duration::from_secs(20) && took <= CALL_TIMEOUT, "{took:?}");
        assert_eq!(told, ["ELB asks to slow down (Throttling); trying again more slowly"]);
    }

    #[tokio::test]
    async fn an_outage_and_a_strange_answer_are_told_after_fewer_attempts() {
        let tried = format!("; tried {FAILED_ATTEMPTS} times within ");
        for (status, body, what) in [
            (503, "", "AWS answered with HTTP status 503"),
            (502, "<html>Bad Gateway</html>", "a web page: \"Bad Gateway\""),
            (
                200,
                "<DescribeLoadBalancersResponse><Descr",
                "ends too early, after 37 bytes",
            ),
        ] {
            let (error, took, told) = asked(Some((status, body))).await;
            assert!(
                error.message.contains(what) && error.message.contains(&tried),
                "{error}"
            );
            assert_eq!(error.kind, reconcile_engine::ErrorKind::Unavailable);
            assert!(took < Duration::from_secs(64), "{took:?}");
            assert_eq!(told.len(), 1, "{told:?}");
        }
    }

    #[tokio::test]
    async fn silence_ends_with_the_time_of_the_call() {
        let (error, took, _) = asked(None).await;
        assert_eq!(took, CALL_TIMEOUT);
        assert!(error.message.starts_with("no answer in time; tried "), "{error}");
    }

    #[tokio::test]
    async fn a_denial_is_told_at_once() {
        let body = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
        let (error, took, told) = asked(Some((403, body))).await;
        assert_eq!((error.message.as_str(), told.len()), ("no", 0));
        assert!(took < Duration::from_millis(500), "no pause between attempts: {took:?}");
    }
}
