//! A session whose bytes a script carries: what comes in with a call is processed, what is to leave goes out with its
//! result. No channel, no waiting.
//!
//! The session is shown one record at a time, so that it is known to the byte where the handshake ends and data
//! begins, and what follows the peer's `close_notify`.

use tls_session::{Error, Event, PlaintextSink, Session, Verdict};

use crate::pump::NoRoom;

/// A session that a script drives.
#[derive(Debug)]
pub(crate) struct Stepper {
    session: Session,
    records: Records,
    /// What was received before the first step.
    early: Vec<u8>,
    was_open: bool,
    /// The script has ended the session before it was open.
    given_up: bool,
}

/// How far the handshake is, or the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// The handshake is complete.
    Done,
    /// More must come from the peer.
    Continue,
    /// The session is over.
    Disconnected,
}

/// What a step gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) status: Status,
    /// For the peer.
    pub(crate) send: Vec<u8>,
    /// Received, and no part of the handshake: to be decrypted.
    pub(crate) leftover: Vec<u8>,
}

/// What decrypting gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decrypted {
    /// The peer has ended its side: nothing more will come.
    pub(crate) expired: bool,
    pub(crate) plaintext: Vec<u8>,
    /// Received behind the end, and no part of the session.
    pub(crate) leftover: Vec<u8>,
}

impl Stepper {
    /// `early`: what came from the peer already.
    pub(crate) fn new(session: Session, early: Vec<u8>) -> Self {
        Self { session, records: Records::default(), early, was_open: false, given_up: false }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Whether the handshake was never complete, for the wording of errors.
    pub(crate) fn is_negotiating(&self) -> bool {
        !self.was_open
    }

    /// As `tls_state` would name it.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.status() {
            Status::Done => "OPEN",
            Status::Continue => "NEGOTIATING",
            Status::Disconnected => "CLOSED",
        }
    }

    /// Goes on with the handshake as far as `received` allows. Once it is complete nothing of `received` is looked at.
    ///
    /// # Errors
    /// The session's error, at this and every later call. What is to be sent, such as its alert, waits for
    /// [`shutdown`](Self::shutdown).
    pub(crate) fn step(&mut self, received: &[u8]) -> Result<Step, Error> {
        let mut early = std::mem::take(&mut self.early);
        let received = if early.is_empty() {
            received
        } else {
            early.extend_from_slice(received);
            &early
        };
        match self.negotiate(received) {
            Ok(taken) => Ok(Step {
                status: self.status(),
                send: self.take_ciphertext(),
                leftover: received.get(taken..).unwrap_or_default().to_vec(),
            }),
            Err(error) if is_close(&error) => {
                Ok(Step { status: Status::Disconnected, send: self.take_ciphertext(), leftover: Vec::new() })
            }
            Err(error) => Err(error),
        }
    }

    /// Encrypts all of `data`, behind what waits to be sent, such as the answer to a key update.
    ///
    /// # Errors
    /// The session's, or that it is not open for writing.
    pub(crate) fn encrypt(&mut self, data: &[u8]) -> Result<Vec<u8>, Error> {
        let mut ciphertext = Vec::new();
        let mut rest = data;
        loop {
            let taken = self.session.write(rest)?;
            self.drain_into(&mut ciphertext);
            rest = rest.get(taken..).unwrap_or_default();
            if rest.is_empty() {
                self.release();
                return Ok(ciphertext);
            }
        }
    }

    /// Decrypts what is complete; the rest is kept for the next call.
    ///
    /// # Errors
    /// That the handshake is not complete; the session's error, once all plaintext before it was given, at every call.
    pub(crate) fn decrypt(&mut self, received: &[u8]) -> Result<Decrypted, Error> {
        if self.session.is_handshaking() {
            return Err(Error::NotOpen);
        }
        let mut plaintext = Plaintext::default();
        let mut rest = received;
        loop {
            match self.session.process(&mut plaintext) {
                Err(error) if plaintext.0.is_empty() => return Err(error),
                // The next call gives the error.
                Err(_) => rest = &[],
                Ok(_) => {}
            }
            self.drop_events();
            if rest.is_empty() || self.session.ending().is_some() || self.session.error().is_some() {
                break;
            }
            rest = self.feed(rest);
        }
        let expired = self.session.ending().is_some();
        self.release();
        let leftover = if expired { rest.to_vec() } else { Vec::new() };
        Ok(Decrypted { expired, plaintext: plaintext.0, leftover })
    }

    /// Ends our side: gives `close_notify` behind all that waits to be sent, after an error its alert, and before the
    /// session is open what there is. The peer's data can still be decrypted.
    pub(crate) fn shutdown(&mut self) -> Step {
        if self.session.is_handshaking() {
            self.given_up = true;
        }
        // An error that this meets is the session's from now on; its alert leaves here.
        let _ = self.session.close_notify();
        Step { status: self.status(), send: self.take_ciphertext(), leftover: Vec::new() }
    }

    /// Returns how many bytes of `received` belong to the handshake.
    fn negotiate(&mut self, received: &[u8]) -> Result<usize, Error> {
        if self.given_up {
            return Ok(0);
        }
        let mut rest = received;
        loop {
            // What comes from here on is data.
            if self.was_open {
                return match self.session.error() {
                    Some(error) => Err(error.clone()),
                    None => Ok(received.len() - rest.len()),
                };
            }
            self.session.process(&mut NoRoom)?;
            let judged = self.react();
            if !self.session.is_handshaking() {
                self.was_open = true;
            } else if judged {
                // There may be more of the same flight.
            } else if rest.is_empty() {
                return Ok(received.len());
            } else {
                rest = self.feed(rest);
            }
        }
    }

    /// Whoever drives the session is the one to judge the peer, and has the certificate from this step on. What is made
    /// behind the gate goes to nobody else, so the gate opens at once: the script judges before it carries that away.
    /// True if there was something to judge.
    fn react(&mut self) -> bool {
        let mut judged = false;
        while let Some(event) = self.session.poll_event() {
            if event == Event::VerdictNeeded {
                self.session.verdict(Verdict::Accept);
                judged = true;
            }
        }
        judged
    }

    fn drop_events(&mut self) {
        while self.session.poll_event().is_some() {}
    }

    /// Shows the session what `bytes` hold of the current record, and returns the rest.
    fn feed<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let wanted = self.records.clone().take(bytes);
        let record = bytes.get(..wanted).unwrap_or(bytes);
        let taken = self.session.receive(record);
        let (taken, rest) = bytes.split_at(taken.min(bytes.len()));
        self.records.take(taken);
        rest
    }

    fn status(&self) -> Status {
        if self.given_up || self.session.error().is_some() || self.session.ending().is_some() {
            Status::Disconnected
        } else if self.session.is_handshaking() {
            Status::Continue
        } else {
            Status::Done
        }
    }

    fn take_ciphertext(&mut self) -> Vec<u8> {
        let mut ciphertext = Vec::new();
        self.drain_into(&mut ciphertext);
        self.release();
        ciphertext
    }

    fn drain_into(&mut self, ciphertext: &mut Vec<u8>) {
        ciphertext.extend_from_slice(self.session.transmit());
        let count = self.session.transmit().len();
        self.session.transmitted(count);
    }

    /// A context may lie unused for long.
    fn release(&mut self) {
        self.session.release_idle_buffers();
    }
}

/// A peer that ends the session in the middle of the handshake (RFC 8446, section 6.1).
fn is_close(error: &Error) -> bool {
    matches!(error, Error::PeerAlert(alert) if alert.code == 0)
}

/// Where in a record a stream of records is (RFC 8446, section 5.1).
#[derive(Debug, Clone, Default)]
struct Records {
    header: [u8; 5],
    /// Bytes of the header that are known.
    known: usize,
    /// Bytes of the record's body that are to come.
    body: usize,
}

impl Records {
    /// How many of `bytes` belong to the current record, or begin the next; goes on by as many.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        if self.body == 0 {
            for (place, byte) in self.header.iter_mut().skip(self.known).zip(bytes) {
                *place = *byte;
                taken += 1;
            }
            self.known += taken;
            if self.known < self.header.len() {
                return taken;
            }
            let [_, _, _, high, low] = self.header;
            self.known = 0;
            self.body = usize::from(u16::from_be_bytes([high, low]));
        }
        let body = self.body.min(bytes.len() - taken);
        self.body -= body;
        taken + body
    }
}

/// Takes all there is.
#[derive(Debug, Default)]
struct Plaintext(Vec<u8>);

impl PlaintextSink for Plaintext {
    fn room(&self) -> usize {
        usize::MAX
    }

    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
    use super::*;
    use tls_certs::{
        GeneralName, Identity, KeyType, Name, PeerName, PrivateKey, Template, TrustAnchors, UnixTime, Validity,
    };
    use tls_session::{
        Alert, ClientCertificate, ClientConfig, ClientOptions, Protocols, ServerConfig, ServerOptions,
        ServerVerification,
    };

    const TLS12: Protocols = Protocols { tls12: true, tls13: false };
    const TLS13: Protocols = Protocols { tls12: false, tls13: true };

    struct Pair {
        client: Stepper,
        server: Stepper,
    }

    fn identity() -> Identity {
        identity_of("CN=localhost")
    }

    fn identity_of(subject: &str) -> Identity {
        let key = PrivateKey::generate(KeyType::default()).unwrap();
        let now = UnixTime::now().as_secs().cast_signed();
        let mut template =
            Template::new(Name::parse(subject).unwrap(), Validity { not_before: now - 60, not_after: now + 3600 });
        template.alt_names = vec![GeneralName::Dns("localhost".to_owned())];
        Identity::new(&template.self_signed(&key).unwrap(), &[]).unwrap()
    }

    fn pair(protocols: Protocols, verification: ServerVerification) -> Pair {
        let client = ClientConfig::new(ClientOptions {
            protocols,
            ciphers: tls_session::CipherStrength::default(),
            identities: vec![identity()],
            verification,
            alpn: Vec::new(),
        });
        let server = ServerConfig::new(ServerOptions {
            protocols,
            ciphers: tls_session::CipherStrength::default(),
            identities: vec![identity()],
            client_certificate: ClientCertificate::Asked,
            alpn: Vec::new(),
            verdict: false,
        });
        let name = PeerName::parse("localhost").unwrap();
        Pair {
            client: Stepper::new(Session::client(&client.unwrap(), &name).unwrap(), Vec::new()),
            server: Stepper::new(Session::server(&server.unwrap()).unwrap(), Vec::new()),
        }
    }

    impl Pair {
        /// Runs the handshake, `chunk` bytes at a time.
        fn open(mut self, chunk: usize) -> Self {
            let mut to_server = self.client.step(&[]).unwrap().send;
            let mut to_client = Vec::new();
            for _ in 0..4 {
                for bytes in std::mem::take(&mut to_server).chunks(chunk) {
                    let step = self.server.step(bytes).unwrap();
                    assert_eq!(step.leftover, b"");
                    to_client.extend(step.send);
                }
                for bytes in std::mem::take(&mut to_client).chunks(chunk) {
                    let step = self.client.step(bytes).unwrap();
                    if step.status == Status::Done {
                        // A server may have more to say than its handshake, but no data.
                        assert_eq!(self.client.decrypt(&step.leftover).unwrap(), ok(b""));
                    }
                    to_server.extend(step.send);
                }
            }
            assert_eq!((self.client.status(), self.server.status()), (Status::Done, Status::Done));
            self
        }
    }

    fn ok(plaintext: &[u8]) -> Decrypted {
        Decrypted { expired: false, plaintext: plaintext.to_vec(), leftover: Vec::new() }
    }

    #[test]
    fn the_handshake_ends_at_a_byte_and_data_follows() {
        for protocols in [TLS12, TLS13] {
            for chunk in [1, 7, usize::MAX] {
                let mut pair = pair(protocols, ServerVerification::Deferred).open(chunk);
                let hello = pair.client.encrypt(b"hello").unwrap();
                for byte in &hello[..hello.len() - 1] {
                    assert_eq!(pair.server.decrypt(&[*byte]).unwrap(), ok(b""));
                }
                assert_eq!(pair.server.decrypt(&hello[hello.len() - 1..]).unwrap(), ok(b"hello"));
                assert_eq!(pair.server.decrypt(&[]).unwrap(), ok(b""));
            }
        }
    }

    #[test]
    fn data_behind_the_handshake_is_left_over() {
        let mut pair = pair(TLS13, ServerVerification::Deferred);
        let hello = pair.client.step(&[]).unwrap();
        assert_eq!(hello.status, Status::Continue);
        let flight = pair.server.step(&hello.send).unwrap();
        let finished = pair.client.step(&flight.send).unwrap();
        assert_eq!(finished.status, Status::Done);
        let data = pair.client.encrypt(b"at once").unwrap();
        let step = pair.server.step(&[finished.send, data.clone()].concat()).unwrap();
        assert_eq!((step.status, &step.leftover), (Status::Done, &data));
        assert_eq!(pair.server.step(&data).unwrap().leftover, data, "and so is what a further step is given");
        assert_eq!(pair.server.decrypt(&step.leftover).unwrap(), ok(b"at once"));
    }

    #[test]
    fn what_was_received_early_is_looked_at_first() {
        let mut pair = pair(TLS13, ServerVerification::Deferred);
        let hello = pair.client.step(&[]).unwrap().send;
        let (early, late) = hello.split_at(100);
        pair.server.early = early.to_vec();
        let step = pair.server.step(late).unwrap();
        assert_eq!(step.status, Status::Continue);
        assert!(!step.send.is_empty());
    }

    #[test]
    fn the_certificate_is_there_before_anything_is_made_of_ours() {
        for protocols in [TLS12, TLS13] {
            let mut pair = pair(protocols, ServerVerification::Deferred);
            let hello = pair.client.step(&[]).unwrap().send;
            let flight = pair.server.step(&hello).unwrap().send;
            let mut sent = 0;
            for byte in &flight {
                let step = pair.client.step(&[*byte]).unwrap();
                if pair.client.session().peer_certificates().is_empty() {
                    sent += step.send.len();
                    assert!(pair.client.session().local_identity().is_none() || step.send.is_empty());
                }
            }
            // TLS 1.3's compatibility record, at most (RFC 8446, appendix D.4).
            assert!(sent <= 6, "{sent} bytes");
            assert_eq!(pair.client.session().peer_certificates().len(), 1);
        }
    }

    #[test]
    fn an_alert_waits_for_the_shutdown() {
        for protocols in [TLS12, TLS13] {
            let anchors = TrustAnchors::from_certificates(&[identity_of("CN=stranger").certificate().clone()]).unwrap();
            let mut pair = pair(protocols, ServerVerification::Anchors(anchors));
            let hello = pair.client.step(&[]).unwrap().send;
            let flight = pair.server.step(&hello).unwrap().send;
            let error = pair.client.step(&flight).unwrap_err();
            assert!(matches!(error, Error::Certificate(_)), "{error:?}");
            assert_eq!(pair.client.step(&[]), Err(error.clone()));
            assert_eq!(pair.client.decrypt(&[]), Err(error.clone()));
            assert_eq!(pair.client.encrypt(b"x"), Err(error));
            let alert = pair.client.shutdown();
            assert_eq!(alert.status, Status::Disconnected);
            let Err(Error::PeerAlert(Alert { code })) = pair.server.step(&alert.send) else {
                panic!("no alert");
            };
            assert_eq!(code, 48, "unknown_ca");
            assert_eq!(pair.client.shutdown().send, b"", "once");
        }
    }

    #[test]
    fn the_end_and_what_lies_behind_it() {
        for protocols in [TLS12, TLS13] {
            let mut pair = pair(protocols, ServerVerification::Deferred).open(usize::MAX);
            let mut last = pair.client.encrypt(b"last").unwrap();
            let end = pair.client.shutdown();
            assert_eq!(end.status, Status::Done, "the peer may go on");
            assert_eq!(pair.client.encrypt(b"more"), Err(Error::WriteClosed));
            last.extend(&end.send);
            last.extend(b"plain text");
            let decrypted = pair.server.decrypt(&last).unwrap();
            assert_eq!(
                decrypted,
                Decrypted { expired: true, plaintext: b"last".to_vec(), leftover: b"plain text".to_vec() }
            );
            let again = pair.server.decrypt(b"more").unwrap();
            assert_eq!(again, Decrypted { expired: true, plaintext: Vec::new(), leftover: b"more".to_vec() });
            let answer = pair.server.encrypt(b"answer").unwrap();
            assert_eq!(pair.client.decrypt(&answer).unwrap(), ok(b"answer"));
            let end = pair.server.shutdown();
            assert_eq!(end.status, Status::Disconnected);
            assert!(pair.client.decrypt(&end.send).unwrap().expired);
            assert_eq!(pair.client.shutdown().status, Status::Disconnected);
        }
    }

    #[test]
    fn data_before_a_broken_record_is_given_first() {
        let mut pair = pair(TLS13, ServerVerification::Deferred).open(usize::MAX);
        let good = pair.client.encrypt(b"good").unwrap();
        let mut bad = pair.client.encrypt(b"bad").unwrap();
        bad[10] ^= 1;
        assert_eq!(pair.server.decrypt(&[good, bad].concat()).unwrap(), ok(b"good"));
        assert_eq!(pair.server.decrypt(&[]), Err(Error::Decrypt));
        let alert = pair.server.shutdown().send;
        assert_eq!(pair.client.decrypt(&alert), Err(Error::PeerAlert(Alert { code: 20 })));
    }

    #[test]
    fn before_the_handshake_is_complete() {
        let mut pair = pair(TLS13, ServerVerification::Deferred);
        assert_eq!(pair.client.encrypt(b"x"), Err(Error::NotOpen));
        assert_eq!(pair.client.decrypt(b"x"), Err(Error::NotOpen));
        assert_eq!(
            pair.client.shutdown(),
            Step { status: Status::Disconnected, send: Vec::new(), leftover: Vec::new() }
        );
        let step = pair.client.step(b"abc").unwrap();
        assert_eq!((step.status, step.send, step.leftover), (Status::Disconnected, Vec::new(), b"abc".to_vec()));
        // A peer that closes at once, with an alert in plain text.
        pair.server.step(&[21, 3, 3, 0, 2]).unwrap();
        assert_eq!(pair.server.step(&[2, 0]).unwrap().status, Status::Disconnected);
    }

    #[test]
    fn a_message_in_countless_fragments_ends_in_an_error() {
        let mut pair = pair(TLS13, ServerVerification::Deferred);
        let mut flood = vec![22, 3, 1, 0, 4, 1, 0, 0xff, 0xff];
        for _ in 0..40_000 {
            flood.extend([22, 3, 1, 0, 1, 0]);
        }
        let error = pair.server.step(&flood).unwrap_err();
        assert!(matches!(error, Error::ReceiveBufferFull { .. }), "{error:?}");
        assert!(pair.server.session().buffered_bytes() <= 256 * 1024);
    }

    #[test]
    fn flights_with_a_byte_altered_end_in_an_error_or_in_waiting() {
        let mut seed = 88_172_645_463_325_252_u64;
        let mut random = |end: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed >> 20).unwrap() % end
        };
        for round in 0..300 {
            let mut pair = pair(if round % 2 == 0 { TLS12 } else { TLS13 }, ServerVerification::Deferred);
            let victim = random(3);
            let mut flight = pair.client.step(&[]).unwrap().send;
            for turn in 0..4 {
                if turn == victim && !flight.is_empty() {
                    let place = random(flight.len());
                    flight[place] ^= 1 << random(8);
                }
                let side = if turn % 2 == 0 { &mut pair.server } else { &mut pair.client };
                let mut answer = Vec::new();
                for piece in flight.chunks(1 + random(700)) {
                    match side.step(piece) {
                        Ok(step) => answer.extend(step.send),
                        Err(_) => answer.extend(side.shutdown().send),
                    }
                }
                flight = answer;
            }
            for side in [&mut pair.client, &mut pair.server] {
                let done = side.status() == Status::Done;
                assert_eq!(side.encrypt(b"x").is_ok(), done);
                assert_eq!(side.decrypt(&[]).is_ok(), done);
            }
        }
    }

    #[test]
    fn records_are_told_apart() {
        let stream = [&[23, 3, 3, 0, 3, 1, 2, 3][..], &[21, 3, 3, 0, 0], &[22, 3, 3, 1, 0], &[0; 256]].concat();
        for chunk in 1..stream.len() {
            let mut records = Records::default();
            let mut ends = Vec::new();
            let mut at = 0;
            for piece in stream.chunks(chunk) {
                let mut rest = piece;
                while !rest.is_empty() {
                    let taken = records.take(rest);
                    at += taken;
                    rest = &rest[taken..];
                    if records.body == 0 && records.known == 0 {
                        ends.push(at);
                    }
                }
            }
            assert_eq!(ends, [8, 13, 274], "in pieces of {chunk}");
        }
    }
}
