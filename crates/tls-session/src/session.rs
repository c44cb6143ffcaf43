//! The session itself: phase, order of steps, and what the owner sees of them.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use rustls::pki_types::CertificateDer;
use tls_certs::{Identity, PeerName};

use crate::buffer::{Incoming, Outgoing};
use crate::config::{ClientConfig, ServerConfig};
use crate::continuity::{Circumstances, Continuity, Known};
use crate::engine::{Engine, Intent, Step};
use crate::error::{Alert, Error};
use crate::gate::{Gate, Verdict};
use crate::info::{self, SessionInfo};
use crate::phase::{Ending, Event, Phase, Progress};
use crate::plain;
use crate::sink::{Leftover, PlaintextSink, SliceSink};
use crate::trace::{self, Aftermath, Direction, Trace, Tracer};
use crate::witness::{self, Notes};

/// The most plaintext that one [`Session::write`] takes, in bytes.
pub const MAX_WRITE: usize = 64 * 1024;

/// While more ciphertext than this waits, in bytes, no more plaintext is taken.
const TRANSMIT_LOW: usize = 16 * 1024;

/// One TLS session, client or server.
pub struct Session {
    engine: Engine,
    incoming: Incoming,
    outgoing: Outgoing,
    leftover: Leftover,
    phase: Phase,
    gate: Gate,
    /// Everything that was shown to rustls is processed.
    settled: bool,
    transport_ended: bool,
    events: VecDeque<Event>,
    server_name: Option<String>,
    identity: Option<Identity>,
    stapled: Option<Vec<u8>>,
    issuers: Vec<Vec<u8>>,
    continuity: Continuity,
    /// The certificate that the peer presents is verified during the handshake.
    verifies: bool,
    tracer: Option<Box<Tracer>>,
    /// The alert that belongs to the latest error of rustls, where that is certain.
    alert: Option<Alert>,
}

impl Session {
    /// A client's session with the server `name`, which is what its certificate is verified for,
    /// and what is asked for in the ClientHello if it is a host name (RFC 6066, section 3). The
    /// first [`process`](Self::process) produces the ClientHello.
    ///
    /// # Errors
    /// [`Error::Internal`] if no random numbers or keys can be made.
    pub fn client(config: &ClientConfig, name: &PeerName) -> Result<Self, Error> {
        let continuity = Continuity::client(config.sessions.as_ref(), &config.partition, name.to_rustls());
        Self::begin(config, name, continuity)
    }

    fn begin(config: &ClientConfig, name: &PeerName, mut continuity: Continuity) -> Result<Self, Error> {
        let (engine, notes) =
            witness::observe(continuity.notes(None), || Engine::client(&config.rustls, name.to_rustls()));
        continuity.note(Known { bound: None, group: None, offered: notes.offered }, 0);
        let engine = engine.map_err(Error::from_rustls)?;
        let mut session = Self::new(engine, config.verdict, !config.verdict, continuity);
        session.server_name = Some(name.to_string());
        Ok(session)
    }

    /// A client's session with a server of any name: none is asked for in the ClientHello, and the
    /// owner, who judges the certificate, knows which it expects.
    ///
    /// # Errors
    /// [`Error::Configuration`] if the owner is not to judge, else as [`client`](Self::client).
    pub fn unnamed_client(config: &ClientConfig) -> Result<Self, Error> {
        if !config.verdict {
            return Err(Error::Configuration("a name is needed to verify the server's certificate".into()));
        }
        // Addresses are not sent, and nobody compares this one. No session is kept for it: it stands for any server.
        let nobody = PeerName::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let mut session = Self::begin(config, &nobody, Continuity::default())?;
        session.server_name = None;
        Ok(session)
    }

    /// A server's session; it waits for a ClientHello.
    ///
    /// # Errors
    /// [`Error::Internal`] if rustls cannot start.
    pub fn server(config: &ServerConfig) -> Result<Self, Error> {
        let engine = Engine::server(&config.rustls);
        let engine = engine.map_err(Error::from_rustls)?;
        Ok(Self::new(engine, config.verdict, config.verifies, Continuity::server(&config.partition)))
    }

    /// Where ciphertext from the transport goes. Empty only when the buffer is full:
    /// [`process`](Self::process) first, or [`verdict`](Self::verdict).
    pub fn receive_space(&mut self) -> &mut [u8] {
        self.incoming.space()
    }

    /// `count` bytes were put at the start of [`receive_space`](Self::receive_space). After an
    /// error or the peer's end they are dropped, so that a transport can be drained.
    pub fn received(&mut self, count: usize) {
        if !self.has_stopped_receiving() {
            self.incoming.filled(count);
        }
    }

    /// Copies as much of `bytes` in as fits, and returns how much that was.
    pub fn receive(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while let Some(rest @ [_, ..]) = bytes.get(taken..) {
            let space = self.incoming.space();
            let count = rest.len().min(space.len());
            match (space.get_mut(..count), rest.get(..count)) {
                (Some(to @ [_, ..]), Some(from)) => to.copy_from_slice(from),
                _ => break,
            }
            self.received(count);
            taken += count;
        }
        taken
    }

    /// The transport is at its end: no more bytes will be received.
    pub fn received_end(&mut self) {
        self.transport_ended = true;
    }

    /// The one step: moves plaintext into `sink`, goes on with the handshake and queues ciphertext.
    ///
    /// Goes on until the sink is full or everything received is processed. A sink without room is
    /// allowed: at most one record is then decrypted ahead, which [`has_plaintext`] tells. Key
    /// updates that the peer asks for leave with the next data (RFC 8446, section 4.6.3).
    ///
    /// # Errors
    /// The session's first error, once all plaintext before it was taken; then at every call.
    ///
    /// [`has_plaintext`]: Self::has_plaintext
    pub fn process(&mut self, sink: &mut dyn PlaintextSink) -> Result<Progress, Error> {
        let mut plaintext = 0;
        if self.phase != Phase::AwaitingVerdict {
            plaintext += self.leftover.drain_into(sink);
            while self.leftover.is_empty() && (plaintext == 0 || sink.room() > 0) && self.advance(sink, &mut plaintext)
            {
            }
        }
        match &self.phase {
            Phase::Failed(error) if plaintext == 0 && self.leftover.is_empty() => Err(error.clone()),
            _ => Ok(Progress { plaintext }),
        }
    }

    /// Ciphertext that may leave now.
    pub fn transmit(&self) -> &[u8] {
        self.outgoing.sendable()
    }

    /// The first `count` bytes of [`transmit`](Self::transmit) have been handed to the transport.
    pub fn transmitted(&mut self, count: usize) {
        self.outgoing.sent(count);
    }

    /// Encrypts the start of `data`, at most [`MAX_WRITE`] bytes, and returns how much; 0 while
    /// too much ciphertext waits for the transport.
    ///
    /// # Errors
    /// [`Error::NotOpen`] before the handshake and the verdict are done, [`Error::WriteClosed`]
    /// after [`close_notify`](Self::close_notify), else the session's error.
    pub fn write(&mut self, data: &[u8]) -> Result<usize, Error> {
        match &self.phase {
            Phase::Handshaking | Phase::AwaitingVerdict => return Err(Error::NotOpen),
            Phase::Open { write_closed: true, .. } => return Err(Error::WriteClosed),
            Phase::Open { .. } => {}
            Phase::Failed(error) => return Err(error.clone()),
        }
        if data.is_empty() || self.outgoing.pending() > TRANSMIT_LOW {
            return Ok(0);
        }
        let data = data.get(..MAX_WRITE).unwrap_or(data);
        self.send(Intent::Send(data))?;
        Ok(data.len())
    }

    /// Queues close_notify (RFC 8446, section 6.1) behind everything written; the peer's data can
    /// still be read. Does nothing before the session is open, after an error and the second time.
    ///
    /// # Errors
    /// The session's error, if this finds one.
    pub fn close_notify(&mut self) -> Result<(), Error> {
        if !matches!(self.phase, Phase::Open { write_closed: false, .. }) {
            return Ok(());
        }
        self.send(Intent::CloseNotify)?;
        if let Phase::Open { write_closed, .. } = &mut self.phase {
            *write_closed = true;
        }
        self.tell(|_| Trace::CloseNotify { direction: Direction::Sent });
        Ok(())
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        match self.events.front() {
            Some(Event::PeerClosed(_)) if !self.leftover.is_empty() => None,
            _ => self.events.pop_front(),
        }
    }

    /// The answer to [`Event::VerdictNeeded`]; at other times it means nothing.
    pub fn verdict(&mut self, verdict: Verdict) {
        if self.phase != Phase::AwaitingVerdict {
            return;
        }
        match verdict {
            Verdict::Accept => {
                self.gate = Gate::Passed;
                self.outgoing.let_go();
                self.continuity.accept();
                self.phase = Phase::Handshaking;
                self.settled = false;
                self.open_if_complete();
            }
            Verdict::Reject => {
                self.continuity.reject();
                self.outgoing.clear();
                self.incoming.clear();
                self.leftover.discard();
                self.phase = Phase::Failed(Error::Rejected);
            }
        }
    }

    /// Where the session is.
    pub fn phase(&self) -> Phase {
        self.phase.clone()
    }

    /// Whether this side is the client.
    pub fn is_client(&self) -> bool {
        self.engine.is_client()
    }

    /// Whether the session is not open yet: handshake or verdict are outstanding.
    pub fn is_handshaking(&self) -> bool {
        matches!(self.phase, Phase::Handshaking | Phase::AwaitingVerdict)
    }

    /// Whether the handshake and the verdict are done and nothing has failed.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    /// Whether the next [`process`](Self::process) has plaintext at hand.
    pub fn has_plaintext(&self) -> bool {
        !self.leftover.is_empty() && self.phase != Phase::AwaitingVerdict
    }

    /// Whether [`process`](Self::process) would look at something it has not looked at yet.
    pub fn needs_processing(&self) -> bool {
        self.can_advance() && (!self.settled || self.incoming.unseen() || self.transport_ended)
    }

    /// How the peer ended its side, once all its data was taken.
    pub fn ending(&self) -> Option<Ending> {
        match self.phase {
            Phase::Open { ended, .. } if self.leftover.is_empty() => ended,
            _ => None,
        }
    }

    /// The session's first error, also while plaintext before it waits to be taken.
    pub fn error(&self) -> Option<&Error> {
        match &self.phase {
            Phase::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// What was negotiated so far.
    pub fn info(&self) -> SessionInfo {
        let earlier = self.continuity.earlier_group().filter(|_| self.engine.is_resumed());
        info::describe(self.engine.state(), self.server_name.as_deref(), self.engine.group().or(earlier))
    }

    /// The peer's certificate and what it sent along, leaf first; empty if there is none.
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.engine.state().peer_certificates().unwrap_or_default()
    }

    /// The identity that this side chose to present in this handshake, or in the one that a resumed session began with.
    pub fn local_identity(&self) -> Option<&Identity> {
        let earlier = || self.continuity.earlier_identity().filter(|_| self.engine.is_resumed());
        self.identity.as_ref().or_else(earlier)
    }

    /// The OCSP response that the server sent with its certificate, in DER (RFC 6066, section 8);
    /// empty if it sent none, and on the server's side.
    pub fn stapled_response(&self) -> &[u8] {
        self.stapled.as_deref().unwrap_or_default()
    }

    /// The names of the issuers that the server named when it asked for a client certificate, as DER
    /// (RFC 8446, section 4.2.4); empty if it named none, or did not ask.
    pub fn accepted_issuers(&self) -> &[Vec<u8>] {
        &self.issuers
    }

    /// From now on what happens is told by [`poll_trace`](Self::poll_trace). To be called before the first
    /// [`process`](Self::process), else what happened before is told late or not at all.
    pub fn trace(&mut self) {
        self.tracer.get_or_insert_default();
    }

    /// The next step of the session's course, oldest first; nothing without [`trace`](Self::trace). There are few in
    /// a session, however long it lasts.
    pub fn poll_trace(&mut self) -> Option<Trace> {
        self.tracer.as_mut()?.next()
    }

    /// Gives the memory of empty buffers back; to be called when nothing is pending. A few
    /// are kept for other sessions of the same thread.
    pub fn release_idle_buffers(&mut self) {
        self.incoming.release();
        self.outgoing.release();
        self.leftover.release();
    }

    /// Memory that the buffers hold, in bytes.
    pub fn buffered_bytes(&self) -> usize {
        self.incoming.footprint() + self.outgoing.footprint() + self.leftover.footprint()
    }

    fn new(engine: Engine, verdict: bool, verifies: bool, continuity: Continuity) -> Self {
        Self {
            engine,
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            leftover: Leftover::default(),
            phase: Phase::Handshaking,
            gate: if verdict { Gate::Armed } else { Gate::Passed },
            settled: false,
            transport_ended: false,
            events: VecDeque::new(),
            server_name: None,
            identity: None,
            stapled: None,
            issuers: Vec::new(),
            continuity,
            verifies,
            tracer: None,
            alert: None,
        }
    }

    fn can_advance(&self) -> bool {
        matches!(self.phase, Phase::Handshaking | Phase::Open { ended: None, .. })
    }

    fn has_stopped_receiving(&self) -> bool {
        matches!(self.phase, Phase::Failed(_) | Phase::Open { ended: Some(_), .. })
    }

    /// Goes on by one step with what was received. False: there is nothing to do.
    fn advance(&mut self, sink: &mut dyn PlaintextSink, plaintext: &mut usize) -> bool {
        if !self.can_advance() {
            return false;
        }
        let may_show = self.settled || self.incoming.window_is_empty();
        if !(may_show && self.incoming.show_more()) && self.settled {
            self.run_dry();
            return false;
        }
        self.settled = false;
        match self.step(Intent::Receive, sink, plaintext) {
            Some(Step::Advanced) => {}
            Some(Step::NeedInput | Step::Done) => self.settled = true,
            Some(Step::PeerClosed | Step::Closed) => self.end(Ending::CloseNotify),
            None => return false,
        }
        true
    }

    /// All that arrived is processed, and more is needed.
    fn run_dry(&mut self) {
        if self.incoming.is_full() {
            self.fail(Error::ReceiveBufferFull { limit: Incoming::LIMIT });
        } else if self.transport_ended {
            match self.phase {
                Phase::Handshaking => self.fail(Error::HandshakeEof),
                _ => self.end(Ending::Truncated),
            }
        }
    }

    /// Carries out `intent` on an open session, with no more input than was shown before.
    fn send(&mut self, intent: Intent<'_>) -> Result<(), Error> {
        let mut sink = SliceSink::new(&mut []);
        loop {
            match self.step(intent, &mut sink, &mut 0) {
                Some(Step::Advanced) => {}
                Some(Step::Done) => return Ok(()),
                Some(Step::PeerClosed) => self.end(Ending::CloseNotify),
                Some(Step::Closed) => return Err(Error::WriteClosed),
                Some(Step::NeedInput) => return Err(Error::NotOpen),
                None => return Err(self.error().cloned().unwrap_or(Error::NotOpen)),
            }
        }
    }

    /// One step of the engine, and what follows from it. None: the session has failed.
    fn step(&mut self, intent: Intent<'_>, sink: &mut dyn PlaintextSink, plaintext: &mut usize) -> Option<Step> {
        let sendable = self.outgoing.pending();
        let outcome = self.step_engine(intent, sink, plaintext);
        match outcome {
            Ok(step) => {
                if self.gate == Gate::Armed && self.engine.can_be_judged() {
                    self.close_gate(sendable);
                } else {
                    self.open_if_complete();
                }
                // Draining the flight behind the gate may have found an error.
                self.error().is_none().then_some(step)
            }
            Err(error) => {
                if self.gate == Gate::Armed && self.engine.can_be_judged() {
                    // There is nothing left to judge, and the step's output must not leave: it may
                    // hold more than the alert.
                    self.outgoing.hold_after(sendable);
                }
                self.fail(error);
                None
            }
        }
    }

    fn step_engine(
        &mut self,
        intent: Intent<'_>,
        sink: &mut dyn PlaintextSink,
        plaintext: &mut usize,
    ) -> Result<Step, Error> {
        let Self { engine, incoming, outgoing, leftover, gate, continuity, .. } = self;
        let mut deliver = |bytes: &[u8]| {
            let direct = *gate == Gate::Passed && leftover.is_empty();
            let fitting = if direct { bytes.len().min(sink.room()) } else { 0 };
            let (now, later) = bytes.split_at(fitting);
            if !now.is_empty() {
                sink.put(now);
                *plaintext += now.len();
            }
            leftover.keep(later);
        };
        let handshaking = engine.is_handshaking();
        let known = if handshaking { continuity.notes(engine.group()) } else { Notes::default() };
        let window = incoming.window();
        let shown = window.len();
        let ((discard, outcome), notes) =
            witness::observe(known, || engine.step(window, intent, outgoing, &mut deliver));
        // What is no TLS from its first byte on may be something that is known.
        let is_first = engine.state().protocol_version().is_none();
        let foreign = if outcome.is_err() && is_first { plain::recognise(incoming.window()) } else { None };
        incoming.discard(discard);
        if handshaking {
            self.identity = notes.identity.or(self.identity.take());
            self.stapled = notes.ocsp.or(self.stapled.take());
            self.server_name = notes.server_name.or(self.server_name.take());
            if let Some(issuers) = notes.issuers {
                self.issuers = issuers;
            }
            self.continuity.note(Known { bound: notes.bound, group: notes.group, offered: notes.offered }, shown);
        }
        if !notes.tickets.is_empty() {
            let circumstances = Circumstances {
                resumed: self.engine.is_resumed(),
                peer: self.engine.state().peer_certificates().unwrap_or_default(),
                identity: self.identity.as_ref(),
                group: self.engine.group(),
                unjudged: self.gate != Gate::Passed,
                shown,
            };
            self.continuity.receive(notes.tickets, &circumstances);
        }
        if let Some(tracer) = self.tracer.as_mut() {
            tracer.observe(Aftermath {
                is_client: self.engine.is_client(),
                state: self.engine.state(),
                server_name: self.server_name.as_deref(),
                local: self.identity.as_ref().map(Identity::certificate),
                verifies: self.verifies,
                key_log_failure: notes.key_log_failure,
            });
        }
        outcome.map_err(|error| {
            self.alert = trace::alert_for(&error, self.engine.is_handshaking());
            Error::from_rustls(error).where_it_came(is_first, foreign)
        })
    }

    fn tell(&mut self, step: impl FnOnce(&Self) -> Trace) {
        if self.tracer.is_some() {
            let step = step(self);
            if let Some(tracer) = self.tracer.as_mut() {
                tracer.tell(step);
            }
        }
    }

    /// The peer can be judged: nothing made after the first `sendable` bytes leaves.
    fn close_gate(&mut self, sendable: usize) {
        self.outgoing.hold_after(sendable);
        self.gate = Gate::Closed;
        // What rustls has made out of the rest of the same flight.
        if let Err(error) = self.drain_engine() {
            self.fail(error);
            return;
        }
        self.phase = Phase::AwaitingVerdict;
        self.events.push_back(Event::VerdictNeeded);
    }

    /// Takes the records out that rustls has ready, without showing it any input.
    fn drain_engine(&mut self) -> Result<(), Error> {
        while self.engine.has_output() {
            self.step_engine(Intent::Receive, &mut SliceSink::new(&mut []), &mut 0)?;
        }
        Ok(())
    }

    fn open_if_complete(&mut self) {
        if self.phase == Phase::Handshaking && !self.engine.is_handshaking() {
            self.phase = Phase::Open { write_closed: false, ended: None };
            self.events.push_back(Event::Established);
            self.tell(|session| Trace::Established(session.info()));
        }
    }

    fn end(&mut self, ending: Ending) {
        if let Phase::Open { ended: ended @ None, .. } = &mut self.phase {
            *ended = Some(ending);
            self.events.push_back(Event::PeerClosed(ending));
            if let Some(tracer) = self.tracer.as_mut() {
                tracer.ended(ending);
            }
            // rustls still refers to a message that it has seen a part of.
            self.incoming.drop_unseen();
        }
    }

    /// Keeps the first error. Its alert is queued, unless the gate holds it back or this side has
    /// already said that nothing follows (RFC 8446, section 6.1).
    fn fail(&mut self, error: Error) {
        if self.error().is_none() {
            if self.is_handshaking() {
                self.continuity.reject();
            }
            if matches!(self.phase, Phase::Open { write_closed: true, .. }) {
                self.outgoing.hold_after(self.outgoing.pending());
            }
            let (alert, before) = (self.alert, self.outgoing.pending());
            // A further error says nothing new.
            let _ = self.drain_engine();
            self.outgoing.drop_held();
            if let Some(tracer) = self.tracer.as_mut() {
                tracer.failed(&error, alert, self.outgoing.sendable().get(before..).unwrap_or_default());
            }
            self.incoming.clear();
            self.phase = Phase::Failed(error);
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("phase", &self.phase)
            .field("gate", &self.gate)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_send<T: Send>() {}

    #[test]
    fn sessions_move_between_threads() {
        is_send::<Session>();
        is_send::<ClientConfig>();
        is_send::<ServerConfig>();
    }
}
