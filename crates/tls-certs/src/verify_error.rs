//! Why a certificate is not accepted.

use std::fmt;

use crate::datetime::Utc;
use crate::shown::{listed, shown};

/// Why a peer's certificate is not accepted.
///
/// Times are in seconds since 1970-01-01 00:00:00 UTC, names of issuers in
/// the form of RFC 4514.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// The chain ends at a root that is not trusted.
    UntrustedRoot {
        /// The root; empty if it is not known.
        root: String,
    },
    /// The chain ends before it comes to a root.
    PartialChain {
        /// The issuer that is missing.
        issuer: String,
    },
    /// A certificate of the chain is no longer valid.
    Expired {
        /// When its validity ended.
        not_after: i64,
        /// The time of the check.
        now: i64,
    },
    /// A certificate of the chain is not valid yet.
    NotYetValid {
        /// When its validity begins.
        not_before: i64,
        /// The time of the check.
        now: i64,
    },
    /// The certificate is for another peer.
    NameMismatch {
        /// The name that was asked for.
        wanted: String,
        /// The names in the certificate.
        presented: Vec<String>,
    },
    /// The certificate is not for this use (RFC 5280, section 4.2.1.12).
    WrongUsage,
    /// A certificate was not signed by its alleged issuer.
    BadSignature,
    /// The peer did not prove that it has the private key of its certificate
    /// (RFC 8446, section 4.4.3).
    NotPossessed,
    /// A certificate was revoked.
    Revoked,
    /// Whether a certificate was revoked was to be checked, and there is no
    /// good revocation list or OCSP response that would tell.
    RevocationUnknown,
    /// A certificate that is none of a CA was used as one, or the reverse, or
    /// the chain is longer than a CA allows (RFC 5280, section 4.2.1.9).
    BasicConstraints,
    /// A CA may not issue certificates for this name (RFC 5280, section
    /// 4.2.1.10).
    NameConstraints,
    /// A certificate has a critical extension that is not understood.
    UnknownCriticalExtension,
    /// A certificate is malformed.
    BadEncoding(String),
    /// A signature is made in a way that is not supported, such as with SHA-1
    /// or with an RSA key of less than 2048 bits.
    UnsupportedAlgorithm,
    /// Anything else.
    Other(String),
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UntrustedRoot { root } if root.is_empty() => f.write_str("the certificate's issuer is not trusted"),
            Self::UntrustedRoot { root } => {
                write!(f, "the certificate's issuer \"{}\" is not trusted", shown(root))
            }
            Self::PartialChain { issuer } => write!(
                f,
                "the certificate's issuer \"{}\" is neither trusted nor part of the chain that the peer sent",
                shown(issuer)
            ),
            Self::Expired { not_after, now } => {
                write!(f, "the certificate expired on {}; the clock here says {}", Utc(*not_after), Utc(*now))
            }
            Self::NotYetValid { not_before, now } => {
                write!(f, "the certificate is not valid before {}; the clock here says {}", Utc(*not_before), Utc(*now))
            }
            Self::NameMismatch { wanted, presented } if presented.is_empty() => {
                write!(f, "the certificate holds no host name or address, so it is not for {}", shown(wanted))
            }
            Self::NameMismatch { wanted, presented } => {
                write!(f, "the certificate is for {}, not {}", listed(presented), shown(wanted))
            }
            Self::WrongUsage => f.write_str(
                "the certificate is not for this use: its extended key usage must name the authentication of servers \
                 for a server, that of clients for a client",
            ),
            Self::NotPossessed => f.write_str("the peer did not prove that it has the private key of its certificate"),
            Self::BadSignature => f.write_str("a certificate of the chain was not signed by the issuer that it names"),
            Self::Revoked => f.write_str("the certificate was revoked"),
            Self::RevocationUnknown => {
                f.write_str("neither a current revocation list nor a current OCSP response tells whether the certificate was revoked")
            }
            Self::BasicConstraints => f.write_str(
                "the certificate of a CA is used as one of a host, or the reverse, or the chain is too long",
            ),
            Self::NameConstraints => f.write_str("the certificate's issuer may not issue certificates for its name"),
            Self::UnknownCriticalExtension => {
                f.write_str("the certificate has a critical extension that is not understood")
            }
            Self::BadEncoding(detail) => write!(f, "the certificate is malformed: {}", shown(detail)),
            Self::UnsupportedAlgorithm => {
                f.write_str("a certificate of the chain is signed with an algorithm or key that is not supported")
            }
            Self::Other(detail) => write!(f, "the certificate is not acceptable: {}", shown(detail)),
        }
    }
}

impl std::error::Error for VerifyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_short_and_harmless_whatever_the_certificate_holds() {
        let evil = "\u{1b}]0;owned\u{7}\n".repeat(1000);
        let many = vec![evil.clone(); 1000];
        for error in [
            VerifyError::UntrustedRoot { root: evil.clone() },
            VerifyError::PartialChain { issuer: evil.clone() },
            VerifyError::NameMismatch { wanted: "a.example".to_owned(), presented: many },
            VerifyError::BadEncoding(evil.clone()),
            VerifyError::Other(evil),
        ] {
            let text = error.to_string();
            assert!(text.chars().count() < 2500 && !text.contains(char::is_control), "{text}");
        }
        let (wanted, presented) = ("b.example".to_owned(), ["a.example", "*.c.example"].map(str::to_owned).to_vec());
        let mismatch = VerifyError::NameMismatch { wanted, presented };
        assert_eq!(mismatch.to_string(), "the certificate is for a.example and *.c.example, not b.example");
    }
}
