//! AWS's request budgets, and how a request waits for its place in them.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

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
        let mut level = lock(&self.level);
        let (tokens, since) = *level;
        let gained = now.saturating_duration_since(since).as_secs_f64() * self.rate;
        let tokens = (tokens + gained).min(self.burst) - 1.0;
        *level = (tokens, since.max(now));
        Duration::from_secs_f64((-tokens / self.rate).max(0.0))
    }

    /// Gives up what has been saved: AWS's own bucket is emptier than this one.
    fn drain(&self) {
        let mut level = lock(&self.level);
        level.0 = level.0.min(0.0);
    }
}

/// A window in time through which only so many requests pass.
#[derive(Debug)]
struct Window {
    most: usize,
    span: Duration,
    /// When the last requests passed, or will, the oldest first; never more than `most`.
    passed: Mutex<VecDeque<Instant>>,
}

impl Window {
    fn new(most: usize, span: Duration) -> Self {
        Self {
            most,
            span,
            passed: Mutex::new(VecDeque::with_capacity(most)),
        }
    }

    /// Takes a place at `now` or later and tells how long to wait for it. Waiting requests are served in order.
    fn take(&self, now: Instant) -> Duration {
        let mut passed = lock(&self.passed);
        let mut at = now;
        if passed.len() >= self.most
            && let Some(oldest) = passed.pop_front()
        {
            at = at.max(oldest + self.span);
        }
        // A request that came later never goes first.
        at = passed.back().map_or(at, |last| at.max(*last));
        passed.push_back(at);
        at.saturating_duration_since(now)
    }
}

/// One budget.
#[derive(Debug)]
enum Budget {
    Bucket(Bucket),
    Window(Window),
}

impl Budget {
    fn take(&self, now: Instant) -> Duration {
        match self {
            Self::Bucket(bucket) => bucket.take(now),
            Self::Window(window) => window.take(now),
        }
    }
}

/// The budgets of one service.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// For calls that only read.
    reads: Budget,
    /// For all others; `None` is one budget for both.
    writes: Option<Budget>,
}

fn bucket(rate: f64, burst: f64) -> Budget {
    Budget::Bucket(Bucket::new(rate, burst))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// EC2: 100 reads and then 20 per second as documented, half as many and then 5 per second for the rest
/// (`aws-facts.md` 7.3).
pub(crate) fn ec2() -> Pacer {
    Pacer {
        reads: bucket(20.0, 100.0),
        writes: Some(bucket(5.0, 50.0)),
    }
}

/// Elastic Load Balancing: no numbers are published; these have been found safe by others (`aws-facts.md` 7.3).
pub(crate) fn elb() -> Pacer {
    Pacer {
        reads: bucket(50.0, 200.0),
        writes: Some(bucket(3.0, 20.0)),
    }
}

/// ACM: the quotas are per call and not known here, so this is on the careful side (`aws-facts.md` 7.3).
pub(crate) fn acm() -> Pacer {
    Pacer {
        reads: bucket(10.0, 20.0),
        writes: Some(bucket(1.0, 10.0)),
    }
}

/// Route 53: five requests per second for the whole account, all calls together (`aws-facts.md` 5.4). It is a hard limit
/// without a burst, so this is a window and no bucket, which would let ten pass in its first second; a little longer than
/// a second, because requests that were sent apart may arrive together.
pub(crate) fn route53() -> Pacer {
    Pacer {
        reads: Budget::Window(Window::new(5, Duration::from_millis(1100))),
        writes: None,
    }
}

/// WAF: no numbers are published; these have been found safe by others (`aws-facts.md` 7.3).
pub(crate) fn waf() -> Pacer {
    Pacer {
        reads: bucket(1.0, 2.0),
        writes: Some(bucket(0.5, 1.0)),
    }
}

/// STS: one call per run.
pub(crate) fn sts() -> Pacer {
    Pacer {
        reads: bucket(5.0, 10.0),
        writes: None,
    }
}

impl Pacer {
    /// Takes a place for a request, and tells how long to wait for it.
    pub(crate) fn take(&self, is_read: bool) -> Duration {
        self.budget(is_read).take(Instant::now())
    }

    /// Takes note that AWS asks to slow down: what waits behind the throttled request shall not run into the same.
    pub(crate) fn slow_down(&self, is_read: bool) {
        if let Budget::Bucket(bucket) = self.budget(is_read) {
            bucket.drain();
        }
    }

    fn budget(&self, is_read: bool) -> &Budget {
        match &self.writes {
            Some(writes) if !is_read => writes,
            _ => &self.reads,
        }
    }
}

/// Whether a request only reads, told by the name of the operation in the protocols of EC2, ELB and ACM, and by the method
/// in that of Route 53.
pub(crate) fn is_read(request: &HttpRequest) -> bool {
    let is_rest = request.method() == "GET" && !request.headers().contains_key("x-amz-target");
    is_rest || begins_with(request, &["Describe", "List", "Get"])
}

/// Whether the answer to a request has something in it, also where calls without a result answer with nothing.
pub(crate) fn has_result(request: &HttpRequest) -> bool {
    is_read(request) || begins_with(request, &["Request", "Create"])
}

fn begins_with(request: &HttpRequest, verbs: &[&str]) -> bool {
    let target = request.headers().get("x-amz-target");
    let operation = match target {
        Some(target) => target.rsplit('.').next().unwrap_or_default().as_bytes(),
        None => request
            .body()
            .bytes()
            .and_then(|body| body.strip_prefix(b"Action="))
            .unwrap_or_default(),
    };
    verbs.iter().any(|verb| operation.starts_with(verb.as_bytes()))
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
    fn what_was_saved_is_given_up_when_aws_asks_to_slow_down() {
        let bucket = Bucket::new(5.0, 50.0);
        bucket.drain();
        let now = Instant::now();
        assert!(bucket.take(now) > Duration::from_millis(150));
        bucket.take(now);
        // Those that wait already keep their place.
        bucket.drain();
        assert!(bucket.take(now) > Duration::from_millis(500));
    }

    #[test]
    fn no_second_has_more_requests_than_the_window() {
        let window = Window::new(5, Duration::from_secs(1));
        let start = Instant::now();
        // They come as a crowd, then one by one, then after a rest.
        let moments = (0..30).map(|_| 0).chain((0..50).map(|at| at * 37)).chain([60_000; 12]);
        let sent: Vec<Duration> = moments
            .map(|at| {
                let at = Duration::from_millis(at);
                at + window.take(start + at)
            })
            .collect();
        assert!(sent.is_sorted());
        assert_eq!(sent[4], Duration::ZERO);
        assert_eq!(sent[5], Duration::from_secs(1));
        for (first, sixth) in sent.iter().zip(sent.iter().skip(5)) {
            assert!(*sixth >= *first + Duration::from_secs(1), "{sent:?}");
        }
    }

    #[test]
    fn reading_calls_are_told_from_the_rest() {
        let query = |body: &'static str| {
            let mut request = HttpRequest::new(SdkBody::from(body));
            request.set_method("POST").unwrap();
            request
        };
        assert!(is_read(&query("Action=DescribeLoadBalancers&Version=2015-12-01")));
        assert!(!is_read(&query("Action=CreateListener&Version=2015-12-01")));
        assert!(is_read(&HttpRequest::new(SdkBody::empty())));
        let mut json = query("{}");
        json.headers_mut()
            .insert("x-amz-target", "CertificateManager.ListCertificates");
        assert!(is_read(&json) && has_result(&json));
        let mut request = query("{}");
        let target = "CertificateManager.RequestCertificate";
        request.headers_mut().insert("x-amz-target", target);
        assert!(!is_read(&request) && has_result(&request));
        let target = "CertificateManager.DeleteCertificate";
        request.headers_mut().insert("x-amz-target", target);
        assert!(!has_result(&request));
    }
}
