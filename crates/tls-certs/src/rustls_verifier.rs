//! The judgement of certificates as rustls calls for it.

use std::fmt;
use std::sync::{Arc, LazyLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::anchors::TrustAnchors;
use crate::peer_name::PeerName;
use crate::rustls_error::{report, report_possession};
use crate::verify::{verify_client, verify_server, verify_stapled_server};

/// How a server treats the certificates of its clients. None is required.
#[derive(Debug, Clone)]
pub enum ClientCertPolicy {
    /// A certificate is asked for and its possession proven; nobody judges it.
    Requested,
    /// A certificate that is given must also chain to one of these roots.
    Verified(Arc<TrustAnchors>),
}

/// The verifier of a client that judges the server's certificate during the
/// handshake, as [`verify_server`] does, or [`verify_stapled_server`] if it
/// sends an OCSP response.
pub fn server_verifier(anchors: Arc<TrustAnchors>, provider: &Arc<CryptoProvider>) -> Arc<dyn ServerCertVerifier> {
    Arc::new(ServerJudge { anchors: Some(anchors), possession: Possession::new(provider) })
}

/// The verifier of a client that only has the server prove possession of its
/// certificate's key. Whether to accept the certificate is up to the caller,
/// who must decide before anything is sent or received.
pub fn deferred_server_verifier(provider: &Arc<CryptoProvider>) -> Arc<dyn ServerCertVerifier> {
    Arc::new(ServerJudge { anchors: None, possession: Possession::new(provider) })
}

/// The verifier of a server that asks its clients for certificates.
pub fn client_verifier(policy: ClientCertPolicy, provider: &Arc<CryptoProvider>) -> Arc<dyn ClientCertVerifier> {
    let anchors = match policy {
        ClientCertPolicy::Requested => None,
        ClientCertPolicy::Verified(anchors) => Some(anchors),
    };
    Arc::new(ClientJudge {
        hints: anchors.as_ref().map(|a| a.subjects()).unwrap_or_default(),
        anchors,
        possession: Possession::new(provider),
    })
}

/// The cryptography of all sessions: aws-lc-rs, with the hybrid key exchange
/// X25519MLKEM768 offered first.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = vec![
            aws_lc_rs::kx_group::X25519MLKEM768,
            aws_lc_rs::kx_group::X25519,
            aws_lc_rs::kx_group::SECP256R1,
            aws_lc_rs::kx_group::SECP384R1,
            crate::kx_p521::SECP521R1,
        ];
        Arc::new(provider)
    });
    Arc::clone(&PROVIDER)
}

/// The proof that the peer has the key of its certificate.
#[derive(Debug)]
struct Possession {
    algorithms: WebPkiSupportedAlgorithms,
}

impl Possession {
    fn new(provider: &CryptoProvider) -> Self {
        Self { algorithms: provider.signature_verification_algorithms }
    }
}

/// The trait methods that only have possession proven.
macro_rules! prove_possession {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            report_possession(verify_tls12_signature(message, cert, dss, &self.possession.algorithms))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            report_possession(verify_tls13_signature(message, cert, dss, &self.possession.algorithms))
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.possession.algorithms.supported_schemes()
        }
    };
}

/// Judges servers; without anchors it leaves that to others.
struct ServerJudge {
    anchors: Option<Arc<TrustAnchors>>,
    possession: Possession,
}

impl ServerCertVerifier for ServerJudge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(anchors) = &self.anchors {
            let name = PeerName::from_rustls(server_name)
                .ok_or_else(|| Error::General("unknown kind of server name".to_owned()))?;
            report(match ocsp_response {
                [] => verify_server(end_entity, intermediates, anchors, Some(&name), now),
                response => verify_stapled_server(end_entity, intermediates, anchors, Some(&name), now, response),
            })?;
        }
        Ok(ServerCertVerified::assertion())
    }

    prove_possession!();
}

impl fmt::Debug for ServerJudge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerJudge({:?})", self.anchors)
    }
}

/// Judges clients; without anchors it leaves that to others.
struct ClientJudge {
    anchors: Option<Arc<TrustAnchors>>,
    hints: Vec<DistinguishedName>,
    possession: Possession,
}

impl ClientCertVerifier for ClientJudge {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(anchors) = &self.anchors {
            report(verify_client(end_entity, intermediates, anchors, now))?;
        }
        Ok(ClientCertVerified::assertion())
    }

    prove_possession!();
}

impl fmt::Debug for ClientJudge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientJudge({:?})", self.anchors)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Mutex;

    use rustls::client::{ClientConfig, ResolvesClientCert};
    use rustls::server::ServerConfig;
    use rustls::sign::{CertifiedKey, SingleCertAndKey};
    use rustls::time_provider::TimeProvider;
    use rustls::{AlertDescription, ClientConnection, ServerConnection};

    use super::*;
    use crate::testing::{self, Ca, leaf_params};
    use crate::{Certificate, Identity, VerifyError, verify_failure};

    /// A clock that stands where it is put.
    #[derive(Debug)]
    struct Clock(Mutex<UnixTime>);

    impl TimeProvider for Clock {
        fn current_time(&self) -> Option<UnixTime> {
            Some(*self.0.lock().unwrap())
        }
    }

    /// A handshake in memory.
    struct Handshake {
        server: Certificate,
        companions: Vec<Certificate>,
        judge: Arc<dyn ServerCertVerifier>,
        client: Option<Certificate>,
        policy: ClientCertPolicy,
        name: &'static str,
        offset: i64,
    }

    /// What each side met: its own error, or that of rustls that it got sent.
    struct Outcome {
        client: Result<(), Error>,
        server: Result<(), Error>,
    }

    impl Handshake {
        fn new(server: Certificate, judge: Arc<dyn ServerCertVerifier>) -> Self {
            Self {
                server,
                companions: Vec::new(),
                judge,
                client: None,
                policy: ClientCertPolicy::Requested,
                name: "a.example",
                offset: 0,
            }
        }

        fn run(&self) -> Outcome {
            let clock = || Arc::new(Clock(Mutex::new(testing::at(self.offset))));
            let certified = |cert| Identity::new(cert, &self.companions).unwrap().certified_key();
            let server = ServerConfig::builder_with_details(provider(), clock())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_client_cert_verifier(client_verifier(self.policy.clone(), &provider()))
                .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified(&self.server))));
            let client = ClientConfig::builder_with_details(provider(), clock())
                .with_safe_default_protocol_versions()
                .unwrap()
                .dangerous()
                .with_custom_certificate_verifier(Arc::clone(&self.judge));
            let client = match &self.client {
                Some(cert) => client.with_client_cert_resolver(Arc::new(Always(certified(cert)))),
                None => client.with_no_client_auth(),
            };
            let name = PeerName::parse(self.name).unwrap().to_rustls();
            let client = ClientConnection::new(Arc::new(client), name).unwrap();
            converse(client, ServerConnection::new(Arc::new(server)).unwrap())
        }
    }

    /// Presents its certificate whoever the server says it trusts.
    #[derive(Debug)]
    struct Always(Arc<CertifiedKey>);

    impl ResolvesClientCert for Always {
        fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }

        fn has_certs(&self) -> bool {
            true
        }
    }

    fn converse(mut client: ClientConnection, mut server: ServerConnection) -> Outcome {
        let mut outcome = Outcome { client: Ok(()), server: Ok(()) };
        loop {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            let sent = !wire.is_empty();
            let mut rest = &wire[..];
            while outcome.server.is_ok() && !rest.is_empty() {
                server.read_tls(&mut rest).unwrap();
                outcome.server = server.process_new_packets().map(|_| ());
            }
            let mut wire = Vec::new();
            server.write_tls(&mut wire).unwrap();
            let answered = !wire.is_empty();
            let mut rest = &wire[..];
            while outcome.client.is_ok() && !rest.is_empty() {
                client.read_tls(&mut rest).unwrap();
                outcome.client = client.process_new_packets().map(|_| ());
            }
            if !sent && !answered {
                return outcome;
            }
        }
    }

    fn judge(roots: &[&Ca]) -> Arc<dyn ServerCertVerifier> {
        server_verifier(anchors(roots), &provider())
    }

    fn anchors(roots: &[&Ca]) -> Arc<TrustAnchors> {
        let roots: Vec<_> = roots.iter().map(|ca| ca.certificate.clone()).collect();
        TrustAnchors::from_certificates(&roots).unwrap()
    }

    #[test]
    fn accepted() {
        let root = Ca::root("root");
        let between = root.intermediate("between");
        let mut handshake = Handshake::new(between.leaf(&["a.example"]), judge(&[&root]));
        handshake.companions = vec![between.certificate.clone()];
        let outcome = handshake.run();
        assert_eq!((outcome.client, outcome.server), (Ok(()), Ok(())));
    }

    #[test]
    fn refused_with_alert_and_reason() {
        let root = Ca::root("root");
        let mut params = leaf_params(&["a.example"]);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = root.leaf(&["a.example"]);
        let client_only = root.leaf_of(&params);
        let year = 365 * 86_400;
        let root_name = "CN=root".to_owned();
        let other = judge(&[&Ca::root("other")]);
        for (server, judge, name, offset, alert, reason) in [
            (
                &leaf,
                judge(&[&root]),
                "b.example",
                0,
                AlertDescription::BadCertificate,
                VerifyError::NameMismatch { wanted: "b.example".to_owned(), presented: vec!["a.example".to_owned()] },
            ),
            (
                &leaf,
                other,
                "a.example",
                0,
                AlertDescription::UnknownCA,
                VerifyError::PartialChain { issuer: root_name },
            ),
            (
                &leaf,
                judge(&[&root]),
                "a.example",
                2 * year,
                AlertDescription::CertificateExpired,
                VerifyError::Expired { not_after: testing::NOW + year, now: testing::NOW + 2 * year },
            ),
            (
                &client_only,
                judge(&[&root]),
                "a.example",
                0,
                AlertDescription::UnsupportedCertificate,
                VerifyError::WrongUsage,
            ),
        ] {
            let mut handshake = Handshake::new(server.clone(), judge);
            handshake.name = name;
            handshake.offset = offset;
            let outcome = handshake.run();
            let error = outcome.client.unwrap_err();
            assert_eq!(verify_failure(&error), Some(reason));
            assert_eq!(outcome.server, Err(Error::AlertReceived(alert)));
        }
    }

    #[test]
    fn deferred() {
        let leaf = Ca::root("root").leaf(&["a.example"]);
        let mut handshake = Handshake::new(leaf, deferred_server_verifier(&provider()));
        handshake.name = "b.example";
        let outcome = handshake.run();
        assert_eq!((outcome.client, outcome.server), (Ok(()), Ok(())));
    }

    #[test]
    fn clients() {
        let root = Ca::root("root");
        let stranger = Ca::root("stranger").leaf(&[]);
        let verified = ClientCertPolicy::Verified(anchors(&[&root]));
        let requested = ClientCertPolicy::Requested;
        for (policy, client, accepted) in [
            (&requested, None, true),
            (&requested, Some(stranger.clone()), true),
            (&verified, None, true),
            (&verified, Some(root.leaf(&[])), true),
            (&verified, Some(stranger), false),
        ] {
            let mut handshake = Handshake::new(root.leaf(&["a.example"]), judge(&[&root]));
            handshake.policy = policy.clone();
            handshake.client = client;
            let outcome = handshake.run();
            assert_eq!(outcome.server.is_ok(), accepted);
            if let Err(error) = outcome.server {
                let issuer = "CN=stranger".to_owned();
                assert_eq!(verify_failure(&error), Some(VerifyError::PartialChain { issuer }));
                let alert = Error::AlertReceived(AlertDescription::UnknownCA);
                assert_eq!(outcome.client, Err(alert));
            }
        }
    }

    #[test]
    fn hints() {
        let root = Ca::root("root");
        let none = client_verifier(ClientCertPolicy::Requested, &provider());
        assert!(none.root_hint_subjects().is_empty());
        assert!(none.offer_client_auth() && !none.client_auth_mandatory());
        let policy = ClientCertPolicy::Verified(anchors(&[&root]));
        let one = client_verifier(policy, &provider());
        assert_eq!(one.root_hint_subjects().len(), 1);
        assert_eq!(one.root_hint_subjects()[0].as_ref(), root.certificate.subject().der());
    }

    #[test]
    fn post_quantum_first() {
        let provider = provider();
        let groups: Vec<_> = provider.kx_groups.iter().map(|g| g.name()).collect();
        assert_eq!(groups[0], rustls::NamedGroup::X25519MLKEM768);
        assert!(groups.contains(&rustls::NamedGroup::X25519));
    }
}
