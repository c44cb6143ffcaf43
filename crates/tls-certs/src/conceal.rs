//! Passwords that lie in memory enciphered, by a key that only this process
//! has and that dies with it. Against a look into a core dump's strings, logs
//! and variables, not against a debugger.

use std::fmt;
use std::sync::OnceLock;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use base64ct::{Base64Unpadded, Encoding};
use zeroize::Zeroizing;

/// What concealed passwords begin with. It tells them from plain ones.
const PREFIX: &str = "concealed:";
/// No password is longer.
const LONGEST: usize = 1 << 16;

/// A password, wiped when it is dropped and not shown by `Debug`.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// A password as a user gave it: concealed, or plain.
    pub fn new(given: impl Into<String>) -> Result<Self, ConcealError> {
        let given = Zeroizing::new(given.into());
        if given.starts_with(PREFIX) { reveal(&given) } else { Ok(Self(given)) }
    }

    /// The password itself. To be handled as the secret that it is.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(secret)")
    }
}

/// Enciphers a password. The result is printable ASCII, and another each
/// time.
pub fn conceal(password: &str) -> Result<String, ConcealError> {
    if password.len() > LONGEST {
        return Err(ConcealError::TooLong);
    }
    let key = key()?;
    // Room for the tag, as growing would leave an unwiped copy behind.
    let mut sealed = Zeroizing::new(Vec::with_capacity(password.len() + AES_256_GCM.tag_len()));
    sealed.extend_from_slice(password.as_bytes());
    let nonce = key.seal_in_place_append_tag(Aad::empty(), &mut *sealed).map_err(|_| ConcealError::NoRandomness)?;
    let bytes = [&nonce.as_ref()[..], &sealed[..]].concat();
    Ok(format!("{PREFIX}{}", Base64Unpadded::encode_string(&bytes)))
}

/// The password that [`conceal`] of this process made `concealed` of.
pub fn reveal(concealed: &str) -> Result<Password, ConcealError> {
    let digits = concealed.strip_prefix(PREFIX).ok_or(ConcealError::NotConcealed)?;
    if digits.len() > 2 * LONGEST {
        return Err(ConcealError::TooLong);
    }
    let bytes = Zeroizing::new(Base64Unpadded::decode_vec(digits).map_err(|_| ConcealError::NotOurs)?);
    let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN).ok_or(ConcealError::NotOurs)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| ConcealError::NotOurs)?;
    let mut opened = Zeroizing::new(sealed.to_vec());
    let plain = key()?.open_in_place(nonce, Aad::empty(), &mut opened).map_err(|_| ConcealError::NotOurs)?;
    let plain = std::str::from_utf8(plain).map_err(|_| ConcealError::NotOurs)?;
    Ok(Password(Zeroizing::new(plain.to_owned())))
}

/// Why a password could not be concealed or revealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConcealError {
    /// It is longer than any password.
    TooLong,
    /// It is a plain text.
    NotConcealed,
    /// It was concealed by another process, or damaged.
    NotOurs,
    /// The system has no random numbers.
    NoRandomness,
}

impl fmt::Display for ConcealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the password is too long",
            Self::NotConcealed => "the password is not in concealed form",
            Self::NotOurs => "the password was concealed by another process, or is damaged",
            Self::NoRandomness => "the system gives no random numbers",
        })
    }
}

impl std::error::Error for ConcealError {}

fn key() -> Result<&'static RandomizedNonceKey, ConcealError> {
    static KEY: OnceLock<Option<RandomizedNonceKey>> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::fill(&mut *bytes).ok()?;
        RandomizedNonceKey::new(&AES_256_GCM, &*bytes).ok()
    });
    key.as_ref().ok_or(ConcealError::NoRandomness)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::Noise;

    #[test]
    fn there_and_back() {
        for password in ["", "secret", "ü 😀 \0", PREFIX] {
            let concealed = conceal(password).unwrap();
            assert!(concealed.bytes().all(|b| b.is_ascii_graphic()));
            assert_ne!(concealed, conceal(password).unwrap());
            assert_eq!(reveal(&concealed).unwrap().as_str(), password);
            assert_eq!(Password::new(concealed).unwrap().as_str(), password);
        }
        assert_eq!(Password::new("plain").unwrap().as_str(), "plain");
        assert_eq!(format!("{:?}", Password::new("plain").unwrap()), "Password(secret)");
        assert_eq!(conceal(&"x".repeat(LONGEST + 1)).unwrap_err(), ConcealError::TooLong);
    }

    #[test]
    fn wrong_forms() {
        assert_eq!(reveal("plain").unwrap_err(), ConcealError::NotConcealed);
        for wrong in [PREFIX.to_owned(), format!("{PREFIX}AAAA"), format!("{PREFIX}*"), format!("{PREFIX}ü")] {
            assert_eq!(reveal(&wrong).unwrap_err(), ConcealError::NotOurs, "{wrong}");
            assert!(Password::new(wrong).is_err());
        }
        let concealed = conceal("secret").unwrap();
        let mut noise = Noise::new(15);
        for _ in 0..2000 {
            let damaged = noise.damage(&concealed.as_bytes()[PREFIX.len()..]);
            let damaged = format!("{PREFIX}{}", String::from_utf8_lossy(&damaged));
            assert!(damaged == concealed || reveal(&damaged).is_err(), "{damaged}");
        }
        assert!(reveal(&format!("{PREFIX}{}", "A".repeat(1 << 20))).is_err());
    }
}
