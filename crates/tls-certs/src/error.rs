//! What can be wrong with certificates, keys and stores as given.

use std::fmt;

/// Why a certificate, a key or a store could not be read or used.
///
/// No variant carries key material or passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertError {
    /// The bytes are not what they should be.
    BadEncoding {
        /// What was being read, e.g. `certificate` or `PFX file`.
        what: &'static str,
        /// What the parser met.
        detail: String,
    },
    /// The password does not open the file, or the file is damaged: the two
    /// cannot be told apart.
    BadPassword,
    /// The key is encrypted and no password was given.
    PasswordRequired,
    /// There is no certificate in the given text or file.
    NoCertificate,
    /// There is no private key in the given text, or the certificate has none.
    NoPrivateKey,
    /// The private key belongs to no certificate given.
    KeyMismatch,
    /// The private key is of a kind or size that is not supported.
    UnsupportedKey(String),
    /// The key or file is encrypted in a way that is not supported.
    UnsupportedEncryption(String),
    /// Opening the file would take absurdly long.
    TooExpensive {
        /// The number of key derivation rounds the file asks for.
        iterations: u64,
    },
}

impl CertError {
    pub(crate) fn encoding(what: &'static str, detail: impl fmt::Display) -> Self {
        Self::BadEncoding { what, detail: detail.to_string() }
    }
}

/// The beginning of a text, for a message about it.
pub(crate) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

impl fmt::Display for CertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadEncoding { what, detail } => write!(f, "the {what} is malformed: {detail}"),
            Self::BadPassword => f.write_str("the password is wrong, or the data is damaged"),
            Self::PasswordRequired => f.write_str("the private key is encrypted and no password was given"),
            Self::NoCertificate => f.write_str("no certificate was found"),
            Self::NoPrivateKey => f.write_str("no private key was found"),
            Self::KeyMismatch => f.write_str("the private key does not belong to the certificate"),
            Self::UnsupportedKey(detail) => {
                write!(f, "the private key is not supported: {detail}")
            }
            Self::UnsupportedEncryption(detail) => {
                write!(f, "the encryption is not supported: {detail}")
            }
            Self::TooExpensive { iterations } => {
                write!(f, "the data asks for {iterations} rounds of key derivation, which is more than is accepted")
            }
        }
    }
}

impl std::error::Error for CertError {}
