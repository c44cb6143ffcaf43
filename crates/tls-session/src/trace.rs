//! What a session can tell about its course, for those who look for a fault: no secrets, no data.

use std::collections::VecDeque;

use rustls::{AlertDescription, CommonState, HandshakeKind};
use tls_certs::{Certificate, VerifyError};

use crate::error::{Alert, Error};
use crate::info::{self, SessionInfo};
use crate::phase::Ending;

/// From which side something came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From this one.
    Sent,
    /// From the peer.
    Received,
}

/// A step in the course of a session.
///
/// What is sent is told when it is made; it may have to wait for the transport.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Trace {
    /// The client's first message (RFC 8446, section 4.1.2).
    ClientHello {
        /// By whom.
        direction: Direction,
        /// The name of the server that the client asks for, which is a host name or, by a client of ours, an address
        /// that it does not send.
        server_name: Option<String>,
    },
    /// The server asks for another ClientHello, with a key for a group of its choice (RFC 8446, section 4.1.4).
    RetryRequest {
        /// By whom.
        direction: Direction,
    },
    /// The server's first message: version and cipher suite are agreed on (RFC 8446, section 4.1.3).
    ServerHello {
        /// By whom.
        direction: Direction,
        /// `TLSv1.2` or `TLSv1.3`.
        protocol: &'static str,
        /// As [`SessionInfo::cipher`] has it.
        cipher: String,
    },
    /// The certificate with which this side presents itself was chosen.
    LocalCertificate(Certificate),
    /// The peer's certificate is known and its possession proved.
    PeerCertificate {
        /// The peer's own, if it can be read.
        leaf: Option<Certificate>,
        /// How many certificates the peer sent.
        count: usize,
    },
    /// The automatic verification accepts the peer's certificate.
    Verified,
    /// The automatic verification refuses it, or its possession was not proved.
    Refused(VerifyError),
    /// The handshake is complete, and the verdict, if one was asked for, was to accept.
    Established(SessionInfo),
    /// A fatal alert (RFC 8446, section 6.2); without its name where that was encrypted at once.
    Alert {
        /// By whom.
        direction: Direction,
        /// Which.
        alert: Option<Alert>,
    },
    /// The orderly end of one direction (RFC 8446, section 6.1).
    CloseNotify {
        /// By whom.
        direction: Direction,
    },
    /// The transport ended without one.
    Truncated,
    /// A secret could not be logged; the reason.
    KeyLogFailed(String),
}

/// Notices the steps of a session and keeps them until they are asked for.
#[derive(Debug, Default)]
pub(crate) struct Tracer {
    steps: VecDeque<Trace>,
    told: Vec<Topic>,
}

/// What is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Topic {
    Hello,
    Retry,
    Agreed,
    Local,
    Peer,
    KeyLog,
}

/// What a step of the engine has left behind.
pub(crate) struct Aftermath<'a> {
    pub(crate) is_client: bool,
    pub(crate) state: &'a CommonState,
    pub(crate) server_name: Option<&'a str>,
    pub(crate) local: Option<&'a Certificate>,
    /// The session itself judges the peer.
    pub(crate) verifies: bool,
    pub(crate) key_log_failure: Option<String>,
}

impl Tracer {
    pub(crate) fn next(&mut self) -> Option<Trace> {
        self.steps.pop_front()
    }

    pub(crate) fn tell(&mut self, step: Trace) {
        self.steps.push_back(step);
    }

    fn is_news(&mut self, topic: Topic) -> bool {
        let is_news = !self.told.contains(&topic);
        if is_news {
            self.told.push(topic);
        }
        is_news
    }

    /// Compares what is known now with what was told.
    pub(crate) fn observe(&mut self, now: Aftermath<'_>) {
        let Aftermath { state, is_client, .. } = now;
        let (client, server) =
            if is_client { (Direction::Sent, Direction::Received) } else { (Direction::Received, Direction::Sent) };
        let protocol = state.protocol_version().and_then(info::protocol);
        let kind = state.handshake_kind();
        let retried = kind == Some(HandshakeKind::FullWithHelloRetryRequest);
        if (is_client || retried || protocol.is_some()) && self.is_news(Topic::Hello) {
            self.tell(Trace::ClientHello { direction: client, server_name: now.server_name.map(str::to_owned) });
        }
        if retried && self.is_news(Topic::Retry) {
            self.tell(Trace::RetryRequest { direction: server });
        }
        let cipher = state.negotiated_cipher_suite().map(|suite| info::cipher(suite.suite()));
        if let (Some(protocol), Some(cipher)) = (protocol, cipher)
            && self.is_news(Topic::Agreed)
        {
            self.tell(Trace::ServerHello { direction: server, protocol, cipher });
        }
        if let Some(local) = now.local
            && self.is_news(Topic::Local)
        {
            self.tell(Trace::LocalCertificate(local.clone()));
        }
        if let Some(chain) = state.peer_certificates()
            && self.is_news(Topic::Peer)
        {
            let leaf = chain.first().and_then(|der| Certificate::from_der(der).ok());
            self.tell(Trace::PeerCertificate { leaf, count: chain.len() });
            // That of a resumed session was judged in the session that it continues.
            if now.verifies && kind != Some(HandshakeKind::Resumed) {
                self.tell(Trace::Verified);
            }
        }
        if let Some(why) = now.key_log_failure
            && self.is_news(Topic::KeyLog)
        {
            self.tell(Trace::KeyLogFailed(why));
        }
    }

    /// The session has failed with `error`; `output` is what it has made since, the alert among it.
    pub(crate) fn failed(&mut self, error: &Error, alert: Option<Alert>, output: &[u8]) {
        match error {
            Error::Certificate(fault) => self.tell(Trace::Refused(fault.clone())),
            Error::PeerAlert(alert) => {
                self.tell(Trace::Alert { direction: Direction::Received, alert: Some(*alert) });
            }
            _ => {}
        }
        if !output.is_empty() {
            let alert = plain_alert(output).or(alert);
            self.tell(Trace::Alert { direction: Direction::Sent, alert });
        }
    }

    pub(crate) fn ended(&mut self, ending: Ending) {
        self.tell(match ending {
            Ending::CloseNotify => Trace::CloseNotify { direction: Direction::Received },
            Ending::Truncated => Trace::Truncated,
        });
    }
}

/// The alert that rustls sends for `error`, where that is certain.
pub(crate) fn alert_for(error: &rustls::Error, is_handshaking: bool) -> Option<Alert> {
    let description = match error {
        rustls::Error::InvalidCertificate(fault) => AlertDescription::from(fault.clone()),
        // During the handshake it may also be a Finished that is wrong, which has another alert.
        rustls::Error::DecryptError if !is_handshaking => AlertDescription::BadRecordMac,
        rustls::Error::PeerSentOversizedRecord => AlertDescription::RecordOverflow,
        _ => return None,
    };
    Some(Alert { code: description.into() })
}

/// The alert of the last record, if that is an alert in plain text (RFC 8446, sections 5.1 and 6).
fn plain_alert(output: &[u8]) -> Option<Alert> {
    const ALERT: u8 = 21;
    match output.last_chunk::<7>()? {
        [ALERT, 3, _, 0, 2, _level, code] => Some(Alert { code: *code }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_in_plain_text_is_read() {
        assert_eq!(plain_alert(&[21, 3, 3, 0, 2, 2, 48]), Some(Alert { code: 48 }));
        assert_eq!(plain_alert(&[1, 2, 21, 3, 3, 0, 2, 2, 70]), Some(Alert { code: 70 }));
        for other in [&[22, 3, 3, 0, 2, 2, 48][..], &[3, 3, 0, 2, 2, 48], &[]] {
            assert_eq!(plain_alert(other), None);
        }
    }
}
