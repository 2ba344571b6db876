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
