//! Where a session is, and what it tells its owner.

use crate::error::Error;

/// How the peer ended its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With close_notify (RFC 8446, section 6.1): what was received is complete.
    CloseNotify,
    /// The transport ended without it: data may be missing.
    Truncated,
}

/// Something the owner should react to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer's certificate, if it has one, is known and its possession proved. Nothing goes on
    /// until [`Session::verdict`](crate::Session::verdict).
    VerdictNeeded,
    /// Handshake and verdict are done; data flows.
    Established,
    /// The peer has ended its side, and all its data was taken.
    PeerClosed(Ending),
}

/// Where a session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The handshake is not complete.
    Handshaking,
    /// The owner is to judge the peer.
    AwaitingVerdict,
    /// Data flows, in the directions that are not ended.
    Open {
        /// This side has sent close_notify.
        write_closed: bool,
        /// How the peer has ended its side.
        ended: Option<Ending>,
    },
    /// The first error; nothing but its alert leaves any more.
    Failed(Error),
}

/// What one [`Session::process`](crate::Session::process) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many bytes were put into the sink.
    pub plaintext: usize,
}
