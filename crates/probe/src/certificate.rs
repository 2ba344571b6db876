//! What people want to know of a certificate.

use std::net::IpAddr;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};

/// One certificate of a chain, in a reader's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSummary {
    /// The subject, as in `CN=www.example.com`.
    pub subject: String,
    /// The issuer, as in `C=US, O=Amazon, CN=Amazon RSA 2048 M02`.
    pub issuer: String,
    /// The issuer's organisation.
    pub issuer_organization: Option<String>,
    /// The DNS names and IP addresses it is for.
    pub names: Vec<String>,
    /// The beginning of its time.
    pub not_before: Timestamp,
    /// The end of its time.
    pub not_after: Timestamp,
    /// The serial number in hexadecimal digits, lower case, without leading zeros.
    pub serial: String,
    /// Whether subject and issuer are the same.
    pub self_signed: bool,
}

impl CertificateSummary {
    /// Reads a certificate; `None` when it is not a readable X.509 certificate.
    pub(crate) fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der.as_ref()).ok()?;
        let validity = certificate.validity();
        Some(Self {
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
            issuer_organization: organization(certificate.issuer()),
            names: names(&certificate),
            not_before: Timestamp::from_second(validity.not_before.timestamp()).ok()?,
            not_after: Timestamp::from_second(validity.not_after.timestamp()).ok()?,
            serial: format!("{:x}", certificate.tbs_certificate.serial),
            self_signed: certificate.subject().as_raw() == certificate.issuer().as_raw(),
        })
    }

    /// Whether Amazon's public authority issued it, as it does for ACM: the organisation of the
    /// issuer is `Amazon`.
    pub fn issued_by_amazon(&self) -> bool {
        self.issuer_organization.as_deref() == Some("Amazon")
    }

    /// Whether one of its names covers `host`, by the rule of RFC 6125: `*` stands for exactly one
    /// whole first label.
    pub fn covers(&self, host: &str) -> bool {
        let host = crate::url::normalize_host(host);
        self.names.iter().any(|name| {
            let name = name.to_ascii_lowercase();
            match name.strip_prefix("*.") {
                Some(parent) => host
                    .split_once('.')
                    .is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
                None => name == host,
            }
        })
    }
}

fn organization(name: &X509Name<'_>) -> Option<String> {
    let attribute = name.iter_organization().next()?;
    Some(attribute.as_str().ok()?.to_owned())
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternative)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => ip(bytes).map(|ip| ip.to_string()),
        _ => None,
    };
    alternative.value.general_names.iter().filter_map(name).collect()
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(four.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}
