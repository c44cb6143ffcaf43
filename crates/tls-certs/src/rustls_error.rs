//! Verdicts on certificates as errors of rustls, and back.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::{CertificateError, Error, OtherError};

use crate::peer_name::PeerName;
use crate::verify_error::VerifyError;

/// What is wrong with the peer's certificate, if that is why rustls failed
/// with `error`.
///
/// The error of rustls decides about the alert and has no room for all
/// details. They are complete if this is called, as is natural, on the thread
/// on which rustls failed, before another session is worked on; else those
/// that `error` carries remain.
pub fn verify_failure(error: &Error) -> Option<VerifyError> {
    let Error::InvalidCertificate(error) = error else {
        return None;
    };
    let latest = LATEST.take();
    Some(match latest {
        Some(latest) if to_rustls(&latest) == *error => latest,
        _ => from_rustls(error),
    })
}

thread_local! {
    /// The failure that the last verifier on this thread reported.
    static LATEST: RefCell<Option<VerifyError>> = const { RefCell::new(None) };
}

/// Reports a verdict to rustls and keeps its details for [`verify_failure`].
pub(crate) fn report(verdict: Result<(), VerifyError>) -> Result<(), Error> {
    let result = match &verdict {
        Ok(()) => Ok(()),
        Err(error) => Err(Error::InvalidCertificate(to_rustls(error))),
    };
    LATEST.set(verdict.err());
    result
}

/// Reports to rustls whether the peer has proven to have its key.
pub(crate) fn report_possession<T>(proof: Result<T, Error>) -> Result<T, Error> {
    if let Err(Error::InvalidCertificate(CertificateError::BadSignature)) = &proof {
        LATEST.set(Some(VerifyError::NotPossessed));
    }
    proof
}

/// The error for which rustls sends the fitting alert.
fn to_rustls(error: &VerifyError) -> CertificateError {
    use CertificateError as C;
    match error {
        VerifyError::UntrustedRoot { .. } | VerifyError::PartialChain { .. } => C::UnknownIssuer,
        VerifyError::Expired { not_after, now } => C::ExpiredContext { time: time(*now), not_after: time(*not_after) },
        VerifyError::NotYetValid { not_before, now } => {
            C::NotValidYetContext { time: time(*now), not_before: time(*not_before) }
        }
        VerifyError::NameMismatch { wanted, presented } => match PeerName::parse(wanted) {
            Ok(wanted) => C::NotValidForNameContext { expected: wanted.to_rustls(), presented: presented.clone() },
            Err(_) => C::NotValidForName,
        },
        VerifyError::WrongUsage => C::InvalidPurpose,
        VerifyError::BadSignature | VerifyError::NotPossessed => C::BadSignature,
        VerifyError::Revoked => C::Revoked,
        VerifyError::RevocationUnknown => C::UnknownRevocationStatus,
        VerifyError::UnknownCriticalExtension => C::UnhandledCriticalExtension,
        VerifyError::BadEncoding(_) => C::BadEncoding,
        // These have no alert of their own.
        VerifyError::BasicConstraints
        | VerifyError::NameConstraints
        | VerifyError::UnsupportedAlgorithm
        | VerifyError::Other(_) => C::Other(OtherError(Arc::new(error.clone()))),
    }
}

fn from_rustls(error: &CertificateError) -> VerifyError {
    use CertificateError as C;
    match error {
        C::UnknownIssuer => VerifyError::UntrustedRoot { root: String::new() },
        C::ExpiredContext { time, not_after } => {
            VerifyError::Expired { not_after: seconds(*not_after), now: seconds(*time) }
        }
        C::NotValidYetContext { time, not_before } => {
            VerifyError::NotYetValid { not_before: seconds(*not_before), now: seconds(*time) }
        }
        C::NotValidForNameContext { expected, presented } => {
            VerifyError::NameMismatch { wanted: expected.to_str().into_owned(), presented: presented.clone() }
        }
        C::InvalidPurpose | C::InvalidPurposeContext { .. } => VerifyError::WrongUsage,
        C::BadSignature => VerifyError::BadSignature,
        C::Revoked => VerifyError::Revoked,
        C::UnknownRevocationStatus | C::ExpiredRevocationListContext { .. } => VerifyError::RevocationUnknown,
        C::UnhandledCriticalExtension => VerifyError::UnknownCriticalExtension,
        C::BadEncoding => VerifyError::BadEncoding("it cannot be read".to_owned()),
        C::UnsupportedSignatureAlgorithmContext { .. } | C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            VerifyError::UnsupportedAlgorithm
        }
        C::Other(OtherError(inner)) => match inner.downcast_ref::<VerifyError>() {
            Some(error) => error.clone(),
            None => VerifyError::Other(inner.to_string()),
        },
        other => VerifyError::Other(other.to_string()),
    }
}

/// Times before 1970 are of no interest to rustls.
fn time(seconds: i64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn reasons_survive_without_details() {
        let time = 1_700_000_000;
        for (error, kept) in [
            (VerifyError::UntrustedRoot { root: "CN=x".to_owned() }, false),
            (VerifyError::Expired { not_after: time, now: time + 1 }, true),
            (VerifyError::NotYetValid { not_before: time, now: 1 }, true),
            (
                VerifyError::NameMismatch {
                    wanted: "127.0.0.1".to_owned(),
                    presented: vec!["a".to_owned(), "b".to_owned()],
                },
                true,
            ),
            (VerifyError::WrongUsage, true),
            (VerifyError::BadSignature, true),
            (VerifyError::Revoked, true),
            (VerifyError::RevocationUnknown, true),
            (VerifyError::BasicConstraints, true),
            (VerifyError::NameConstraints, true),
            (VerifyError::UnknownCriticalExtension, true),
            (VerifyError::BadEncoding("x".to_owned()), false),
            (VerifyError::UnsupportedAlgorithm, true),
            (VerifyError::Other("x".to_owned()), true),
        ] {
            let _another_session = report(Ok(()));
            let rustls = Error::InvalidCertificate(to_rustls(&error));
            let recovered = verify_failure(&rustls).unwrap();
            assert_eq!(recovered == error, kept, "{error:?}");
            assert_eq!(std::mem::discriminant(&recovered), std::mem::discriminant(&error));
        }
        assert_eq!(verify_failure(&Error::DecryptError), None);
    }

    #[test]
    fn latest_of_another_error_is_not_used() {
        let _stale = report(Err(VerifyError::UntrustedRoot { root: "CN=x".to_owned() }));
        let error = Error::InvalidCertificate(CertificateError::Revoked);
        assert_eq!(verify_failure(&error), Some(VerifyError::Revoked));
    }
}
