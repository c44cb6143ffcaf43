//! Cipher suites by the strength of their ciphers.

use std::sync::Arc;

use rustls::CipherSuite;
use rustls::crypto::CryptoProvider;

use crate::error::Error;

/// How strong ciphers may be: the size of their keys in bits, both ends
/// included. By default all that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CipherStrength {
    least: u32,
    most: u32,
}

impl CipherStrength {
    /// Ciphers of `least` to `most` bits.
    ///
    /// # Errors
    /// [`Error::Configuration`] if there is no such cipher.
    pub fn new(least: u32, most: u32) -> Result<Self, Error> {
        let strength = Self { least, most };
        if tls_certs::provider().cipher_suites.iter().any(|suite| strength.admits(suite.suite())) {
            return Ok(strength);
        }
        let range = if most == u32::MAX { format!("{least} or more") } else { format!("{least} to {most}") };
        Err(Error::Configuration(format!("no cipher has {range} bits: there are those of 128 and of 256")))
    }

    /// The cryptography of all sessions, with these ciphers alone.
    pub(crate) fn provider(self) -> Arc<CryptoProvider> {
        let provider = tls_certs::provider();
        if self == Self::default() {
            return provider;
        }
        let mut provider = CryptoProvider::clone(&provider);
        provider.cipher_suites.retain(|suite| self.admits(suite.suite()));
        Arc::new(provider)
    }

    fn admits(self, suite: CipherSuite) -> bool {
        (self.least..=self.most).contains(&bits(suite))
    }
}

impl Default for CipherStrength {
    fn default() -> Self {
        Self { least: 0, most: u32::MAX }
    }
}

/// The size of the cipher's key in bits.
fn bits(suite: CipherSuite) -> u32 {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => 128,
        _ => 256,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn suites_of_each_strength_in_both_protocols() {
        let all = tls_certs::provider().cipher_suites.clone();
        for suite in &all {
            let name = format!("{:?}", suite.suite());
            assert_eq!(bits(suite.suite()), if name.contains("AES_128") { 128 } else { 256 }, "{name}");
        }
        for (least, most, suites) in [(128, 256, 9), (0, 1000, 9), (256, 256, 6), (128, 128, 3), (0, 200, 3)] {
            let provider = CipherStrength::new(least, most).unwrap().provider();
            assert_eq!(provider.cipher_suites.len(), suites, "{least} to {most}");
            assert!(provider.cipher_suites.iter().any(|suite| suite.tls13().is_some()));
            assert!(provider.cipher_suites.iter().any(|suite| suite.tls13().is_none()));
        }
        for (least, most) in [(129, 255), (257, 1000), (0, 127), (256, 128)] {
            assert!(matches!(CipherStrength::new(least, most), Err(Error::Configuration(_))), "{least} to {most}");
        }
    }
}
