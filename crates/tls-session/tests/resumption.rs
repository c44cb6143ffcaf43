//! Resumption: that it happens, and all the cases in which it must not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{
    BOTH_VERSIONS, Configs, Direction, Harm, Pair, Raw, Side, TLS12, TLS13, client_options, localhost, pki,
    server_options,
};
use rcgen::KeyPair;
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use tls_certs::{PeerName, VerifyError};
use tls_session::{
    ClientCertificate, ClientConfig, Error, Event, Protocols, Resumption, ServerConfig, ServerOptions,
    ServerVerification, Session, TicketKeySource, TicketKeys, Verdict,
};

const HOUR: u64 = 60 * 60;

/// A clock that stands until it is moved.
#[derive(Debug)]
struct Clock(AtomicU64);

impl Clock {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(UnixTime::now().as_secs())))
    }

    fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    fn resumption(self: &Arc<Self>, lifespan: u64) -> Resumption {
        Resumption::lasting(Duration::from_secs(lifespan)).with_clock(Arc::clone(self) as _)
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::Relaxed))))
    }
}

/// Ticket keys that a test changes.
#[derive(Debug)]
struct Keys(Mutex<Arc<TicketKeys>>);

impl Keys {
    fn new(keys: &[u8]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Self::parsed(keys))))
    }

    fn change(&self, keys: &[u8]) {
        *self.0.lock().unwrap() = Self::parsed(keys);
    }

    fn parsed(keys: &[u8]) -> Arc<TicketKeys> {
        let files: Vec<_> = keys.iter().map(|key| vec![*key; 80]).collect();
        Arc::new(TicketKeys::parse(&files).unwrap())
    }
}

impl TicketKeySource for Keys {
    fn current(&self) -> Arc<TicketKeys> {
        Arc::clone(&self.0.lock().unwrap())
    }
}

fn resuming(protocols: Protocols) -> Configs {
    let on = Resumption::default();
    Configs::resuming(client_options(protocols), server_options(protocols), &on, &on)
}

/// Whether a session is resumed, by both sides' word; data passes in both directions, tickets to the client.
fn connect_to(client: &ClientConfig, server: &ServerConfig, name: &PeerName) -> bool {
    is_resumed(&opened(Pair::new(client, server, name)))
}

fn connect(client: &ClientConfig, server: &ServerConfig) -> bool {
    connect_to(client, server, &localhost())
}

fn opened(mut pair: Pair) -> Pair {
    pair.client.to_write = b"from the client".to_vec();
    pair.server.to_write = b"from the server".to_vec();
    let pair = pair.open();
    assert_eq!(pair.server.received(), b"from the client");
    assert_eq!(pair.client.received(), b"from the server");
    pair
}

fn is_resumed(pair: &Pair) -> bool {
    let (client, server) = (pair.client.session.info(), pair.server.session.info());
    assert_eq!((&client.cipher, client.resumed), (&server.cipher, server.resumed));
    client.resumed
}

#[test]
fn sessions_are_resumed_again_and_again() {
    for protocols in BOTH_VERSIONS {
        let configs = resuming(protocols);
        let runs: Vec<_> = (0..5).map(|_| connect(&configs.client, &configs.server)).collect();
        assert_eq!(runs, [false, true, true, true, true]);
    }
}

#[test]
fn a_ticket_of_tls_1_3_is_used_once() {
    let configs = resuming(TLS13);
    connect(&configs.client, &configs.server);
    // Two tickets; the sessions are all begun before any can bring more.
    let mut begun: Vec<_> = (0..3).map(|_| configs.pair()).collect();
    for pair in &mut begun {
        pair.client.turn();
    }
    let resumed: Vec<_> = begun.into_iter().map(|pair| is_resumed(&pair.open())).collect();
    assert_eq!(resumed, [true, true, false]);
}

#[test]
fn a_resumed_session_knows_what_the_first_one_knew() {
    for protocols in BOTH_VERSIONS {
        let mut client = client_options(protocols);
        client.identities = vec![pki().client.clone()];
        let mut server = server_options(protocols);
        server.client_certificate = ClientCertificate::AskedAndVerified(pki().authority.anchors());
        let on = Resumption::default();
        let configs = Configs::resuming(client, server, &on, &on);
        for resumed in [false, true, true] {
            let pair = opened(configs.pair());
            assert_eq!(is_resumed(&pair), resumed);
            let presented = |side: &Side| side.session.local_identity().unwrap().certified_key().cert[0].clone();
            assert_eq!(pair.client.session.peer_certificates(), [presented(&pair.server)]);
            assert_eq!(pair.server.session.peer_certificates(), [presented(&pair.client)]);
            let info = pair.client.session.info();
            assert_eq!(info.server_name.as_deref(), Some("localhost"));
            let group = if protocols.tls13 { "X25519MLKEM768" } else { "x25519" };
            assert_eq!(info.group.as_deref(), Some(group));
            assert_eq!(pair.server.session.info(), info);
        }
    }
}

#[test]
fn the_application_protocol_is_agreed_on_anew() {
    for protocols in BOTH_VERSIONS {
        let configs = resuming(protocols);
        for (name, resumed) in [("a", false), ("b", true), ("a", true)] {
            let alpn = || vec![name.as_bytes().to_vec()];
            let client = configs.client.with_alpn(alpn()).unwrap();
            let server = configs.server.with_alpn(alpn()).unwrap();
            let pair = opened(Pair::new(&client, &server, &localhost()));
            assert_eq!(is_resumed(&pair), resumed);
            assert_eq!(pair.client.session.info().alpn, Some(name.as_bytes().to_vec()));
        }
    }
}

#[test]
fn a_session_goes_on_after_a_hello_retry_request() {
    let ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
    let config = ClientConfig::new(client_options(TLS13)).unwrap();
    for resumed in [false, true] {
        let mut provider = rustls::crypto::CryptoProvider::clone(&tls_certs::provider());
        provider.kx_groups = vec![rustls::crypto::aws_lc_rs::kx_group::SECP384R1];
        let ticketer = Arc::clone(&ticketer);
        let mut server = Raw::server_with(Arc::new(provider), move |config| config.ticketer = ticketer);
        let mut client = Side::new(Session::client(&config, &localhost()).unwrap());
        for _ in 0..4 {
            client.turn();
            server.take_from(&mut client);
            let flight = server.transmit();
            assert_eq!(client.session.receive(&flight), flight.len());
        }
        client.turn();
        assert!(client.is_open(), "{:?}", client.error);
        assert_eq!(client.session.info().resumed, resumed);
        assert_eq!(client.session.info().group.as_deref(), Some("secp384r1"));
    }
}

#[test]
fn nothing_is_shared_between_configurations_or_names() {
    for protocols in BOTH_VERSIONS {
        let configs = resuming(protocols);
        let equal = resuming(protocols);
        assert!(!connect(&configs.client, &configs.server));
        assert!(!connect(&equal.client, &configs.server));
        assert!(!connect(&configs.client.with_partition("other"), &configs.server));
        assert!(connect(&configs.client.with_partition("other"), &configs.server));
        assert!(connect(&configs.client, &configs.server));
        assert!(!connect(&configs.client, &equal.server));
        assert!(!connect(&configs.client, &equal.server.with_partition("other")));

        let mut lax = client_options(protocols);
        lax.verification = ServerVerification::Deferred;
        let lax = ClientConfig::new(lax).unwrap();
        for name in ["localhost", "other.example", "127.0.0.1", "127.0.0.2"] {
            let name = PeerName::parse(name).unwrap();
            assert!(!connect_to(&lax, &configs.server, &name));
            assert!(connect_to(&lax, &configs.server, &name));
        }
    }
}

#[test]
fn a_session_made_without_verification_does_not_help_where_there_is_some() {
    for protocols in BOTH_VERSIONS {
        let server = resuming(protocols).server;
        let mut lax = client_options(protocols);
        lax.verification = ServerVerification::Deferred;
        let lax = ClientConfig::new(lax).unwrap();
        let mut strict = client_options(protocols);
        strict.verification = ServerVerification::Anchors(pki().stranger.anchors());
        let strict = ClientConfig::new(strict).unwrap();
        for _ in 0..2 {
            connect(&lax, &server);
            let mut pair = Pair::new(&strict, &server, &localhost());
            pair.run_to_the_end();
            assert!(matches!(pair.client.error, Some(Error::Certificate(VerifyError::PartialChain { .. }))));
        }
    }
}

/// What servers may ask of their clients, each another policy.
fn demands(protocols: Protocols) -> Vec<ServerOptions> {
    let demands = [
        (ClientCertificate::NotAsked, false),
        (ClientCertificate::NotAsked, true),
        (ClientCertificate::Asked, false),
        (ClientCertificate::Asked, true),
        (ClientCertificate::AskedAndVerified(pki().authority.anchors()), false),
        (ClientCertificate::AskedAndVerified(pki().authority.anchors()), true),
        (ClientCertificate::AskedAndVerified(pki().stranger.anchors()), false),
    ];
    let options =
        |(client_certificate, verdict)| ServerOptions { client_certificate, verdict, ..server_options(protocols) };
    demands.into_iter().map(options).collect()
}

#[test]
fn shared_keys_open_tickets_only_where_clients_are_asked_the_same() {
    for protocols in BOTH_VERSIONS {
        let keys = Resumption::default().with_ticket_keys(Keys::new(&[1]));
        let here: Vec<_> = demands(protocols).into_iter().map(|o| ServerConfig::new(o).unwrap()).collect();
        let there: Vec<_> = demands(protocols).into_iter().map(|o| ServerConfig::new(o).unwrap()).collect();
        for (i, first) in here.iter().enumerate() {
            for (j, second) in there.iter().enumerate() {
                let client = ClientConfig::new(client_options(protocols)).unwrap();
                connect(&client, &first.with_resumption(&keys));
                let resumed = connect(&client, &second.with_resumption(&keys));
                assert_eq!(resumed, i == j, "{i} {j}");
            }
        }
        let client = ClientConfig::new(client_options(protocols)).unwrap();
        let server = here[0].with_resumption(&keys);
        connect(&client, &server);
        assert!(!connect(&client, &server.with_partition("other")));
        let shorter = Resumption::lasting(Duration::from_secs(HOUR)).with_ticket_keys(Keys::new(&[1]));
        connect(&client, &server);
        assert!(!connect(&client, &here[0].with_resumption(&shorter)));
    }
}

#[test]
fn shared_keys_are_changed_one_after_the_other() {
    for protocols in BOTH_VERSIONS {
        let keys = Keys::new(&[1]);
        let shared = |keys: &Arc<Keys>| {
            let resumption = Resumption::default().with_ticket_keys(Arc::clone(keys) as _);
            ServerConfig::new(server_options(protocols)).unwrap().with_resumption(&resumption)
        };
        let (server, other) = (shared(&keys), shared(&Keys::new(&[2])));
        let client = ClientConfig::new(client_options(protocols)).unwrap();
        connect(&client, &server);
        keys.change(&[2, 1]);
        assert!(connect(&client, &server), "the old key opens");
        assert!(connect(&client, &other), "the new key seals");
        let late = ClientConfig::new(client_options(protocols)).unwrap();
        keys.change(&[1]);
        connect(&late, &server);
        keys.change(&[2]);
        assert!(!connect(&late, &server), "the old key is gone");
        assert!(connect(&late, &other));
    }
}

#[test]
fn sessions_end_with_their_lifespan_and_resuming_does_not_prolong_them() {
    for protocols in BOTH_VERSIONS {
        // Once the client ends them, once the server.
        for (at_client, at_server) in [(HOUR, 10 * HOUR), (10 * HOUR, HOUR)] {
            let clock = Clock::new();
            let configs = Configs::resuming(
                client_options(protocols),
                server_options(protocols),
                &clock.resumption(at_client),
                &clock.resumption(at_server),
            );
            let mut seen = Vec::new();
            for pause in [0, 1, HOUR / 2, HOUR / 2 - 2, 1, 0] {
                clock.advance(pause);
                seen.push(connect(&configs.client, &configs.server));
            }
            assert_eq!(seen, [false, true, true, true, false, true], "{protocols:?} {at_client}");
        }
    }
}

#[test]
fn keys_of_its_own_are_changed_by_the_server_and_stay_as_long_as_tickets_last() {
    for protocols in BOTH_VERSIONS {
        let clock = Clock::new();
        let server = ServerConfig::new(server_options(protocols)).unwrap().with_resumption(&clock.resumption(HOUR));
        let client = || ClientConfig::new(client_options(protocols)).unwrap().with_resumption(&clock.resumption(HOUR));
        let clients: Vec<_> = (0..8).map(|_| client()).collect();
        for _ in 0..3 {
            for client in &clients {
                assert!(!connect(client, &server));
                clock.advance(HOUR / 8);
            }
            // The first has just expired; the others were sealed with keys of several ages.
            let resumed: Vec<_> = clients.iter().map(|client| connect(client, &server)).collect();
            assert_eq!(resumed, [false, true, true, true, true, true, true, true]);
            clock.advance(HOUR);
        }
    }
}

#[test]
fn a_session_ends_with_the_certificates_that_it_was_begun_with() {
    let clock = Clock::new();
    let now = i64::try_from(clock.current_time().unwrap().as_secs()).unwrap();
    let soon = |params: &mut rcgen::CertificateParams| {
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(now).unwrap() + HOUR);
    };
    let key = KeyPair::generate().unwrap();
    let server_identity = pki().authority.identity_with(&["localhost"], &key, soon);
    let client_identity = pki().authority.identity_with(&["client.example"], &key, soon);
    let expired = |error: &Option<Error>| matches!(error, Some(Error::Certificate(VerifyError::Expired { .. })));
    for protocols in BOTH_VERSIONS {
        for expires_at_server in [true, false] {
            let clock = Clock::new();
            let mut client = client_options(protocols);
            let mut server = server_options(protocols);
            server.client_certificate = ClientCertificate::AskedAndVerified(pki().authority.anchors());
            if expires_at_server {
                server.identities = vec![server_identity.clone()];
            } else {
                client.identities = vec![client_identity.clone()];
            }
            let resumption = clock.resumption(10 * HOUR);
            let configs = Configs::resuming(client, server, &resumption, &resumption);
            let mut seen = Vec::new();
            for pause in [0, HOUR / 2, HOUR / 3] {
                clock.advance(pause);
                seen.push(connect(&configs.client, &configs.server));
            }
            assert_eq!(seen, [false, true, true]);
            clock.advance(HOUR / 6 + 1);
            let mut pair = configs.pair();
            pair.run_to_the_end();
            let judge = if expires_at_server { &pair.client } else { &pair.server };
            assert!(expired(&judge.error), "{:?}", judge.error);
        }
    }
}

#[test]
fn resumption_can_be_switched_off_on_either_side() {
    for protocols in BOTH_VERSIONS {
        let brief = Resumption::lasting(Duration::from_millis(999));
        let on = Resumption::default();
        for (client, server) in [(&on, &brief), (&brief, &on), (&on, &Resumption::off()), (&Resumption::off(), &on)] {
            let configs = Configs::resuming(client_options(protocols), server_options(protocols), client, server);
            let runs: Vec<_> = (0..3).map(|_| connect(&configs.client, &configs.server)).collect();
            assert_eq!(runs, [false, false, false]);
            assert_eq!(configs.client.kept_sessions(), (0, 0));
        }
    }
}

#[test]
fn the_client_keeps_a_bounded_number_of_sessions() {
    for protocols in BOTH_VERSIONS {
        let mut client = client_options(protocols);
        client.verification = ServerVerification::Deferred;
        let client = ClientConfig::new(client).unwrap();
        let server = resuming(protocols).server;
        let name = |number: usize| PeerName::parse(&format!("host{number}.example")).unwrap();
        for number in 0..300 {
            assert!(!connect_to(&client, &server, &name(number)));
        }
        let (servers, bytes) = client.kept_sessions();
        assert_eq!(servers, 256);
        assert!(bytes <= 1024 * 1024, "{bytes}");
        assert!(!connect_to(&client, &server, &name(0)));
        assert!(connect_to(&client, &server, &name(299)));
        // Many tickets of one server drive no other out.
        let many = |count| (0..count).all(|_| connect_to(&client, &server, &name(299)));
        assert!(many(10));
        let (_, after_few) = client.kept_sessions();
        assert!(many(300));
        assert_eq!(client.kept_sessions().1, after_few);
        assert!(connect_to(&client, &server, &name(298)));
        assert_eq!(client.kept_sessions().0, 256);
    }
}

#[test]
fn the_client_keeps_a_bounded_number_of_bytes() {
    for protocols in BOTH_VERSIONS {
        let names: Vec<String> = (0..1000).map(|number| format!("host{number}.example")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut server = server_options(protocols);
        server.identities = vec![pki().authority.identity(&names, &KeyPair::generate().unwrap())];
        let chain = server.identities[0].certified_key().cert[0].len();
        let server = ServerConfig::new(server).unwrap();
        let client = ClientConfig::new(client_options(protocols)).unwrap();
        let count = 2 * 1024 * 1024 / chain;
        for name in &names[..count] {
            assert!(!connect_to(&client, &server, &PeerName::parse(name).unwrap()));
        }
        let (servers, bytes) = client.kept_sessions();
        assert!(servers < count && servers * chain <= bytes, "{servers} {bytes}");
        assert!(bytes <= 1024 * 1024 && bytes > 900 * 1024, "{bytes}");
        assert!(!connect_to(&client, &server, &PeerName::parse(names[0]).unwrap()));
        assert!(connect_to(&client, &server, &PeerName::parse(names[count - 1]).unwrap()));
    }
}

/// A client that judges.
fn judging(protocols: Protocols) -> Configs {
    let mut client = client_options(protocols);
    client.verification = ServerVerification::Deferred;
    let on = Resumption::default();
    Configs::resuming(client, server_options(protocols), &on, &on)
}

#[test]
fn a_resumed_server_is_judged_before_anything_leaves() {
    for protocols in BOTH_VERSIONS {
        let configs = judging(protocols);
        assert!(!connect(&configs.client, &configs.server));
        let mut pair = configs.pair();
        pair.client.verdict = None;
        pair.client.to_write = b"secret".to_vec();
        pair.client.turn();
        let hello = pair.client.session.transmit().len();
        pair.run();
        assert_eq!(pair.client.events, [Event::VerdictNeeded]);
        assert!(pair.client.session.info().resumed);
        assert_eq!(pair.client.session.peer_certificates().len(), 1);
        assert!(pair.wire.to_server <= hello + 6, "no more than TLS 1.3's compatibility record");
        pair.client.session.verdict(Verdict::Accept);
        let pair = pair.open();
        assert_eq!(pair.server.received(), b"secret");
        assert!(connect(&configs.client, &configs.server));
    }
}

#[test]
fn sessions_of_a_rejected_server_are_forgotten() {
    for protocols in BOTH_VERSIONS {
        let configs = judging(protocols);
        let reject = |resumed: bool| {
            let mut pair = configs.pair();
            pair.client.verdict = Some(Verdict::Reject);
            pair.run_to_the_end();
            assert_eq!(pair.client.error, Some(Error::Rejected));
            assert_eq!(pair.client.session.info().resumed, resumed);
            assert_eq!(configs.client.kept_sessions(), (0, 0));
        };
        reject(false);
        assert!(!connect(&configs.client, &configs.server));
        reject(true);
        assert!(!connect(&configs.client, &configs.server));
    }
}

#[test]
fn tickets_that_come_before_the_verdict_wait_for_it() {
    for verdict in [Verdict::Reject, Verdict::Accept] {
        let config = judging(TLS12).client;
        let server = ServerConfig::new(server_options(TLS12)).unwrap();
        connect(&config, &server);
        assert_eq!(config.kept_sessions().0, 1);
        let mut pair = Pair::new(&config, &server, &localhost());
        pair.client.verdict = None;
        // Another one makes the earlier session forgotten, so that what is kept can only be new.
        let mut other = Pair::new(&config, &server, &localhost());
        other.client.verdict = Some(Verdict::Reject);
        other.run_to_the_end();
        pair.run();
        assert!(pair.client.session.info().resumed);
        assert_eq!(pair.client.events, [Event::VerdictNeeded]);
        assert_eq!(config.kept_sessions().0, 0);
        pair.client.session.verdict(verdict);
        assert_eq!(config.kept_sessions().0, usize::from(verdict == Verdict::Accept));
    }
}

#[test]
fn a_client_that_the_server_rejects_gets_no_tickets() {
    for protocols in BOTH_VERSIONS {
        let mut server = server_options(protocols);
        server.verdict = true;
        let on = Resumption::default();
        let configs = Configs::resuming(client_options(protocols), server, &on, &on);
        let mut pair = configs.pair();
        pair.server.verdict = Some(Verdict::Reject);
        pair.run_to_the_end();
        assert_eq!(pair.server.error, Some(Error::Rejected));
        assert_eq!(configs.client.kept_sessions(), (0, 0));
        // Nor is it resumed without being judged again.
        assert!(!connect(&configs.client, &configs.server));
        let mut pair = configs.pair();
        pair.server.verdict = Some(Verdict::Reject);
        pair.run_to_the_end();
        assert!(pair.server.session.info().resumed);
        assert!(pair.server.events.contains(&Event::VerdictNeeded));
        assert_eq!((&pair.server.error, pair.server.received()), (&Some(Error::Rejected), &b""[..]));
    }
}

#[test]
fn a_session_that_could_not_be_resumed_is_not_tried_again() {
    let configs = resuming(TLS12);
    connect(&configs.client, &configs.server);
    let mut pair = configs.pair();
    pair.wire.harm = Some(Harm::Cut { direction: Direction::ToClient, at: 40 });
    pair.run_to_the_end();
    assert_eq!(pair.client.error, Some(Error::HandshakeEof));
    assert_eq!(configs.client.kept_sessions(), (0, 0));
    assert!(!connect(&configs.client, &configs.server));
}

#[test]
fn a_server_keeps_nothing_of_its_sessions() {
    // TLS 1.2 by session identifiers alone: there is nothing to resume.
    let configs = resuming(TLS12);
    let mut client = rustls::ClientConfig::builder_with_provider(tls_certs::provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(tls_certs::deferred_server_verifier(&tls_certs::provider()))
        .with_no_client_auth();
    client.resumption = rustls::client::Resumption::in_memory_sessions(8)
        .tls12_resumption(rustls::client::Tls12Resumption::SessionIdOnly);
    let client = Arc::new(client);
    for _ in 0..2 {
        let connection = rustls::ClientConnection::new(Arc::clone(&client), localhost().to_rustls()).unwrap();
        let mut client = Raw(connection.into());
        let mut server = Side::new(Session::server(&configs.server).unwrap());
        for _ in 0..3 {
            let flight = client.transmit();
            assert_eq!(server.session.receive(&flight), flight.len());
            server.turn();
            client.take_from(&mut server);
        }
        assert!(server.is_open());
        assert!(!server.session.info().resumed);
    }
}
