//! Asks a web site from outside, as a visitor would: DNS, TCP, TLS and one HTTP request.
//!
//! A [`Network`] is how the outside is reached (which DNS server, which trusted roots, which
//! detours); a [`Request`] is what is asked and of whom; an [`Answer`] is what came back, with the
//! TLS session that carried it. Nothing here knows AWS: that a name belongs to a load balancer is
//! the caller's knowledge.
//!
//! ```no_run
//! use reconcile_probe::{Network, NetworkOptions, Request, Scheme, TrustPolicy, differences};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let network = Network::new(&NetworkOptions::default())?;
//! let today = Request::new(Scheme::Https, "www.example.com")
//!     .via("198.51.100.7")
//!     .trusting(TrustPolicy::AnyCertificate);
//! let tomorrow = Request::new(Scheme::Https, "www.example.com")
//!     .via("web-1234567890.ap-northeast-1.elb.amazonaws.com");
//! for difference in differences(&network.ask(&today).await?, &network.ask(&tomorrow).await?) {
//!     println!("{difference}");
//! }
//! # Ok(())
//! # }
//! ```

mod answer;
mod certificate;
mod compare;
mod dns;
mod error;
mod follow;
mod network;
mod options;
mod request;
mod resolve;
mod tls;
mod url;

pub use answer::{Answer, BodyEnd};
pub use certificate::CertificateSummary;
pub use compare::{Difference, Severity, differences};
pub use dns::RecordKind;
pub use error::{AddressFailure, AddressFailureReason, DnsFailure, NetworkError, ProbeError, Stage, TlsFailure};
pub use network::Network;
pub use options::{ConnectTo, DnsServer, NetworkOptions, ParseConnectToError, ParseDnsServerError};
pub use request::{Request, Scheme, TrustPolicy};
pub use resolve::{ParseResolveError, Resolve};
pub use tls::TlsSession;
