//! Collections of certificates.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use crate::certificate::Certificate;
use crate::crl::RevocationList;
use crate::error::CertError;
use crate::key::PrivateKey;
use crate::pfx_write::{self, PfxStrength};
use crate::{anchors, pem, pfx, pkcs7, serialized};

/// A collection of certificates in memory, some with their private keys, and
/// of revocation lists.
///
/// Clones share their contents, across threads too.
#[derive(Clone, Default)]
pub struct CertStore {
    contents: Arc<Mutex<Contents>>,
}

#[derive(Default)]
struct Contents {
    certificates: Vec<Certificate>,
    lists: Vec<RevocationList>,
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

    /// Reads all certificates, private keys and revocation lists of a PEM
    /// text, in any order; a `PKCS7` block counts for what is in it.
    ///
    /// Each key is attached to the certificates that it belongs to; one that
    /// belongs to none is a [`CertError::KeyMismatch`]. `password` is used
    /// for encrypted keys.
    pub fn from_pem(text: &[u8], password: Option<&str>) -> Result<Self, CertError> {
        let mut certificates = Vec::new();
        let mut keys = Vec::new();
        let mut lists = Vec::new();
        for block in pem::blocks(text)? {
            if let Some(certificate) = Certificate::from_block(&block)? {
                certificates.push(certificate);
            } else if let Some(key) = PrivateKey::from_block(&block, password)? {
                keys.push(key);
            } else if let Some(list) = RevocationList::from_block(&block)? {
                lists.push(list);
            } else if block.label == "PKCS7" {
                let (more, more_lists) = pkcs7::read(&block.contents)?;
                certificates.extend(more);
                lists.extend(more_lists);
            }
        }
        Self::assemble(certificates, &keys, lists)
    }

    /// Reads all certificates and private keys of a PFX file (PKCS#12,
    /// RFC 7292): encrypted by AES with PBES2, or by RC2 or triple DES as old
    /// programs do, or not at all.
    ///
    /// Certificates with their keys come first, then the others, each in the
    /// order of the file. A file whose key derivation would take absurdly long
    /// is refused.
    pub fn from_pfx(bytes: &[u8], password: &str) -> Result<Self, CertError> {
        let (mut certificates, keys) = pfx::read(bytes, password)?;
        certificates.sort_by_key(|certificate| !keys.iter().any(|key| certificate.matches(key)));
        Self::assemble(certificates, &keys, Vec::new())
    }

    /// Reads all certificates and revocation lists of PKCS#7 data (RFC 5652),
    /// in DER, or in PEM as a `PKCS7` block.
    ///
    /// What is signed in it, and by whom, is not looked at.
    pub fn from_pkcs7(bytes: &[u8]) -> Result<Self, CertError> {
        let (certificates, lists) = if bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
            let blocks = pem::blocks(bytes)?;
            let block = blocks.iter().find(|b| matches!(&*b.label, "PKCS7" | "CMS" | "PKCS #7 SIGNED DATA"));
            pkcs7::read(&block.ok_or_else(|| CertError::encoding("PEM text", "it has no PKCS7"))?.contents)?
        } else {
            pkcs7::read(bytes)?
        };
        Self::assemble(certificates, &[], lists)
    }

    /// Reads all certificates and revocation lists of a serialized store, as
    /// Windows saves one. Private keys are never in it. An empty one is read
    /// too.
    pub fn from_serialized(bytes: &[u8]) -> Result<Self, CertError> {
        let (certificates, lists) = serialized::read(bytes)?;
        if certificates.is_empty() && lists.is_empty() {
            return Ok(Self::new());
        }
        Self::assemble(certificates, &[], lists)
    }

    /// The roots that the platform trusts as certificates, read as
    /// [`TrustAnchors::platform`](crate::TrustAnchors::platform) does, but
    /// each time anew. Changing the store does not change the platform.
    pub fn platform() -> Self {
        let store = Self::new();
        for der in anchors::native_certificates() {
            // Public bundles hold a few certificates that no parser likes.
            if let Ok(certificate) = Certificate::from_der(&der) {
                store.add(certificate);
            }
        }
        store
    }

    /// The certificates as PEM text, then the revocation lists. Private keys
    /// are not in it.
    pub fn to_pem(&self) -> String {
        let contents = self.lock();
        let certificates = contents.certificates.iter().map(Certificate::to_pem);
        certificates.chain(contents.lists.iter().map(RevocationList::to_pem)).collect()
    }

    /// The same, with each certificate's private key behind it, enciphered if
    /// there is a password. To be handled as the secret that it is.
    pub fn to_pem_with_keys(&self, password: Option<&str>) -> Result<Zeroizing<String>, CertError> {
        let mut text = Zeroizing::new(String::new());
        for certificate in self.contents() {
            let key = certificate.private_key().map(|key| key.to_pem(password)).transpose()?;
            let key = key.as_ref().map_or("", |key| key.as_str());
            // Growing in place would leave an unwiped copy behind.
            text = Zeroizing::new([text.as_str(), &certificate.to_pem(), key].concat());
        }
        Ok(text)
    }

    /// The certificates and revocation lists as PKCS#7 in DER.
    pub fn to_pkcs7(&self) -> Vec<u8> {
        let contents = self.lock();
        pkcs7::write(&contents.certificates, &contents.lists)
    }

    /// The same as PEM text.
    pub fn to_pkcs7_pem(&self) -> String {
        pem::encode("PKCS7", &self.to_pkcs7())
    }

    /// The certificates and revocation lists as a serialized store, as Windows
    /// reads it. Private keys are not in it.
    pub fn to_serialized(&self) -> Vec<u8> {
        let contents = self.lock();
        serialized::write(&contents.certificates, &contents.lists)
    }

    /// Everything but the revocation lists as a PFX file (PKCS#12, RFC 7292).
    /// Private keys are in it if `with_keys`.
    pub fn to_pfx(&self, password: &str, with_keys: bool, strength: PfxStrength) -> Result<Vec<u8>, CertError> {
        pfx_write::write(&self.contents(), password, with_keys, strength)
    }

    /// Adds a revocation list. Of the lists of one issuer all are kept.
    pub fn add_revocation_list(&self, list: RevocationList) {
        let mut contents = self.lock();
        if !contents.lists.contains(&list) {
            contents.lists.push(list);
        }
    }

    /// All revocation lists, in the order in which they were added.
    pub fn revocation_lists(&self) -> Vec<RevocationList> {
        self.lock().lists.clone()
    }

    /// Adds a certificate. If the same one is there already it stays once,
    /// with the private key of whichever has one.
    pub fn add(&self, certificate: Certificate) {
        add_to(&mut self.lock().certificates, certificate);
    }

    /// Removes a certificate and says whether it was there.
    pub fn remove(&self, certificate: &Certificate) -> bool {
        let certificates = &mut self.lock().certificates;
        let before = certificates.len();
        certificates.retain(|c| c != certificate);
        certificates.len() < before
    }

    /// All certificates in the order in which they were added.
    pub fn contents(&self) -> Vec<Certificate> {
        self.lock().certificates.clone()
    }

    /// The first certificate that fits `search` and comes behind `after`, or
    /// the first of all if `after` is `None`.
    ///
    /// Nothing comes behind a certificate that is not in the store.
    pub fn find(&self, search: &Search, after: Option<&Certificate>) -> Option<Certificate> {
        let contents = &self.lock().certificates;
        let start = match after {
            Some(after) => contents.iter().position(|c| c == after)? + 1,
            None => 0,
        };
        let mut candidates = contents.iter().skip(start);
        candidates.find(|c| search.fits(c)).cloned()
    }

    /// How many certificates there are.
    pub fn len(&self) -> usize {
        self.lock().certificates.len()
    }

    /// Whether there is no certificate.
    pub fn is_empty(&self) -> bool {
        self.lock().certificates.is_empty()
    }

    fn assemble(
        certificates: Vec<Certificate>,
        keys: &[PrivateKey],
        lists: Vec<RevocationList>,
    ) -> Result<Self, CertError> {
        if certificates.is_empty() && (lists.is_empty() || !keys.is_empty()) {
            return Err(CertError::NoCertificate);
        }
        if !keys.iter().all(|key| certificates.iter().any(|c| c.matches(key))) {
            return Err(CertError::KeyMismatch);
        }
        let mut contents = Contents { certificates: Vec::with_capacity(certificates.len()), lists };
        for certificate in certificates {
            let certificate = match keys.iter().find(|key| certificate.matches(key)) {
                Some(key) => certificate.with_private_key(key.clone())?,
                None => certificate,
            };
            add_to(&mut contents.certificates, certificate);
        }
        Ok(Self { contents: Arc::new(Mutex::new(contents)) })
    }

    /// No operation leaves the contents half changed, so a panic elsewhere
    /// while they were locked does no harm.
    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CertStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lock().certificates.iter()).finish()
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
