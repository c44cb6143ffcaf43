//! Why a certificate is not accepted.

use std::fmt;

use crate::datetime::Utc;

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
                write!(f, "the certificate's issuer \"{root}\" is not trusted")
            }
            Self::PartialChain { issuer } => write!(
                f,
                "the certificate's issuer \"{issuer}\" is neither trusted nor part of the chain that the peer sent"
            ),
            Self::Expired { not_after, .. } => {
                write!(f, "the certificate expired on {}", Utc(*not_after))
            }
            Self::NotYetValid { not_before, .. } => {
                write!(f, "the certificate is not valid before {}", Utc(*not_before))
            }
            Self::NameMismatch { wanted, presented } => match presented.split_last() {
                None => write!(f, "the certificate holds no host name or address, so it is not for {wanted}"),
                Some((only, [])) => write!(f, "the certificate is for {only}, not {wanted}"),
                Some((last, others)) => {
                    write!(f, "the certificate is for {} and {last}, not {wanted}", others.join(", "))
                }
            },
            Self::WrongUsage => f.write_str("the certificate is not for this use"),
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
            Self::BadEncoding(detail) => write!(f, "the certificate is malformed: {detail}"),
            Self::UnsupportedAlgorithm => {
                f.write_str("a certificate of the chain is signed with an algorithm or key that is not supported")
            }
            Self::Other(detail) => write!(f, "the certificate is not acceptable: {detail}"),
        }
    }
}

impl std::error::Error for VerifyError {}
