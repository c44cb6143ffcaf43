//! The TLS channel: what Tcl asks of it, answered by the pump.

use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, TryLockError};

use tcl_stubs::{Channel, ChannelDriver, ChannelError, Events, InputBuffer, Interp, OptionError, OsHandle};

use crate::failure::Failure;
use crate::fault::{Fault, Injection};
use crate::negotiate::Within;
use crate::pump::{Pump, Reads, Sent};
use crate::state::{Role, Settings, Stage, State};
use crate::trace::TraceEvent;
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

impl TlsChannel {
    /// A driver that has not begun.
    pub(crate) fn new(pump: Pump, role: Role, settings: Settings, blocking: bool) -> Self {
        Self {
            state: Mutex::new(State::new(pump, role, settings, blocking)),
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
        if wanted.intersects(Events::READABLE) && state.input_ready() {
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
pub(crate) fn on_wake(chan: Channel<TlsChannel>) {
    let Ok((negotiating, events)) = chan.driver().with(|state| {
        let negotiating = matches!(state.stage, Stage::Initial | Stage::Negotiating);
        (negotiating, state.situation().interest().wake)
    }) else {
        chan.driver().note_missed();
        return;
    };
    if negotiating {
        return negotiate::on_event(chan, Reads::Once);
    }
    // Tcl asks to watch again after it has called the scripts; that arms the next wake-up.
    chan.notify(events);
}

/// The options that are ours, without their dash.
const OWN_OPTIONS: [&str; 3] = ["context", "credentials", "verifier"];

impl ChannelDriver for TlsChannel {
    const TYPE_NAME: &'static CStr = c"tls";

    fn input(chan: &Channel<Self>, into: &mut InputBuffer<'_>) -> Result<(), ChannelError> {
        chan.driver().fault.trigger(Fault::Input);
        let opened = negotiate::advance(chan, Reads::AsNeeded, Within::Procedure);
        let result = opened.and_then(|open| {
            if !open {
                return Err(Failure::Below(ChannelError::WOULD_BLOCK));
            }
            chan.driver().with(|state| state.read(into))?
        });
        refresh(chan);
        result.map_err(|failure| failure.to_channel_error())
    }

    fn output(chan: &Channel<Self>, bytes: &[u8]) -> Result<usize, ChannelError> {
        chan.driver().fault.trigger(Fault::Output);
        let opened = negotiate::advance_to_write(chan, Reads::AsNeeded, Within::Procedure);
        let result = opened.and_then(|open| {
            if !open {
                return Err(Failure::Below(ChannelError::WOULD_BLOCK));
            }
            chan.driver().with(|state| state.write(bytes))?
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
            state.pump()?.close_output()
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
        if stage == Stage::Open {
            // Tcl has flushed before, and reported what could not be sent: a peer that has gone misses the farewell alone.
            let _ = pump.close_output();
        } else {
            pump.abort();
        }
        pump.trace_event(|| TraceEvent::Closed);
        linger::release(pump, blocking);
        Ok(())
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
