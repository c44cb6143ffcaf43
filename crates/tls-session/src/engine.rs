//! The two connection types of rustls behind one step function.

use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::crypto::SupportedKxGroup;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{CommonState, HandshakeKind, NamedGroup};

use crate::buffer::Outgoing;

/// What a record adds to its plaintext at most (RFC 5246, section 6.2.3.3; RFC 8446, section 5.2).
const RECORD_OVERHEAD: usize = 64;
/// The plaintext of a full record (RFC 8446, section 5.1).
const RECORD: usize = 16 * 1024;

/// What shall happen once the connection has nothing else to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Intent<'a> {
    /// Only take in what has arrived.
    Receive,
    /// Encrypt this.
    Send(&'a [u8]),
    /// Say that no more data follows.
    CloseNotify,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something; there is more to do.
    Advanced,
    /// The handshake waits for the peer.
    NeedInput,
    /// Everything that was shown is processed, and the intent fulfilled.
    Done,
    /// The peer sends no more data.
    PeerClosed,
    /// Both sides have closed.
    Closed,
}

pub(crate) enum Engine {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

impl Engine {
    pub(crate) fn client(config: &Arc<rustls::ClientConfig>, name: ServerName<'static>) -> Result<Self, rustls::Error> {
        let connection = UnbufferedClientConnection::new(Arc::clone(config), name)?;
        Ok(Self::Client(Box::new(connection)))
    }

    pub(crate) fn server(config: &Arc<rustls::ServerConfig>) -> Result<Self, rustls::Error> {
        let connection = UnbufferedServerConnection::new(Arc::clone(config))?;
        Ok(Self::Server(Box::new(connection)))
    }

    /// One step over `window`, which starts with all bytes shown before and not yet discarded.
    /// Returns how many bytes at its start are done with, to be removed before the next step.
    pub(crate) fn step(
        &mut self,
        window: &mut [u8],
        intent: Intent<'_>,
        outgoing: &mut Outgoing,
        deliver: &mut dyn FnMut(&[u8]),
    ) -> (usize, Result<Step, rustls::Error>) {
        match self {
            Self::Client(c) => act(c.process_tls_records(window), intent, outgoing, deliver),
            Self::Server(c) => act(c.process_tls_records(window), intent, outgoing, deliver),
        }
    }

    pub(crate) fn state(&self) -> &CommonState {
        match self {
            Self::Client(connection) => connection,
            Self::Server(connection) => connection,
        }
    }

    pub(crate) fn is_client(&self) -> bool {
        matches!(self, Self::Client(_))
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.state().is_handshaking()
    }

    /// Whether the server has agreed to continue an earlier session.
    pub(crate) fn is_resumed(&self) -> bool {
        self.state().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The group of this session's own key exchange, once that is known.
    pub(crate) fn group(&self) -> Option<NamedGroup> {
        self.state().negotiated_key_exchange_group().map(SupportedKxGroup::name)
    }

    /// Whether records are ready that a step will put out before it looks at any input.
    pub(crate) fn has_output(&self) -> bool {
        self.state().wants_write()
    }

    /// Whether there is something for the owner to judge: a client knows the server's certificate
    /// and that the server holds its key; a server waits until the handshake is complete.
    pub(crate) fn can_be_judged(&self) -> bool {
        let state = self.state();
        let known = match self {
            // rustls stores the certificates of a full handshake only when the signature over the
            // handshake was right. Those of a resumed one come from the earlier session, and are
            // proved by the server's Finished.
            Self::Client(_) => !self.is_resumed() && state.peer_certificates().is_some(),
            Self::Server(_) => false,
        };
        known || !state.is_handshaking()
    }
}

fn act<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    intent: Intent<'_>,
    outgoing: &mut Outgoing,
    deliver: &mut dyn FnMut(&[u8]),
) -> (usize, Result<Step, rustls::Error>) {
    let mut discard = status.discard;
    let outcome = status.state.and_then(|state| match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let record = record?;
                discard += record.discard;
                deliver(record.payload);
            }
            Ok(Step::Advanced)
        }
        ConnectionState::EncodeTlsData(mut data) => {
            let mut room = 0;
            let produced = loop {
                match data.encode(outgoing.reserve(room)) {
                    Ok(produced) => break produced,
                    Err(EncodeError::InsufficientSize(size)) => room = size.required_size,
                    Err(error) => return Err(rustls::Error::General(error.to_string())),
                }
            };
            outgoing.produced(produced);
            Ok(Step::Advanced)
        }
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Ok(Step::Advanced)
        }
        ConnectionState::BlockedHandshake => Ok(Step::NeedInput),
        ConnectionState::WriteTraffic(traffic) => fulfil(traffic, intent, outgoing),
        ConnectionState::PeerClosed => Ok(Step::PeerClosed),
        ConnectionState::Closed => Ok(Step::Closed),
        // Early data is never offered nor accepted.
        other => Err(rustls::Error::General(format!("unforeseen state {other:?}"))),
    });
    (discard, outcome)
}

fn fulfil<Data>(
    mut traffic: WriteTraffic<'_, Data>,
    intent: Intent<'_>,
    outgoing: &mut Outgoing,
) -> Result<Step, rustls::Error> {
    let mut room = match intent {
        Intent::Receive => return Ok(Step::Done),
        Intent::Send(data) => data.len() + (data.len() / RECORD + 2) * RECORD_OVERHEAD,
        Intent::CloseNotify => RECORD_OVERHEAD,
    };
    let produced = loop {
        let space = outgoing.reserve(room);
        let attempt = match intent {
            Intent::Send(data) => traffic.encrypt(data, space),
            _ => traffic.queue_close_notify(space),
        };
        match attempt {
            Ok(produced) => break produced,
            Err(EncryptError::InsufficientSize(size)) => room = size.required_size,
            Err(error @ EncryptError::EncryptExhausted) => {
                return Err(rustls::Error::General(error.to_string()));
            }
        }
    };
    outgoing.produced(produced);
    Ok(Step::Done)
}
