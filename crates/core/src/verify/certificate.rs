//! The certificate that visitors are shown.

use jiff::Timestamp;

use crate::{
    check::{Check, Verdict},
    config::defaults,
    value::DomainName,
};

/// What is known of the certificate that should be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// It was imported into ACM: another authority may have issued it, and nobody renews it.
    pub is_imported: bool,
    /// Its serial number as ACM writes it, if ACM told.
    pub serial: Option<String>,
}

/// One TLS session with the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The protocol, as in `TLS 1.3`.
    pub version: String,
    /// The certificate that was served; none if it could not be read.
    pub certificate: Option<ServedCertificate>,
    /// Why a browser would refuse it, and what to look at.
    pub trust: Result<(), (String, String)>,
}

/// What is to know of a served certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedCertificate {
    /// The issuer, as in `C=US, O=Amazon, CN=Amazon RSA 2048 M02`.
    pub issuer: String,
    /// The issuer's organisation.
    pub issuer_organization: Option<String>,
    /// The serial number in hexadecimal digits.
    pub serial: String,
    /// The end of its time.
    pub not_after: Timestamp,
}

/// The names of the checks.
pub(super) const CHAIN: &str = "certificate chain";
pub(super) const ISSUER: &str = "certificate issuer";
pub(super) const LIFETIME: &str = "certificate lifetime";
pub(super) const SERVED: &str = "certificate served";
pub(super) const ALL: [&str; 4] = [CHAIN, ISSUER, LIFETIME, SERVED];

impl Expected {
    /// Judges one session; always [`ALL`] of the checks.
    pub(super) fn judge(&self, name: &DomainName, session: &Session, now: Timestamp) -> Vec<Check> {
        let check = |about: &str, message: String| Check::ok(name.as_str(), about, message);
        let chain = match &session.trust {
            Ok(()) => check(CHAIN, "leads to a trusted root and is for this name".to_owned()),
            Err((said, hint)) => check(CHAIN, said.clone()).but(Verdict::Failure, hint.clone()),
        };
        let Some(certificate) = &session.certificate else {
            let unread = |about| check(about, "the certificate cannot be read".to_owned()).but(Verdict::Unknown, "");
            return vec![chain, unread(ISSUER), unread(LIFETIME), unread(SERVED)];
        };
        let issued = check(ISSUER, certificate.issuer.clone());
        let issuer = match (certificate.issuer_organization.as_deref(), self.is_imported) {
            (Some("Amazon"), _) => issued,
            (_, true) => issued.but(
                Verdict::Warning,
                "imported certificates are not renewed by ACM: let ACM request one by leaving `certificate` out",
            ),
            (_, false) => check(ISSUER, format!("{}, which is not Amazon", certificate.issuer)).but(
                Verdict::Failure,
                "something else than the load balancer answers, or stands before it: look at where the name leads",
            ),
        };
        vec![
            chain,
            issuer,
            lifetime(name, certificate.not_after, now),
            self.served(name, certificate),
        ]
    }

    fn served(&self, name: &DomainName, certificate: &ServedCertificate) -> Check {
        let check = |message: String| Check::ok(name.as_str(), SERVED, message);
        match &self.serial {
            None => check("ACM tells no serial number to compare with".to_owned()).but(Verdict::Unknown, ""),
            Some(serial) if digits(serial) == digits(&certificate.serial) => {
                check("is the one that ACM has for the site".to_owned())
            }
            Some(serial) => check(format!(
                "serial number {}, while ACM has {} for the site",
                digits(&certificate.serial),
                digits(serial)
            ))
            .but(
                Verdict::Failure,
                "the listener has another certificate, or something else answers: `reconcile plan` compares the listener",
            ),
        }
    }
}

fn lifetime(name: &DomainName, not_after: Timestamp, now: Timestamp) -> Check {
    const SECONDS_PER_DAY: i64 = 24 * 60 * 60;
    let left = not_after.as_second() - now.as_second();
    let days = left / SECONDS_PER_DAY;
    let check = |message: String| Check::ok(name.as_str(), LIFETIME, message);
    if left < 0 {
        check(format!("expired on {not_after}")).but(Verdict::Failure, "look at its renewal in the ACM console")
    } else if days < defaults::CERTIFICATE_DAYS_LEFT {
        check(format!("{days} days left, until {not_after}")).but(
            Verdict::Warning,
            "it should have been renewed by now: look at its renewal in the ACM console",
        )
    } else {
        check(format!("{days} days left, until {not_after}"))
    }
}

/// A serial number without colons, leading zeros and capitals: ACM writes it otherwise than others.
fn digits(serial: &str) -> String {
    let digits: String = serial.chars().filter(char::is_ascii_hexdigit).collect();
    digits.trim_start_matches('0').to_ascii_lowercase()
}
