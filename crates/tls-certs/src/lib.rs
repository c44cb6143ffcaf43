//! Certificates, private keys, certificate stores, trust anchors and their
//! verification, for TLS sessions on rustls.
//!
//! Nothing here knows a network or a scripting language. The only I/O is the
//! reading of the platform's trust anchors ([`TrustAnchors::platform`]).
//!
//! A [`Certificate`] is parsed once and shared; a [`CertStore`] reads PEM and
//! PFX; an [`Identity`] is what one side of a session presents;
//! [`verify_server`] and [`verify_client`] judge what the other side
//! presented, and [`server_verifier`] and its companions put that judgement,
//! or its postponement, into a rustls configuration.
#![forbid(unsafe_code)]

mod anchors;
mod certificate;
mod datetime;
mod der;
mod error;
mod general_name;
mod identity;
mod key;
mod kx_p521;
mod name;
mod peer_name;
mod pem;
mod pfx;
mod rustls_error;
mod rustls_verifier;
mod store;
#[cfg(test)]
mod testing;
mod verify;
mod verify_error;

pub use anchors::TrustAnchors;
/// A moment in time, as verification takes it.
pub use rustls::pki_types::UnixTime;
pub use certificate::{BasicConstraints, Certificate, Extension, PublicKeyInfo, Validity};
pub use error::CertError;
pub use general_name::GeneralName;
pub use identity::Identity;
pub use key::PrivateKey;
pub use name::{Attribute, Name};
pub use peer_name::{PeerName, PeerNameError};
pub use rustls_error::verify_failure;
pub use rustls_verifier::{ClientCertPolicy, client_verifier, deferred_server_verifier, provider, server_verifier};
pub use store::{CertStore, Search};
pub use verify::{verify_client, verify_server};
pub use verify_error::VerifyError;
