//! Certificates for tests, all made when they are asked for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
};
use rustls::pki_types::UnixTime;
use time::OffsetDateTime;

use crate::{Certificate, PrivateKey, RevocationList};

/// 2025-06-01 00:00:00 UTC: when tests happen.
pub(crate) const NOW: i64 = 1_748_736_000;

const YEAR: i64 = 365 * 86_400;

/// [`NOW`] and `offset` seconds.
pub(crate) fn at(offset: i64) -> UnixTime {
    let seconds = u64::try_from(NOW + offset).unwrap();
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

pub(crate) fn now() -> UnixTime {
    at(0)
}

/// A certificate authority.
pub(crate) struct Ca {
    pub(crate) certificate: Certificate,
    pub(crate) key: KeyPair,
    params: CertificateParams,
}

impl Ca {
    /// A root, valid 10 years around [`NOW`].
    pub(crate) fn root(name: &str) -> Self {
        let params = ca_params(name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate: Certificate::from_der(certificate.der()).unwrap(), key, params }
    }

    /// An intermediate below this authority.
    pub(crate) fn intermediate(&self, name: &str) -> Self {
        self.intermediate_of(ca_params(name))
    }

    pub(crate) fn intermediate_of(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = self.sign(&params, &key);
        Self { certificate, key, params }
    }

    /// A certificate with its key, for servers and clients of these names.
    pub(crate) fn leaf(&self, names: &[&str]) -> Certificate {
        self.leaf_of(&leaf_params(names))
    }

    pub(crate) fn leaf_of(&self, params: &CertificateParams) -> Certificate {
        let key = KeyPair::generate().unwrap();
        with_key(&self.sign(params, &key), &key)
    }

    /// A list that revokes these serial numbers, good until `next`.
    pub(crate) fn revoke(&self, serials: &[&[u8]], next: i64) -> RevocationList {
        let time = |at| OffsetDateTime::from_unix_timestamp(at).unwrap();
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: serial.to_vec().into(),
            revocation_time: time(NOW - 3600),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: time(NOW - 3600),
            next_update: time(next),
            crl_number: vec![1].into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&Issuer::from_params(&self.params, &self.key)).unwrap();
        RevocationList::from_der(list.der()).unwrap()
    }

    pub(crate) fn sign(&self, params: &CertificateParams, key: &KeyPair) -> Certificate {
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(key, &issuer).unwrap();
        Certificate::from_der(certificate.der()).unwrap()
    }
}

/// A certificate that signed itself, with its key.
pub(crate) fn self_signed(params: &CertificateParams) -> Certificate {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    with_key(&Certificate::from_der(certificate.der()).unwrap(), &key)
}

pub(crate) fn with_key(certificate: &Certificate, key: &KeyPair) -> Certificate {
    let key = PrivateKey::from_der(&key.serialize_der()).unwrap();
    certificate.with_private_key(key).unwrap()
}

/// Parameters of a leaf, valid one year before and after [`NOW`].
pub(crate) fn leaf_params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "leaf");
    params.use_authority_key_identifier_extension = true;
    params.not_before = OffsetDateTime::from_unix_timestamp(NOW - YEAR).unwrap();
    params.not_after = OffsetDateTime::from_unix_timestamp(NOW + YEAR).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

pub(crate) fn ca_params(name: &str) -> CertificateParams {
    let mut params = leaf_params(&[]);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = Vec::new();
    params.not_before = OffsetDateTime::from_unix_timestamp(NOW - 5 * YEAR).unwrap();
    params.not_after = OffsetDateTime::from_unix_timestamp(NOW + 5 * YEAR).unwrap();
    params
}

/// A folder that is removed with its contents.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tls-certs-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        std::fs::write(self.0.join(name), contents).unwrap();
    }

    /// Runs the program `openssl` in this folder.
    pub(crate) fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(&self.0)
            .output()
            .expect("the program openssl is needed to test with its files: install it");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _leftover_is_harmless = std::fs::remove_dir_all(&self.0);
    }
}

/// Bytes that look random and are the same each time (xorshift).
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[2]
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.byte()).collect()
    }

    /// `original` with a few octets changed, taken out or cut off.
    pub(crate) fn damage(&mut self, original: &[u8]) -> Vec<u8> {
        let mut bytes = original.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(8) {
                0 if !bytes.is_empty() => bytes.truncate(at),
                1 if !bytes.is_empty() => drop(bytes.remove(at)),
                2 => bytes.insert(at, self.byte()),
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = self.byte();
                    }
                }
            }
        }
        bytes
    }
}
