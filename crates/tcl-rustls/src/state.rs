//! What there is to know of a TLS channel: its stage, what it waits for, and what reading and writing do to it. No
//! script runs here.

use std::sync::Arc;
use std::time::Duration;

use tcl_stubs::{ChannelError, Events, InputBuffer, InterpId, Timer, WeakChannel};
use tls_session::{Ending, Session};

use crate::accept::Accepted;
use crate::context::{Context, ContextHandle};
use crate::credentials::CredentialsHandle;
use crate::driver::{self, TlsChannel};
use crate::failure::Failure;
use crate::interest::{Progress, Situation};
use crate::pump::{Deadline, Goal, Input, NoRoom, Outcome, Pump, Reads, Sent};
use crate::trace::TraceEvent;

/// All that changes about a channel.
pub(crate) struct State {
    /// Gone once the channel is closed.
    pub(crate) pump: Option<Pump>,
    pub(crate) stage: Stage,
    pub(crate) role: Role,
    pub(crate) blocking: bool,
    pub(crate) settings: Settings,
    pub(crate) context: Arc<Context>,
    pub(crate) context_handle: Option<ContextHandle>,
    /// What becomes of a server's connection once it is open or has failed.
    pub(crate) accepted: Option<Accepted>,
    /// When the handshake has taken too long, for one who waits for it.
    pub(crate) limit: Option<Deadline>,
    /// Fires then, for the event loop.
    pub(crate) deadline: Option<Timer>,
    /// What Tcl wants to hear of.
    pub(crate) wanted: Events,
    /// Fires when there is something to deliver without an event below.
    pub(crate) wake: Option<Timer>,
    /// Plaintext of Tcl's that the session has taken and that is not yet reported as written, because ciphertext
    /// that covers it has not left. Tcl offers the same bytes again.
    pub(crate) covered: usize,
}

/// What the options said that outlives the handshake.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) credentials: Option<CredentialsHandle>,
    pub(crate) verifier: Option<Verifier>,
}

/// The script that judges the peer.
#[derive(Clone)]
pub(crate) struct Verifier {
    pub(crate) interp: InterpId,
    pub(crate) command: String,
}

/// Which end of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

impl Role {
    /// This side of a session.
    pub(crate) fn of(session: &Session) -> Self {
        if session.is_client() { Self::Client } else { Self::Server }
    }
}

/// Where the channel is in its life.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stage {
    /// Nothing was sent or received yet.
    Initial,
    /// The handshake is going on.
    Negotiating,
    /// A script is judging the peer.
    Judging,
    /// Data flows.
    Open,
    /// The first failure, for every later call.
    Failed(Failure),
    /// The channel is closed.
    Closed,
}

impl State {
    pub(crate) fn new(pump: Pump, role: Role, settings: Settings, blocking: bool) -> Self {
        Self {
            pump: Some(pump),
            stage: Stage::Initial,
            role,
            blocking,
            settings,
            context: Arc::new(Context::default()),
            context_handle: None,
            accepted: None,
            limit: None,
            deadline: None,
            wanted: Events::NONE,
            wake: None,
            covered: 0,
        }
    }

    /// As `tls_state` names it.
    pub(crate) fn name(&self) -> &'static str {
        match (&self.stage, self.role) {
            (Stage::Initial, Role::Client) => "CLIENTINIT",
            (Stage::Initial, Role::Server) => "SERVERINIT",
            (Stage::Negotiating | Stage::Judging, _) => "NEGOTIATING",
            (Stage::Open, _) => "OPEN",
            (Stage::Failed(_) | Stage::Closed, _) => "CLOSED",
        }
    }

    /// The pump of a channel that is not closed.
    pub(crate) fn pump(&mut self) -> Result<&mut Pump, Failure> {
        let state = self.name();
        self.pump.as_mut().ok_or(Failure::NotOpen { operation: "use the channel", state })
    }

    /// Makes `failure` the channel's failure, for every later call, and ends the connection: the peer shall hear of it
    /// now, not when the script closes the channel.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.trace_event(|| TraceEvent::Failed(failure.clone()));
        self.stage = Stage::Failed(failure);
        self.limit = None;
        self.deadline = None;
        if let Some(pump) = self.pump.as_mut() {
            pump.abort();
        }
    }

    /// A read would not have to look below.
    pub(crate) fn input_ready(&mut self) -> bool {
        match (&self.stage, self.pump.as_mut()) {
            (Stage::Open, Some(pump)) => {
                pump.settle();
                let session = &pump.session;
                session.has_plaintext() || session.ending().is_some() || session.error().is_some()
            }
            (Stage::Failed(_), _) => true,
            (Stage::Initial | Stage::Negotiating, Some(pump)) => pump.has_early(),
            _ => false,
        }
    }

    pub(crate) fn situation(&mut self) -> Situation {
        // Nobody asks: no record is decrypted ahead of the read that will want it.
        let unasked = self.stage == Stage::Open && !self.wanted.intersects(Events::READABLE);
        let input_ready = !unasked && self.input_ready();
        let progress = match self.stage {
            Stage::Initial | Stage::Negotiating => Progress::Negotiating,
            Stage::Judging => Progress::Judging,
            Stage::Open => Progress::Open,
            Stage::Failed(_) | Stage::Closed => Progress::Failed,
        };
        // A client that has not begun has its first flight to send.
        let begins = self.stage == Stage::Initial && self.role == Role::Client;
        let unsent = begins || self.pump.as_ref().is_some_and(Pump::has_unsent);
        Situation { progress, wanted: self.wanted, unsent, input_ready }
    }

    /// Watches below, and arranges to wake up, as the situation asks.
    pub(crate) fn refresh(&mut self, weak: impl FnOnce() -> WeakChannel<TlsChannel>) -> Result<(), Failure> {
        let situation = self.situation();
        if situation.is_quiet()
            && let Some(pump) = self.pump.as_mut()
        {
            pump.session.release_idle_buffers();
        }
        let interest = situation.interest();
        if interest.wake.is_empty() {
            self.wake = None;
        } else if self.wake.as_ref().is_none_or(Timer::has_fired) {
            let weak = weak();
            self.wake = Some(Timer::after(Duration::ZERO, move || weak.handle(driver::on_wake)));
        }
        match &self.pump {
            Some(pump) => pump.parent.watch(interest.below).map_err(|errno| Failure::Below(errno.into())),
            None => Ok(()),
        }
    }
}

impl State {
    /// Reads below without delivering: afterwards plaintext, end or error are known, if any came.
    pub(crate) fn look_ahead(&mut self, reads: Reads) {
        let Some(pump) = self.pump.as_mut() else { return };
        match pump.run(&mut NoRoom, Goal::Plaintext, reads) {
            Ok(_) | Err(Failure::Session { .. }) => {}
            Err(failure) => self.fail(failure),
        }
    }

    pub(crate) fn read(&mut self, into: &mut InputBuffer<'_>) -> Result<(), Failure> {
        if let Stage::Failed(failure) = &self.stage {
            return Err(failure.clone());
        }
        match self.pump()?.run(&mut Input(into), Goal::Plaintext, Reads::AsNeeded) {
            Ok(Outcome::Reached) => Ok(()),
            Ok(Outcome::Blocked | Outcome::VerdictNeeded) => Err(Failure::Below(ChannelError::WOULD_BLOCK)),
            Err(failure) => {
                self.fail(failure.clone());
                Err(failure)
            }
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        if let Stage::Failed(failure) = &self.stage {
            return Err(failure.clone());
        }
        loop {
            if let Some(error) = self.pump()?.send_failure() {
                return Err(Failure::Below(error.clone()));
            }
            // Encrypted before anything is sent: what waits already, such as our last flight, leaves with the data.
            if self.covered == 0 {
                let pump = self.pump()?;
                self.covered = pump.session.write(bytes).map_err(|error| pump.session_failure(error))?;
            }
            match self.pump()?.send().map_err(Failure::Below)? {
                Sent::Blocked => return Err(Failure::Below(ChannelError::WOULD_BLOCK)),
                Sent::All if self.covered == 0 => {}
                Sent::All => return Ok(std::mem::take(&mut self.covered).min(bytes.len())),
            }
        }
    }

    /// What `chan configure -error` says.
    pub(crate) fn error_text(&self) -> Option<String> {
        if let Stage::Failed(failure) = &self.stage {
            return Some(match failure {
                Failure::Below(ChannelError::System(errno)) => errno.message(),
                other => other.to_error().message().to_owned(),
            });
        }
        let ending = self.pump.as_ref()?.session.ending()?;
        (ending == Ending::Truncated)
            .then(|| "the peer closed the connection without ending the TLS session: data may be missing".to_owned())
    }

    pub(crate) fn own_options(&self) -> [(&'static str, String); 3] {
        let settings = &self.settings;
        [
            ("-context", self.context_handle.as_ref().map_or_else(String::new, ContextHandle::name)),
            ("-credentials", settings.credentials.as_ref().map_or_else(String::new, |handle| handle.name().to_owned())),
            ("-verifier", settings.verifier.as_ref().map_or_else(String::new, |verifier| verifier.command.clone())),
        ]
    }
}
