//! The TLS channel: what Tcl asks of it, answered by the pump.

use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use tcl_stubs::{
    Channel, ChannelDriver, ChannelError, Events, InputBuffer, Interp, InterpId, OptionError, OsHandle, Timer,
    WeakChannel,
};
use tls_session::Ending;

use crate::accept::Accepted;
use crate::context::{Context, ContextHandle};
use crate::credentials::CredentialsHandle;
use crate::failure::Failure;
use crate::fault::{Fault, Injection};
use crate::interest::{Progress, Situation};
use crate::negotiate::Within;
use crate::pump::{Deadline, Goal, Input, Outcome, Pump, Reads, Sent};
use crate::{linger, negotiate};

/// The driver of one TLS channel.
pub(crate) struct TlsChannel {
    /// Locked only where no script can run, except that a channel below may be made of scripts; tried, never waited
    /// for.
    state: Mutex<State>,
    /// Something happened while the state was locked: what is watched must be looked at again.
    missed: AtomicBool,
    fault: Injection,
}

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
    wanted: Events,
    /// Fires when there is something to deliver without an event below.
    wake: Option<Timer>,
    /// Plaintext of Tcl's that the session has taken and that is not yet reported as written, because ciphertext
    /// that covers it has not left. Tcl offers the same bytes again.
    covered: usize,
    output_closed: bool,
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

impl TlsChannel {
    /// A driver that has not begun.
    pub(crate) fn new(pump: Pump, role: Role, settings: Settings, blocking: bool) -> Self {
        Self {
            state: Mutex::new(State {
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
                output_closed: false,
            }),
            missed: AtomicBool::new(false),
            fault: Injection::default(),
        }
    }

    /// Locks the state for something that runs no script.
    ///
    /// # Errors
    /// [`Failure::Busy`]: the call comes from within another one of this channel.
    pub(crate) fn with<R>(&self, body: impl FnOnce(&mut State) -> R) -> Result<R, Failure> {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            // The panic has poisoned the channel, which tells of it; this is to clean up.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(Failure::Busy),
        };
        Ok(body(&mut state))
    }

    /// Makes the next call of a procedure panic, for tests of the panic boundary.
    pub(crate) fn inject(&self, fault: Fault) {
        self.fault.arm(fault);
    }

    /// Something happened while the state was locked.
    fn note_missed(&self) {
        self.missed.store(true, Ordering::Release);
    }
}

impl State {
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
        self.stage = Stage::Failed(failure);
        self.limit = None;
        self.deadline = None;
        if let Some(pump) = self.pump.as_mut() {
            pump.abort();
        }
    }

    /// A read would not have to look below.
    fn input_ready(&mut self) -> bool {
        match (&self.stage, self.pump.as_mut()) {
            (Stage::Open, Some(pump)) => {
                pump.settle();
                let session = &pump.session;
                session.has_plaintext() || session.ending().is_some() || session.error().is_some()
            }
            (Stage::Failed(_), _) => true,
            _ => false,
        }
    }

    pub(crate) fn situation(&mut self) -> Situation {
        let input_ready = self.input_ready();
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
    fn refresh(&mut self, weak: impl FnOnce() -> WeakChannel<TlsChannel>) -> Result<(), Failure> {
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
            self.wake = Some(Timer::after(Duration::ZERO, move || weak.handle(on_wake)));
        }
        match &self.pump {
            Some(pump) => pump.parent.watch(interest.below).map_err(|errno| Failure::Below(errno.into())),
            None => Ok(()),
        }
    }
}

/// Brings what is watched in line with the state; to be called after every change.
pub(crate) fn refresh(chan: &Channel<TlsChannel>) {
    if !chan.is_open() {
        return;
    }
    let driver = chan.driver();
    driver.missed.store(false, Ordering::Release);
    match driver.with(|state| state.refresh(|| chan.downgrade())) {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => {
            negotiate::fail(chan, failure);
            // A failed channel watches nothing, so this cannot fail again.
            let _ = driver.with(|state| state.refresh(|| chan.downgrade()));
        }
        Err(_) => driver.note_missed(),
    }
}

/// Uses the state where nothing changes; if an event came meanwhile, it is not lost.
fn look<R>(chan: &Channel<TlsChannel>, body: impl FnOnce(&mut State) -> R) -> Result<R, Failure> {
    let answer = chan.driver().with(body);
    if answer.is_ok() && chan.driver().missed.load(Ordering::Acquire) {
        refresh(chan);
    }
    answer
}

/// The channel below is ready for something.
pub(crate) fn on_parent_event(chan: Channel<TlsChannel>, events: Events) {
    let driver = chan.driver();
    driver.fault.trigger(Fault::Event);
    let Ok((stage, blocking)) = driver.with(|state| (state.stage.clone(), state.blocking)) else {
        driver.note_missed();
        return;
    };
    // A blocking channel must not wait in the event loop: one read where something is there, none where not.
    let reads = match (blocking, events.intersects(Events::READABLE)) {
        (_, false) => Reads::None,
        (true, true) => Reads::Once,
        (false, true) => Reads::AsNeeded,
    };
    if matches!(stage, Stage::Initial | Stage::Negotiating) {
        negotiate::on_event(chan, reads);
        return;
    }
    let delivered = driver.with(|state| {
        let wanted = state.wanted;
        let mut ready = Events::NONE;
        if state.stage == Stage::Open
            && let Some(pump) = state.pump.as_mut()
        {
            // Tcl's background flush gets its error from the write that the event makes it try.
            let sent = pump.send();
            if events.intersects(Events::WRITABLE) && sent != Ok(Sent::Blocked) {
                ready |= Events::WRITABLE;
            }
            if reads != Reads::None && wanted.intersects(Events::READABLE) && !state.input_ready() {
                state.look_ahead(reads);
            }
        }
        if state.input_ready() {
            ready |= Events::READABLE;
        }
        ready & wanted
    });
    refresh(&chan);
    if let Ok(events) = delivered {
        chan.notify(events);
    }
}

/// The time has come to deliver what needs no event below.
fn on_wake(chan: Channel<TlsChannel>) {
    let Ok(events) = chan.driver().with(|state| state.situation().interest().wake) else {
        chan.driver().note_missed();
        return;
    };
    // Tcl asks to watch again after it has called the scripts; that arms the next wake-up.
    chan.notify(events);
}

impl State {
    /// Reads below without delivering: afterwards plaintext, end or error are known, if any came.
    fn look_ahead(&mut self, reads: Reads) {
        let Some(pump) = self.pump.as_mut() else { return };
        match pump.run(&mut crate::pump::NoRoom, Goal::Plaintext, reads) {
            Ok(_) | Err(Failure::Session { .. }) => {}
            Err(failure) => self.fail(failure),
        }
    }

    fn read(&mut self, into: &mut InputBuffer<'_>) -> Result<(), Failure> {
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

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        if let Stage::Failed(failure) = &self.stage {
            return Err(failure.clone());
        }
        loop {
            let covered = self.covered;
            let pump = self.pump()?;
            match pump.send().map_err(Failure::Below)? {
                Sent::Blocked => return Err(Failure::Below(ChannelError::WOULD_BLOCK)),
                Sent::All if covered > 0 => {
                    self.covered = 0;
                    return Ok(covered.min(bytes.len()));
                }
                Sent::All => {}
            }
            if let Some(error) = pump.send_failure() {
                return Err(Failure::Below(error.clone()));
            }
            self.covered = pump.session.write(bytes).map_err(|error| Failure::Session { error, negotiating: false })?;
        }
    }

    /// What `chan configure -error` says.
    fn error_text(&self) -> Option<String> {
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

    fn own_options(&self) -> [(&'static str, String); 3] {
        let settings = &self.settings;
        [
            ("-context", self.context_handle.as_ref().map_or_else(String::new, ContextHandle::name)),
            ("-credentials", settings.credentials.as_ref().map_or_else(String::new, |handle| handle.name().to_owned())),
            ("-verifier", settings.verifier.as_ref().map_or_else(String::new, |verifier| verifier.command.clone())),
        ]
    }
}

/// The options that are ours, without their dash.
const OWN_OPTIONS: [&str; 3] = ["context", "credentials", "verifier"];

impl ChannelDriver for TlsChannel {
    const TYPE_NAME: &'static CStr = c"tls";

    fn input(chan: &Channel<Self>, into: &mut InputBuffer<'_>) -> Result<(), ChannelError> {
        chan.driver().fault.trigger(Fault::Input);
        let opened = negotiate::advance(chan, Reads::AsNeeded, Within::Procedure);
        let result = opened.and_then(|open| match open {
            true => chan.driver().with(|state| state.read(into))?,
            false => Err(Failure::Below(ChannelError::WOULD_BLOCK)),
        });
        refresh(chan);
        result.map_err(|failure| failure.to_channel_error())
    }

    fn output(chan: &Channel<Self>, bytes: &[u8]) -> Result<usize, ChannelError> {
        chan.driver().fault.trigger(Fault::Output);
        let opened = negotiate::advance(chan, Reads::AsNeeded, Within::Procedure);
        let result = opened.and_then(|open| match open {
            true => chan.driver().with(|state| state.write(bytes))?,
            false => Err(Failure::Below(ChannelError::WOULD_BLOCK)),
        });
        refresh(chan);
        result.map_err(|failure| failure.to_channel_error())
    }

    fn watch(chan: &Channel<Self>, events: Events) {
        chan.driver().fault.trigger(Fault::Watch);
        let _ = chan.driver().with(|state| state.wanted = events);
        refresh(chan);
    }

    fn set_blocking(chan: &Channel<Self>, blocking: bool) -> Result<(), ChannelError> {
        let set = look(chan, |state| {
            state.blocking = blocking;
            state.pump.as_ref().map_or(Ok(()), |pump| pump.parent.set_blocking(blocking))
        });
        set.map_err(|failure| failure.to_channel_error())?
    }

    fn close_output(chan: &Channel<Self>) -> Result<(), ChannelError> {
        let closed = chan.driver().with(|state| {
            if state.stage != Stage::Open {
                return Err(Failure::NotOpen { operation: "close the sending direction", state: state.name() });
            }
            state.output_closed = true;
            state.pump()?.close_output().map(drop)
        });
        refresh(chan);
        closed.and_then(|result| result).map_err(|failure| failure.to_channel_error())
    }

    fn close(chan: &Channel<Self>, _interp: Option<&Interp<'_>>) -> Result<(), ChannelError> {
        chan.driver().fault.trigger(Fault::Close);
        let taken = chan.driver().with(|state| {
            state.wake = None;
            state.deadline = None;
            state.context_handle = None;
            state.accepted = None;
            let stage = std::mem::replace(&mut state.stage, Stage::Closed);
            (state.pump.take(), stage, state.blocking)
        });
        let (Some(mut pump), stage, blocking) = taken.map_err(|failure| failure.to_channel_error())? else {
            return Ok(());
        };
        pump.parent.attach();
        let result = match stage {
            Stage::Open => pump.close_output().map(drop),
            _ => {
                pump.abort();
                Ok(())
            }
        };
        linger::release(pump, blocking);
        // What the peer has done to the connection is no error of ours at its end.
        match result {
            Err(Failure::Below(ChannelError::System(errno))) if errno.is_connection_lost() => Ok(()),
            Err(Failure::Session { .. }) => Ok(()),
            other => other.map_err(|failure| failure.to_channel_error()),
        }
    }

    fn option(chan: &Channel<Self>, interp: Option<&Interp<'_>>, name: &str) -> Result<String, OptionError> {
        let looked_up = look(chan, |state| {
            if name == "-context" {
                state.ensure_context_handle();
            }
            if let Some((_, value)) = state.own_options().into_iter().find(|(own, _)| *own == name) {
                return Ok(value);
            }
            if name == "-error"
                && let Some(text) = state.error_text()
            {
                return Ok(text);
            }
            match &state.pump {
                Some(pump) => pump.parent.option(interp, name),
                None => Err(OptionError::Unknown(Vec::new())),
            }
        });
        match looked_up {
            Ok(Err(OptionError::Unknown(mut known))) => {
                known.extend(OWN_OPTIONS.map(str::to_owned));
                Err(OptionError::Unknown(known))
            }
            Ok(answer) => answer,
            Err(failure) => Err(OptionError::Failed(failure.to_error())),
        }
    }

    fn options(chan: &Channel<Self>, interp: Option<&Interp<'_>>) -> Vec<(String, String)> {
        let listed = look(chan, |state| {
            state.ensure_context_handle();
            let mut options = state.pump.as_ref().map(|pump| pump.parent.options(interp)).unwrap_or_default();
            options.extend(state.own_options().map(|(name, value)| (name.to_owned(), value)));
            options
        });
        listed.unwrap_or_default()
    }

    fn set_option(
        chan: &Channel<Self>,
        interp: Option<&Interp<'_>>,
        name: &str,
        value: &str,
    ) -> Result<(), OptionError> {
        if OWN_OPTIONS.iter().any(|own| name.strip_prefix('-') == Some(own)) {
            let message = format!("Option {name} is read-only.");
            return Err(OptionError::Failed(Failure::BadArguments(message).to_error()));
        }
        let set = look(chan, |state| match &state.pump {
            Some(pump) => pump.parent.set_option(interp, name, value),
            None => Err(OptionError::Unknown(Vec::new())),
        });
        match set {
            Ok(Err(OptionError::Unknown(mut known))) => {
                known.extend(OWN_OPTIONS.map(str::to_owned));
                Err(OptionError::Unknown(known))
            }
            Ok(answer) => answer,
            Err(failure) => Err(OptionError::Failed(failure.to_error())),
        }
    }

    fn handle(chan: &Channel<Self>, direction: Events) -> Option<OsHandle> {
        look(chan, |state| state.pump.as_ref()?.parent.handle(direction)).ok().flatten()
    }

    fn detach(chan: &Channel<Self>) {
        let _ = chan.driver().with(|state| {
            state.wake = None;
            state.deadline = None;
            if let Some(pump) = &state.pump {
                pump.parent.detach();
            }
        });
    }

    fn attach(chan: &Channel<Self>) {
        linger::prepare();
        let _ = chan.driver().with(|state| {
            if let Some(pump) = &state.pump {
                pump.parent.attach();
            }
            state.deadline = state.limit.map(|limit| negotiate::deadline(chan, limit));
        });
        refresh(chan);
    }

    fn poisoned(chan: &Channel<Self>) {
        let _ = chan.driver().with(|state| {
            state.wake = None;
            state.deadline = None;
            if let Some(pump) = &state.pump {
                let _ = pump.parent.watch(Events::NONE);
            }
        });
    }
}
