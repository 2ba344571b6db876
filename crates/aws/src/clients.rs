//! The SDK's clients and how they are set up.

use aws_config::{
    AppName, BehaviorVersion, SdkConfig,
    default_provider::region::DefaultRegionChain,
    profile::{self, ProfileFileCredentialsProvider},
    provider_config::ProviderConfig,
    retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_sdk_ec2::config::retry::{RetryPartition, TokenBucket};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::http::{HttpClient, SharedHttpClient};
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_types::os_shim_internal::{Env, Fs};
use reconcile_core::{
    config::Dns,
    value::{IdError, Region},
};
use thiserror::Error;

use crate::{
    answer::Format,
    connector::ServiceHttp,
    limits::{CALL_TIMEOUT, CONNECT_TIMEOUT, FIRST_BACKOFF, LONGEST_BACKOFF, THROTTLED_ATTEMPTS},
    notice::Notices,
    pacing,
    retry::Classifier,
    role::TakenOn,
    secrets::Remembered,
};

/// What can be chosen about the connection; everything else is the SDK's usual chain of environment, files and metadata
/// services, `AWS_ENDPOINT_URL` among them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// The region, if not left to the chain.
    pub region: Option<Region>,
    /// The profile of the AWS configuration files, if not left to the chain.
    pub profile: Option<String>,
    /// The way to Route 53, where it is another one.
    pub dns: Dns,
}

/// Why the SDK could not be set up.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// The profile that was asked for is not in the AWS configuration files.
    #[error("there is no profile `{profile}` in the AWS configuration files; `aws configure list-profiles` lists them")]
    NoProfile {
        /// The profile.
        profile: String,
    },
    /// The AWS configuration files cannot be read.
    #[error("the AWS configuration files cannot be read: {reason}")]
    Files {
        /// What is wrong with them.
        reason: String,
    },
    /// No link of the chain knows a region.
    #[error("no region: set `region` in the configuration, AWS_REGION, or a region in the AWS profile")]
    NoRegion,
    /// What the chain knows is not the name of a region.
    #[error("the region of the environment or the AWS profile cannot be used")]
    Region(#[source] IdError),
}

/// One client per service.
///
/// Route 53 is given the same region as all others: it only tells the partition there, and the SDK's endpoint rules then
/// choose the partition's single endpoint and its signing region (`aws-facts.md` 5.4).
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    /// Instances, subnets, security groups.
    pub(crate) ec2: aws_sdk_ec2::Client,
    /// Load balancers, target groups, listeners.
    pub(crate) elb: aws_sdk_elasticloadbalancingv2::Client,
    /// Certificates.
    pub(crate) acm: aws_sdk_acm::Client,
    /// Zones and records.
    pub(crate) route53: aws_sdk_route53::Client,
    /// Web ACLs.
    pub(crate) waf: aws_sdk_wafv2::Client,
    /// The caller's identity.
    pub(crate) sts: aws_sdk_sts::Client,
    /// The region that calls go to.
    pub(crate) region: Region,
}

/// What clients are made from.
pub(crate) struct Base {
    /// Credentials, retries, time limits.
    pub(crate) config: SdkConfig,
    /// The connections.
    pub(crate) http: SharedHttpClient,
    /// The region that calls go to.
    pub(crate) region: aws_config::Region,
}

impl Base {
    /// Sets the SDK up.
    pub(crate) async fn new(region: Option<Region>, profile: Option<String>) -> Result<Self, ConnectError> {
        let http = Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http.clone())
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(THROTTLED_ATTEMPTS)
                    .with_initial_backoff(FIRST_BACKOFF)
                    .with_max_backoff(LONGEST_BACKOFF),
            )
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    // That of an attempt is the connector's: it knows when the request is really sent.
                    .operation_timeout(CALL_TIMEOUT)
                    .build(),
            );
        if let Ok(name) = AppName::new("reconcile") {
            loader = loader.app_name(name);
        }
        let region = region.map(|region| aws_config::Region::new(String::from(region)));
        if let Some(region) = region.clone() {
            loader = loader.region(region);
        }
        if let Some(profile) = profile {
            // Keys in the environment come first in the chain; a profile that is asked for by name must not be passed over
            // for another account's keys without a word.
            let credentials = profile_credentials(&profile, region.clone(), http.clone()).await?;
            loader = loader.profile_name(profile).credentials_provider(credentials);
        }
        let mut config = loader.load().await;
        if let Some(credentials) = config.credentials_provider() {
            config = config
                .into_builder()
                .credentials_provider(Remembered::provider(credentials))
                .build();
        }
        let region = config.region().ok_or(ConnectError::NoRegion)?.clone();
        Ok(Self { config, http, region })
    }
}

impl Clients {
    /// Sets the SDK up.
    pub(crate) async fn new(options: Options, notices: Notices) -> Result<Self, ConnectError> {
        let Options { region, profile, dns } = options;
        let Base {
            config: shared,
            http,
            region: sdk_region,
        } = Base::new(region, profile).await?;
        let region: Region = sdk_region.as_ref().parse().map_err(ConnectError::Region)?;
        let mut for_dns = shared.clone();
        if let Some(profile) = dns.profile {
            let credentials = profile_credentials(&profile, Some(sdk_region), http.clone()).await?;
            for_dns = for_dns
                .into_builder()
                .credentials_provider(Remembered::provider(credentials))
                .build();
        }
        if let Some(role) = dns.role {
            let credentials = TakenOn::new(role, &for_dns).await;
            for_dns = for_dns
                .into_builder()
                .credentials_provider(Remembered::provider(credentials))
                .build();
        }

        macro_rules! client {
            ($sdk:ident, $pacer:ident, $config:ident, $name:literal, $format:ident) => {
                $sdk::Client::from_conf(
                    $sdk::config::Builder::from(&$config)
                        .http_client(ServiceHttp::new(
                            http.clone(),
                            $name,
                            Format::$format,
                            pacing::$pacer(),
                            notices.clone(),
                        ))
                        .retry_classifier(Classifier)
                        .retry_partition(unrationed())
                        .build(),
                )
            };
        }
        Ok(Self {
            ec2: client!(aws_sdk_ec2, ec2, shared, "EC2", Xml),
            elb: client!(
                aws_sdk_elasticloadbalancingv2,
                elb,
                shared,
                "Elastic Load Balancing",
                Xml
            ),
            acm: client!(aws_sdk_acm, acm, shared, "ACM", Json),
            route53: client!(aws_sdk_route53, route53, for_dns, "Route 53", Xml),
            waf: client!(aws_sdk_wafv2, waf, shared, "WAF", Json),
            sts: client!(aws_sdk_sts, sts, shared, "STS", Xml),
            region,
        })
    }
}

/// Retries without a ration. The SDK's own, which all calls to a service share, ends in the middle of a large stack under
/// constant throttling, and then a call fails at its first refusal; here each call has its attempts and its deadline, and
/// all of them keep to the service's budget.
pub(crate) fn unrationed() -> RetryPartition {
    RetryPartition::custom("reconcile")
        .token_bucket(TokenBucket::unlimited())
        .build()
}

/// The credentials of one profile and of nothing else: its keys, role, SSO session or process.
async fn profile_credentials(
    profile: &str,
    region: Option<aws_config::Region>,
    http: impl HttpClient + 'static,
) -> Result<ProfileFileCredentialsProvider, ConnectError> {
    let files = EnvConfigFiles::default();
    let profiles = profile::load(&Fs::real(), &Env::real(), &files, None)
        .await
        .map_err(|error| ConnectError::Files {
            reason: DisplayErrorContext(error).to_string(),
        })?;
    if profiles.get_profile(profile).is_none() {
        return Err(ConnectError::NoProfile {
            profile: profile.to_owned(),
        });
    }
    let region = match region {
        Some(region) => Some(region),
        None => {
            DefaultRegionChain::builder()
                .profile_name(profile)
                .build()
                .region()
                .await
        }
    };
    let context = ProviderConfig::default().with_http_client(http).with_region(region);
    Ok(ProfileFileCredentialsProvider::builder()
        .configure(&context)
        .profile_name(profile)
        .build())
}
