//! Security contexts: what a script may ask about a connection's certificates, also after the connection is gone.

use std::sync::{Arc, Mutex, PoisonError};

use tls_certs::{CertStore, Certificate, Identity};

use crate::failure::Failure;
use crate::handles::{self, HeldCertificate};
use crate::state::State;

/// What is known of the two sides' certificates.
#[derive(Debug, Default)]
pub(crate) struct Context {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Leaf first.
    peer: Vec<Vec<u8>>,
    local: Option<Certificate>,
}

impl Context {
    /// Notes what the session knows by now.
    pub(crate) fn note<C: AsRef<[u8]>>(&self, peer: &[C], local: Option<&Identity>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.peer = peer.iter().map(|certificate| certificate.as_ref().to_vec()).collect();
        known.local = local.map(|identity| identity.certificate().clone());
    }

    /// The peer's certificate, with what it sent along as its store.
    ///
    /// # Errors
    /// The peer has none, or it cannot be read.
    pub(crate) fn peer_certificate(&self) -> Result<HeldCertificate, Failure> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
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
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let certificate = known.local.clone().ok_or(Failure::NoCertificate("No certificate was sent to the peer."))?;
        Ok(HeldCertificate { certificate, store: None })
    }
}

/// A handle to a channel's context, good as long as the channel.
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
