//! Collections of certificates.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::certificate::Certificate;
use crate::error::CertError;
use crate::key::PrivateKey;
use crate::{pem, pfx};

/// A collection of certificates in memory, some with their private keys.
///
/// Clones share their contents, across threads too.
#[derive(Clone, Default)]
pub struct CertStore {
    contents: Arc<Mutex<Vec<Certificate>>>,
}

/// What to look for in a [`CertStore`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Search {
    /// Any certificate.
    Any,
    /// Part of the subject's text form, in any case.
    Subject(String),
    /// The whole subject in its text form, as
    /// [`Name::x500`](crate::Name::x500) or
    /// [`Name::rfc4514`](crate::Name::rfc4514) write it.
    SubjectName(String),
    /// Part of the issuer's text form, in any case.
    Issuer(String),
    /// The whole issuer in its text form.
    IssuerName(String),
    /// The SHA-1 of the encoding.
    Sha1([u8; 20]),
    /// The SHA-256 of the encoding.
    Sha256([u8; 32]),
    /// The value of the subject key identifier extension.
    KeyIdentifier(Vec<u8>),
    /// A certificate whose private key is known.
    PrivateKey,
    /// The same certificate, byte by byte.
    Existing(Certificate),
}

impl CertStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads all certificates and private keys of a PEM text, in any order.
    ///
    /// Each key is attached to the certificates that it belongs to; one that
    /// belongs to none is a [`CertError::KeyMismatch`]. `password` is used
    /// for encrypted keys.
    pub fn from_pem(text: &[u8], password: Option<&str>) -> Result<Self, CertError> {
        let mut certificates = Vec::new();
        let mut keys = Vec::new();
        for block in pem::blocks(text)? {
            if let Some(certificate) = Certificate::from_block(&block)? {
                certificates.push(certificate);
            } else if let Some(key) = PrivateKey::from_block(&block, password)? {
                keys.push(key);
            }
        }
        Self::assemble(certificates, &keys)
    }

    /// Reads all certificates and private keys of a PFX file (PKCS#12,
    /// RFC 7292): encrypted by AES with PBES2, or by RC2 or triple DES as old
    /// programs do, or not at all.
    ///
    /// A file whose key derivation would take absurdly long is refused.
    pub fn from_pfx(bytes: &[u8], password: &str) -> Result<Self, CertError> {
        let (certificates, keys) = pfx::read(bytes, password)?;
        Self::assemble(certificates, &keys)
    }

    /// Adds a certificate. If the same one is there already it stays once,
    /// with the private key of whichever has one.
    pub fn add(&self, certificate: Certificate) {
        add_to(&mut self.lock(), certificate);
    }

    /// Removes a certificate and says whether it was there.
    pub fn remove(&self, certificate: &Certificate) -> bool {
        let mut contents = self.lock();
        let before = contents.len();
        contents.retain(|c| c != certificate);
        contents.len() < before
    }

    /// All certificates in the order in which they were added.
    pub fn contents(&self) -> Vec<Certificate> {
        self.lock().clone()
    }

    /// The first certificate that fits `search` and comes behind `after`, or
    /// the first of all if `after` is `None`.
    ///
    /// Nothing comes behind a certificate that is not in the store.
    pub fn find(&self, search: &Search, after: Option<&Certificate>) -> Option<Certificate> {
        let contents = self.lock();
        let start = match after {
            Some(after) => contents.iter().position(|c| c == after)? + 1,
            None => 0,
        };
        let mut candidates = contents.iter().skip(start);
        candidates.find(|c| search.fits(c)).cloned()
    }

    /// How many certificates there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is no certificate.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn assemble(certificates: Vec<Certificate>, keys: &[PrivateKey]) -> Result<Self, CertError> {
        if certificates.is_empty() {
            return Err(CertError::NoCertificate);
        }
        if !keys.iter().all(|key| certificates.iter().any(|c| c.matches(key))) {
            return Err(CertError::KeyMismatch);
        }
        let mut contents = Vec::with_capacity(certificates.len());
        for certificate in certificates {
            let certificate = match keys.iter().find(|key| certificate.matches(key)) {
                Some(key) => certificate.with_private_key(key.clone())?,
                None => certificate,
            };
            add_to(&mut contents, certificate);
        }
        Ok(Self { contents: Arc::new(Mutex::new(contents)) })
    }

    /// No operation leaves the contents half changed, so a panic elsewhere
    /// while they were locked does no harm.
    fn lock(&self) -> MutexGuard<'_, Vec<Certificate>> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CertStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lock().iter()).finish()
    }
}

impl Search {
    fn fits(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Any => true,
            Self::Subject(part) => contains(&certificate.subject().x500(), part),
            Self::Issuer(part) => contains(&certificate.issuer().x500(), part),
            Self::SubjectName(name) => is_named(certificate.subject(), name),
            Self::IssuerName(name) => is_named(certificate.issuer(), name),
            Self::Sha1(hash) => certificate.sha1_thumbprint() == *hash,
            Self::Sha256(hash) => certificate.sha256_thumbprint() == *hash,
            Self::KeyIdentifier(id) => certificate.subject_key_id().as_ref() == Some(id),
            Self::PrivateKey => certificate.private_key().is_some(),
            Self::Existing(other) => certificate == other,
        }
    }
}

fn add_to(contents: &mut Vec<Certificate>, certificate: Certificate) {
    match contents.iter_mut().find(|c| **c == certificate) {
        Some(present) if present.private_key().is_none() => *present = certificate,
        Some(_) => {}
        None => contents.push(certificate),
    }
}

fn contains(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}

fn is_named(name: &crate::Name, text: &str) -> bool {
    name.x500() == text || name.rfc4514() == text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rcgen::KeyPair;

    use super::*;
    use crate::testing::{Ca, Noise, leaf_params, self_signed, with_key};

    fn key_pem(certificate: &Certificate) -> String {
        let key = certificate.private_key().unwrap();
        pem::encode("PRIVATE KEY", key.secret_der().secret_der())
    }

    #[test]
    fn pem_in_any_order() {
        let ca = Ca::root("root");
        let (a, b) = (ca.leaf(&["a.example"]), ca.leaf(&["b.example"]));
        let parts = [a.to_pem(), b.to_pem(), ca.certificate.to_pem(), key_pem(&a), key_pem(&b)];
        for rotation in 0..parts.len() {
            for reversed in [false, true] {
                let mut parts = parts.clone();
                parts.rotate_left(rotation);
                if reversed {
                    parts.reverse();
                }
                let text = parts.join("Bag Attributes\n    friendlyName: x\n");
                let store = CertStore::from_pem(text.as_bytes(), None).unwrap();
                assert_eq!(store.len(), 3);
                for certificate in store.contents() {
                    assert_eq!(certificate.private_key().is_some(), certificate != ca.certificate);
                }
            }
        }
    }

    #[test]
    fn keys_without_certificates() {
        let ca = Ca::root("root");
        let (a, b) = (ca.leaf(&["a.example"]), ca.leaf(&["b.example"]));
        let from = |text: String| CertStore::from_pem(text.as_bytes(), None).map(|s| s.len());
        assert_eq!(from(a.to_pem() + &key_pem(&b)), Err(CertError::KeyMismatch));
        assert_eq!(from(a.to_pem() + &key_pem(&a) + &key_pem(&b)), Err(CertError::KeyMismatch));
        assert_eq!(from(key_pem(&a)), Err(CertError::NoCertificate));
        assert_eq!(from(String::new()), Err(CertError::NoCertificate));
        assert_eq!(from(a.to_pem()), Ok(1));
    }

    #[test]
    fn one_key_for_two_certificates() {
        let ca = Ca::root("root");
        let key = KeyPair::generate().unwrap();
        let old = with_key(&ca.sign(&leaf_params(&["a.example"]), &key), &key);
        let new = ca.sign(&leaf_params(&["a.example", "b.example"]), &key);
        let text = old.to_pem() + &new.to_pem() + &key_pem(&old);
        let store = CertStore::from_pem(text.as_bytes(), None).unwrap();
        assert!(store.contents().iter().all(|c| c.private_key().is_some()));
    }

    #[test]
    fn add_and_remove() {
        let certificate = self_signed(&leaf_params(&["a.example"]));
        let bare = Certificate::from_der(certificate.der()).unwrap();
        let store = CertStore::new();
        assert!(store.is_empty());
        store.add(bare.clone());
        let shared = store.clone();
        shared.add(certificate.clone());
        shared.add(bare.clone());
        assert_eq!(store.len(), 1);
        assert!(store.contents()[0].private_key().is_some());
        assert!(store.remove(&bare));
        assert!(!store.remove(&bare));
        assert!(shared.is_empty());
    }

    #[test]
    fn find() {
        let ca = Ca::root("Some Root");
        let leaf = ca.leaf(&["a.example"]);
        let other = self_signed(&leaf_params(&["b.example"]));
        let store = CertStore::new();
        for certificate in [&ca.certificate, &leaf, &other] {
            store.add(certificate.clone());
        }
        let all = |search: Search| {
            let mut found = Vec::new();
            while let Some(next) = store.find(&search, found.last()) {
                found.push(next);
            }
            found
        };
        let root = ca.certificate.clone();
        let text = str::to_owned;
        for (search, found) in [
            (Search::Any, vec![&root, &leaf, &other]),
            (Search::Subject(text("some ROOT")), vec![&root]),
            (Search::Subject(text("leaf")), vec![&leaf, &other]),
            (Search::Subject(text("")), vec![&root, &leaf, &other]),
            (Search::SubjectName(text("CN=Some Root")), vec![&root]),
            (Search::SubjectName(text("CN=Some")), vec![]),
            (Search::Issuer(text("root")), vec![&root, &leaf]),
            (Search::IssuerName(text("CN=Some Root")), vec![&root, &leaf]),
            (Search::Sha1(leaf.sha1_thumbprint()), vec![&leaf]),
            (Search::Sha256(other.sha256_thumbprint()), vec![&other]),
            (Search::KeyIdentifier(root.subject_key_id().unwrap()), vec![&root]),
            (Search::PrivateKey, vec![&leaf, &other]),
            (Search::Existing(leaf.clone()), vec![&leaf]),
        ] {
            assert_eq!(all(search.clone()).iter().collect::<Vec<_>>(), found, "{search:?}");
        }
        let stranger = self_signed(&leaf_params(&["c.example"]));
        assert_eq!(store.find(&Search::Any, Some(&stranger)), None);
    }

    #[test]
    fn secrets_are_not_shown() {
        let certificate = self_signed(&leaf_params(&["a.example"]));
        let store = CertStore::new();
        store.add(certificate);
        assert!(format!("{store:?}").contains("PrivateKey(ECDSA, secret)"));
    }

    #[test]
    fn damaged_pem() {
        let certificate = self_signed(&leaf_params(&["a.example"]));
        let text = certificate.to_pem() + &key_pem(&certificate);
        let mut noise = Noise::new(5);
        for _ in 0..2000 {
            let _ = CertStore::from_pem(&noise.damage(text.as_bytes()), None);
            let length = noise.below(300);
            assert!(CertStore::from_pem(&noise.bytes(length), None).is_err());
        }
    }
}
