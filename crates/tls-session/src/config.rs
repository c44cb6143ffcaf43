//! Configurations: built once per credentials and policy, cheap to clone.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::SupportedProtocolVersion;
use rustls::server::{NoServerSessionStorage, ProducesTickets, ServerConfig as RustlsServerConfig};
use rustls::version::{TLS12, TLS13};
use tls_certs::{ClientCertPolicy, Identity, TrustAnchors};

use crate::bounding::Bounding;
use crate::error::Error;
use crate::key_log::{Keeper, KeyLog};
use crate::resolver::{ClientIdentities, ServerIdentities};
use crate::resumption::Resumption;
use crate::sessions::SessionStore;
use crate::stapling::Noting;
use crate::strength::CipherStrength;
use crate::tickets::Ticketer;

/// The protocol versions a side is willing to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Protocols {
    /// TLS 1.2 (RFC 5246).
    pub tls12: bool,
    /// TLS 1.3 (RFC 8446).
    pub tls13: bool,
}

impl Default for Protocols {
    /// Both.
    fn default() -> Self {
        Self { tls12: true, tls13: true }
    }
}

/// How a client verifies the server's certificate.
#[derive(Clone, Debug)]
pub enum ServerVerification {
    /// The chain must end in one of these, and the name, usage and validity must fit.
    Anchors(Arc<TrustAnchors>),
    /// The owner judges, see [`Event::VerdictNeeded`](crate::Event::VerdictNeeded). The server's
    /// possession of its key is still proved.
    Deferred,
}

/// What a client session needs.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The protocol versions to offer.
    pub protocols: Protocols,
    /// How strong the ciphers on offer are.
    pub ciphers: CipherStrength,
    /// Certificates to present to a server that asks; the first that fits is sent.
    pub identities: Vec<Identity>,
    /// How the server is verified.
    pub verification: ServerVerification,
    /// Application protocols to offer, best first (RFC 7301); none: the extension is not sent.
    pub alpn: Vec<Vec<u8>>,
}

/// What a server wants of a client's certificate.
#[derive(Clone, Debug)]
pub enum ClientCertificate {
    /// Not asked for.
    NotAsked,
    /// Asked for, not required; possession is proved, the chain is not judged.
    Asked,
    /// Asked for, not required; when there is one its chain must end in one of these.
    AskedAndVerified(Arc<TrustAnchors>),
}

/// What a server session needs.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The protocol versions to accept.
    pub protocols: Protocols,
    /// How strong the ciphers to accept are.
    pub ciphers: CipherStrength,
    /// At least one. Chosen by the name the client asks for, then by its signature schemes.
    pub identities: Vec<Identity>,
    /// Whether the client is asked for a certificate.
    pub client_certificate: ClientCertificate,
    /// Application protocols, best first (RFC 7301); none: the client's offer is ignored.
    pub alpn: Vec<Vec<u8>>,
    /// Ask for a verdict when the handshake is complete, before any data is delivered.
    pub verdict: bool,
}

/// How many tickets a server sends with TLS 1.3, each good for one session.
const TICKETS: usize = 2;

/// A client's configuration, to be shared by many sessions.
///
/// Sessions of one configuration resume each other, unless [`Resumption`] is off; those of different ones never do,
/// except for clones and what [`with_alpn`](Self::with_alpn) makes: an application protocol is agreed on anew in each
/// handshake (RFC 7301, section 3.1).
#[derive(Clone)]
pub struct ClientConfig {
    pub(crate) rustls: Arc<rustls::ClientConfig>,
    pub(crate) verdict: bool,
    pub(crate) sessions: Option<Arc<SessionStore>>,
    pub(crate) partition: Arc<str>,
}

impl ClientConfig {
    /// Builds the configuration.
    ///
    /// # Errors
    /// [`Error::Configuration`] if no protocol version is chosen or an application protocol's name
    /// is unusable.
    pub fn new(options: ClientOptions) -> Result<Self, Error> {
        check_alpn(&options.alpn)?;
        let provider = options.ciphers.provider();
        let (verifier, verdict) = match options.verification {
            ServerVerification::Anchors(anchors) => (tls_certs::server_verifier(anchors, &provider), false),
            ServerVerification::Deferred => (tls_certs::deferred_server_verifier(&provider), true),
        };
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions(options.protocols)?)
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Noting(verifier)));
        // Also without any: it notes what the server asks for.
        let identities = ClientIdentities::new(options.identities);
        let mut config = builder.with_client_cert_resolver(Arc::new(identities));
        config.alpn_protocols = options.alpn;
        let config = Self { rustls: Arc::new(config), verdict, sessions: None, partition: "".into() };
        Ok(config.with_resumption(&Resumption::default()))
    }

    /// The same configuration with another rule for resumption, and no sessions in common with this one.
    #[must_use]
    pub fn with_resumption(&self, resumption: &Resumption) -> Self {
        let mut config = rustls::ClientConfig::clone(&self.rustls);
        let sessions = resumption.is_on().then(|| Arc::new(SessionStore::new(resumption)));
        config.resumption = match &sessions {
            Some(sessions) => rustls::client::Resumption::store(Arc::clone(sessions) as _),
            None => rustls::client::Resumption::disabled(),
        };
        config.time_provider = resumption.clock();
        Self { rustls: Arc::new(config), sessions, ..self.clone() }
    }

    /// The same configuration, its sessions resumed only by others with the same `partition`.
    #[must_use]
    pub fn with_partition(&self, partition: &str) -> Self {
        Self { partition: partition.into(), ..self.clone() }
    }

    /// How many servers there are sessions of to resume, and the bytes that these take.
    pub fn kept_sessions(&self) -> (usize, usize) {
        self.sessions.as_ref().map_or((0, 0), |sessions| sessions.size())
    }

    /// The same configuration with other application protocols, without building all anew.
    ///
    /// # Errors
    /// [`Error::Configuration`] if a name is unusable.
    pub fn with_alpn(&self, alpn: Vec<Vec<u8>>) -> Result<Self, Error> {
        check_alpn(&alpn)?;
        let mut config = rustls::ClientConfig::clone(&self.rustls);
        config.alpn_protocols = alpn;
        Ok(Self { rustls: Arc::new(config), ..self.clone() })
    }

    /// The same configuration, whose sessions have their secrets logged.
    #[must_use]
    pub fn with_key_log(&self, key_log: Arc<dyn KeyLog>) -> Self {
        let mut config = rustls::ClientConfig::clone(&self.rustls);
        config.key_log = Arc::new(Keeper(key_log));
        Self { rustls: Arc::new(config), ..self.clone() }
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig").field("verdict", &self.verdict).finish_non_exhaustive()
    }
}

/// A server's configuration, to be shared by many sessions.
///
/// As with [`ClientConfig`], sessions of one configuration resume each other. They are kept by the clients, in tickets;
/// nothing of them stays here. With [ticket keys](Resumption::with_ticket_keys) in common, two configurations resume
/// each other's sessions if they ask the same of clients (certificate, anchors, verdict) for the same time.
#[derive(Clone)]
pub struct ServerConfig {
    pub(crate) rustls: Arc<RustlsServerConfig>,
    pub(crate) verdict: bool,
    pub(crate) partition: Arc<str>,
    /// Digest of what is asked of clients.
    policy: [u8; 32],
    /// A client's certificate is verified during the handshake.
    pub(crate) verifies: bool,
}

impl ServerConfig {
    /// Builds the configuration.
    ///
    /// # Errors
    /// [`Error::Configuration`] if there is no identity, no protocol version is chosen, or an
    /// application protocol's name is unusable.
    pub fn new(options: ServerOptions) -> Result<Self, Error> {
        check_alpn(&options.alpn)?;
        if options.identities.is_empty() {
            return Err(Error::Configuration("a server needs a certificate".into()));
        }
        let provider = options.ciphers.provider();
        let digest = policy_digest(&options.client_certificate, options.verdict);
        let verifies = matches!(options.client_certificate, ClientCertificate::AskedAndVerified(_));
        let policy = match options.client_certificate {
            ClientCertificate::NotAsked => None,
            ClientCertificate::Asked => Some(ClientCertPolicy::Requested),
            ClientCertificate::AskedAndVerified(anchors) => Some(ClientCertPolicy::Verified(anchors)),
        };
        let verifier = policy.map(|policy| tls_certs::client_verifier(policy, &provider));
        let builder = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions(options.protocols)?)
            .map_err(unusable)?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::new(Bounding(verifier))),
            None => builder.with_no_client_auth(),
        };
        let identities = ServerIdentities::new(options.identities);
        let mut config = builder.with_cert_resolver(Arc::new(identities));
        config.alpn_protocols = options.alpn;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        let config =
            Self { rustls: Arc::new(config), verdict: options.verdict, verifies, partition: "".into(), policy: digest };
        Ok(config.with_resumption(&Resumption::default()))
    }

    /// The same configuration with another rule for resumption. Tickets of this one are not accepted, unless both have
    /// the same ticket keys.
    #[must_use]
    pub fn with_resumption(&self, resumption: &Resumption) -> Self {
        let mut config = RustlsServerConfig::clone(&self.rustls);
        if resumption.is_on() {
            config.send_tls13_tickets = TICKETS;
            config.ticketer = Arc::new(Ticketer::new(resumption, self.policy));
        } else {
            config.send_tls13_tickets = 0;
            config.ticketer = Arc::new(NoTickets);
        }
        config.time_provider = resumption.clock();
        Self { rustls: Arc::new(config), ..self.clone() }
    }

    /// The same configuration, its sessions resumed only by others with the same `partition`.
    #[must_use]
    pub fn with_partition(&self, partition: &str) -> Self {
        Self { partition: partition.into(), ..self.clone() }
    }

    /// The same configuration with other application protocols, without building all anew.
    ///
    /// # Errors
    /// [`Error::Configuration`] if a name is unusable.
    pub fn with_alpn(&self, alpn: Vec<Vec<u8>>) -> Result<Self, Error> {
        check_alpn(&alpn)?;
        let mut config = RustlsServerConfig::clone(&self.rustls);
        config.alpn_protocols = alpn;
        Ok(Self { rustls: Arc::new(config), ..self.clone() })
    }

    /// The same configuration, whose sessions have their secrets logged.
    #[must_use]
    pub fn with_key_log(&self, key_log: Arc<dyn KeyLog>) -> Self {
        let mut config = rustls::ServerConfig::clone(&self.rustls);
        config.key_log = Arc::new(Keeper(key_log));
        Self { rustls: Arc::new(config), ..self.clone() }
    }
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig").field("verdict", &self.verdict).finish_non_exhaustive()
    }
}

/// Tells apart what servers ask of their clients: a ticket of one must not open the other.
fn policy_digest(certificate: &ClientCertificate, verdict: bool) -> [u8; 32] {
    let (mode, anchors) = match certificate {
        ClientCertificate::NotAsked => (0, [0; 32]),
        ClientCertificate::Asked => (1, [0; 32]),
        ClientCertificate::AskedAndVerified(anchors) => (2, anchors.digest()),
    };
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&[mode, u8::from(verdict)]);
    context.update(&anchors);
    let mut policy = [0; 32];
    policy.copy_from_slice(context.finish().as_ref());
    policy
}

/// A server without tickets.
#[derive(Debug)]
struct NoTickets;

impl ProducesTickets for NoTickets {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

fn versions(protocols: Protocols) -> Result<Vec<&'static SupportedProtocolVersion>, Error> {
    let chosen: Vec<_> = [(protocols.tls13, &TLS13), (protocols.tls12, &TLS12)]
        .into_iter()
        .filter_map(|(wanted, version)| wanted.then_some(version))
        .collect();
    if chosen.is_empty() {
        return Err(Error::Configuration("no protocol version is chosen".into()));
    }
    Ok(chosen)
}

/// RFC 7301, section 3.1: names of 1 to 255 bytes in a list of at most 65535.
fn check_alpn(names: &[Vec<u8>]) -> Result<(), Error> {
    let sizes_fit = names.iter().all(|name| (1..=255).contains(&name.len()));
    let total: usize = names.iter().map(|name| 1 + name.len()).sum();
    if sizes_fit && u16::try_from(total).is_ok() {
        Ok(())
    } else {
        let rule = "an application protocol's name has 1 to 255 bytes, all together at most 65535";
        Err(Error::Configuration(rule.into()))
    }
}

#[allow(clippy::needless_pass_by_value)] // used as a function value
fn unusable(error: rustls::Error) -> Error {
    Error::Configuration(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn options() -> ClientOptions {
        ClientOptions {
            protocols: Protocols::default(),
            ciphers: CipherStrength::default(),
            identities: Vec::new(),
            verification: ServerVerification::Deferred,
            alpn: Vec::new(),
        }
    }

    #[test]
    fn options_that_cannot_work_are_refused() {
        let neither = Protocols { tls12: false, tls13: false };
        let refused = ClientConfig::new(ClientOptions { protocols: neither, ..options() });
        assert!(matches!(refused, Err(Error::Configuration(_))));
        let refused = ServerConfig::new(ServerOptions {
            protocols: Protocols::default(),
            ciphers: CipherStrength::default(),
            identities: Vec::new(),
            client_certificate: ClientCertificate::NotAsked,
            alpn: Vec::new(),
            verdict: false,
        });
        assert!(matches!(refused, Err(Error::Configuration(_))));
    }

    #[test]
    fn application_protocol_names_have_bounds() {
        let config = ClientConfig::new(options()).unwrap();
        assert!(config.with_alpn(vec![b"h2".to_vec(), vec![b'x'; 255]]).is_ok());
        for bad in [vec![Vec::new()], vec![vec![b'x'; 256]], vec![vec![b'x'; 255]; 257]] {
            assert!(matches!(config.with_alpn(bad), Err(Error::Configuration(_))));
        }
    }
}
