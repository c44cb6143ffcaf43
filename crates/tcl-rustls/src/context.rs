//! Security contexts: what a script may ask about a connection's certificates, also after the connection is gone, and
//! the connection itself where the script carries its bytes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tls_certs::{CertStore, Certificate};
use tls_session::Session;

use crate::failure::Failure;
use crate::handles::{self, HeldCertificate};
use crate::state::{Role, State};
use crate::stepper::Stepper;

/// What is known of the two sides' certificates.
#[derive(Debug, Default)]
pub(crate) struct Context {
    known: Mutex<Known>,
    /// Where a script drives the session; a channel drives its own.
    stepper: Option<Mutex<Stepper>>,
}

#[derive(Debug, Default)]
struct Known {
    /// Leaf first.
    peer: Vec<Vec<u8>>,
    local: Option<Certificate>,
    /// Whose certificates the server takes, as DER.
    issuers: Vec<Vec<u8>>,
}

impl Context {
    /// The context of a session that a script drives.
    pub(crate) fn by_hand(stepper: Stepper) -> Self {
        Self { known: Mutex::default(), stepper: Some(Mutex::new(stepper)) }
    }

    /// The session of a context made by hand, for one call: no script may run while it is borrowed.
    ///
    /// # Errors
    /// A channel drives it, or an earlier call has panicked.
    pub(crate) fn stepper(&self) -> Result<MutexGuard<'_, Stepper>, Failure> {
        let stepper = self.stepper.as_ref().ok_or_else(not_by_hand)?;
        stepper.lock().map_err(|poisoned| Failure::Session {
            error: tls_session::Error::Internal("an earlier call on this security context panicked".to_owned()),
            negotiating: false,
            role: Role::of(poisoned.into_inner().session()),
        })
    }

    /// That a script drives it.
    ///
    /// # Errors
    /// A channel does.
    pub(crate) fn check_by_hand(&self) -> Result<(), Failure> {
        if self.stepper.is_some() { Ok(()) } else { Err(not_by_hand()) }
    }

    /// Notes what the session knows by now.
    pub(crate) fn note(&self, session: &Session) {
        let mut known = self.known();
        known.peer = session.peer_certificates().iter().map(|certificate| certificate.to_vec()).collect();
        known.local = session.local_identity().map(|identity| identity.certificate().clone());
        known.issuers = session.accepted_issuers().to_vec();
    }

    /// The names, as DER, of those whose certificates the server takes from this client.
    pub(crate) fn accepted_issuers(&self) -> Vec<Vec<u8>> {
        self.known().issuers.clone()
    }

    /// Whether both sides have shown a certificate.
    pub(crate) fn is_mutual(&self) -> bool {
        let known = self.known();
        known.local.is_some() && !known.peer.is_empty()
    }

    /// The peer's certificate, with what it sent along as its store.
    ///
    /// # Errors
    /// The peer has none, or it cannot be read.
    pub(crate) fn peer_certificate(&self) -> Result<HeldCertificate, Failure> {
        let known = self.known();
        let Some(leaf) = known.peer.first() else {
            return Err(Failure::NoCertificate("The peer has sent no certificate."));
        };
        let certificate = Certificate::from_der(leaf)?;
        let store = CertStore::new();
        for der in &known.peer {
            // An intermediate that cannot be read helps nobody, and harms nobody either.
            if let Ok(companion) = Certificate::from_der(der) {
                store.add(companion);
            }
        }
        Ok(HeldCertificate { certificate, store: Some(store) })
    }

    /// The certificate that this side has sent.
    ///
    /// # Errors
    /// It has sent none.
    pub(crate) fn local_certificate(&self) -> Result<HeldCertificate, Failure> {
        let known = self.known();
        let certificate = known.local.clone().ok_or(Failure::NoCertificate("No certificate was sent to the peer."))?;
        Ok(HeldCertificate { certificate, store: None })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_by_hand() -> Failure {
    Failure::BadArguments("The security context is that of a channel, which drives it by itself.".to_owned())
}

/// The handle of a channel's context, good as long as the channel.
#[derive(Debug)]
pub(crate) struct ContextHandle {
    name: String,
}

impl ContextHandle {
    pub(crate) fn name(&self) -> String {
        self.name.clone()
    }
}

impl Drop for ContextHandle {
    fn drop(&mut self) {
        let _ = handles::release::<Arc<Context>>(&self.name);
    }
}

impl State {
    /// Most channels never need a handle to their context, so it is made when asked for.
    pub(crate) fn ensure_context_handle(&mut self) {
        if self.context_handle.is_none() {
            self.context_handle = Some(ContextHandle { name: handles::hold(Arc::clone(&self.context)) });
        }
    }

    /// The handle's name.
    pub(crate) fn context_name(&mut self) -> String {
        self.ensure_context_handle();
        self.context_handle.as_ref().map_or_else(String::new, ContextHandle::name)
    }
}
