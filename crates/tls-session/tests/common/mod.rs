//! A client and a server in memory, a wire between them that can be told to do harm, and the
//! certificates they need.
#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(clippy::missing_panics_doc, clippy::disallowed_types)]

use std::sync::{Arc, OnceLock};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::CryptoProvider;
use tls_certs::{Certificate, Identity, PeerName, PrivateKey, TrustAnchors};
use tls_session::{
    CipherStrength, ClientCertificate, ClientConfig, ClientOptions, Ending, Error, Event, PlaintextSink, Protocols,
    Resumption, ServerConfig, ServerOptions, ServerVerification, Session, Verdict,
};

pub const TLS12: Protocols = Protocols { tls12: true, tls13: false };
pub const TLS13: Protocols = Protocols { tls12: false, tls13: true };
pub const BOTH_VERSIONS: [Protocols; 2] = [TLS12, TLS13];

/// A certification authority.
pub struct Authority {
    pub issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    pub fn anchors(&self) -> Arc<TrustAnchors> {
        TrustAnchors::from_certificates(&[Certificate::from_der(self.issuer.der()).unwrap()]).unwrap()
    }

    pub fn identity(&self, names: &[&str], key: &KeyPair) -> Identity {
        self.identity_with(names, key, |_| {})
    }

    pub fn identity_with(
        &self,
        names: &[&str],
        key: &KeyPair,
        adjust: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "leaf");
        adjust(&mut params);
        let leaf = params.signed_by(key, &self.issuer).unwrap();
        let private = PrivateKey::from_der(&key.serialize_der()).unwrap();
        let leaf = Certificate::from_der(leaf.der()).unwrap().with_private_key(private).unwrap();
        Identity::new(&leaf, &[]).unwrap()
    }
}

/// What most tests share; keys are made once.
pub struct Pki {
    pub authority: Authority,
    pub stranger: Authority,
    pub ecdsa: Identity,
    pub rsa: Identity,
    pub client: Identity,
}

pub fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(|| {
        let authority = Authority::new("Test CA");
        let ecdsa = KeyPair::generate().unwrap();
        let rsa = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let client = KeyPair::generate().unwrap();
        Pki {
            ecdsa: authority.identity(&["localhost"], &ecdsa),
            rsa: authority.identity(&["localhost"], &rsa),
            client: authority.identity(&["client.example"], &client),
            stranger: Authority::new("Stranger CA"),
            authority,
        }
    })
}

pub fn localhost() -> PeerName {
    PeerName::parse("localhost").unwrap()
}

pub fn client_options(protocols: Protocols) -> ClientOptions {
    ClientOptions {
        protocols,
        ciphers: CipherStrength::default(),
        identities: Vec::new(),
        verification: ServerVerification::Anchors(pki().authority.anchors()),
        alpn: Vec::new(),
    }
}

pub fn server_options(protocols: Protocols) -> ServerOptions {
    ServerOptions {
        protocols,
        ciphers: CipherStrength::default(),
        identities: vec![pki().ecdsa.clone()],
        client_certificate: ClientCertificate::NotAsked,
        alpn: Vec::new(),
        verdict: false,
    }
}

/// Configurations of both sides, reused where many sessions are made.
pub struct Configs {
    pub client: ClientConfig,
    pub server: ServerConfig,
}

impl Configs {
    /// Their sessions are never resumed, so that each is like the first.
    pub fn new(client: ClientOptions, server: ServerOptions) -> Self {
        let never = Resumption::off();
        Self::resuming(client, server, &never, &never)
    }

    pub fn resuming(
        client: ClientOptions,
        server: ServerOptions,
        client_resumption: &Resumption,
        server_resumption: &Resumption,
    ) -> Self {
        Self {
            client: ClientConfig::new(client).unwrap().with_resumption(client_resumption),
            server: ServerConfig::new(server).unwrap().with_resumption(server_resumption),
        }
    }

    pub fn plain(protocols: Protocols) -> Self {
        Self::new(client_options(protocols), server_options(protocols))
    }

    pub fn pair(&self) -> Pair {
        Pair::new(&self.client, &self.server, &localhost())
    }
}

/// Takes plaintext, with as much room as it is told.
#[derive(Debug, Default)]
pub struct Taken {
    pub bytes: Vec<u8>,
    pub room: usize,
}

impl PlaintextSink for Taken {
    fn room(&self) -> usize {
        self.room
    }

    fn put(&mut self, bytes: &[u8]) {
        assert!(!bytes.is_empty() && bytes.len() <= self.room, "more than asked for");
        self.room -= bytes.len();
        self.bytes.extend_from_slice(bytes);
    }
}

/// A session with everything its owner saw of it.
#[derive(Debug)]
pub struct Side {
    pub session: Session,
    pub sink: Taken,
    pub events: Vec<Event>,
    pub error: Option<Error>,
    /// The answer to a verdict; `None` leaves it open.
    pub verdict: Option<Verdict>,
    /// How much the sink takes per turn.
    pub appetite: usize,
    /// What is still to be written once the session is open, then close_notify if `closing`.
    pub to_write: Vec<u8>,
    pub closing: bool,
    /// Wait with close_notify for the peer's.
    pub closing_last: bool,
    pub transport_ended: bool,
}

impl Side {
    pub fn new(session: Session) -> Self {
        Self {
            session,
            sink: Taken::default(),
            events: Vec::new(),
            error: None,
            verdict: Some(Verdict::Accept),
            appetite: usize::MAX,
            to_write: Vec::new(),
            closing: false,
            closing_last: false,
            transport_ended: false,
        }
    }

    pub fn received(&self) -> &[u8] {
        &self.sink.bytes
    }

    pub fn is_open(&self) -> bool {
        self.events.contains(&Event::Established)
    }

    /// One turn of an owner: process, react, write. True if anything happened.
    pub fn turn(&mut self) -> bool {
        let mut moved = false;
        self.sink.room = self.appetite;
        match self.session.process(&mut self.sink) {
            Ok(progress) => moved |= progress.plaintext > 0,
            Err(error) => {
                assert_eq!(self.session.error(), Some(&error), "the first error stays");
                if let Some(first) = &self.error {
                    assert_eq!(*first, error, "the first error stays");
                } else {
                    moved = true;
                }
                self.error = Some(error);
            }
        }
        while let Some(event) = self.session.poll_event() {
            moved = true;
            self.events.push(event);
            if let (Event::VerdictNeeded, Some(verdict)) = (event, self.verdict) {
                self.session.verdict(verdict);
            }
        }
        if self.is_open() && self.error.is_none() {
            if self.to_write.is_empty() {
                if self.closing && (!self.closing_last || ending(self).is_some()) {
                    self.closing = false;
                    moved = true;
                    // An error that this meets comes back from the next process.
                    let _ = self.session.close_notify();
                }
            } else {
                let written = self.session.write(&self.to_write).unwrap_or(0);
                self.to_write.drain(..written);
                moved |= written > 0;
            }
        }
        moved
    }

    pub fn end_transport(&mut self) {
        if !self.transport_ended {
            self.transport_ended = true;
            self.session.received_end();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToClient,
}

pub const BOTH_DIRECTIONS: [Direction; 2] = [Direction::ToServer, Direction::ToClient];

/// What the wire does to the bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Inverts a bit of the byte at this position.
    Flip { direction: Direction, at: usize, bit: u8 },
    /// Ends after this many bytes.
    Cut { direction: Direction, at: usize },
}

/// Counts what passes, and harms it.
#[derive(Debug, Default)]
pub struct Wire {
    pub to_server: usize,
    pub to_client: usize,
    pub harm: Option<Harm>,
    /// Whether the harm was done.
    pub harmed: bool,
    /// The most bytes that pass in one turn; 0: no limit.
    pub chunk: usize,
}

impl Wire {
    fn carry(&mut self, direction: Direction, from: &mut Side, to: &mut Side) -> bool {
        let waiting = from.session.transmit();
        let limit = if self.chunk == 0 { usize::MAX } else { self.chunk };
        let mut bytes = waiting[..waiting.len().min(limit)].to_vec();
        let passed = match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        };
        match self.harm {
            Some(Harm::Flip { direction: d, at, bit }) if d == direction => {
                if let Some(byte) = at.checked_sub(*passed).and_then(|i| bytes.get_mut(i)) {
                    *byte ^= 1 << bit;
                }
            }
            Some(Harm::Cut { direction: d, at }) if d == direction => {
                bytes.truncate(at - *passed);
                if *passed + bytes.len() == at {
                    self.harmed = true;
                }
            }
            _ => {}
        }
        let accepted = to.session.receive(&bytes);
        *passed += accepted;
        from.session.transmitted(accepted);
        if let Some(Harm::Flip { direction: d, at, .. }) = self.harm
            && d == direction
            && *passed > at
        {
            self.harmed = true;
        }
        if matches!(self.harm, Some(Harm::Cut { direction: d, .. }) if d == direction) && self.harmed {
            to.end_transport();
        }
        accepted > 0
    }
}

/// Both ends and what lies between.
#[derive(Debug)]
pub struct Pair {
    pub client: Side,
    pub server: Side,
    pub wire: Wire,
}

impl Pair {
    pub fn new(client: &ClientConfig, server: &ServerConfig, name: &PeerName) -> Self {
        Self {
            client: Side::new(Session::client(client, name).unwrap()),
            server: Side::new(Session::server(server).unwrap()),
            wire: Wire::default(),
        }
    }

    /// One turn of everything. True if anything happened.
    pub fn turn(&mut self) -> bool {
        let mut moved = self.client.turn();
        moved |= self.wire.carry(Direction::ToServer, &mut self.client, &mut self.server);
        moved |= self.server.turn();
        moved |= self.wire.carry(Direction::ToClient, &mut self.server, &mut self.client);
        moved
    }

    /// Until nothing moves any more.
    pub fn run(&mut self) {
        for _ in 0..1_000_000 {
            if !self.turn() {
                return;
            }
        }
        panic!("the sessions never come to rest");
    }

    /// As `run`; then the transport ends on both sides, as it would when nothing more comes.
    pub fn run_to_the_end(&mut self) {
        self.run();
        self.client.end_transport();
        self.server.end_transport();
        self.run();
    }

    /// Runs until both sides are open.
    pub fn open(mut self) -> Self {
        self.run();
        assert_eq!((&self.client.error, &self.server.error), (&None, &None));
        assert!(self.client.is_open() && self.server.is_open());
        self
    }
}

/// The ending an owner saw, from its events.
pub fn ending(side: &Side) -> Option<Ending> {
    side.events.iter().find_map(|event| match event {
        Event::PeerClosed(ending) => Some(*ending),
        _ => None,
    })
}

/// A small, repeatable random number generator (xorshift).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From 0 to `end`, without it.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap() % end
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| u8::try_from(self.next() >> 40 & 0xff).unwrap()).collect()
    }
}

/// A peer made directly of rustls, for what our own never does.
pub struct Raw(pub rustls::Connection);

impl Raw {
    pub fn server(adjust: impl FnOnce(&mut rustls::ServerConfig)) -> Self {
        Self::server_with(tls_certs::provider(), adjust)
    }

    /// Speaks TLS 1.3 and may send data before the client's Finished.
    pub fn server_with(provider: Arc<CryptoProvider>, adjust: impl FnOnce(&mut rustls::ServerConfig)) -> Self {
        let key = pki().ecdsa.certified_key();
        let resolver = rustls::sign::SingleCertAndKey::from((*key).clone());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.send_half_rtt_data = true;
        adjust(&mut config);
        Self(rustls::ServerConnection::new(Arc::new(config)).unwrap().into())
    }

    /// Judges nothing.
    pub fn client_with(provider: Arc<CryptoProvider>, protocols: Protocols) -> Self {
        let versions = if protocols.tls13 { [&rustls::version::TLS13] } else { [&rustls::version::TLS12] };
        let verifier = tls_certs::deferred_server_verifier(&provider);
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        let name = localhost().to_rustls();
        Self(rustls::ClientConnection::new(Arc::new(config), name).unwrap().into())
    }

    /// Takes bytes in; what rustls finds wrong with them is its own affair.
    pub fn receive(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes).unwrap();
            let _ = self.0.process_new_packets();
        }
    }

    pub fn transmit(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    pub fn write(&mut self, data: &[u8]) {
        std::io::Write::write_all(&mut self.0.writer(), data).unwrap();
    }

    pub fn read(&mut self, count: usize) -> Vec<u8> {
        let mut data = vec![0; count];
        std::io::Read::read_exact(&mut self.0.reader(), &mut data).unwrap();
        data
    }

    /// Takes what `side` has to say.
    pub fn take_from(&mut self, side: &mut Side) {
        let bytes = side.session.transmit().to_vec();
        side.session.transmitted(bytes.len());
        self.receive(&bytes);
    }
}
