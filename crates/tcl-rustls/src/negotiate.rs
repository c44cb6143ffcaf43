//! From connection to open channel: the handshake, the verdict on the peer, and what follows from either.
//!
//! Scripts run here (verifier, callback of a listener), and only where nothing is borrowed: the channel is looked at
//! afresh after each, for the script may have closed it.

use std::time::Instant;

use tcl_stubs::{Channel, Events, Obj, Timer};
use tls_session::Verdict;

use crate::driver::{self, TlsChannel};
use crate::failure::Failure;
use crate::pump::{Deadline, Goal, NoRoom, Outcome, Pump, Reads};
use crate::state::{Stage, State, Verifier};
use crate::trace::TraceEvent;

/// Where a handshake is driven from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Within {
    /// A procedure of the driver: Tcl goes on to use the channel when it returns.
    Procedure,
    /// The event loop or a command.
    Loop,
}

/// Takes the handshake as far as it goes; true once the channel is open.
///
/// # Errors
/// The channel's first failure, at this and every later call.
pub(crate) fn advance(chan: &Channel<TlsChannel>, reads: Reads, within: Within) -> Result<bool, Failure> {
    go_on(chan, Goal::Handshake { data_follows: false }, reads, within)
}

/// As [`advance`], for one who writes as soon as the channel is open.
///
/// # Errors
/// As [`advance`].
pub(crate) fn advance_to_write(chan: &Channel<TlsChannel>, reads: Reads, within: Within) -> Result<bool, Failure> {
    go_on(chan, Goal::Handshake { data_follows: true }, reads, within)
}

fn go_on(chan: &Channel<TlsChannel>, goal: Goal, reads: Reads, within: Within) -> Result<bool, Failure> {
    loop {
        match chan.driver().with(|state| state.negotiate(goal, reads))?? {
            Outcome::Reached => return Ok(true),
            Outcome::Blocked => return Ok(false),
            Outcome::VerdictNeeded => judge(chan, within)?,
        }
    }
}

/// Something happened below while negotiating.
pub(crate) fn on_event(chan: Channel<TlsChannel>, reads: Reads) {
    // Whoever waits to write is told in `announce`, and likely writes.
    let data_follows =
        chan.driver().with(|state| state.accepted.is_none() && state.wanted.intersects(Events::WRITABLE));
    let goal = Goal::Handshake { data_follows: data_follows == Ok(true) };
    match go_on(&chan, goal, reads, Within::Loop) {
        Ok(false) => driver::refresh(&chan),
        Ok(true) => opened(chan),
        Err(Failure::Busy | Failure::Verifying) => {}
        Err(failure) => failed(chan, &failure),
    }
}

/// The time for the handshake is over.
fn on_deadline(chan: Channel<TlsChannel>, milliseconds: u64) {
    let failure = Failure::Timeout { milliseconds };
    fail(&chan, failure.clone());
    failed(chan, &failure);
}

/// The timer that fails the channel if its handshake is not complete at `limit`.
pub(crate) fn deadline(chan: &Channel<TlsChannel>, limit: Deadline) -> Timer {
    let weak = chan.downgrade();
    let left = limit.at.saturating_duration_since(Instant::now());
    Timer::after(left, move || weak.handle(|chan| on_deadline(chan, limit.milliseconds)))
}

/// Makes `failure` the channel's failure, unless it has one or is open.
pub(crate) fn fail(chan: &Channel<TlsChannel>, failure: Failure) {
    let _ = chan.driver().with(|state| {
        if !matches!(state.stage, Stage::Failed(_) | Stage::Closed) {
            state.fail(failure);
        }
    });
}

/// Tells whoever waits that the channel is open.
pub(crate) fn opened(chan: Channel<TlsChannel>) {
    let accepted = chan.driver().with(|state| state.accepted.take()).ok().flatten();
    match accepted {
        Some(accepted) => accepted.deliver(&chan),
        None => announce(chan),
    }
}

/// Tells whoever waits that the channel has failed.
fn failed(chan: Channel<TlsChannel>, failure: &Failure) {
    let accepted = chan.driver().with(|state| state.accepted.take()).ok().flatten();
    match accepted {
        Some(accepted) => accepted.refuse(&chan, failure),
        None => announce(chan),
    }
}

/// Delivers what the script waits for and what is there.
fn announce(chan: Channel<TlsChannel>) {
    driver::refresh(&chan);
    if let Ok(ready) = chan.driver().with(State::ready) {
        let weak = chan.downgrade();
        chan.notify(ready);
        // Our last flight has waited for what the scripts would write, and waits no longer.
        weak.handle(|chan| {
            let _ = chan.driver().with(|state| state.pump.as_mut().map(Pump::send));
            driver::refresh(&chan);
        });
    }
}

impl State {
    fn negotiate(&mut self, goal: Goal, reads: Reads) -> Result<Outcome, Failure> {
        match &self.stage {
            Stage::Open => return Ok(Outcome::Reached),
            Stage::Failed(failure) => return Err(failure.clone()),
            Stage::Closed => return Err(Failure::NotOpen { operation: "use the channel", state: "CLOSED" }),
            Stage::Judging => return Err(Failure::Verifying),
            Stage::Initial | Stage::Negotiating => {}
        }
        // The event loop keeps the time for a channel that does not wait.
        let deadline = self.limit.filter(|_| self.blocking && reads == Reads::AsNeeded);
        let pump = self.pump()?;
        pump.deadline = deadline;
        let outcome = pump.run(&mut NoRoom, goal, reads);
        let begun = pump.has_begun();
        match &outcome {
            Ok(Outcome::Reached) => {
                pump.deadline = None;
                self.limit = None;
                self.deadline = None;
                self.stage = Stage::Open;
                self.note_certificates();
            }
            Ok(Outcome::VerdictNeeded) => {
                self.stage = Stage::Judging;
                self.note_certificates();
            }
            Ok(Outcome::Blocked) if begun => self.stage = Stage::Negotiating,
            Ok(Outcome::Blocked) => {}
            Err(failure) => self.fail(failure.clone()),
        }
        outcome
    }

    /// Leaves what is known of the certificates where `sspi_remote_cert` finds it.
    fn note_certificates(&mut self) {
        if let Some(pump) = &self.pump {
            self.context.note(&pump.session);
        }
    }

    /// Ends the verifier's turn. Another failure may have come first, such as the deadline.
    fn pronounce(&mut self, answer: Result<bool, Failure>) -> Result<(), Failure> {
        match &self.stage {
            Stage::Judging => {}
            Stage::Failed(failure) => return Err(failure.clone()),
            _ => return Err(Failure::ClosedByVerifier),
        }
        let refusal = match answer {
            Ok(true) => {
                self.trace_event(|| TraceEvent::Judged(Ok(())));
                self.pump()?.session.verdict(Verdict::Accept);
                self.stage = Stage::Negotiating;
                return Ok(());
            }
            Ok(false) => Failure::VerifierRefused,
            Err(failure) => failure,
        };
        self.trace_event(|| TraceEvent::Judged(Err(refusal.clone())));
        self.pump()?.session.verdict(Verdict::Reject);
        self.fail(refusal.clone());
        Err(refusal)
    }
}

/// Lets the verifier judge the peer. The channel is held meanwhile: whatever the script does to it, it is there when
/// the script returns.
fn judge(chan: &Channel<TlsChannel>, within: Within) -> Result<(), Failure> {
    let (verifier, context) = chan.driver().with(|state| (state.settings.verifier.clone(), state.context_name()))?;
    // Nothing is watched while the verifier runs.
    driver::refresh(chan);
    let hold = chan.hold();
    let answer = match verifier {
        Some(verifier) => ask(chan, &verifier, &context),
        None => Err(Failure::VerifierRefused),
    };
    let answer = if hold.is_last() { Err(Failure::ClosedByVerifier) } else { answer };
    let verdict = chan.driver().with(|state| state.pronounce(answer));
    match within {
        Within::Procedure => hold.let_go_later(),
        Within::Loop => drop(hold),
    }
    verdict?
}

/// `{*}COMMAND CHAN CONTEXT`, at global level; what is no boolean counts as false.
fn ask(chan: &Channel<TlsChannel>, verifier: &Verifier, context: &str) -> Result<bool, Failure> {
    let arguments = [Obj::text(&chan.name()), Obj::text(context)];
    verifier
        .interp
        .with(|interp| interp.aside(|interp| interp.call_prefix(&verifier.command, arguments)))
        .ok_or(Failure::VerifierRefused)?
        .map(|answer| answer.to_bool().unwrap_or(false))
        .map_err(Failure::Script)
}

impl State {
    /// What is wanted and there, now that the channel is open or has failed. Our last flight may wait for what is
    /// written now.
    fn ready(&mut self) -> Events {
        let situation = self.situation();
        situation.wanted & (Events::READABLE.when(situation.input_ready) | Events::WRITABLE)
    }
}
