//! The verification gate: what is known to be bound for an unjudged peer stays here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::{BOTH_VERSIONS, Configs, Pair, Raw, Side, TLS13, client_options, localhost, pki, server_options};
use tls_session::{
    ClientCertificate, ClientConfig, Error, Event, Phase, Protocols, ServerVerification, Session, Verdict,
};

/// A client that presents a certificate, to a server that asks for one.
fn configs(protocols: Protocols, client_judges: bool, server_judges: bool) -> Configs {
    let mut client = client_options(protocols);
    client.identities = vec![pki().client.clone()];
    if client_judges {
        client.verification = ServerVerification::Deferred;
    }
    let mut server = server_options(protocols);
    server.client_certificate = ClientCertificate::Asked;
    server.verdict = server_judges;
    Configs::new(client, server)
}

/// The unjudged client at rest.
fn waiting_client(protocols: Protocols, chunk: usize) -> Pair {
    let mut pair = configs(protocols, true, false).pair();
    pair.client.verdict = None;
    pair.client.to_write = b"secret".to_vec();
    pair.wire.chunk = chunk;
    pair.client.turn();
    let hello = pair.client.session.transmit().len();
    pair.run();
    assert_eq!(pair.client.events, [Event::VerdictNeeded]);
    assert_eq!(pair.client.session.phase(), Phase::AwaitingVerdict);
    assert_eq!(pair.client.session.peer_certificates().len(), 1);
    // TLS 1.3's compatibility record answers the ServerHello (RFC 8446, appendix D.4).
    let compatibility = if protocols.tls13 { 6 } else { 0 };
    assert_eq!(pair.wire.to_server, hello + compatibility);
    assert!(pair.server.session.peer_certificates().is_empty());
    pair
}

#[test]
fn nothing_leaves_a_client_before_its_verdict() {
    for protocols in BOTH_VERSIONS {
        for chunk in [0, 1, 100] {
            let mut pair = waiting_client(protocols, chunk);
            let passed = pair.wire.to_server;
            for _ in 0..3 {
                assert!(!pair.turn());
                assert_eq!(pair.client.session.transmit(), b"");
                assert_eq!(pair.client.session.write(b"more"), Err(Error::NotOpen));
                assert_eq!(pair.client.session.close_notify(), Ok(()));
                assert!(!pair.client.session.needs_processing());
            }
            assert_eq!(pair.wire.to_server, passed);
            pair.client.session.verdict(Verdict::Accept);
            let pair = pair.open();
            assert_eq!(pair.server.received(), b"secret");
            assert_eq!(pair.server.session.peer_certificates().len(), 1);
            assert_eq!(pair.client.events, [Event::VerdictNeeded, Event::Established]);
        }
    }
}

#[test]
fn a_rejected_server_learns_nothing() {
    for protocols in BOTH_VERSIONS {
        let mut pair = waiting_client(protocols, 0);
        let passed = pair.wire.to_server;
        pair.client.session.verdict(Verdict::Reject);
        pair.client.session.verdict(Verdict::Accept);
        pair.run_to_the_end();
        assert_eq!(pair.wire.to_server, passed);
        assert_eq!(pair.client.error, Some(Error::Rejected));
        assert_eq!(pair.client.session.write(b"x"), Err(Error::Rejected));
        assert!(!pair.client.is_open());
        assert_eq!(pair.server.error, Some(Error::HandshakeEof));
    }
}

#[test]
fn data_that_comes_with_the_handshake_waits_for_the_verdict() {
    let mut options = client_options(TLS13);
    options.verification = ServerVerification::Deferred;
    let config = ClientConfig::new(options).unwrap();
    for together in [true, false] {
        let mut client = Side::new(Session::client(&config, &localhost()).unwrap());
        client.verdict = None;
        client.turn();
        let mut server = Raw::server(|_| {});
        server.take_from(&mut client);
        server.write(b"early bird");
        let flight = server.transmit();
        if together {
            assert_eq!(client.session.receive(&flight), flight.len());
            client.turn();
        } else {
            for byte in &flight {
                assert_eq!(client.session.receive(&[*byte]), 1);
                client.turn();
            }
        }
        let before = client.session.transmit().to_vec();
        client.session.transmitted(before.len());
        assert_eq!(before.len(), 6, "the compatibility record and no more");
        assert!(!client.turn() && !client.session.has_plaintext());
        assert_eq!(client.received(), b"");
        client.session.verdict(Verdict::Accept);
        assert!(client.session.needs_processing() || client.session.has_plaintext());
        client.turn();
        assert_eq!(client.received(), b"early bird");
        assert!(client.is_open());
        server.receive(&before);
        server.take_from(&mut client);
        assert!(!server.0.is_handshaking());
    }
}

#[test]
fn a_waiting_client_takes_in_no_more_than_its_buffer() {
    let mut options = client_options(TLS13);
    options.verification = ServerVerification::Deferred;
    let config = ClientConfig::new(options).unwrap();
    let mut client = Side::new(Session::client(&config, &localhost()).unwrap());
    client.verdict = None;
    client.turn();
    let mut server = Raw::server(|_| {});
    server.take_from(&mut client);
    let mut sent = Vec::new();
    let mut wire = server.transmit();
    loop {
        let taken = client.session.receive(&wire);
        wire.drain(..taken);
        if taken == 0 {
            break;
        }
        client.turn();
        let data = vec![u8::try_from(sent.len() / 10_000 % 251).unwrap(); 10_000];
        server.write(&data);
        sent.extend_from_slice(&data);
        wire.extend(server.transmit());
    }
    assert!(client.session.receive_space().is_empty());
    assert!(client.session.buffered_bytes() <= 192 * 1024);
    assert_eq!(client.session.error(), None);
    client.session.verdict(Verdict::Accept);
    client.turn();
    client.session.receive(&wire);
    client.turn();
    assert_eq!(client.received(), sent);
}

#[test]
fn a_server_delivers_nothing_before_its_verdict() {
    for protocols in BOTH_VERSIONS {
        for accept in [true, false] {
            let mut pair = configs(protocols, false, true).pair();
            pair.server.verdict = None;
            pair.client.to_write = b"request".to_vec();
            pair.run();
            assert_eq!(pair.server.events, [Event::VerdictNeeded]);
            assert_eq!(pair.server.session.peer_certificates().len(), 1);
            assert_eq!(pair.server.received(), b"");
            assert_eq!(pair.server.session.transmit(), b"");
            // In TLS 1.2 the server's Finished comes last, and is held back.
            assert_eq!(pair.client.is_open(), protocols.tls13);
            let passed = pair.wire.to_client;
            assert!(!pair.turn() && !pair.server.session.has_plaintext());
            assert_eq!(pair.server.session.write(b"no"), Err(Error::NotOpen));
            if accept {
                pair.server.session.verdict(Verdict::Accept);
                let pair = pair.open();
                assert_eq!(pair.server.received(), b"request");
            } else {
                pair.server.session.verdict(Verdict::Reject);
                pair.run_to_the_end();
                assert_eq!(pair.wire.to_client, passed);
                assert_eq!(pair.server.error, Some(Error::Rejected));
                assert_eq!(pair.server.received(), b"");
                assert_ne!(pair.server.session.peer_certificates().len(), 0);
            }
        }
    }
}

#[test]
fn both_sides_may_judge() {
    for protocols in BOTH_VERSIONS {
        let mut pair = configs(protocols, true, true).pair();
        pair.client.verdict = None;
        pair.server.verdict = None;
        pair.run();
        assert_eq!(pair.server.session.phase(), Phase::Handshaking);
        pair.client.session.verdict(Verdict::Accept);
        pair.run();
        assert_eq!(pair.server.session.phase(), Phase::AwaitingVerdict);
        pair.server.session.verdict(Verdict::Accept);
        pair.open();
    }
}

#[test]
fn the_end_of_the_transport_does_not_hurry_a_verdict() {
    for protocols in BOTH_VERSIONS {
        let mut pair = waiting_client(protocols, 0);
        pair.client.end_transport();
        pair.run();
        assert_eq!(pair.client.session.phase(), Phase::AwaitingVerdict);
        pair.client.session.verdict(Verdict::Accept);
        pair.run();
        // A TLS 1.3 server has said all it has to say by then.
        let expected = if protocols.tls13 { None } else { Some(Error::HandshakeEof) };
        assert_eq!(pair.client.error, expected);
    }
}

#[test]
fn a_broken_flight_behind_the_gate_sends_nothing() {
    // CertificateVerify is right, Finished is not: nothing but an alert could leave, and it stays.
    let mut pair = configs(TLS13, true, false).pair();
    pair.client.verdict = None;
    pair.client.turn();
    let hello = pair.client.session.transmit().to_vec();
    let mut server = Raw::server(|config| config.max_fragment_size = Some(64));
    server.receive(&hello);
    pair.client.session.transmitted(hello.len());
    let mut flight = server.transmit();
    *flight.last_mut().unwrap() ^= 1;
    pair.client.session.receive(&flight);
    pair.client.turn();
    if pair.client.session.phase() == Phase::AwaitingVerdict {
        assert_eq!(pair.client.session.transmit().len(), 6);
        pair.client.session.verdict(Verdict::Accept);
        pair.client.turn();
    }
    assert_eq!(pair.client.error, Some(Error::Decrypt));
}
