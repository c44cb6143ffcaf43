//! Trust anchors: whom a chain of certificates may end at.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest;
use rustls::DistinguishedName;
use rustls::pki_types::{CertificateDer, TrustAnchor};

use crate::certificate::{Certificate, fingerprint};
use crate::error::CertError;

/// A set of trusted roots.
///
/// A self-issued certificate of the set is also trusted as what it is: a
/// server may present it itself.
#[derive(Clone, Default)]
pub struct TrustAnchors {
    anchors: Vec<TrustAnchor<'static>>,
    fingerprints: HashSet<[u8; 32]>,
}

impl TrustAnchors {
    /// The roots that the platform trusts, or those that the environment
    /// variables `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    ///
    /// They are read when first asked for and then kept, until one of the two
    /// variables changes. What cannot be read or parsed is left out; the set
    /// is empty if nothing remains.
    pub fn platform() -> Arc<Self> {
        static CACHE: Cache = Cache::new();
        CACHE.get(Source::current(), Self::load)
    }

    /// The given certificates as roots. They need not be self-signed.
    pub fn from_certificates(certificates: &[Certificate]) -> Result<Arc<Self>, CertError> {
        Self::default().with_additional(certificates)
    }

    /// These roots and the given certificates.
    pub fn with_additional(&self, certificates: &[Certificate]) -> Result<Arc<Self>, CertError> {
        let mut all = self.clone();
        for certificate in certificates {
            all.insert(certificate.der())?;
        }
        Ok(Arc::new(all))
    }

    /// No roots: no certificate is trusted.
    pub fn empty() -> Arc<Self> {
        Arc::default()
    }

    /// How many roots there are.
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Whether there is no root.
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// A digest (SHA-256) of which certificates are in the set, the same for equal sets.
    pub fn digest(&self) -> [u8; 32] {
        let mut all: Vec<[u8; 32]> = self.fingerprints.iter().copied().collect();
        all.sort_unstable();
        fingerprint(&digest::SHA256, all.as_flattened())
    }

    pub(crate) fn as_slice(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// Whether this very certificate is one of the set.
    pub(crate) fn contains(&self, der: &CertificateDer<'_>) -> bool {
        !self.fingerprints.is_empty() && self.fingerprints.contains(&sha256(der))
    }

    /// These roots and one more.
    pub(crate) fn and(&self, certificate: &Certificate) -> Result<Self, CertError> {
        let mut all = self.clone();
        all.insert(certificate.der())?;
        Ok(all)
    }

    pub(crate) fn subjects(&self) -> Vec<DistinguishedName> {
        let subjects = self.anchors.iter().map(|anchor| &anchor.subject);
        subjects.map(|s| DistinguishedName::in_sequence(s)).collect()
    }

    fn load() -> Self {
        let mut anchors = Self::default();
        for certificate in native_certificates() {
            // Public bundles hold a few certificates that no parser likes.
            let _unparsable = anchors.insert(&certificate);
        }
        anchors
    }

    fn insert(&mut self, der: &CertificateDer<'_>) -> Result<(), CertError> {
        let anchor = webpki::anchor_from_trusted_cert(der)
            .map_err(|e| CertError::encoding("root certificate", format_args!("{e:?}")))?;
        if self.fingerprints.insert(sha256(der)) {
            self.anchors.push(anchor.to_owned());
        }
        Ok(())
    }
}

impl fmt::Debug for TrustAnchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustAnchors({})", self.anchors.len())
    }
}

/// The platform's roots, or those that the environment names, read now.
pub(crate) fn native_certificates() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

/// The platform's roots as last read, and where they were read from.
struct Cache {
    latest: Mutex<Option<(Source, Arc<TrustAnchors>)>>,
}

impl Cache {
    const fn new() -> Self {
        Self { latest: Mutex::new(None) }
    }

    /// The roots of `source`, by `load` if they are not at hand. Who asks
    /// meanwhile waits, as reading them twice would take longer.
    fn get(&self, source: Source, load: impl FnOnce() -> TrustAnchors) -> Arc<TrustAnchors> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        match &*latest {
            Some((of, anchors)) if *of == source => Arc::clone(anchors),
            _ => {
                let anchors = Arc::new(load());
                *latest = Some((source, Arc::clone(&anchors)));
                anchors
            }
        }
    }
}

/// Where the platform's roots come from.
#[derive(PartialEq, Eq)]
struct Source {
    file: Option<OsString>,
    directories: Option<OsString>,
}

impl Source {
    fn current() -> Self {
        Self { file: std::env::var_os("SSL_CERT_FILE"), directories: std::env::var_os("SSL_CERT_DIR") }
    }
}

fn sha256(der: &CertificateDer<'_>) -> [u8; 32] {
    fingerprint(&digest::SHA256, der)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::process::Command;

    use super::*;
    use crate::testing::{Ca, TempDir};

    #[test]
    fn sets() {
        let (a, b) = (Ca::root("a").certificate, Ca::root("b").certificate);
        assert!(TrustAnchors::empty().is_empty());
        let one = TrustAnchors::from_certificates(std::slice::from_ref(&a)).unwrap();
        let two = one.with_additional(&[b.clone(), a.clone()]).unwrap();
        assert_eq!((one.len(), two.len()), (1, 2));
        let other_way = TrustAnchors::from_certificates(&[b.clone(), a.clone()]).unwrap();
        assert_eq!(two.digest(), other_way.digest());
        assert_ne!(one.digest(), two.digest());
        assert!(one.contains(a.der()) && !one.contains(b.der()));
        assert!(two.contains(a.der()) && two.contains(b.der()));
        let subjects: Vec<Vec<u8>> = two.subjects().iter().map(|s| s.as_ref().to_vec()).collect();
        assert_eq!(subjects, [a.subject().der(), b.subject().der()]);
    }

    #[test]
    fn kept_until_the_source_changes() {
        let cache = Cache::new();
        let source = |file: Option<&str>| Source { file: file.map(OsString::from), directories: None };
        let get = |file| cache.get(source(file), TrustAnchors::default);
        let first = get(None);
        assert!(Arc::ptr_eq(&first, &get(None)));
        let second = get(Some("file"));
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&second, &get(Some("file"))));
        assert!(!Arc::ptr_eq(&second, &get(None)));
    }

    /// How many roots a process sees whose environment is as given.
    fn count(variable: &str, value: &std::path::Path) -> String {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "anchors::tests::child"])
            .env_remove("SSL_CERT_FILE")
            .env_remove("SSL_CERT_DIR")
            .env(variable, value)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.split("roots: ").nth(1).expect("the child's answer");
        line.split_whitespace().next().unwrap().to_owned()
    }

    #[test]
    fn the_environment_is_heard() {
        let dir = TempDir::new();
        let (a, b) = (Ca::root("a").certificate, Ca::root("b").certificate);
        let unreadable = crate::pem::encode("CERTIFICATE", b"no certificate");
        dir.write("two.pem", a.to_pem() + &unreadable + &b.to_pem());
        dir.write("none.pem", "nothing at all");
        let file = |name: &str| count("SSL_CERT_FILE", &dir.path().join(name));
        assert_eq!(file("two.pem"), "2");
        assert_eq!(file("none.pem"), "0");
        assert_eq!(file("missing.pem"), "0");
        assert_eq!(count("SSL_CERT_DIR", dir.path()), "2");
    }

    #[test]
    #[ignore = "a part of the_environment_is_heard"]
    fn child() {
        let anchors = TrustAnchors::platform();
        assert!(Arc::ptr_eq(&anchors, &TrustAnchors::platform()));
        println!("roots: {} ", anchors.len());
    }
}
