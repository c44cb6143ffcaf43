//! Private keys.

use std::fmt;
use std::sync::Arc;

use pkcs8::{EncryptedPrivateKeyInfoRef, pkcs5};
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::SigningKey;
use zeroize::Zeroizing;

use crate::error::CertError;
use crate::{der, pem, pfx, rustls_verifier};

/// A private key that can sign: RSA of 2048 bits and more, ECDSA on P-256,
/// P-384 or P-521, or Ed25519.
///
/// Cloning is cheap. The encoding is wiped from memory with the last clone,
/// and no text form shows it.
#[derive(Clone)]
pub struct PrivateKey {
    inner: Arc<Inner>,
}

struct Inner {
    der: Zeroizing<PrivateKeyDer<'static>>,
    signing: Arc<dyn SigningKey>,
    public: SubjectPublicKeyInfoDer<'static>,
}

impl PrivateKey {
    /// Reads a key in DER: PKCS#8 (RFC 5958), PKCS#1 (RFC 8017) or SEC 1
    /// (RFC 5915).
    pub fn from_der(der: &[u8]) -> Result<Self, CertError> {
        const WHAT: &str = "private key";
        if der::first_element(der) != Some(der) {
            return Err(CertError::encoding(WHAT, "not one DER element"));
        }
        let borrowed = PrivateKeyDer::try_from(der).map_err(|e| CertError::encoding(WHAT, e))?;
        let key = Zeroizing::new(borrowed.clone_key());
        // The key provider takes the key, and wipes it.
        let signing =
            rustls_verifier::provider().key_provider.load_private_key(borrowed.clone_key()).map_err(|_| {
                CertError::UnsupportedKey(
                    "neither RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, nor Ed25519".to_owned(),
                )
            })?;
        let public = signing
            .public_key()
            .ok_or_else(|| CertError::UnsupportedKey("its public half is unknown".to_owned()))?
            .into_owned();
        Ok(Self { inner: Arc::new(Inner { der: key, signing, public }) })
    }

    /// Reads the first private key of a PEM text: `PRIVATE KEY`,
    /// `RSA PRIVATE KEY`, `EC PRIVATE KEY`, or `ENCRYPTED PRIVATE KEY` (PBES2,
    /// RFC 8018), for which `password` is used.
    pub fn from_pem(text: &[u8], password: Option<&str>) -> Result<Self, CertError> {
        for block in pem::blocks(text)? {
            if let Some(key) = Self::from_block(&block, password)? {
                return Ok(key);
            }
        }
        Err(CertError::NoPrivateKey)
    }

    /// The encoding. To be handled as the secret that it is.
    pub fn secret_der(&self) -> &PrivateKeyDer<'static> {
        &self.inner.der
    }

    /// The public half as DER `SubjectPublicKeyInfo` (RFC 5280, section 4.1).
    pub fn public_key_info(&self) -> &[u8] {
        &self.inner.public
    }

    pub(crate) fn signing_key(&self) -> &Arc<dyn SigningKey> {
        &self.inner.signing
    }

    /// The key of a PEM block, `None` if the block is no private key.
    pub(crate) fn from_block(block: &pem::Block, password: Option<&str>) -> Result<Option<Self>, CertError> {
        match block.label.as_str() {
            "ENCRYPTED PRIVATE KEY" => {
                let password = password.ok_or(CertError::PasswordRequired)?;
                Self::from_encrypted(&block.contents, password).map(Some)
            }
            "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => {
                if block.legacy_encrypted {
                    return Err(CertError::UnsupportedEncryption(
                        "PEM encryption of old OpenSSL; convert the key with openssl pkcs8 -topk8".to_owned(),
                    ));
                }
                Self::from_der(&block.contents).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn from_encrypted(bytes: &[u8], password: &str) -> Result<Self, CertError> {
        const WHAT: &str = "encrypted private key";
        let whole = der::split(bytes).filter(|(_, rest)| rest.is_empty());
        let tags: Option<Vec<u8>> = whole.map(|(e, _)| e.children().map(|c| c.tag).collect());
        if tags.as_deref() != Some(&[der::SEQUENCE, der::OCTET_STRING]) {
            return Err(CertError::encoding(WHAT, "not the structure of PKCS#8"));
        }
        pfx::check_cost(bytes)?;
        // The structure is right, so what fails here is the algorithm.
        let info =
            EncryptedPrivateKeyInfoRef::try_from(bytes).map_err(|e| CertError::UnsupportedEncryption(e.to_string()))?;
        let decrypted = info.decrypt(password).map_err(|error| match error {
            pkcs8::Error::EncryptedPrivateKey(
                error @ (pkcs5::Error::NoPbes1CryptSupport
                | pkcs5::Error::UnsupportedAlgorithm { .. }
                | pkcs5::Error::AlgorithmParametersInvalid { .. }),
            ) => CertError::UnsupportedEncryption(error.to_string()),
            _ => CertError::BadPassword,
        })?;
        match Self::from_der(decrypted.as_bytes()) {
            // A wrong password decrypts to rubbish.
            Err(CertError::BadEncoding { .. }) => Err(CertError::BadPassword),
            result => result,
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:?}, secret)", self.inner.signing.algorithm())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rustls::SignatureAlgorithm;

    use super::*;
    use crate::testing::{Noise, TempDir};

    const RSA: &str = "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem";
    const ED25519: &str = "genpkey -algorithm ED25519 -out key.pem";

    fn elliptic(curve: &str) -> String {
        format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:{curve} -out key.pem")
    }

    #[test]
    fn every_kind_in_every_form() {
        let dir = TempDir::new();
        for (command, algorithm, traditional) in [
            (RSA.to_owned(), SignatureAlgorithm::RSA, true),
            (elliptic("P-256"), SignatureAlgorithm::ECDSA, true),
            (elliptic("P-384"), SignatureAlgorithm::ECDSA, true),
            (elliptic("P-521"), SignatureAlgorithm::ECDSA, true),
            (ED25519.to_owned(), SignatureAlgorithm::ED25519, false),
        ] {
            dir.openssl(&command);
            dir.openssl("pkey -in key.pem -pubout -outform DER -out public.der");
            let key = PrivateKey::from_pem(&dir.read("key.pem"), None).unwrap();
            assert_eq!(key.signing_key().algorithm(), algorithm);
            assert_eq!(key.public_key_info(), dir.read("public.der"));
            dir.openssl("pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out key.der");
            assert!(PrivateKey::from_der(&dir.read("key.der")).is_ok());
            if traditional {
                dir.openssl("pkey -traditional -in key.pem -out old.pem");
                let old = PrivateKey::from_pem(&dir.read("old.pem"), None).unwrap();
                assert_eq!(old.public_key_info(), key.public_key_info());
                dir.openssl("pkey -traditional -in key.pem -outform DER -out old.der");
                assert!(PrivateKey::from_der(&dir.read("old.der")).is_ok());
            }
        }
    }

    #[test]
    fn encrypted() {
        let dir = TempDir::new();
        dir.openssl(&elliptic("P-256"));
        let plain = PrivateKey::from_pem(&dir.read("key.pem"), None).unwrap();
        for options in [
            "",
            "-v2 aes-128-cbc -v2prf hmacWithSHA1",
            "-v2 aes-192-cbc -v2prf hmacWithSHA512",
            "-v2 des3 -v2prf hmacWithSHA1",
            "-scrypt",
            "-iter 100000",
        ] {
            dir.openssl(&format!("pkcs8 -topk8 -in key.pem -passout pass:secret -out enc.pem {options}"));
            let text = dir.read("enc.pem");
            let key = PrivateKey::from_pem(&text, Some("secret")).unwrap();
            assert_eq!(key.secret_der(), plain.secret_der(), "{options}");
            assert_eq!(PrivateKey::from_pem(&text, Some("Secret")).unwrap_err(), CertError::BadPassword);
            assert_eq!(PrivateKey::from_pem(&text, None).unwrap_err(), CertError::PasswordRequired);
        }
    }

    #[test]
    fn encrypted_in_ways_not_supported() {
        let dir = TempDir::new();
        dir.openssl(&elliptic("P-256"));
        dir.openssl("pkcs8 -topk8 -in key.pem -passout pass:x -out enc.pem -v1 PBE-SHA1-3DES");
        assert!(matches!(
            PrivateKey::from_pem(&dir.read("enc.pem"), Some("x")),
            Err(CertError::UnsupportedEncryption(_))
        ));
        dir.openssl("ec -in key.pem -aes128 -passout pass:x -out enc.pem");
        assert!(matches!(
            PrivateKey::from_pem(&dir.read("enc.pem"), Some("x")),
            Err(CertError::UnsupportedEncryption(_))
        ));
    }

    #[test]
    fn not_supported() {
        let dir = TempDir::new();
        for command in [
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out key.pem",
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1 -out key.pem",
            "genpkey -algorithm ED448 -out key.pem",
            "genpkey -algorithm X25519 -out key.pem",
        ] {
            dir.openssl(command);
            assert!(
                matches!(PrivateKey::from_pem(&dir.read("key.pem"), None), Err(CertError::UnsupportedKey(_))),
                "{command}"
            );
        }
    }

    #[test]
    fn parameters_before_the_key_are_skipped() {
        let dir = TempDir::new();
        dir.openssl("ecparam -name prime256v1 -genkey -out key.pem");
        let text = dir.read("key.pem");
        assert!(text.starts_with(b"-----BEGIN EC PARAMETERS"));
        assert!(PrivateKey::from_pem(&text, None).is_ok());
        assert_eq!(PrivateKey::from_pem(b"", None).unwrap_err(), CertError::NoPrivateKey);
    }

    #[test]
    fn damaged() {
        let dir = TempDir::new();
        dir.openssl(&elliptic("P-256"));
        dir.openssl("pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out key.der");
        dir.openssl("pkcs8 -topk8 -in key.pem -passout pass:x -outform DER -out enc.der");
        let (plain, encrypted) = (dir.read("key.der"), dir.read("enc.der"));
        for length in 0..plain.len() {
            assert!(PrivateKey::from_der(&plain[..length]).is_err());
        }
        for length in 0..encrypted.len() {
            assert!(PrivateKey::from_encrypted(&encrypted[..length], "x").is_err());
        }
        let mut longer = plain.clone();
        longer.push(0);
        assert!(PrivateKey::from_der(&longer).is_err());
        let mut noise = Noise::new(1);
        for _ in 0..500 {
            let _ = PrivateKey::from_der(&noise.damage(&plain));
            let _ = PrivateKey::from_encrypted(&noise.damage(&encrypted), "x");
            let length = noise.below(200);
            assert!(PrivateKey::from_der(&noise.bytes(length)).is_err());
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let key = rcgen::KeyPair::generate().unwrap();
        let key = PrivateKey::from_der(&key.serialize_der()).unwrap();
        assert_eq!(format!("{key:?}"), "PrivateKey(ECDSA, secret)");
    }
}
