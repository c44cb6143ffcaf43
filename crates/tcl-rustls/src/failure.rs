//! Everything that can go wrong, as data, and the one place that turns it into Tcl's messages and error codes.

use tcl_stubs::{ChannelError, Errno, Error, Interp};
use tls_certs::{CertError, PeerNameError, VerifyError, shown};
use tls_session::{Alert, TicketKeyError};

use crate::hint;
use crate::state::Role;

/// Error codes of the Windows security interface, by which scripts tell failures apart.
mod code {
    pub(super) const WRONG_PRINCIPAL: &str = "-2146893022";
    pub(super) const UNTRUSTED_ROOT: &str = "-2146893019";
    pub(super) const CERT_EXPIRED: &str = "-2146893016";
    pub(super) const CERT_REVOKED: &str = "-2146885616";
    pub(super) const CERT_WRONG_USAGE: &str = "-2146892983";
    pub(super) const CERT_UNKNOWN: &str = "-2146893017";
    pub(super) const ILLEGAL_MESSAGE: &str = "-2146893018";
    pub(super) const ALGORITHM_MISMATCH: &str = "-2146893007";
    pub(super) const NO_CREDENTIALS: &str = "-2146893042";
    pub(super) const DECRYPT_FAILURE: &str = "-2146893008";
}

/// Why a command or a channel failed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failure {
    /// The script's arguments are not as they should be.
    BadArguments(String),
    /// The wrong number of arguments; the usage.
    WrongArguments(String),
    /// The TLS session failed, before it was open or later.
    Session { error: tls_session::Error, negotiating: bool, role: Role },
    /// The channel below failed.
    Below(ChannelError),
    /// The handshake was not complete in time.
    Timeout { milliseconds: u64 },
    /// The verifier did not return true.
    VerifierRefused,
    /// The verifier, or another script, raised an error.
    Script(Error),
    /// The verifier closed the channel it was to judge.
    ClosedByVerifier,
    /// Reading or writing a channel from within its own verifier.
    Verifying,
    /// A script came back into a channel that is at work.
    Busy,
    /// The operation needs an open channel.
    NotOpen { operation: &'static str, state: &'static str },
    /// A certificate, key or store could not be used.
    Certificates(CertError),
    /// A handle that is none, or not of the kind that is needed.
    BadHandle { wanted: &'static str, given: String },
    /// A file could not be read.
    File { name: String, errno: Errno },
    /// A file holds no ticket keys.
    TicketKeys { name: String, error: TicketKeyError },
    /// There is no certificate to give.
    NoCertificate(&'static str),
    /// A certificate without its private key, where that is needed; its handle and its subject.
    WithoutKey { handle: String, subject: String },
    /// Something of the module's that this version does not offer.
    Unsupported(String),
}

impl Failure {
    /// As a script sees it.
    pub(crate) fn to_error(&self) -> Error {
        match self {
            Self::BadArguments(message) => Error::new(message).with_code(["TWAPI", "BADARGS"]),
            Self::WrongArguments(usage) => {
                Error::new(format!("wrong # args: should be {usage}")).with_code(["TWAPI", "BADARGS"])
            }
            Self::Session { error, negotiating, role } => session_error(error, *negotiating, *role),
            Self::Below(ChannelError::Message(error)) | Self::Script(error) => error.clone(),
            Self::Below(ChannelError::System(errno)) => {
                Error::new(format!("system error {}", errno.0)).with_code(["POSIX", "UNKNOWN"])
            }
            Self::Timeout { milliseconds } => {
                negotiation_failed(&format!("the handshake was not complete after {milliseconds} milliseconds"))
                    .with_code(["TWAPI", "TLS", "TIMEOUT"])
            }
            Self::VerifierRefused => {
                negotiation_failed("Verifier callback returned false").with_code(["TWAPI", "TLS", "VERIFYFAIL"])
            }
            Self::ClosedByVerifier => {
                negotiation_failed("the verifier closed the channel").with_code(["TWAPI", "TLS", "VERIFYFAIL"])
            }
            Self::Verifying => Error::new("the channel cannot be used for data while its verifier runs").with_code([
                "TWAPI",
                "TLS",
                "VERIFYING",
            ]),
            Self::Busy => Error::new("the channel is at work and cannot be used from within its own operation")
                .with_code(["TWAPI", "TLS", "BUSY"]),
            Self::NotOpen { operation, state } => {
                Error::new(format!("cannot {operation}: the TLS channel is in state {state}"))
                    .with_code(["TWAPI", "TLS", "STATE", state])
            }
            Self::Certificates(error) => certificate_error(error),
            Self::BadHandle { wanted, given } => {
                Error::new(format!("\"{given}\" is not a valid {wanted} handle")).with_code(["TWAPI", "BADARGS"])
            }
            Self::File { name, errno } => {
                Error::new(format!("couldn't open \"{name}\": {}", errno.message())).with_code(["POSIX", "UNKNOWN"])
            }
            Self::TicketKeys { name, error } => {
                let file = if name.is_empty() { String::new() } else { format!(" in \"{name}\"") };
                Error::new(format!("Unusable ticket keys{file}: {error}.")).with_code(["TWAPI", "BADARGS"])
            }
            Self::WithoutKey { handle, subject } => Error::new(format!(
                "The certificate {handle} of \"{}\" comes without its private key. Take it from a store that was read \
                 together with the key.",
                shown(subject)
            ))
            .with_code(["TWAPI", "CERTIFICATE"]),
            Self::NoCertificate(what) => win32(what.to_string(), code::NO_CREDENTIALS),
            Self::Unsupported(what) => {
                Error::new(format!("{what} is not supported by this version")).with_code(["TWAPI", "UNSUPPORTED"])
            }
        }
    }

    /// As a script sees it, with system errors worded by Tcl.
    pub(crate) fn to_error_in(&self, interp: &Interp<'_>) -> Error {
        match self {
            Self::Below(ChannelError::System(errno)) => interp.system_error(*errno),
            Self::File { name, errno } => {
                let error = interp.system_error(*errno);
                Error::new(format!("couldn't open \"{name}\": {}", error.message())).with_code(error.code().to_vec())
            }
            other => other.to_error(),
        }
    }

    /// As a channel procedure returns it.
    pub(crate) fn to_channel_error(&self) -> ChannelError {
        match self {
            Self::Below(error) => error.clone(),
            other => ChannelError::Message(other.to_error()),
        }
    }
}

impl From<CertError> for Failure {
    fn from(error: CertError) -> Self {
        Self::Certificates(error)
    }
}

impl From<PeerNameError> for Failure {
    fn from(error: PeerNameError) -> Self {
        Self::BadArguments(sentence(&error.to_string()))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Script(error)
    }
}

/// The code by which scripts know a verification failure.
fn verification_code(error: &VerifyError) -> &'static str {
    match error {
        VerifyError::NameMismatch { .. } => code::WRONG_PRINCIPAL,
        VerifyError::UntrustedRoot { .. } | VerifyError::PartialChain { .. } => code::UNTRUSTED_ROOT,
        VerifyError::Expired { .. } | VerifyError::NotYetValid { .. } => code::CERT_EXPIRED,
        VerifyError::Revoked => code::CERT_REVOKED,
        VerifyError::WrongUsage => code::CERT_WRONG_USAGE,
        _ => code::CERT_UNKNOWN,
    }
}

/// RFC 8446, section 6.2.
fn alert_code(alert: Alert) -> &'static str {
    match alert.code {
        20 | 21 | 51 => code::DECRYPT_FAILURE,
        40 | 60 | 70 | 71 | 86 | 120 => code::ALGORITHM_MISMATCH,
        41 | 116 => code::NO_CREDENTIALS,
        42 | 43 | 46 | 49 | 111 | 113 | 114 => code::CERT_UNKNOWN,
        44 => code::CERT_REVOKED,
        45 => code::CERT_EXPIRED,
        48 => code::UNTRUSTED_ROOT,
        112 => code::WRONG_PRINCIPAL,
        _ => code::ILLEGAL_MESSAGE,
    }
}

fn session_error(error: &tls_session::Error, negotiating: bool, role: Role) -> Error {
    use tls_session::Error as E;
    let code = match error {
        E::Certificate(fault) => verification_code(fault),
        E::PeerAlert(alert) => alert_code(*alert),
        E::NoCommonParameters(_) => code::ALGORITHM_MISMATCH,
        E::PeerSentNoCertificate => code::NO_CREDENTIALS,
        E::Decrypt => code::DECRYPT_FAILURE,
        E::HandshakeEof => {
            return negotiation_failed("the connection was closed before the handshake was complete").with_code([
                "TWAPI",
                "TLS",
                "NEGOTIATE",
                "EOF",
            ]);
        }
        E::Rejected => return Failure::VerifierRefused.to_error(),
        E::NotOpen => return Error::new("the TLS handshake is not complete").with_code(["TWAPI", "TLS", "STATE"]),
        E::WriteClosed => {
            return Error::new("the sending direction of the TLS session is closed")
                .with_code(["TWAPI", "TLS", "STATE"]);
        }
        E::Configuration(what) => {
            return Error::new(format!("{}.", sentence(what))).with_code(["TWAPI", "BADARGS"]);
        }
        _ => code::ILLEGAL_MESSAGE,
    };
    let text = sentence(&error.to_string());
    let begin = if negotiating { "SSL/TLS negotiation failed." } else { "TLS connection failed." };
    let message = match hint::for_error(error, role) {
        Some(hint) => format!("{begin} {text}. {hint}."),
        None => format!("{begin} {text}."),
    };
    win32(message, code)
}

/// Why a certificate was refused, and what can be done about it.
pub(crate) fn verification_text(fault: &VerifyError, role: Role) -> String {
    let text = sentence(&fault.to_string());
    match hint::for_certificate(fault, role) {
        Some(hint) => format!("{text}. {hint}."),
        None => format!("{text}."),
    }
}

fn negotiation_failed(why: &str) -> Error {
    Error::new(format!("SSL/TLS negotiation failed. {}.", sentence(why)))
}

fn win32(message: String, code: &str) -> Error {
    let words = ["TWAPI_WIN32".to_owned(), code.to_owned(), message.clone()];
    Error::new(message).with_code(words)
}

fn certificate_error(error: &CertError) -> Error {
    Error::new(format!("{}.", sentence(&error.to_string()))).with_code(["TWAPI", "CERTIFICATE"])
}

/// With a capital at its start and no full stop at its end.
pub(crate) fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(failure: &Failure) -> Vec<String> {
        failure.to_error().code().to_vec()
    }

    #[test]
    fn a_refusing_verifier_has_its_documented_words() {
        let error = Failure::VerifierRefused.to_error();
        assert_eq!(error.message(), "SSL/TLS negotiation failed. Verifier callback returned false.");
        assert_eq!(error.code(), ["TWAPI", "TLS", "VERIFYFAIL"]);
    }

    #[test]
    fn the_end_of_the_connection_while_negotiating() {
        let failure =
            Failure::Session { error: tls_session::Error::HandshakeEof, negotiating: true, role: Role::Client };
        assert_eq!(code_of(&failure), ["TWAPI", "TLS", "NEGOTIATE", "EOF"]);
    }

    #[test]
    fn an_alert_is_named_and_gets_the_code_that_fits() {
        for (alert, expected) in [
            (48, code::UNTRUSTED_ROOT),
            (45, code::CERT_EXPIRED),
            (44, code::CERT_REVOKED),
            (40, code::ALGORITHM_MISMATCH),
            (116, code::NO_CREDENTIALS),
            (20, code::DECRYPT_FAILURE),
            (112, code::WRONG_PRINCIPAL),
            (50, code::ILLEGAL_MESSAGE),
        ] {
            let alert = Alert { code: alert };
            let failure =
                Failure::Session { error: tls_session::Error::PeerAlert(alert), negotiating: true, role: Role::Client };
            let error = failure.to_error();
            assert_eq!(error.code()[..2], ["TWAPI_WIN32".to_owned(), expected.to_owned()]);
            assert!(error.message().contains(alert.name()), "{}", error.message());
        }
    }

    #[test]
    fn sentences() {
        assert_eq!(sentence("a b."), "A b");
        assert_eq!(sentence(""), "");
    }
}
