//! Credentials: who we are, whom we trust, which protocols we speak, and the TLS configurations that follow. A
//! configuration is built once for each way of using the credentials.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tls_certs::{Identity, TrustAnchors};
use tls_session::{
    CipherStrength, ClientCertificate, ClientConfig, ClientOptions, Protocols, Resumption, ServerConfig, ServerOptions,
    ServerVerification, TicketKeySource,
};

use crate::failure::Failure;
use crate::handles;
use crate::state::Role;

/// What `sspi_acquire_credentials` makes.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// For which side; both where a script says nothing else.
    pub(crate) role: Option<Role>,
    configs: Mutex<Configs>,
}

/// What `sspi_schannel_credentials` says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parameters {
    pub(crate) identities: Vec<Identity>,
    /// Whose client certificates a server accepts.
    pub(crate) client_roots: Option<Arc<TrustAnchors>>,
    pub(crate) protocols: Protocols,
    /// For how long sessions are resumed. They are kept with the configurations: other configurations, other sessions.
    pub(crate) lifespan: Option<Duration>,
    /// What a server's tickets are sealed with, if not with keys of its own.
    pub(crate) ticket_keys: Option<Arc<dyn TicketKeySource>>,
    pub(crate) ciphers: CipherStrength,
}

/// The parameters and the configurations that were built of them.
#[derive(Debug, Default)]
struct Configs {
    parameters: Parameters,
    /// With the anchors that it was built from: the platform's may be others next time.
    verifying_client: Option<(Arc<TrustAnchors>, ClientConfig)>,
    deferring_client: Option<ClientConfig>,
    /// By: a client certificate is asked for, a verdict is needed.
    servers: [[Option<ServerConfig>; 2]; 2],
}

/// Credentials with the name by which the script knows them.
#[derive(Debug, Clone)]
pub(crate) struct CredentialsHandle {
    name: String,
    credentials: Arc<Credentials>,
}

impl CredentialsHandle {
    /// The credentials a script names, for use on one side.
    ///
    /// # Errors
    /// No such handle, or they are for the other side.
    pub(crate) fn look_up(name: &str, role: Role) -> Result<Self, Failure> {
        let credentials: Arc<Credentials> = handles::look_up(name)?;
        match credentials.role {
            Some(acquired) if acquired != role => {
                let (is, needed) = if role == Role::Client { ("server", "client") } else { ("client", "server") };
                Err(Failure::BadArguments(format!("The credentials were acquired for a {is}, not for a {needed}.")))
            }
            _ => Ok(Self { name: name.to_owned(), credentials }),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl std::ops::Deref for CredentialsHandle {
    type Target = Credentials;

    fn deref(&self) -> &Credentials {
        &self.credentials
    }
}

impl Credentials {
    /// # Errors
    /// A server needs a certificate.
    pub(crate) fn new(role: Option<Role>, parameters: Parameters) -> Result<Self, Failure> {
        check(role, &parameters)?;
        Ok(Self::unchecked(role, parameters))
    }

    fn unchecked(role: Option<Role>, parameters: Parameters) -> Self {
        Self { role, configs: Mutex::new(Configs { parameters, ..Configs::default() }) }
    }

    /// What they are made of at present.
    pub(crate) fn parameters(&self) -> Parameters {
        self.lock().parameters.clone()
    }

    /// Makes them of something else. Sessions keep the configuration that they began with; the next one gets another.
    ///
    /// # Errors
    /// As [`Credentials::new`]; they stay as they were.
    pub(crate) fn update(&self, parameters: Parameters) -> Result<(), Failure> {
        check(self.role, &parameters)?;
        *self.lock() = Configs { parameters, ..Configs::default() };
        Ok(())
    }

    /// What a client without credentials of its own uses.
    pub(crate) fn anonymous() -> &'static Self {
        static ANONYMOUS: OnceLock<Credentials> = OnceLock::new();
        ANONYMOUS.get_or_init(|| Self::unchecked(None, Parameters::default()))
    }

    /// The configuration of a client, which is verified automatically or by a verifier.
    ///
    /// # Errors
    /// The credentials cannot be used so.
    pub(crate) fn client_config(&self, has_verifier: bool) -> Result<ClientConfig, Failure> {
        let mut configs = self.lock();
        if has_verifier {
            if let Some(config) = &configs.deferring_client {
                return Ok(config.clone());
            }
            let config = configs.parameters.client_config(ServerVerification::Deferred)?;
            return Ok(configs.deferring_client.insert(config).clone());
        }
        let anchors = TrustAnchors::platform();
        match &configs.verifying_client {
            Some((built_from, config)) if Arc::ptr_eq(built_from, &anchors) => Ok(config.clone()),
            _ => {
                let config = configs.parameters.client_config(ServerVerification::Anchors(Arc::clone(&anchors)))?;
                configs.verifying_client = Some((anchors, config.clone()));
                Ok(config)
            }
        }
    }

    /// The configuration of a server.
    ///
    /// # Errors
    /// The credentials cannot be used so, above all without a certificate.
    pub(crate) fn server_config(&self, ask_certificate: bool, has_verifier: bool) -> Result<ServerConfig, Failure> {
        let mut guard = self.lock();
        let Configs { parameters, servers, .. } = &mut *guard;
        let place = &mut servers[usize::from(ask_certificate)][usize::from(has_verifier)];
        if let Some(config) = place {
            return Ok(config.clone());
        }
        let config = parameters.server_config(ask_certificate, has_verifier)?;
        Ok(place.insert(config).clone())
    }

    /// No operation leaves the contents half changed.
    fn lock(&self) -> MutexGuard<'_, Configs> {
        self.configs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parameters {
    fn resumption(&self) -> Resumption {
        let resumption = self.lifespan.map_or_else(Resumption::default, Resumption::lasting);
        match &self.ticket_keys {
            Some(keys) => resumption.with_ticket_keys(Arc::clone(keys)),
            None => resumption,
        }
    }

    fn client_config(&self, verification: ServerVerification) -> Result<ClientConfig, Failure> {
        let options = ClientOptions {
            protocols: self.protocols,
            ciphers: self.ciphers,
            identities: self.identities.clone(),
            verification,
            alpn: Vec::new(),
        };
        let config = ClientConfig::new(options).map_err(configuration_failure)?;
        Ok(config.with_resumption(&self.resumption()))
    }

    fn server_config(&self, ask_certificate: bool, verdict: bool) -> Result<ServerConfig, Failure> {
        check(Some(Role::Server), self)?;
        let client_certificate = match (ask_certificate, &self.client_roots) {
            (false, _) => ClientCertificate::NotAsked,
            (true, None) => ClientCertificate::Asked,
            (true, Some(roots)) => ClientCertificate::AskedAndVerified(Arc::clone(roots)),
        };
        let options = ServerOptions {
            protocols: self.protocols,
            ciphers: self.ciphers,
            identities: self.identities.clone(),
            client_certificate,
            alpn: Vec::new(),
            verdict,
        };
        let config = ServerConfig::new(options).map_err(configuration_failure)?;
        Ok(config.with_resumption(&self.resumption()))
    }
}

fn check(role: Option<Role>, parameters: &Parameters) -> Result<(), Failure> {
    if role == Some(Role::Server) && parameters.identities.is_empty() {
        return Err(Failure::NoCertificate("The credentials of a server need a certificate with its private key."));
    }
    Ok(())
}

/// A session or configuration that cannot even begin.
pub(crate) fn configuration_failure(error: tls_session::Error) -> Failure {
    // Nothing of the peer's is in it, so the role does not matter.
    Failure::Session { error, negotiating: true, role: Role::Client }
}
