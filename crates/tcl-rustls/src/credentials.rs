//! Credentials: who we are, whom we trust, which protocols we speak, and the TLS configurations that follow. A
//! configuration is built once for each way of using the credentials.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tls_certs::{Identity, TrustAnchors};
use tls_session::{
    ClientCertificate, ClientConfig, ClientOptions, Protocols, ServerConfig, ServerOptions, ServerVerification,
};

use crate::failure::Failure;
use crate::handles;
use crate::state::Role;

/// What `sspi_acquire_credentials` makes.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// For which side; both where a script says nothing else.
    pub(crate) role: Option<Role>,
    pub(crate) identities: Vec<Identity>,
    /// Whose client certificates a server accepts.
    pub(crate) client_roots: Option<Arc<TrustAnchors>>,
    pub(crate) protocols: Protocols,
    configs: Mutex<Configs>,
}

#[derive(Debug, Default)]
struct Configs {
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
    pub(crate) fn new(
        role: Option<Role>,
        identities: Vec<Identity>,
        client_roots: Option<Arc<TrustAnchors>>,
        protocols: Protocols,
    ) -> Self {
        Self { role, identities, client_roots, protocols, configs: Mutex::default() }
    }

    /// What a client without credentials of its own uses.
    pub(crate) fn anonymous() -> &'static Self {
        static ANONYMOUS: OnceLock<Credentials> = OnceLock::new();
        ANONYMOUS.get_or_init(|| Self::new(None, Vec::new(), None, Protocols::default()))
    }

    /// The configuration of a client, which is verified automatically or by a verifier.
    ///
    /// # Errors
    /// The credentials cannot be used so.
    pub(crate) fn client_config(&self, has_verifier: bool) -> Result<ClientConfig, Failure> {
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if has_verifier {
            if let Some(config) = &configs.deferring_client {
                return Ok(config.clone());
            }
            let config = self.new_client_config(ServerVerification::Deferred)?;
            return Ok(configs.deferring_client.insert(config).clone());
        }
        let anchors = TrustAnchors::platform();
        match &configs.verifying_client {
            Some((built_from, config)) if Arc::ptr_eq(built_from, &anchors) => Ok(config.clone()),
            _ => {
                let config = self.new_client_config(ServerVerification::Anchors(Arc::clone(&anchors)))?;
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
        if self.identities.is_empty() {
            return Err(Failure::NoCertificate("The credentials of a server need a certificate with its private key."));
        }
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        let place = &mut configs.servers[usize::from(ask_certificate)][usize::from(has_verifier)];
        if let Some(config) = place {
            return Ok(config.clone());
        }
        let client_certificate = match (ask_certificate, &self.client_roots) {
            (false, _) => ClientCertificate::NotAsked,
            (true, None) => ClientCertificate::Asked,
            (true, Some(roots)) => ClientCertificate::AskedAndVerified(Arc::clone(roots)),
        };
        let options = ServerOptions {
            protocols: self.protocols,
            identities: self.identities.clone(),
            client_certificate,
            alpn: Vec::new(),
            verdict: has_verifier,
        };
        let config = ServerConfig::new(options).map_err(configuration_failure)?;
        Ok(place.insert(config).clone())
    }

    fn new_client_config(&self, verification: ServerVerification) -> Result<ClientConfig, Failure> {
        let options = ClientOptions {
            protocols: self.protocols,
            identities: self.identities.clone(),
            verification,
            alpn: Vec::new(),
        };
        ClientConfig::new(options).map_err(configuration_failure)
    }
}

/// A session or configuration that cannot even begin.
pub(crate) fn configuration_failure(error: tls_session::Error) -> Failure {
    // Nothing of the peer's is in it, so the role does not matter.
    Failure::Session { error, negotiating: true, role: Role::Client }
}
