//! New private keys, and keys as others read them.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
};
use pkcs8::PrivateKeyInfoRef;
use pkcs8::pkcs5::pbes2;
use rustls::SignatureScheme;
use rustls::pki_types::{AlgorithmIdentifier, PrivateKeyDer, alg_id};
use rustls::sign::Signer;
use zeroize::Zeroizing;

use crate::der::{OCTET_STRING, SEQUENCE};
use crate::error::CertError;
use crate::key::PrivateKey;
use crate::{encode, pem};

/// Rounds of PBKDF2 with SHA-256 for keys that are written, as OWASP advises.
const ROUNDS: u32 = 600_000;

/// What kind of key to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum KeyType {
    /// RSA of 2048 bits.
    Rsa2048,
    /// RSA of 3072 bits.
    Rsa3072,
    /// RSA of 4096 bits.
    Rsa4096,
    /// RSA of 8192 bits, which takes seconds to make.
    Rsa8192,
    /// ECDSA on P-256.
    #[default]
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// Ed25519.
    Ed25519,
}

impl PrivateKey {
    /// Makes a key.
    pub fn generate(kind: KeyType) -> Result<Self, CertError> {
        match kind {
            KeyType::Rsa2048 => new_rsa(KeySize::Rsa2048),
            KeyType::Rsa3072 => new_rsa(KeySize::Rsa3072),
            KeyType::Rsa4096 => new_rsa(KeySize::Rsa4096),
            KeyType::Rsa8192 => new_rsa(KeySize::Rsa8192),
            KeyType::EcdsaP256 => new_ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyType::EcdsaP384 => new_ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyType::Ed25519 => {
                let document = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).map_err(no_key)?;
                Self::from_der(document.as_ref())
            }
        }
    }

    /// The key as PKCS#8 (RFC 5958), whatever it was read from. To be handled
    /// as the secret that it is.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, CertError> {
        let inner = match self.secret_der() {
            PrivateKeyDer::Pkcs8(key) => return Ok(Zeroizing::new(key.secret_pkcs8_der().to_vec())),
            PrivateKeyDer::Pkcs1(key) => key.secret_pkcs1_der(),
            PrivateKeyDer::Sec1(key) => key.secret_sec1_der(),
            _ => return Err(CertError::UnsupportedKey("its encoding is unknown".to_owned())),
        };
        // Both halves of a key are of one algorithm (RFC 5208, section 5).
        let algorithm = crate::der::split(self.public_key_info())
            .and_then(|(info, _)| crate::der::first_element(info.value))
            .ok_or_else(|| CertError::UnsupportedKey("its public half is unknown".to_owned()))?;
        let inner = encode::secret(OCTET_STRING, &[inner]);
        Ok(encode::secret(SEQUENCE, &[&encode::unsigned(&[]), algorithm, &inner]))
    }

    /// The key as PEM text: `PRIVATE KEY`, or with a password
    /// `ENCRYPTED PRIVATE KEY` by PBES2 with AES-256 and PBKDF2 (RFC 8018).
    /// To be handled as the secret that it is.
    pub fn to_pem(&self, password: Option<&str>) -> Result<Zeroizing<String>, CertError> {
        let plain = self.to_pkcs8()?;
        let Some(password) = password else {
            return Ok(Zeroizing::new(pem::encode("PRIVATE KEY", &plain)));
        };
        let (mut salt, mut iv) = ([0; 16], [0; 16]);
        rand::fill(&mut salt).and_then(|()| rand::fill(&mut iv)).map_err(no_key)?;
        let failed = |e: &dyn std::fmt::Display| CertError::UnsupportedEncryption(e.to_string());
        let parameters =
            pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(ROUNDS, &salt, iv).map_err(|e| failed(&e))?;
        let info = PrivateKeyInfoRef::try_from(plain.as_slice()).map_err(|e| failed(&e))?;
        let encrypted = info.encrypt_with_params(parameters, password).map_err(|e| failed(&e))?;
        Ok(Zeroizing::new(pem::encode("ENCRYPTED PRIVATE KEY", encrypted.as_bytes())))
    }

    /// How this key signs certificates: the algorithm as DER
    /// `AlgorithmIdentifier`, and the signer.
    pub(crate) fn signer(&self) -> Result<(Vec<u8>, Box<dyn Signer>), CertError> {
        const WAYS: [(SignatureScheme, AlgorithmIdentifier); 5] = [
            (SignatureScheme::RSA_PKCS1_SHA256, alg_id::RSA_PKCS1_SHA256),
            (SignatureScheme::ECDSA_NISTP256_SHA256, alg_id::ECDSA_SHA256),
            (SignatureScheme::ECDSA_NISTP384_SHA384, alg_id::ECDSA_SHA384),
            (SignatureScheme::ECDSA_NISTP521_SHA512, alg_id::ECDSA_SHA512),
            (SignatureScheme::ED25519, alg_id::ED25519),
        ];
        let schemes = WAYS.map(|(scheme, _)| scheme);
        let signer = self.signing_key().choose_scheme(&schemes);
        let signer = signer.ok_or_else(|| CertError::UnsupportedKey("it cannot sign certificates".to_owned()))?;
        let way = WAYS.iter().find(|(scheme, _)| *scheme == signer.scheme());
        let algorithm = way.map(|(_, id)| encode::element(SEQUENCE, id.as_ref())).unwrap_or_default();
        Ok((algorithm, signer))
    }
}

fn new_rsa(size: KeySize) -> Result<PrivateKey, CertError> {
    let pair = rsa::KeyPair::generate(size).map_err(no_key)?;
    let document: Pkcs8V1Der<'static> = pair.as_der().map_err(no_key)?;
    PrivateKey::from_der(document.as_ref())
}

fn new_ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Result<PrivateKey, CertError> {
    let pair = EcdsaKeyPair::generate(algorithm).map_err(no_key)?;
    let document = pair.to_pkcs8v1().map_err(no_key)?;
    PrivateKey::from_der(document.as_ref())
}

/// The random source or the memory has failed.
fn no_key(_: aws_lc_rs::error::Unspecified) -> CertError {
    CertError::UnsupportedKey("no new key could be made".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::TempDir;

    const KINDS: [KeyType; 4] = [KeyType::Rsa2048, KeyType::EcdsaP256, KeyType::EcdsaP384, KeyType::Ed25519];

    #[test]
    fn openssl_reads_what_is_made() {
        let dir = TempDir::new();
        for kind in KINDS {
            let key = PrivateKey::generate(kind).unwrap();
            dir.write("key.pem", key.to_pem(None).unwrap().as_bytes());
            dir.openssl("pkey -in key.pem -check -noout");
            dir.openssl("pkey -in key.pem -pubout -outform DER -out public.der");
            assert_eq!(dir.read("public.der"), key.public_key_info(), "{kind:?}");
            dir.write("encrypted.pem", key.to_pem(Some("secret ü")).unwrap().as_bytes());
            dir.write("password", "secret ü\n");
            dir.openssl("pkey -in encrypted.pem -passin file:password -pubout -outform DER -out public.der");
            assert_eq!(dir.read("public.der"), key.public_key_info(), "{kind:?}");
            let again = PrivateKey::from_pem(&dir.read("encrypted.pem"), Some("secret ü")).unwrap();
            assert_eq!(again.to_pkcs8().unwrap(), key.to_pkcs8().unwrap());
        }
    }

    #[test]
    fn old_encodings_become_pkcs8() {
        let dir = TempDir::new();
        for command in ["genrsa -traditional -out key.pem 2048", "ecparam -name secp384r1 -genkey -noout -out key.pem"]
        {
            dir.openssl(command);
            let old = PrivateKey::from_pem(&dir.read("key.pem"), None).unwrap();
            let new = PrivateKey::from_der(&old.to_pkcs8().unwrap()).unwrap();
            assert_eq!(new.public_key_info(), old.public_key_info());
            dir.write("new.pem", old.to_pem(None).unwrap().as_bytes());
            dir.openssl("pkey -in new.pem -check -noout");
            assert!(old.to_pem(Some("x")).unwrap().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY"));
        }
    }
}
