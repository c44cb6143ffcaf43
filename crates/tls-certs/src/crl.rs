//! Certificate revocation lists (RFC 5280, section 5).

use std::fmt;
use std::sync::Arc;

use webpki::{CertRevocationList, OwnedCertRevocationList};

use crate::der::{self, SEQUENCE};
use crate::error::CertError;
use crate::name::Name;
use crate::{datetime, encode, pem, signature};

const WHAT: &str = "certificate revocation list";
/// The largest public lists have some 30 MB.
const LARGEST: usize = 64 << 20;

/// A list of certificates that their issuer has revoked. Its signature is
/// checked when it is used. Cheap to clone.
#[derive(Clone)]
pub struct RevocationList {
    inner: Arc<Inner>,
}

struct Inner {
    der: Vec<u8>,
    issuer: Name,
    /// When it was issued, and when the next one will be at the latest, in
    /// seconds since 1970-01-01 00:00:00 UTC.
    updated: i64,
    next_update: i64,
    indexed: CertRevocationList<'static>,
}

impl RevocationList {
    /// Reads a list in DER.
    pub fn from_der(der: &[u8]) -> Result<Self, CertError> {
        if der.len() > LARGEST {
            return Err(CertError::encoding(WHAT, "it is too large"));
        }
        let indexed = OwnedCertRevocationList::from_der(der).map_err(|e| CertError::encoding(WHAT, e))?;
        let indexed = CertRevocationList::from(indexed);
        // The parser takes the header off.
        let issuer = Name::from_der(&encode::element(SEQUENCE, indexed.issuer()))?;
        let (updated, next_update) =
            times(der).ok_or_else(|| CertError::encoding(WHAT, "it does not say for what time it is"))?;
        Ok(Self { inner: Arc::new(Inner { der: der.to_vec(), issuer, updated, next_update, indexed }) })
    }

    /// Reads the first list of a PEM text.
    pub fn from_pem(text: &[u8]) -> Result<Self, CertError> {
        for block in pem::blocks(text)? {
            if let Some(list) = Self::from_block(&block)? {
                return Ok(list);
            }
        }
        Err(CertError::encoding(WHAT, "the PEM text has no X509 CRL"))
    }

    /// The encoding.
    pub fn der(&self) -> &[u8] {
        &self.inner.der
    }

    /// The encoding as PEM text.
    pub fn to_pem(&self) -> String {
        pem::encode("X509 CRL", &self.inner.der)
    }

    /// Whose certificates it is about.
    pub fn issuer(&self) -> &Name {
        &self.inner.issuer
    }

    /// When it was issued, in seconds since 1970-01-01 00:00:00 UTC.
    pub(crate) fn updated(&self) -> i64 {
        self.inner.updated
    }

    /// When there will be a newer one at the latest, likewise.
    pub(crate) fn next_update(&self) -> i64 {
        self.inner.next_update
    }

    /// Whether the key with these contents of its `SubjectPublicKeyInfo`
    /// signed the list.
    pub(crate) fn is_signed_by(&self, public_key_info: &[u8]) -> bool {
        let Some((list, _)) = der::split(&self.inner.der) else { return false };
        let Some(message) = der::first_element(list.value) else { return false };
        let mut parts = list.children().skip(1);
        let (Some(algorithm), Some(signature)) = (parts.next(), parts.next()) else { return false };
        let (Some(oid), Some(signature)) = (der::first_element(algorithm.value), signature.value.get(1..)) else {
            return false;
        };
        signature::fits_key(public_key_info, oid, message, signature)
    }

    pub(crate) fn indexed(&self) -> &CertRevocationList<'static> {
        &self.inner.indexed
    }

    /// The list of a PEM block, `None` if the block is none.
    pub(crate) fn from_block(block: &pem::Block) -> Result<Option<Self>, CertError> {
        if block.label == "X509 CRL" { Self::from_der(&block.contents).map(Some) } else { Ok(None) }
    }
}

/// The times `thisUpdate` and `nextUpdate` (RFC 5280, section 5.1.2).
fn times(der: &[u8]) -> Option<(i64, i64)> {
    let (list, _) = der::split(der)?;
    let (information, _) = der::split(list.value)?;
    let mut times = information.children().filter(|e| matches!(e.tag, encode::UTC_TIME | encode::GENERALIZED_TIME));
    Some((datetime::seconds(times.next()?)?, datetime::seconds(times.next()?)?))
}

impl PartialEq for RevocationList {
    fn eq(&self, other: &Self) -> bool {
        self.inner.der == other.inner.der
    }
}

impl Eq for RevocationList {}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationList").field("issuer", &self.inner.issuer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{Ca, NOW, Noise};

    #[test]
    fn read_and_written() {
        let ca = Ca::root("root");
        let list = ca.revoke(&[&[1], &[2, 3]], NOW + 86_400);
        assert_eq!(list.issuer(), ca.certificate.subject());
        assert_eq!(RevocationList::from_pem(list.to_pem().as_bytes()).unwrap(), list);
        assert!(list.indexed().find_serial(&[2, 3]).unwrap().is_some());
        assert!(list.indexed().find_serial(&[2]).unwrap().is_none());
        assert_eq!((list.updated(), list.next_update()), (NOW - 3600, NOW + 86_400));
        assert!(RevocationList::from_pem(ca.certificate.to_pem().as_bytes()).is_err());
    }

    #[test]
    fn damaged() {
        let list = Ca::root("root").revoke(&[&[1], &[2, 3]], NOW + 86_400);
        for length in 0..list.der().len() {
            assert!(RevocationList::from_der(&list.der()[..length]).is_err());
        }
        let mut noise = Noise::new(13);
        for _ in 0..10_000 {
            let _ = RevocationList::from_der(&noise.damage(list.der()));
            let length = noise.below(300);
            assert!(RevocationList::from_der(&noise.bytes(length)).is_err());
        }
        assert!(RevocationList::from_der(&vec![0x30; LARGEST + 1]).is_err());
    }
}
