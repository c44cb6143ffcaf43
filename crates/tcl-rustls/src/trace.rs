//! `tls_trace`: what happens on TLS channels, told to a script. No secrets, no data.
//!
//! A step is noted where it happens and told later, where a script may run: from the event loop, or at the end of a
//! command of ours. So whatever the script does, it does it to a channel that is not in use, and its errors are
//! background errors.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

use tcl_stubs::{Interp, InterpId, Obj};
use tls_certs::{Certificate, shown};
use tls_session::{Direction, SessionInfo, Trace as Step};

use crate::failure::{self, Failure};
use crate::pump::Pump;
use crate::state::{Role, State};

/// How many steps wait at most to be told, in a program that does not enter the event loop.
const MOST: usize = 1000;

/// Something that happened to a channel.
#[derive(Debug, Clone)]
pub(crate) enum TraceEvent {
    /// In its session.
    Step(Step),
    /// The verifier's answer: why it refuses, or that it does not.
    Judged(Result<(), Failure>),
    /// The channel has failed.
    Failed(Failure),
    /// The channel is closed.
    Closed,
    /// So many events were dropped, because nobody let them be told.
    Lost(u64),
}

/// Where the events of one channel go.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    interp: InterpId,
    channel: String,
    role: Role,
}

/// The script of one interpreter, and what it is still to be told.
#[derive(Debug, Default)]
struct Tracer {
    command: String,
    waiting: VecDeque<(Trace, i64, TraceEvent)>,
    lost: u64,
    scheduled: bool,
    telling: bool,
}

thread_local! {
    static TRACERS: RefCell<HashMap<InterpId, Tracer>> = RefCell::new(HashMap::new());
    /// Whether anything waits, so that commands need not look.
    static WAITING: Cell<bool> = const { Cell::new(false) };
}

/// The script that the interpreter's events go to; empty: none.
pub(crate) fn command(interp: InterpId) -> String {
    with_tracer(interp, |tracer| tracer.command.clone()).unwrap_or_default()
}

/// Makes `command` that script. What waits to be told goes to it too; without a script it is dropped.
pub(crate) fn set_command(interp: InterpId, command: String) {
    TRACERS.with(|tracers| {
        let mut tracers = tracers.borrow_mut();
        if command.is_empty() {
            tracers.remove(&interp);
        } else {
            tracers.entry(interp).or_default().command = command;
        }
    });
}

/// For a new channel: where its events go, if anyone wants to know.
pub(crate) fn of_channel(interp: InterpId, channel: String, role: Role) -> Option<Trace> {
    with_tracer(interp, |_| ())?;
    Some(Trace { interp, channel, role })
}

/// Tells what waits. To be called only where scripts may run.
pub(crate) fn tell(interp: &Interp<'_>) {
    if WAITING.get() {
        tell_all(interp.id());
    }
}

impl Trace {
    /// Notes an event. In a thread that the channel was moved to there is nobody to tell it to.
    fn note(&self, event: TraceEvent) {
        let schedule = with_tracer(self.interp, |tracer| {
            if tracer.waiting.len() >= MOST {
                tracer.waiting.pop_front();
                tracer.lost += 1;
            }
            tracer.waiting.push_back((self.clone(), now(), event));
            !std::mem::replace(&mut tracer.scheduled, true)
        });
        if schedule.is_some() {
            WAITING.set(true);
        }
        if schedule == Some(true) {
            tell_later(self.interp);
        }
    }
}

fn tell_later(interp: InterpId) {
    tcl_stubs::later(move || {
        with_tracer(interp, |tracer| tracer.scheduled = false);
        tell_all(interp);
    });
}

impl Pump {
    /// Takes note of what the session has to tell.
    pub(crate) fn trace_session(&mut self) {
        if let Some(trace) = &self.trace {
            while let Some(step) = self.session.poll_trace() {
                trace.note(TraceEvent::Step(step));
            }
        }
    }

    /// Takes note of `event`, behind what the session has to tell.
    pub(crate) fn trace_event(&mut self, event: impl FnOnce() -> TraceEvent) {
        self.trace_session();
        if let Some(trace) = &self.trace {
            trace.note(event());
        }
    }
}

impl State {
    /// Takes note of `event` of a channel that is not closed.
    pub(crate) fn trace_event(&mut self, event: impl FnOnce() -> TraceEvent) {
        if let Some(pump) = self.pump.as_mut() {
            pump.trace_event(event);
        }
    }
}

fn with_tracer<R>(interp: InterpId, body: impl FnOnce(&mut Tracer) -> R) -> Option<R> {
    TRACERS.try_with(|tracers| tracers.borrow_mut().get_mut(&interp).map(body)).ok().flatten()
}

/// Microseconds since 1970, as `clock microseconds` has them.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Tells what waits by now; what the script itself brings about comes by the event loop.
fn tell_all(id: InterpId) {
    let count = with_tracer(id, |tracer| if tracer.telling { 0 } else { tracer.waiting.len() });
    let Some(count @ 1..) = count else { return };
    with_tracer(id, |tracer| tracer.telling = true);
    for _ in 0..count {
        let next = with_tracer(id, |tracer| {
            let next = tracer.waiting.pop_front()?;
            Some((tracer.command.clone(), std::mem::take(&mut tracer.lost), next))
        });
        let Some((command, lost, (trace, at, event))) = next.flatten() else { break };
        let told = id.with(|interp| {
            if lost > 0 {
                tell_one(interp, &command, &trace, at, &TraceEvent::Lost(lost));
            }
            tell_one(interp, &command, &trace, at, &event);
        });
        if told.is_none() {
            set_command(id, String::new());
        }
    }
    // A script that enters the event loop finds the timer of what came meanwhile in vain.
    let again = with_tracer(id, |tracer| {
        tracer.telling = false;
        !tracer.waiting.is_empty() && !std::mem::replace(&mut tracer.scheduled, true)
    });
    if again == Some(true) {
        tell_later(id);
    }
    let waiting =
        |tracers: &RefCell<HashMap<InterpId, Tracer>>| tracers.borrow().values().any(|t| !t.waiting.is_empty());
    WAITING.set(TRACERS.try_with(waiting).unwrap_or_default());
}

/// `{*}COMMAND CHAN EVENT DETAILS`, at global level.
fn tell_one(interp: &Interp<'_>, command: &str, trace: &Trace, at: i64, event: &TraceEvent) {
    let (name, details) = words(event, trace.role);
    let mut entries = vec![("time", Obj::integer(at))];
    entries.extend(details.iter().map(|(key, value)| (*key, Obj::text(value))));
    let arguments = [Obj::text(&trace.channel), Obj::text(name), Obj::dict(entries)];
    if let Err(error) = interp.aside(|interp| interp.call_prefix(command, arguments)) {
        interp.background_error(&error);
    }
}

/// The one place that words an event: its name and its details.
fn words(event: &TraceEvent, role: Role) -> (&'static str, Vec<(&'static str, String)>) {
    match event {
        TraceEvent::Step(step) => step_words(step, role),
        TraceEvent::Judged(Ok(())) => ("verdict", verdict("verifier", "ok", String::new())),
        TraceEvent::Judged(Err(failure)) => {
            ("verdict", verdict("verifier", "refused", failure.to_error().message().to_owned()))
        }
        TraceEvent::Failed(failure) => {
            let error = failure.to_error();
            let code = Obj::words(error.code()).to_text();
            ("failed", vec![("message", error.message().to_owned()), ("errorcode", code)])
        }
        TraceEvent::Closed => ("closed", Vec::new()),
        TraceEvent::Lost(count) => ("lost", vec![("count", count.to_string())]),
    }
}

fn step_words(step: &Step, role: Role) -> (&'static str, Vec<(&'static str, String)>) {
    let way = |direction: &Direction| {
        let word = if *direction == Direction::Sent { "sent" } else { "received" };
        ("direction", word.to_owned())
    };
    match step {
        Step::ClientHello { direction, server_name } => {
            ("clienthello", vec![way(direction), ("servername", server_name.clone().unwrap_or_default())])
        }
        Step::RetryRequest { direction } => ("retryrequest", vec![way(direction)]),
        Step::ServerHello { direction, protocol, cipher } => {
            ("serverhello", vec![way(direction), ("protocol", (*protocol).to_owned()), ("cipher", cipher.clone())])
        }
        Step::LocalCertificate(own) => ("localcert", certificate(Some(own))),
        Step::PeerCertificate { leaf, count } => {
            let mut details = certificate(leaf.as_ref());
            details.push(("count", count.to_string()));
            ("peercert", details)
        }
        Step::Verified => ("verdict", verdict("automatic", "ok", String::new())),
        Step::Refused(fault) => ("verdict", verdict("automatic", "refused", failure::verification_text(fault, role))),
        Step::Established(info) => ("open", session(info)),
        Step::Alert { direction, alert } => {
            let name = alert.map_or_else(String::new, |alert| alert.name().to_owned());
            let code = alert.map_or_else(String::new, |alert| alert.code.to_string());
            ("alert", vec![way(direction), ("name", name), ("code", code)])
        }
        Step::CloseNotify { direction } => ("closenotify", vec![way(direction)]),
        Step::Truncated => ("truncated", Vec::new()),
        Step::KeyLogFailed(why) => ("keylog", vec![("error", why.clone())]),
        // What a later version of the session tells is better seen than hidden.
        other => ("other", vec![("text", format!("{other:?}"))]),
    }
}

fn verdict(by: &str, result: &str, reason: String) -> Vec<(&'static str, String)> {
    vec![("by", by.to_owned()), ("result", result.to_owned()), ("reason", reason)]
}

fn certificate(certificate: Option<&Certificate>) -> Vec<(&'static str, String)> {
    let name = |pick: fn(&Certificate) -> String| certificate.map(pick).unwrap_or_default();
    vec![("subject", name(|c| shown(&c.subject().rfc4514()))), ("issuer", name(|c| shown(&c.issuer().rfc4514())))]
}

fn session(info: &SessionInfo) -> Vec<(&'static str, String)> {
    let alpn = info.alpn.as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
    vec![
        ("protocol", info.protocol.unwrap_or_default().to_owned()),
        ("cipher", info.cipher.clone().unwrap_or_default()),
        ("group", info.group.clone().unwrap_or_default()),
        ("alpn", alpn),
        ("servername", info.server_name.clone().unwrap_or_default()),
        ("resumed", u8::from(info.resumed).to_string()),
    ]
}
