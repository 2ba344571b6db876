//! TLS sessions that remember what the server showed and what a browser would say to it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, InvalidMessage, ProtocolVersion, RootCertStore,
    SignatureScheme,
};

use crate::certificate::CertificateSummary;
use crate::error::{NetworkError, TlsFailure};
use crate::request::TrustPolicy;

/// Chains are four certificates at most in practice; a server that sends more is not listened to
/// for ever.
const CHAIN_LIMIT: usize = 10;

/// What a TLS session showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSession {
    /// The protocol, as in `TLS 1.3`.
    pub version: String,
    /// The certificates the server sent, its own first; unreadable ones are left out.
    pub chain: Vec<CertificateSummary>,
    /// Whether a browser with our trusted roots accepts this certificate for the site's name, and
    /// if not, why not. Never an error under [`TrustPolicy::Verified`].
    pub verified: Result<(), TlsFailure>,
}

impl TlsSession {
    /// The server's own certificate.
    pub fn certificate(&self) -> Option<&CertificateSummary> {
        self.chain.first()
    }

    /// Whether Amazon's public authority issued the server's certificate, as it does for ACM.
    pub fn issued_by_amazon(&self) -> bool {
        self.certificate().is_some_and(CertificateSummary::issued_by_amazon)
    }
}

/// The trusted roots and the cryptography; shared by all connections of a network.
#[derive(Debug)]
pub(crate) struct Trust {
    provider: Arc<CryptoProvider>,
    /// `None` when there is no root at all.
    verifier: Option<Arc<WebPkiServerVerifier>>,
}

impl Trust {
    pub(crate) fn load(ca_file: Option<&Path>) -> Result<Self, NetworkError> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        for error in &native.errors {
            tracing::debug!(%error, "cannot read a part of the system's trusted certificates");
        }
        let (added, ignored) = roots.add_parsable_certificates(native.certs);
        tracing::debug!(added, ignored, "read the system's trusted certificates");
        if let Some(path) = ca_file {
            add_file(&mut roots, path)?;
        }
        let verifier = if roots.is_empty() {
            None
        } else {
            let builder = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
            Some(builder.build().map_err(|error| NetworkError::Tls {
                reason: error.to_string(),
            })?)
        };
        let trust = Self { provider, verifier };
        // Settings that the library refuses are found here and not at the first request.
        trust.client(TrustPolicy::Verified).map_err(|error| NetworkError::Tls {
            reason: error.to_string(),
        })?;
        Ok(trust)
    }

    /// The settings for one connection, and the witness of its handshake.
    pub(crate) fn client(&self, policy: TrustPolicy) -> Result<(ClientConfig, Arc<Witness>), rustls::Error> {
        let witness = Arc::new(Witness {
            policy,
            inner: self.verifier.clone(),
            algorithms: self.provider.signature_verification_algorithms,
            seen: Mutex::new(Seen::default()),
        });
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(witness.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok((config, witness))
    }
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), NetworkError> {
    let invalid = |reason: String| NetworkError::InvalidCaFile {
        path: path.to_owned(),
        reason,
    };
    let bytes = std::fs::read(path).map_err(|source| NetworkError::UnreadableCaFile {
        path: path.to_owned(),
        source,
    })?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| invalid(pem_reason(&error)))?;
        count += 1;
        roots
            .add(certificate)
            .map_err(|error| invalid(format!("certificate {count} in it: {error}")))?;
    }
    if count == 0 {
        return Err(NetworkError::NoCertificate { path: path.to_owned() });
    }
    Ok(())
}

fn pem_reason(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end line".to_owned(),
        other => other.to_string(),
    }
}

#[derive(Debug, Default)]
struct Seen {
    chain: Vec<CertificateSummary>,
    verdict: Option<Result<(), TlsFailure>>,
}

/// A verifier that does the real verification, keeps its outcome, and lets it decide only where the
/// policy says so.
#[derive(Debug)]
pub(crate) struct Witness {
    policy: TrustPolicy,
    inner: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
    seen: Mutex<Seen>,
}

impl Witness {
    pub(crate) fn session(&self, version: Option<ProtocolVersion>) -> TlsSession {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let version = match version {
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2".to_owned(),
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3".to_owned(),
            other => format!("{other:?}"),
        };
        let verified = seen.verdict.clone().unwrap_or(Err(TlsFailure::Certificate {
            message: "the server sent no certificate".to_owned(),
        }));
        TlsSession {
            version,
            chain: seen.chain.clone(),
            verified,
        }
    }

    /// What a failed handshake means; the verification's own verdict says it best.
    pub(crate) fn failure(&self, error: &std::io::Error) -> TlsFailure {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if self.policy == TrustPolicy::Verified
            && let Some(Err(failure)) = &seen.verdict
        {
            return failure.clone();
        }
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => TlsFailure::NotTls,
            Some(rustls::Error::AlertReceived(alert)) => TlsFailure::Alert {
                alert: format!("{alert:?}"),
            },
            Some(other) => TlsFailure::Handshake {
                message: other.to_string(),
            },
            None => match error.kind() {
                std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => TlsFailure::Closed,
                _ => TlsFailure::Handshake {
                    message: error.to_string(),
                },
            },
        }
    }

    /// Without verification the signature proves nothing either, and certificates too old to be
    /// understood (X.509 version 1) must not hide a site that an ALB would forward to.
    fn judge_signature(
        &self,
        outcome: Result<HandshakeSignatureValid, rustls::Error>,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let Err(error) = outcome else {
            return outcome;
        };
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(seen.verdict, None | Some(Ok(()))) {
                let message = error.to_string();
                seen.verdict = Some(Err(TlsFailure::Certificate { message }));
            }
        }
        match self.policy {
            TrustPolicy::Verified => Err(error),
            TrustPolicy::AnyCertificate => Ok(HandshakeSignatureValid::assertion()),
        }
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let outcome = match &self.inner {
            Some(inner) => inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        let chain: Vec<_> = std::iter::once(end_entity)
            .chain(intermediates)
            .take(CHAIN_LIMIT)
            .filter_map(CertificateSummary::read)
            .collect();
        let verdict = match &outcome {
            Ok(_) => Ok(()),
            Err(_) if self.inner.is_none() => Err(TlsFailure::NoTrustedRoots),
            Err(error) => Err(explain(error, &chain, server_name)),
        };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen {
            chain,
            verdict: Some(verdict),
        };
        match self.policy {
            TrustPolicy::Verified => outcome,
            TrustPolicy::AnyCertificate => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judge_signature(rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.algorithms,
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judge_signature(rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.algorithms,
        ))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn explain(error: &rustls::Error, chain: &[CertificateSummary], server_name: &ServerName<'_>) -> TlsFailure {
    let leaf = chain.first();
    let other = || TlsFailure::Certificate {
        message: error.to_string(),
    };
    let rustls::Error::InvalidCertificate(reason) = error else {
        return other();
    };
    match reason {
        CertificateError::Expired => leaf.map_or_else(other, |leaf| TlsFailure::Expired {
            not_after: leaf.not_after,
        }),
        CertificateError::ExpiredContext { not_after, .. } => {
            timestamp(*not_after).map_or_else(other, |not_after| TlsFailure::Expired { not_after })
        }
        CertificateError::NotValidYet => leaf.map_or_else(other, |leaf| TlsFailure::NotYetValid {
            not_before: leaf.not_before,
        }),
        CertificateError::NotValidYetContext { not_before, .. } => {
            timestamp(*not_before).map_or_else(other, |not_before| TlsFailure::NotYetValid { not_before })
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => TlsFailure::WrongName {
            expected: server_name.to_str().into_owned(),
            presented: leaf.map(|leaf| leaf.names.clone()).unwrap_or_default(),
        },
        // A self-signed certificate that calls itself an authority is refused as a leaf before its
        // issuer is looked for, with an error that says nothing to its owner.
        _ if leaf.is_some_and(|leaf| leaf.self_signed) => TlsFailure::SelfSigned,
        CertificateError::UnknownIssuer => match chain.last() {
            Some(last) => TlsFailure::UnknownIssuer {
                issuer: last.issuer.clone(),
            },
            None => other(),
        },
        _ => other(),
    }
}

fn timestamp(time: UnixTime) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(time.as_secs()).ok()?).ok()
}
