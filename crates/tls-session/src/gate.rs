//! The verification gate: from the peer's proof of its identity until the owner's verdict.

/// The owner's judgement of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The session goes on.
    Accept,
    /// The session ends with [`Error::Rejected`](crate::Error::Rejected); nothing more leaves it.
    Reject,
}

/// Whether a verdict is wanted, and where that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Nobody wants to judge, or the verdict was to accept.
    Passed,
    /// A verdict will be asked for once the peer has proved its identity.
    Armed,
    /// A verdict is awaited.
    Closed,
}
