//! What can go wrong in a session, as data.

use std::fmt;

use rustls::{InvalidMessage, PeerIncompatible};
use tls_certs::VerifyError;

use crate::plain::Foreign;

/// The error of a session. The first one is kept and comes back from every later call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The peer's certificate or its chain was not accepted, or the peer could not prove that the
    /// certificate is its own.
    Certificate(VerifyError),
    /// The peer ended the session with a fatal alert (RFC 8446, section 6.2).
    PeerAlert(Alert),
    /// What the peer sent is no TLS; if known, what it is.
    NotTls(Option<Foreign>),
    /// The peer broke the rules of the protocol.
    Protocol(String),
    /// The two sides share no protocol version, cipher suite, key exchange, signature scheme or
    /// application protocol.
    NoCommonParameters(String),
    /// A certificate is needed and the peer sent none.
    PeerSentNoCertificate,
    /// A record failed authentication (RFC 8446, section 5.2).
    Decrypt,
    /// The transport ended before the handshake was complete.
    HandshakeEof,
    /// The owner's verdict on the peer was [`Verdict::Reject`](crate::Verdict::Reject).
    Rejected,
    /// Data cannot be written yet: the handshake or the verdict is outstanding. Not sticky.
    NotOpen,
    /// Data cannot be written any more: close_notify was sent. Not sticky.
    WriteClosed,
    /// The peer's message does not fit into the largest receive buffer, `limit` bytes.
    ReceiveBufferFull {
        /// Size of the buffer in bytes.
        limit: usize,
    },
    /// The options of a configuration contradict each other or cannot be used.
    Configuration(String),
    /// Something failed that has nothing to do with the peer: random numbers, the clock, or a fault
    /// of this program.
    Internal(String),
}

impl Error {
    /// Translates what rustls reports.
    pub(crate) fn from_rustls(error: rustls::Error) -> Self {
        use rustls::Error as E;
        if let Some(fault) = tls_certs::verify_failure(&error) {
            return Self::Certificate(fault);
        }
        match error {
            E::AlertReceived(alert) => Self::PeerAlert(Alert { code: alert.into() }),
            E::NoCertificatesPresented => Self::PeerSentNoCertificate,
            E::DecryptError => Self::Decrypt,
            E::PeerIncompatible(what) => Self::NoCommonParameters(incompatibility(&what)),
            E::NoApplicationProtocol => Self::NoCommonParameters("no application protocol in common".into()),
            E::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
                Self::NotTls(None)
            }
            error @ (E::InappropriateMessage { .. }
            | E::InappropriateHandshakeMessage { .. }
            | E::InvalidMessage(_)
            | E::InvalidEncryptedClientHello(_)
            | E::PeerMisbehaved(_)
            | E::PeerSentOversizedRecord) => Self::Protocol(error.to_string()),
            error => Self::Internal(error.to_string()),
        }
    }
}

impl Error {
    /// This error, if it is that something is not TLS, by where it came: at the beginning it may be `foreign`, later
    /// it is damage.
    pub(crate) fn where_it_came(self, is_first: bool, foreign: Option<Foreign>) -> Self {
        match self {
            Self::NotTls(_) if is_first => Self::NotTls(foreign),
            Self::NotTls(_) => Self::Protocol("a record has an unknown type or version".into()),
            other => other,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(fault) => fault.fmt(f),
            Self::PeerAlert(alert) => {
                write!(f, "the peer refused the connection with the alert {alert}")
            }
            Self::NotTls(None) => f.write_str("what the peer sent is not TLS"),
            Self::NotTls(Some(what)) => write!(f, "what the peer sent is not TLS but {what}"),
            Self::Protocol(what) => write!(f, "the peer does not keep to the TLS protocol: {what}"),
            Self::NoCommonParameters(what) => {
                write!(f, "the two sides cannot agree: {what}")
            }
            Self::PeerSentNoCertificate => f.write_str("the peer sent no certificate"),
            Self::Decrypt => f.write_str("a record failed authentication: it was altered on its way"),
            Self::HandshakeEof => f.write_str("the connection ended before the TLS handshake was complete"),
            Self::Rejected => f.write_str("the peer was rejected by the verifier"),
            Self::NotOpen => f.write_str("the TLS handshake is not complete"),
            Self::WriteClosed => f.write_str("the sending direction is closed"),
            Self::ReceiveBufferFull { limit } => {
                write!(f, "the peer sent a message that needs more than {limit} bytes of buffer")
            }
            Self::Configuration(what) => write!(f, "the TLS settings cannot be used: {what}"),
            Self::Internal(what) => write!(f, "TLS failed: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Certificate(fault) => Some(fault),
            _ => None,
        }
    }
}

/// A TLS alert as received (RFC 8446, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Alert {
    /// The AlertDescription's number.
    pub code: u8,
}

impl Alert {
    /// The name in the IANA registry of TLS alerts; `unknown` for a number that is not in it.
    pub fn name(self) -> &'static str {
        match self.code {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            21 => "decryption_failed",
            22 => "record_overflow",
            30 => "decompression_failure",
            40 => "handshake_failure",
            41 => "no_certificate",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            52 => "too_many_cids_requested",
            60 => "export_restriction",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            100 => "no_renegotiation",
            109 => "missing_extension",
            110 => "unsupported_extension",
            111 => "certificate_unobtainable",
            112 => "unrecognized_name",
            113 => "bad_certificate_status_response",
            114 => "bad_certificate_hash_value",
            115 => "unknown_psk_identity",
            116 => "certificate_required",
            117 => "general_error",
            120 => "no_application_protocol",
            121 => "ech_required",
            _ => "unknown",
        }
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.code)
    }
}

fn incompatibility(what: &PeerIncompatible) -> String {
    use PeerIncompatible as P;
    match what {
        P::NoCipherSuitesInCommon => "no cipher suite in common".into(),
        P::NoKxGroupsInCommon => "no key exchange group in common".into(),
        P::NoSignatureSchemesInCommon | P::NoCertificateRequestSignatureSchemesInCommon => {
            "no signature scheme in common that fits the certificate".into()
        }
        P::ServerDoesNotSupportTls12Or13 => "the server speaks neither TLS 1.2 nor TLS 1.3".into(),
        P::ServerTlsVersionIsDisabledByOurConfig
        | P::SupportedVersionsExtensionRequired
        | P::Tls12NotOffered
        | P::Tls12NotOfferedOrEnabled => "no protocol version in common".into(),
        other => format!("the peer lacks what is needed here ({other:?})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_their_registered_names() {
        assert_eq!(Alert { code: 48 }.to_string(), "unknown_ca (48)");
        assert_eq!(Alert { code: 255 }.to_string(), "unknown (255)");
        let error = Error::from_rustls(rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired));
        assert_eq!(error, Error::PeerAlert(Alert { code: 116 }));
    }

    #[test]
    fn plain_text_is_told_from_broken_tls() {
        let error = Error::from_rustls(InvalidMessage::InvalidContentType.into());
        assert_eq!(error, Error::NotTls(None));
        assert!(error.to_string().contains("not TLS"));
    }
}
