//! The writing of PFX files (PKCS#12, RFC 7292).

use p12_keystore::error::Error as PfxError;
use p12_keystore::{
    Certificate as PfxCertificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, PrivateKey as PfxKey,
    PrivateKeyChain,
};

use crate::certificate::Certificate;
use crate::error::CertError;

/// How a PFX file is enciphered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PfxStrength {
    /// AES-256 and SHA-256, as OpenSSL 3, Java and Windows since 2019 read it.
    #[default]
    Modern,
    /// Triple DES and SHA-1, for older programs.
    Legacy,
}

/// Rounds of each key derivation.
const ROUNDS: u32 = 100_000;
/// Old programs refuse more.
const LEGACY_ROUNDS: u32 = 2048;

/// Each certificate with its key, then those without, each kind in order.
pub(crate) fn write(
    certificates: &[Certificate],
    password: &str,
    with_keys: bool,
    strength: PfxStrength,
) -> Result<Vec<u8>, CertError> {
    if certificates.is_empty() {
        return Err(CertError::NoCertificate);
    }
    if password.chars().any(|c| u32::from(c) > 0xffff) {
        return Err(CertError::UnsupportedEncryption("a password with characters beyond U+FFFF".to_owned()));
    }
    // Entries are written in the order of their names.
    let (keyed, others): (Vec<_>, Vec<_>) = certificates.iter().partition(|c| with_keys && c.private_key().is_some());
    let mut store = KeyStore::new();
    let mut others = Some(others.into_iter().map(converted).collect::<Result<Vec<_>, _>>()?);
    let several = keyed.len() > 1;
    for (number, certificate) in keyed.iter().enumerate() {
        let Some(key) = certificate.private_key() else { continue };
        let key = PfxKey::from_der(&key.to_pkcs8()?).map_err(failed)?;
        // Whoever reads the file puts chains together by names, so the first key takes the others along.
        let chain = [vec![converted(certificate)?], others.take().unwrap_or_default()].concat();
        let id: &[u8] = &certificate.sha1_thumbprint();
        let chain = PrivateKeyChain::new(id, key, chain);
        let alias = if several { format!("{number:06} {}", alias(certificate)) } else { alias(certificate) };
        store.add_entry(&alias, KeyStoreEntry::PrivateKeyChain(chain));
    }
    for (number, certificate) in others.into_iter().flatten().enumerate() {
        store.add_entry(&format!("certificate {number:06}"), KeyStoreEntry::Certificate(certificate));
    }
    let (encryption, mac, rounds) = match strength {
        PfxStrength::Modern => (EncryptionAlgorithm::PbeWithHmacSha256AndAes256, MacAlgorithm::HmacSha256, ROUNDS),
        PfxStrength::Legacy => {
            (EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc, MacAlgorithm::HmacSha1, LEGACY_ROUNDS)
        }
    };
    let writer = store.writer(password).encryption_algorithm(encryption).encryption_iterations(rounds);
    writer.mac_algorithm(mac).mac_iterations(rounds).write().map_err(failed)
}

/// A name to be shown, made unique by the thumbprint: one key may have two
/// certificates of the same subject.
fn alias(certificate: &Certificate) -> String {
    let thumbprint = certificate.sha1_thumbprint().map(|b| format!("{b:02x}")).concat();
    let shown: String = certificate.subject().simple_display().chars().filter(|c| u32::from(*c) <= 0xffff).collect();
    format!("{shown} {thumbprint}")
}

fn converted(certificate: &Certificate) -> Result<PfxCertificate, CertError> {
    PfxCertificate::from_der(certificate.der()).map_err(failed)
}

#[allow(clippy::needless_pass_by_value)]
fn failed(error: PfxError) -> CertError {
    CertError::encoding("PFX file to be written", error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{Ca, TempDir, leaf_params, self_signed};
    use crate::{CertStore, Search};

    fn full() -> CertStore {
        let root = Ca::root("root");
        let between = root.intermediate("between");
        let store = CertStore::new();
        for certificate in [root.certificate.clone(), between.leaf(&["a.example"]), between.certificate.clone()] {
            store.add(certificate);
        }
        store
    }

    #[test]
    fn read_back_here_and_by_openssl() {
        let dir = TempDir::new();
        for (strength, flag) in [(PfxStrength::Modern, ""), (PfxStrength::Legacy, "-legacy")] {
            for password in ["secret", "", "ü ß"] {
                let store = full();
                let bytes = store.to_pfx(password, true, strength).unwrap();
                let back = CertStore::from_pfx(&bytes, password).unwrap();
                assert_eq!(back.len(), 3);
                let leaf = back.find(&Search::PrivateKey, None).unwrap();
                assert_eq!(leaf.subject().simple_display(), "leaf");
                assert_eq!(crate::Identity::new(&leaf, &back.contents()).unwrap().chain().len(), 2);
                dir.write("file.pfx", &bytes);
                dir.write("password", format!("{password}\n"));
                dir.openssl(&format!("pkcs12 -in file.pfx -nodes -passin file:password -out all.pem {flag}"));
                let all = CertStore::from_pem(&dir.read("all.pem"), None).unwrap();
                assert_eq!(all.len(), 3);
                assert_eq!(all.find(&Search::PrivateKey, None), Some(leaf));
            }
        }
    }

    #[test]
    fn the_order_is_kept() {
        let root = Ca::root("root");
        let store = CertStore::new();
        for number in 0..25 {
            store.add(root.intermediate(&format!("between {number}")).certificate.clone());
        }
        let plain = store.contents();
        let keyed: Vec<_> = (0..12).map(|n| self_signed(&leaf_params(&[&format!("{}.example", 99 - n)]))).collect();
        for certificate in keyed.iter().rev() {
            store.add(certificate.clone());
        }
        let back = CertStore::from_pfx(&store.to_pfx("x", false, PfxStrength::Modern).unwrap(), "x").unwrap();
        assert_eq!(back.contents(), store.contents());
        let back = CertStore::from_pfx(&store.to_pfx("x", true, PfxStrength::Modern).unwrap(), "x").unwrap().contents();
        let with_keys = back.iter().take_while(|c| c.private_key().is_some()).cloned();
        assert_eq!(with_keys.collect::<Vec<_>>(), keyed.into_iter().rev().collect::<Vec<_>>());
        assert_eq!(back[12..], plain);
    }

    #[test]
    fn several_keys_and_none() {
        let store = full();
        store.add(self_signed(&leaf_params(&["b.example"])));
        let back = CertStore::from_pfx(&store.to_pfx("x", true, PfxStrength::Modern).unwrap(), "x").unwrap();
        assert_eq!(back.contents().iter().filter(|c| c.private_key().is_some()).count(), 2);
        let back = CertStore::from_pfx(&store.to_pfx("x", false, PfxStrength::Modern).unwrap(), "x").unwrap();
        assert_eq!((back.len(), back.find(&Search::PrivateKey, None)), (4, None));
        assert_eq!(CertStore::new().to_pfx("x", true, PfxStrength::Modern).unwrap_err(), CertError::NoCertificate);
        assert!(matches!(store.to_pfx("😀", true, PfxStrength::Modern), Err(CertError::UnsupportedEncryption(_))));
    }
}
