//! What one side of a session presents.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use webpki::EndEntityCert;

use crate::certificate::Certificate;
use crate::error::CertError;
use crate::ocsp::OcspResponse;
use crate::rustls_verifier;

/// No chain in use is longer, and no verifier follows it further.
const LONGEST_CHAIN: usize = 12;

/// A certificate with its private key and the intermediates to send along.
#[derive(Clone)]
pub struct Identity {
    certificate: Certificate,
    chain: Vec<CertificateDer<'static>>,
    certified: Arc<CertifiedKey>,
}

impl Identity {
    /// Makes an identity of a certificate whose private key is known.
    ///
    /// The intermediates are looked for among `companions`, which may hold
    /// anything, in any order. A root is not sent: who trusts it has it.
    pub fn new(cert: &Certificate, companions: &[Certificate]) -> Result<Self, CertError> {
        let key = cert.private_key().ok_or(CertError::NoPrivateKey)?;
        let chain: Vec<_> = chain_of(cert, companions).iter().map(|c| c.der().clone()).collect();
        let certified = CertifiedKey::new(chain.clone(), Arc::clone(key.signing_key()));
        Ok(Self { certificate: cert.clone(), chain, certified: Arc::new(certified) })
    }

    /// The same with an OCSP response about the certificate, which a server
    /// sends to clients that ask for it (RFC 6066, section 8); `None` sends
    /// none.
    #[must_use]
    pub fn with_ocsp(&self, response: Option<&OcspResponse>) -> Self {
        let mut certified = CertifiedKey::clone(&self.certified);
        certified.ocsp = response.map(|response| response.der().to_vec());
        Self { certified: Arc::new(certified), ..self.clone() }
    }

    /// The certificate itself.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The certificate and its intermediates, in the order in which they are
    /// sent (RFC 8446, section 4.4.2).
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The same in the type that rustls asks for.
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificate", &self.certificate)
            .field("chain_length", &self.chain.len())
            .finish_non_exhaustive()
    }
}

/// `cert` and what leads from it towards a root, which is not in it.
pub(crate) fn chain_of(cert: &Certificate, companions: &[Certificate]) -> Vec<Certificate> {
    let mut chain = vec![cert.clone()];
    let mut last = cert.clone();
    while !last.is_self_issued() && chain.len() < LONGEST_CHAIN {
        let issuers = companions.iter().filter(|c| !chain.contains(c));
        let issuers = issuers.filter(|issuer| may_have_issued(issuer, &last));
        // Of several, e.g. a renewed one, the one that is valid longest.
        let Some(issuer) = issuers.max_by_key(|c| c.validity().not_after) else {
            break;
        };
        if issuer.is_self_issued() {
            break;
        }
        chain.push(issuer.clone());
        last = issuer.clone();
    }
    chain
}

/// Whether `issuer` is the issuer of `cert` by name, key identifier and, where
/// the algorithm is known, signature.
pub(crate) fn may_have_issued(issuer: &Certificate, cert: &Certificate) -> bool {
    if issuer.subject() != cert.issuer() {
        return false;
    }
    if let (Some(wanted), Some(present)) = (cert.authority_key_id(), issuer.subject_key_id())
        && wanted != present
    {
        return false;
    }
    signature_fits(issuer, cert).unwrap_or(true)
}

/// Whether the key of `issuer` made the signature of `cert`; `None` if that
/// cannot be told.
pub(crate) fn signature_fits(issuer: &Certificate, cert: &Certificate) -> Option<bool> {
    let issuer = EndEntityCert::try_from(issuer.der()).ok()?;
    cert.parsed(|parsed| {
        let message = parsed.tbs_certificate.as_ref();
        let signature = &parsed.signature_value.data;
        let provider = rustls_verifier::provider();
        let mut known = false;
        for algorithm in provider.signature_verification_algorithms.all {
            match issuer.verify_signature(*algorithm, message, signature) {
                Ok(()) => return Some(true),
                Err(webpki::Error::InvalidSignatureForPublicKey) => known = true,
                Err(_) => {}
            }
        }
        known.then_some(false)
    })?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{Ca, ca_params, leaf_params, self_signed};

    fn subjects(identity: &Identity) -> Vec<String> {
        let certificates = identity.chain().iter();
        let certificates = certificates.map(|der| Certificate::from_der(der).unwrap());
        certificates.map(|c| c.subject().simple_display()).collect()
    }

    #[test]
    fn chain_in_order() {
        let root = Ca::root("root");
        let one = root.intermediate("one");
        let two = one.intermediate("two");
        let leaf = two.leaf(&["a.example"]);
        let unrelated = Ca::root("unrelated").intermediate("other");
        let mut companions = vec![
            root.certificate.clone(),
            one.certificate.clone(),
            unrelated.certificate.clone(),
            leaf.clone(),
            two.certificate.clone(),
        ];
        for _ in 0..companions.len() {
            companions.rotate_left(1);
            let identity = Identity::new(&leaf, &companions).unwrap();
            assert_eq!(subjects(&identity), ["leaf", "two", "one"]);
            assert_eq!(identity.certificate(), &leaf);
            assert_eq!(identity.certified_key().cert, identity.chain());
            assert!(identity.certified_key().keys_match().is_ok());
        }
        let alone = Identity::new(&leaf, &[]).unwrap();
        assert_eq!(subjects(&alone), ["leaf"]);
        let gap = Identity::new(&leaf, std::slice::from_ref(&one.certificate)).unwrap();
        assert_eq!(subjects(&gap), ["leaf"]);
    }

    #[test]
    fn issuers_of_the_same_name() {
        let root = Ca::root("root");
        let right = root.intermediate("between");
        let leaf = right.leaf(&["a.example"]);
        let mut params = ca_params("between");
        // Neither the name nor, if it is faked, the key identifier decides.
        params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(right.certificate.subject_key_id().unwrap());
        params.not_after = params.not_after.saturating_add(time::Duration::days(99));
        let wrong = root.intermediate_of(params);
        let companions = [wrong.certificate.clone(), right.certificate.clone()];
        let identity = Identity::new(&leaf, &companions).unwrap();
        assert_eq!(identity.chain()[1], *right.certificate.der());
    }

    #[test]
    fn the_longer_valid_of_two() {
        let root = Ca::root("root");
        let old = root.intermediate("between");
        let mut params = ca_params("between");
        params.not_after = params.not_after.saturating_add(time::Duration::days(99));
        let renewed = root.sign(&params, &old.key);
        let leaf = old.leaf(&["a.example"]);
        for companions in [[old.certificate.clone(), renewed.clone()], [renewed.clone(), old.certificate.clone()]] {
            let identity = Identity::new(&leaf, &companions).unwrap();
            assert_eq!(identity.chain(), [leaf.der().clone(), renewed.der().clone()]);
        }
    }

    #[test]
    fn circles_end() {
        let a = Ca::root("a");
        let b = a.intermediate("b");
        let a_by_b = b.sign(&ca_params("a"), &a.key);
        let leaf = b.leaf(&["a.example"]);
        let companions = [b.certificate.clone(), a_by_b, leaf.clone()];
        let identity = Identity::new(&leaf, &companions).unwrap();
        assert_eq!(subjects(&identity), ["leaf", "b", "a"]);
    }

    #[test]
    fn self_signed_goes_alone() {
        let certificate = self_signed(&leaf_params(&["a.example"]));
        let identity = Identity::new(&certificate, std::slice::from_ref(&certificate)).unwrap();
        assert_eq!(identity.chain().len(), 1);
        assert!(format!("{identity:?}").contains("secret"));
    }

    #[test]
    fn no_key() {
        let root = Ca::root("root");
        let error = Identity::new(&root.certificate, &[]).unwrap_err();
        assert_eq!(error, CertError::NoPrivateKey);
    }
}
