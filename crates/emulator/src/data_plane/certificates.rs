//! The emulated certificate authorities and what they issue.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SerialNumber,
};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::Error;
use crate::model::{Certificate, World};

const DAY: Duration = Duration::from_hours(24);
/// As long as certificates of ACM were valid for years: 13 months.
const LEAF_VALIDITY: Duration = Duration::from_hours(24 * 395);
const CA_VALIDITY: Duration = Duration::from_hours(24 * 3650);

/// A root and an intermediate that signs leaf certificates.
#[derive(Debug)]
pub(crate) struct Authority {
    root_pem: String,
    intermediate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate for a server, ready for rustls, with its own PEM.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(crate) key: Arc<CertifiedKey>,
    pub(crate) pem: String,
}

/// When a leaf certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Validity {
    #[default]
    Now,
    Expired,
}

impl Authority {
    /// Makes an authority of an organisation with a root and an intermediate of these names.
    pub(crate) fn new(organisation: &str, root: &str, intermediate: &str) -> Result<Self, Error> {
        let root_key = KeyPair::generate()?;
        let root_params = authority_params(organisation, root)?;
        let root = root_params.self_signed(&root_key)?;
        let root_issuer = Issuer::new(root_params, root_key);

        let key = KeyPair::generate()?;
        let params = authority_params(organisation, intermediate)?;
        let intermediate = params.signed_by(&key, &root_issuer)?;
        Ok(Self {
            root_pem: root.pem(),
            intermediate: intermediate.der().clone(),
            issuer: Issuer::new(params, key),
        })
    }

    /// The emulated Amazon.
    pub(crate) fn amazon() -> Result<Self, Error> {
        Self::new(
            "Amazon",
            "Amazon Root CA 1 (emulated)",
            "Amazon RSA 2048 M01 (emulated)",
        )
    }

    /// The emulated Let's Encrypt.
    pub(crate) fn lets_encrypt() -> Result<Self, Error> {
        Self::new("Let's Encrypt (emulated)", "ISRG Root X1 (emulated)", "R11 (emulated)")
    }

    /// The root certificate.
    pub(crate) fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// Issues a certificate for names, the first of which is the common name.
    pub(crate) fn issue(&self, names: &[String], validity: Validity) -> Result<Leaf, Error> {
        self.issue_numbered(names, validity, None)
    }

    /// The same with a serial number.
    fn issue_numbered(
        &self,
        names: &[String],
        validity: Validity,
        serial: Option<SerialNumber>,
    ) -> Result<Leaf, Error> {
        let key = KeyPair::generate()?;
        let mut params = leaf_params(names, validity)?;
        params.serial_number = serial;
        let certificate = params.signed_by(&key, &self.issuer)?;
        leaf(&certificate, &key, vec![self.intermediate.clone()])
    }
}

/// Makes a certificate that signs itself.
pub(crate) fn self_signed(names: &[String], validity: Validity) -> Result<Leaf, Error> {
    let key = KeyPair::generate()?;
    let certificate = leaf_params(names, validity)?.self_signed(&key)?;
    leaf(&certificate, &key, Vec::new())
}

fn leaf(
    certificate: &rcgen::Certificate,
    key: &KeyPair,
    mut intermediates: Vec<CertificateDer<'static>>,
) -> Result<Leaf, Error> {
    let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    intermediates.insert(0, certificate.der().clone());
    Ok(Leaf {
        key: Arc::new(CertifiedKey::new(intermediates, any_supported_type(&private)?)),
        pem: certificate.pem(),
    })
}

fn authority_params(organisation: &str, name: &str) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "US");
    params.distinguished_name.push(DnType::OrganizationName, organisation);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let now = SystemTime::now();
    params.not_before = (now - DAY).into();
    params.not_after = (now + CA_VALIDITY).into();
    Ok(params)
}

fn leaf_params(names: &[String], validity: Validity) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = names.first() {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let now = SystemTime::now();
    let (from, to) = match validity {
        Validity::Now => (now - DAY, now + LEAF_VALIDITY),
        Validity::Expired => (now - LEAF_VALIDITY, now - DAY),
    };
    params.not_before = from.into();
    params.not_after = to.into();
    Ok(params)
}

/// The certificates of ACM, issued when a load balancer first needs them.
#[derive(Debug)]
pub(crate) struct IssuedByAcm {
    authority: Authority,
    issued: Mutex<HashMap<String, Leaf>>,
}

impl IssuedByAcm {
    pub(crate) fn new(authority: Authority) -> Self {
        Self {
            authority,
            issued: Mutex::default(),
        }
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The certificate that a listener shows to a visitor who asks for `sni`; none while ACM has issued none.
    pub(crate) fn for_visitor(
        &self,
        world: &World,
        listener_certificates: &[String],
        sni: Option<&str>,
    ) -> Option<Arc<CertifiedKey>> {
        let usable: Vec<&Certificate> = listener_certificates
            .iter()
            .filter_map(|arn| world.certificate(arn))
            .filter(|certificate| certificate.status == "ISSUED")
            .collect();
        let names: Vec<&[String]> = usable.iter().map(|it| it.names.as_slice()).collect();
        let certificate = usable.get(choose(&names, sni))?;

        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaf) = issued.get(&certificate.arn) {
            return Some(leaf.key.clone());
        }
        let number = serial_number(&certificate.serial);
        match self.authority.issue_numbered(&certificate.names, Validity::Now, number) {
            Ok(leaf) => {
                let key = leaf.key.clone();
                issued.insert(certificate.arn.clone(), leaf);
                Some(key)
            }
            Err(error) => {
                tracing::warn!(arn = certificate.arn, %error, "no certificate for a visitor");
                None
            }
        }
    }
}

/// The serial number that ACM describes, so that what is served can be told from what is not.
fn serial_number(described: &str) -> Option<SerialNumber> {
    let bytes: Result<Vec<u8>, _> = described.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect();
    bytes.ok().map(|bytes| SerialNumber::from_slice(&bytes))
}

/// Which of a listener's certificates answers: one with exactly the name, one with its wildcard, else the default,
/// which is the first (aws-facts 4.1).
fn choose(certificates: &[&[String]], sni: Option<&str>) -> usize {
    let Some(sni) = sni.map(str::to_ascii_lowercase) else {
        return 0;
    };
    let position = |wanted: &str| {
        certificates
            .iter()
            .position(|names| names.iter().any(|name| name.eq_ignore_ascii_case(wanted)))
    };
    position(&sni)
        .or_else(|| {
            let (_, parent) = sni.split_once('.')?;
            position(&format!("*.{parent}"))
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sni_prefers_the_exact_name_then_the_wildcard_then_the_default() {
        let names = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let (default, wildcard, exact) = (
            names(&["example.org"]),
            names(&["example.com", "*.example.com"]),
            names(&["www.example.com"]),
        );
        let all: [&[String]; 3] = [&default, &wildcard, &exact];
        let cases = [
            (Some("www.example.com"), 2),
            (Some("WWW.example.com"), 2),
            (Some("api.example.com"), 1),
            (Some("example.com"), 1),
            (Some("a.b.example.com"), 0),
            (Some("other.net"), 0),
            (None, 0),
        ];
        for (sni, expected) in cases {
            assert_eq!(choose(&all, sni), expected, "{sni:?}");
        }
    }

    #[test]
    fn the_serial_number_is_that_of_acm() {
        let number = serial_number("00:8f:0a").unwrap();
        assert_eq!(number.to_bytes(), [0, 0x8f, 0x0a]);
        assert!(serial_number("").is_none(), "the authority takes one of its own");
    }

    #[test]
    fn a_pending_certificate_is_not_shown() {
        let acm = IssuedByAcm::new(Authority::amazon().unwrap());
        let mut world = World {
            certificates: vec![Certificate {
                arn: "arn".to_owned(),
                status: "PENDING_VALIDATION".to_owned(),
                names: vec!["www.example.com".to_owned()],
                ..Certificate::default()
            }],
            ..World::default()
        };
        let listener = ["arn".to_owned()];
        let shown = |world: &World| acm.for_visitor(world, &listener, Some("www.example.com"));
        assert!(shown(&world).is_none());
        world.certificates[0].status = "ISSUED".to_owned();
        let first = shown(&world).unwrap();
        assert_eq!(first.cert.len(), 2, "leaf and intermediate");
        assert!(Arc::ptr_eq(&first, &shown(&world).unwrap()), "issued once");
    }
}
