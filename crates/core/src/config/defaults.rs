//! Every default and limit of the configuration, in one place.

use crate::value::Seconds;

/// Port that visitors reach the load balancer on.
pub const LISTEN_PORT: u16 = 443;
/// Port that the instance's web server listens on.
pub const BACKEND_PORT: u16 = 443;
/// Port of the plain HTTP listener that redirects.
pub const HTTP_PORT: u16 = 80;
/// Path of the health check.
pub const HEALTH_PATH: &str = "/";
/// Status codes that mean healthy.
pub const HEALTH_CODES: &str = "200";
/// Time between two health checks.
pub const HEALTH_INTERVAL: Seconds = Seconds::new(30);
/// Time that one health check may take; AWS's own documents disagree on the default, so it is always sent
/// (`aws-facts.md` 2.3).
pub const HEALTH_TIMEOUT: Seconds = Seconds::new(5);
/// Checks in a row that make a target healthy. The first transition needs one pass only (`aws-facts.md` 2.3).
pub const HEALTHY_THRESHOLD: u8 = 5;
/// Failed checks in a row that make a target unhealthy.
pub const UNHEALTHY_THRESHOLD: u8 = 2;
/// The security policy that AWS recommends at present (`aws-facts.md` 4.2).
pub const TLS_POLICY: &str = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09";

/// How long a certificate may take to be issued before a run gives up waiting; ACM itself tries for 72 hours
/// (`aws-facts.md` 1.3), and the next run goes on.
pub const CERTIFICATE_DEADLINE: Seconds = Seconds::new(30 * 60);
/// How long a load balancer may take to become active (`aws-facts.md` 3).
pub const LOAD_BALANCER_DEADLINE: Seconds = Seconds::new(10 * 60);
/// How long a target may take to become healthy.
pub const TARGET_DEADLINE: Seconds = Seconds::new(10 * 60);
/// How long the site may take to answer through the load balancer.
pub const REQUEST_DEADLINE: Seconds = Seconds::new(2 * 60);
/// How long a DNS change may take to reach all of Route 53's servers; normally under a minute (`aws-facts.md` 5.4).
pub const DNS_DEADLINE: Seconds = Seconds::new(10 * 60);
/// How long resolvers keep the answer of an alias to a load balancer (`aws-facts.md` 5.4).
pub const ALIAS_TTL: Seconds = Seconds::new(60);
/// How long AWS may take to let go of what is deleted: interfaces of a load balancer outlive it for minutes
/// (`aws-facts.md` 3).
pub const RELEASE_DEADLINE: Seconds = Seconds::new(10 * 60);
/// How long AWS may take to send all requests the new way after a listener or rule was changed; nothing says how long it
/// takes, some seconds as a rule.
pub const LISTENER_DRAIN: Seconds = Seconds::new(60);
/// The least margin that is waited for after the old TTL, for resolvers that overstay it (`aws-facts.md` 8.1 step 7).
pub const DRAIN_MARGIN: Seconds = Seconds::new(10 * 60);
/// How long one run stays for the end of the drain; beyond that the next run closes the instance.
pub const DRAIN_WAIT: Seconds = Seconds::new(2 * 60);

/// A certificate that ends sooner than this was not renewed when it should have been: ACM begins weeks before
/// (`aws-facts.md` 1.5), however short certificates become.
pub const CERTIFICATE_DAYS_LEFT: i64 = 14;

/// Where states are put in a bucket, unless said otherwise.
pub const STATE_PREFIX: &str = "reconcile/";

/// The longest name of a stack: with `-load-balancer` or a site and a hash behind it, AWS names stay readable.
pub const MAX_STACK_NAME: usize = 32;
/// The longest name of a site.
pub const MAX_SITE_NAME: usize = 32;
/// Names that one certificate may carry by default (`aws-facts.md` 1.1).
pub const MAX_CERTIFICATE_NAMES: usize = 10;

/// The longest time that requests under way may take when a target leaves (`aws-facts.md` 2.5).
pub const MAX_DEREGISTRATION_DELAY: u32 = 3600;
/// The longest time for which the load balancer's cookie may bind a visitor to one instance, in seconds.
pub const MAX_STICKINESS: u32 = 7 * 24 * 60 * 60;
/// How long a new target's share may grow, in seconds; 0 besides, for off (`aws-facts.md` 2.5).
pub const SLOW_START: std::ops::RangeInclusive<u32> = 30..=900;
/// The longest key of an attribute of a load balancer or listener.
pub const MAX_ATTRIBUTE_KEY: usize = 256;
/// The longest value of an attribute, which is that of a header.
pub const MAX_ATTRIBUTE_VALUE: usize = 1024;
/// The least `max-age` with which browsers take a name into their own lists (`preload`), in seconds: a year.
pub const HSTS_PRELOAD_AGE: u64 = 365 * 24 * 60 * 60;
