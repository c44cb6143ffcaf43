//! Certificates, private keys, certificate stores, trust anchors and their
//! verification, for TLS sessions on rustls.
//!
//! Nothing here knows a network or a scripting language. The only I/O is the
//! reading of the platform's trust anchors ([`TrustAnchors::platform`]).
//!
//! A [`Certificate`] is parsed once and shared; a [`CertStore`] reads and
//! writes PEM, PFX and PKCS#7; a [`Template`] makes certificates and requests
//! for them; an [`Identity`] is what one side of a session presents;
//! [`verify_server`] and [`verify_client`] judge what the other side
//! presented, and [`server_verifier`] and its companions put that judgement,
//! or its postponement, into a rustls configuration. A [`Judgement`] is for
//! programs that judge themselves: faults to overlook, revocation lists, OCSP
//! responses.
#![forbid(unsafe_code)]

mod anchors;
mod certificate;
mod conceal;
mod crl;
mod datetime;
mod der;
mod encode;
mod error;
mod extension;
mod general_name;
mod identity;
mod judgement;
mod key;
mod key_make;
mod kx_p521;
mod name;
mod name_parse;
mod ocsp;
#[cfg(test)]
mod ocsp_testing;
mod peer_name;
mod pem;
mod pfx;
mod pfx_write;
mod pkcs7;
mod request;
mod revocation;
mod rustls_error;
mod rustls_verifier;
mod serialized;
mod shown;
mod signature;
mod store;
mod template;
#[cfg(test)]
mod testing;
mod untimely;
mod verify;
mod verify_error;

pub use anchors::TrustAnchors;
pub use certificate::{BasicConstraints, Certificate, Extension, PublicKeyInfo, Validity};
pub use conceal::{ConcealError, Password, conceal, reveal};
pub use crl::RevocationList;
pub use error::CertError;
pub use general_name::GeneralName;
pub use identity::Identity;
pub use judgement::{Fault, Judgement, RevocationCheck};
pub use key::PrivateKey;
pub use key_make::KeyType;
pub use name::{Attribute, Name};
pub use ocsp::OcspResponse;
pub use peer_name::{PeerName, PeerNameError};
pub use pfx_write::PfxStrength;
pub use request::CertificateRequest;
/// A moment in time, as verification takes it.
pub use rustls::pki_types::UnixTime;
pub use rustls_error::verify_failure;
pub use rustls_verifier::{ClientCertPolicy, client_verifier, deferred_server_verifier, provider, server_verifier};
pub use shown::shown;
pub use store::{CertStore, Search};
pub use template::Template;
pub use verify::{Purpose, verify_client, verify_server, verify_stapled_server};
pub use verify_error::VerifyError;
