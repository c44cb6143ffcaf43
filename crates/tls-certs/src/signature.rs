//! Signatures that are checked outside of a chain.

use crate::certificate::Certificate;
use crate::{der, encode, rustls_verifier};

/// Whether the key `public_key_info` (DER `SubjectPublicKeyInfo`) made the
/// signature of `message`, by the algorithm of this OID. Not if the algorithm
/// is not known.
pub(crate) fn fits(public_key_info: &[u8], algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
    // The verifiers are told apart by DER algorithm identifiers, without their header.
    let Some((info, _)) = der::split(public_key_info) else { return false };
    fits_key(info.value, &encode::oid(algorithm).unwrap_or_default(), message, signature)
}

/// The same with what is inside the `SubjectPublicKeyInfo`, and the encoded
/// OID.
pub(crate) fn fits_key(public_key_info: &[u8], algorithm: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let mut parts = der::Elements::new(public_key_info);
    let (Some(key_algorithm), Some(key)) = (parts.next(), parts.next()) else { return false };
    let Some(key) = key.value.get(1..) else { return false };
    let provider = rustls_verifier::provider();
    let all = provider.signature_verification_algorithms.all.iter();
    let mut fitting = all.filter(|candidate| {
        candidate.public_key_alg_id().as_ref() == key_algorithm.value
            && der::first_element(&candidate.signature_alg_id()) == Some(algorithm)
    });
    fitting.any(|candidate| candidate.verify_signature(key, message, signature).is_ok())
}

/// Whether the key with these contents of its `SubjectPublicKeyInfo` signed a
/// certificate.
pub(crate) fn is_certified_by(cert: &Certificate, public_key_info: &[u8]) -> bool {
    let fits = cert.parsed(|parsed| {
        let algorithm = encode::oid(&parsed.signature_algorithm.algorithm.to_id_string()).unwrap_or_default();
        fits_key(public_key_info, &algorithm, parsed.tbs_certificate.as_ref(), &parsed.signature_value.data)
    });
    fits.unwrap_or(false)
}
