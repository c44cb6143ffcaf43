//! The one pump: moves bytes between a session and the channel below, for clients and servers, blocking and not.
//!
//! Whether a call below waits is the channel's own matter; the pump takes "would block" as the sign to stop.

use std::time::Instant;

use tcl_stubs::{ChannelError, Errno, Events, InputBuffer, Parent};
use tls_session::{Error, Event, PlaintextSink, Session};

use crate::failure::Failure;
use crate::state::Role;
use crate::trace::Trace;

/// A session and the channel that carries its records.
#[derive(Debug)]
pub(crate) struct Pump {
    pub(crate) session: Session,
    pub(crate) parent: Parent,
    /// The first failure to send. Kept apart from the session's error: what the peer sent before can still be read.
    send_failure: Option<ChannelError>,
    /// Our side of the channel below is closed; nothing can be sent any more.
    output_closed: bool,
    /// The channel below has ended.
    below_ended: bool,
    /// Ciphertext that lay in the channel below before it became ours, and how much of it was received.
    early: Vec<u8>,
    early_taken: usize,
    reached: Reached,
    /// Where to tell what happens, if anyone wants to know.
    pub(crate) trace: Option<Trace>,
    /// Until when a blocking handshake may wait.
    pub(crate) deadline: Option<Deadline>,
}

/// How far the connection ever came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    /// Nothing was sent or received yet.
    Nothing,
    /// Something was.
    Begun,
    /// The handshake was complete: what fails from then on is no negotiation.
    Open,
}

/// When a handshake must be complete.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    pub(crate) milliseconds: u64,
}

/// What a run of the pump is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// The handshake is complete. Where data follows at once, our last flight stays here for it: both leave in one
    /// segment.
    Handshake { data_follows: bool },
    /// There is plaintext, or the end of it.
    Plaintext,
}

/// How often to read below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Until the goal is reached or nothing is there; a blocking channel waits.
    AsNeeded,
    /// Once: something is there, more may not be.
    Once,
    /// Not at all.
    None,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The goal is reached.
    Reached,
    /// An event below must come first.
    Blocked,
    /// The peer must be judged first; call again after [`Session::verdict`].
    VerdictNeeded,
}

/// Whether ciphertext is left to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Nothing is left.
    All,
    /// The channel below takes no more now.
    Blocked,
}

impl Pump {
    /// `early`: what lay in the channel's input buffer.
    pub(crate) fn new(session: Session, parent: Parent, early: Vec<u8>) -> Self {
        Self {
            session,
            parent,
            send_failure: None,
            output_closed: false,
            below_ended: false,
            early,
            early_taken: 0,
            reached: Reached::Nothing,
            trace: None,
            deadline: None,
        }
    }

    /// Receive, decrypt, encrypt, send: until the goal is reached or nothing moves.
    pub(crate) fn run(&mut self, sink: &mut dyn PlaintextSink, goal: Goal, reads: Reads) -> Result<Outcome, Failure> {
        let mut reads = reads;
        loop {
            let processed = self.session.process(sink);
            self.trace_session();
            let held = goal == Goal::Handshake { data_follows: true } && self.session.is_open();
            // An alert leaves even where processing failed, and does not mask the error.
            let sent = if held { Ok(Sent::Blocked) } else { self.send() };
            let progress = processed.map_err(|error| self.session_failure(error))?;
            while let Some(event) = self.session.poll_event() {
                if event == Event::VerdictNeeded {
                    return Ok(Outcome::VerdictNeeded);
                }
            }
            let reached = match goal {
                Goal::Handshake { .. } => !self.session.is_handshaking(),
                Goal::Plaintext => {
                    progress.plaintext > 0 || self.session.ending().is_some() || self.session.has_plaintext()
                }
            };
            if reached {
                if !self.session.is_handshaking() {
                    self.reached = Reached::Open;
                }
                return Ok(Outcome::Reached);
            }
            if reads == Reads::None {
                return Ok(Outcome::Blocked);
            }
            if reads == Reads::Once {
                reads = Reads::None;
            }
            if !self.receive()? {
                return match sent {
                    // Nothing more will move by itself: without our side the peer cannot go on either.
                    Err(error) if self.session.is_handshaking() => Err(self.lost(error)),
                    _ => Ok(Outcome::Blocked),
                };
            }
        }
    }

    /// Sends the ciphertext that may leave, as far as the channel below takes it.
    ///
    /// # Errors
    /// The channel's first failure to send, from then on at every call that has something to send.
    pub(crate) fn send(&mut self) -> Result<Sent, ChannelError> {
        while !self.session.transmit().is_empty() {
            if self.output_closed || self.send_failure.is_some() {
                let count = self.session.transmit().len();
                self.session.transmitted(count);
                return self.send_failure.clone().map_or(Ok(Sent::All), Err);
            }
            match self.parent.write(self.session.transmit()) {
                Ok(count) => {
                    self.reached = self.reached.max(Reached::Begun);
                    self.session.transmitted(count);
                }
                Err(ChannelError::System(errno)) if errno.is_would_block() => return Ok(Sent::Blocked),
                Err(error) => self.send_failure = Some(error),
            }
        }
        Ok(Sent::All)
    }

    /// Why nothing can be sent any more.
    pub(crate) fn send_failure(&self) -> Option<&ChannelError> {
        self.send_failure.as_ref()
    }

    /// Ciphertext waits for the channel below.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.session.transmit().is_empty()
    }

    /// Whether the channel below has ended, so that nothing is left to receive.
    pub(crate) fn is_below_ended(&self) -> bool {
        self.below_ended
    }

    /// Looks at whole records that already lie here, so that [`Session::has_plaintext`] and [`Session::ending`] tell
    /// the truth; does not read below.
    pub(crate) fn settle(&mut self) {
        if self.session.needs_processing() && !self.session.has_plaintext() && self.session.ending().is_none() {
            // The session keeps its error, for the read that will ask.
            let _ = self.session.process(&mut NoRoom);
            self.trace_session();
            let _ = self.send();
        }
    }

    /// Ends our side: `close_notify` behind everything written, handed to Tcl's own buffer, which goes out in the
    /// background if need be; then the sending direction of the channel below, where it can be closed by itself.
    pub(crate) fn close_output(&mut self) -> Result<(), Failure> {
        if self.output_closed {
            return Ok(());
        }
        self.session.close_notify().map_err(|error| self.session_failure(error))?;
        let queued = self.hand_over();
        self.output_closed = true;
        self.parent.close_output();
        queued.map_err(Failure::Below)
    }

    /// Ends the connection without `close_notify`: the alert of a failure may leave, and nothing else.
    pub(crate) fn abort(&mut self) {
        if !self.output_closed {
            // There is nobody left to report this to, beside the failure that is reported already.
            let _ = self.hand_over();
            self.output_closed = true;
            self.parent.close_output();
        }
    }

    /// Hands what may still leave to Tcl's own buffer.
    fn hand_over(&mut self) -> Result<(), ChannelError> {
        if self.output_closed {
            return Ok(());
        }
        if let Some(error) = &self.send_failure {
            return Err(error.clone());
        }
        let queued = self.parent.queue(self.session.transmit());
        let count = self.session.transmit().len();
        self.session.transmitted(count);
        queued
    }

    /// Whether ciphertext is at hand that no event below will tell of.
    pub(crate) fn has_early(&self) -> bool {
        !self.early.is_empty()
    }

    /// The channel below, when the session is over.
    pub(crate) fn into_parent(self) -> Parent {
        self.parent
    }

    /// Whether anything was sent or received yet.
    pub(crate) fn has_begun(&self) -> bool {
        self.reached >= Reached::Begun
    }

    /// One read below; false where nothing is there.
    fn receive(&mut self) -> Result<bool, Failure> {
        if self.early_taken < self.early.len() {
            self.reached = self.reached.max(Reached::Begun);
            self.early_taken += self.session.receive(&self.early[self.early_taken..]);
            if self.early_taken == self.early.len() {
                self.early = Vec::new();
                self.early_taken = 0;
            }
            return Ok(true);
        }
        if let Some(deadline) = self.deadline {
            let left = deadline.at.saturating_duration_since(Instant::now());
            let ready = self.parent.wait(Events::READABLE, left).map_err(|errno| Failure::Below(errno.into()))?;
            if !ready {
                return Err(Failure::Timeout { milliseconds: deadline.milliseconds });
            }
        }
        match self.parent.read(self.session.receive_space()) {
            Ok(0) => {
                self.below_ended = true;
                self.session.received_end();
                Ok(true)
            }
            Ok(count) => {
                self.reached = self.reached.max(Reached::Begun);
                self.session.received(count);
                Ok(true)
            }
            Err(ChannelError::System(errno)) if errno.is_would_block() => Ok(false),
            Err(error) if self.session.is_handshaking() => Err(self.lost(error)),
            Err(error) => Err(Failure::Below(error)),
        }
    }

    /// What a failure below means while negotiating.
    fn lost(&self, error: ChannelError) -> Failure {
        match error {
            ChannelError::System(errno) if errno.is_connection_lost() => self.session_failure(Error::HandshakeEof),
            // A connection that was never made: the channel says why in its own option, once.
            ChannelError::System(errno) => {
                let reason = self.parent.option(None, "-error").ok().and_then(|text| Errno::from_message(&text));
                Failure::Below(reason.unwrap_or(errno).into())
            }
            message @ ChannelError::Message(_) => Failure::Below(message),
        }
    }

    pub(crate) fn session_failure(&self, error: Error) -> Failure {
        let role = if self.session.is_client() { Role::Client } else { Role::Server };
        Failure::Session { error, negotiating: self.reached < Reached::Open, role }
    }
}

/// Takes nothing: for looking ahead.
pub(crate) struct NoRoom;

impl PlaintextSink for NoRoom {
    fn room(&self) -> usize {
        0
    }
    fn put(&mut self, _bytes: &[u8]) {}
}

/// Tcl's buffer as a sink.
pub(crate) struct Input<'a, 'b>(pub(crate) &'a mut InputBuffer<'b>);

impl PlaintextSink for Input<'_, '_> {
    fn room(&self) -> usize {
        self.0.room()
    }
    fn put(&mut self, bytes: &[u8]) {
        self.0.put(bytes);
    }
}
