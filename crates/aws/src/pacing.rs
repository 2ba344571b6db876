//! Keeps to AWS's request budgets: one mechanism, under the HTTP client, so that no call and no retry goes past it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        connector_metadata::ConnectorMetadata,
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        orchestrator::HttpRequest,
        runtime_components::{RuntimeComponents, RuntimeComponentsBuilder},
    },
};
use aws_smithy_types::config_bag::ConfigBag;

/// A bucket of tokens that is filled at a constant rate; every request takes one.
#[derive(Debug)]
struct Bucket {
    /// Tokens per second.
    rate: f64,
    /// The most tokens it holds.
    burst: f64,
    /// Tokens at a time; negative while requests wait for theirs.
    level: Mutex<(f64, Instant)>,
}

impl Bucket {
    fn new(rate: f64, burst: f64) -> Self {
        Self {
            rate,
            burst,
            level: Mutex::new((burst, Instant::now())),
        }
    }

    /// Takes a token at `now` and tells how long to wait until it is there. Waiting requests are served in order.
    fn take(&self, now: Instant) -> Duration {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, since) = *level;
        let gained = now.saturating_duration_since(since).as_secs_f64() * self.rate;
        let tokens = (tokens + gained).min(self.burst) - 1.0;
        *level = (tokens, since.max(now));
        Duration::from_secs_f64((-tokens / self.rate).max(0.0))
    }
}

/// The budgets of one service.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// For calls that only read.
    reads: Bucket,
    /// For all others; `None` is one budget for both.
    writes: Option<Bucket>,
}

/// EC2: 100 reads and then 20 per second as documented, half as many and then 5 per second for the rest
/// (`aws-facts.md` 7.3).
pub(crate) fn ec2() -> Pacer {
    Pacer {
        reads: Bucket::new(20.0, 100.0),
        writes: Some(Bucket::new(5.0, 50.0)),
    }
}

/// Elastic Load Balancing: no numbers are published; these have been found safe by others (`aws-facts.md` 7.3).
pub(crate) fn elb() -> Pacer {
    Pacer {
        reads: Bucket::new(50.0, 200.0),
        writes: Some(Bucket::new(3.0, 20.0)),
    }
}

/// ACM: the quotas are per call and not known here, so this is on the careful side (`aws-facts.md` 7.3).
pub(crate) fn acm() -> Pacer {
    Pacer {
        reads: Bucket::new(10.0, 20.0),
        writes: Some(Bucket::new(1.0, 10.0)),
    }
}

/// Route 53: five requests per second for the whole account, all calls together (`aws-facts.md` 5.4).
pub(crate) fn route53() -> Pacer {
    Pacer {
        reads: Bucket::new(5.0, 5.0),
        writes: None,
    }
}

/// WAF: no numbers are published; these have been found safe by others (`aws-facts.md` 7.3).
pub(crate) fn waf() -> Pacer {
    Pacer {
        reads: Bucket::new(1.0, 2.0),
        writes: Some(Bucket::new(0.5, 1.0)),
    }
}

/// STS: one call per run.
pub(crate) fn sts() -> Pacer {
    Pacer {
        reads: Bucket::new(5.0, 10.0),
        writes: None,
    }
}

impl Pacer {
    async fn wait(&self, request: &HttpRequest) {
        let bucket = match &self.writes {
            Some(writes) if !is_read(request) => writes,
            _ => &self.reads,
        };
        let pause = bucket.take(Instant::now());
        if !pause.is_zero() {
            tracing::debug!(milliseconds = pause.as_millis(), "pacing");
            tokio::time::sleep(pause).await;
        }
    }
}

/// Whether a request only reads, told by the name of the operation in the two protocols of EC2, ELB and ACM.
fn is_read(request: &HttpRequest) -> bool {
    let target = request.headers().get("x-amz-target");
    let operation = match target {
        Some(target) => target.rsplit('.').next().unwrap_or_default().as_bytes(),
        None => request
            .body()
            .bytes()
            .and_then(|body| body.strip_prefix(b"Action="))
            .unwrap_or_default(),
    };
    ["Describe", "List", "Get"]
        .iter()
        .any(|verb| operation.starts_with(verb.as_bytes()))
}

/// An HTTP client whose requests keep to the budgets of a service.
#[derive(Debug)]
pub(crate) struct Paced {
    inner: SharedHttpClient,
    pacer: Arc<Pacer>,
}

impl Paced {
    /// Paces `inner`.
    pub(crate) fn new(inner: SharedHttpClient, pacer: Arc<Pacer>) -> Self {
        Self { inner, pacer }
    }
}

impl HttpClient for Paced {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(PacedConnector {
            inner: self.inner.http_connector(settings, components),
            pacer: Arc::clone(&self.pacer),
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

#[derive(Debug)]
struct PacedConnector {
    inner: SharedHttpConnector,
    pacer: Arc<Pacer>,
}

impl HttpConnector for PacedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let inner = self.inner.clone();
        let pacer = Arc::clone(&self.pacer);
        HttpConnectorFuture::new(async move {
            pacer.wait(&request).await;
            inner.call(request).await
        })
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let bucket = Bucket::new(5.0, 5.0);
        let start = Instant::now();
        let waits: Vec<u128> = (0..8).map(|_| bucket.take(start).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 200, 400, 600]);
        // A second later five more tokens have come: three for those that waited, two for the next.
        let later = start + Duration::from_secs(1);
        assert_eq!(bucket.take(later).as_millis(), 0);
        assert_eq!(bucket.take(later).as_millis(), 0);
        assert_eq!(bucket.take(later).as_millis(), 200);
    }

    #[test]
    fn an_idle_bucket_does_not_overflow() {
        let bucket = Bucket::new(5.0, 1.0);
        let later = Instant::now() + Duration::from_hours(1);
        assert_eq!(bucket.take(later), Duration::ZERO);
        assert_eq!(bucket.take(later).as_millis(), 200);
    }

    #[test]
    fn reading_calls_are_told_from_the_rest() {
        let query = |body: &'static str| HttpRequest::new(SdkBody::from(body));
        assert!(is_read(&query("Action=DescribeLoadBalancers&Version=2015-12-01")));
        assert!(!is_read(&query("Action=CreateListener&Version=2015-12-01")));
        let mut json = HttpRequest::new(SdkBody::from("{}"));
        json.headers_mut()
            .insert("x-amz-target", "CertificateManager.ListCertificates");
        assert!(is_read(&json));
    }
}
