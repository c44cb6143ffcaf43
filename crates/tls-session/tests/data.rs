//! Data: in bulk, through small sinks, to its end, and bounded memory all the while.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::{BOTH_VERSIONS, Configs, Pair, Random, Raw, Side, TLS13, ending, localhost};
use tls_session::{Ending, Error, Event, MAX_WRITE, Phase, Session, SliceSink};

/// The most memory that one session's buffers may take: both directions and one record left over.
const BUFFERS: usize = 128 * 1024 + 128 * 1024 + 32 * 1024;

#[test]
fn bulk_both_ways_with_random_sizes() {
    for protocols in BOTH_VERSIONS {
        let mut random = Random::new(7);
        let (up, down) = (random.bytes(3_000_000), random.bytes(2_000_000));
        let mut pair = Configs::plain(protocols).pair().open();
        let (mut sent_up, mut sent_down) = (0, 0);
        while pair.server.received() != up || pair.client.received() != down {
            pair.client.appetite = 1 + random.below(100_000);
            pair.server.appetite = 1 + random.below(40_000);
            pair.wire.chunk = 1 + random.below(200_000);
            let piece = up.len().min(sent_up + random.below(200_000));
            sent_up += pair.client.session.write(&up[sent_up..piece]).unwrap();
            let piece = down.len().min(sent_down + random.below(3_000));
            sent_down += pair.server.session.write(&down[sent_down..piece]).unwrap();
            pair.turn();
            for side in [&pair.client, &pair.server] {
                assert!(side.session.buffered_bytes() <= BUFFERS);
                assert_eq!(side.error, None);
                assert!(side.received().len() <= 3_000_000);
            }
        }
    }
}

#[test]
fn a_sink_of_one_byte_sees_every_byte() {
    for protocols in BOTH_VERSIONS {
        let data = Random::new(3).bytes(40_000);
        let mut pair = Configs::plain(protocols).pair();
        pair.client.to_write.clone_from(&data);
        pair.client.closing = true;
        pair.server.appetite = 1;
        pair.run();
        assert_eq!(pair.server.received(), data);
        assert_eq!(ending(&pair.server), Some(Ending::CloseNotify));
        assert_eq!(pair.server.events.last(), Some(&Event::PeerClosed(Ending::CloseNotify)));
    }
}

#[test]
fn a_sink_without_room_decrypts_one_record_ahead() {
    let mut pair = Configs::plain(TLS13).pair().open();
    for _ in 0..4 {
        pair.client.session.write(&[1; 10_000]).unwrap();
        let bytes = pair.client.session.transmit().to_vec();
        pair.client.session.transmitted(bytes.len());
        assert_eq!(pair.server.session.receive(&bytes), bytes.len());
    }
    let session = &mut pair.server.session;
    assert!(session.needs_processing() && !session.has_plaintext());
    for _ in 0..3 {
        assert_eq!(session.process(&mut SliceSink::new(&mut [])).unwrap().plaintext, 0);
        assert!(session.has_plaintext() && session.needs_processing());
    }
    let mut target = vec![0; 25_000];
    assert_eq!(session.process(&mut SliceSink::new(&mut target)).unwrap().plaintext, 25_000);
    assert_eq!(session.process(&mut SliceSink::new(&mut target)).unwrap().plaintext, 15_000);
    assert!(!session.has_plaintext() && !session.needs_processing());
}

#[test]
fn writes_are_taken_while_the_transport_keeps_up() {
    let mut pair = Configs::plain(TLS13).pair().open();
    let session = &mut pair.client.session;
    assert_eq!(session.write(b""), Ok(0));
    assert_eq!(session.write(&vec![0; 1_000_000]), Ok(MAX_WRITE));
    assert_eq!(session.write(b"x"), Ok(0), "too much waits");
    let waiting = session.transmit().len();
    session.transmitted(waiting - 100);
    assert_eq!(session.write(b"x"), Ok(1));
    let mut written = 0;
    while session.write(&[0; 100]).unwrap() > 0 {
        written += 1;
    }
    assert!(written > 100 && session.buffered_bytes() <= BUFFERS);
}

#[test]
fn a_peer_that_sends_forever_to_nobody_fills_one_buffer() {
    for protocols in BOTH_VERSIONS {
        let mut pair = Configs::plain(protocols).pair().open();
        pair.server.appetite = 0;
        let mut written = 0;
        for _ in 0..1000 {
            let chunk = [u8::try_from(written / 5000 % 256).unwrap(); 5000];
            written += pair.client.session.write(&chunk).unwrap();
            pair.turn();
            assert!(pair.server.session.buffered_bytes() <= BUFFERS);
        }
        assert!(pair.server.session.receive_space().is_empty());
        assert_eq!(pair.server.session.error(), None, "a full buffer is no error while data waits");
        // The other direction goes on, whatever lies unread.
        pair.server.to_write = b"still there".to_vec();
        pair.run();
        assert_eq!(pair.client.received(), b"still there");
        pair.server.appetite = 777;
        pair.run();
        assert_eq!(pair.server.received().len(), written);
        let expected = |i: usize| u8::try_from(i / 5000 % 256).unwrap();
        assert!(pair.server.received().iter().enumerate().all(|(i, byte)| *byte == expected(i)));
    }
}

#[test]
fn an_idle_session_holds_no_buffers() {
    let mut pair = Configs::plain(TLS13).pair().open();
    pair.client.to_write = vec![5; 500_000];
    pair.server.appetite = 10_000;
    pair.run();
    for side in [&mut pair.client, &mut pair.server] {
        assert!(side.session.buffered_bytes() > 0);
        side.session.release_idle_buffers();
        assert_eq!(side.session.buffered_bytes(), 0);
    }
    // What is pending stays.
    pair.client.session.write(b"again").unwrap();
    pair.client.session.release_idle_buffers();
    pair.run();
    assert_eq!(pair.server.received().len(), 500_005);
    pair.server.session.receive(&[23, 3, 3]);
    pair.server.session.release_idle_buffers();
    assert!(pair.server.session.buffered_bytes() > 0, "a part of a record waits");
}

#[test]
fn close_notify_is_told_from_truncation() {
    for protocols in BOTH_VERSIONS {
        for closing in [true, false] {
            let mut pair = Configs::plain(protocols).pair();
            pair.client.to_write = vec![9; 100_000];
            pair.client.closing = closing;
            pair.server.appetite = 5_000;
            pair.run();
            pair.server.end_transport();
            assert_eq!(pair.server.session.needs_processing(), !closing);
            pair.run();
            assert_eq!(pair.server.received().len(), 100_000);
            let expected = if closing { Ending::CloseNotify } else { Ending::Truncated };
            assert_eq!(pair.server.session.ending(), Some(expected));
            assert_eq!(ending(&pair.server), Some(expected));
            let open = Phase::Open { write_closed: false, ended: Some(expected) };
            assert_eq!(pair.server.session.phase(), open);
        }
    }
}

#[test]
fn the_ending_waits_until_the_data_before_it_is_taken() {
    let mut pair = Configs::plain(TLS13).pair();
    pair.client.to_write = vec![9; 100];
    pair.client.closing = true;
    pair.server.appetite = 10;
    while pair.server.received().len() < 100 {
        assert_eq!(pair.server.session.ending(), None);
        pair.turn();
    }
    pair.run();
    assert_eq!(pair.server.session.ending(), Some(Ending::CloseNotify));
}

#[test]
fn half_close_lets_the_other_direction_go_on() {
    for protocols in BOTH_VERSIONS {
        let mut pair = Configs::plain(protocols).pair().open();
        pair.client.closing = true;
        pair.run();
        assert_eq!(pair.client.session.write(b"x"), Err(Error::WriteClosed));
        assert_eq!(pair.server.session.ending(), Some(Ending::CloseNotify));
        pair.server.to_write = vec![4; 200_000];
        pair.server.closing = true;
        pair.run();
        assert_eq!(pair.client.received().len(), 200_000);
        assert_eq!(pair.client.session.ending(), Some(Ending::CloseNotify));
        assert_eq!(pair.server.session.write(b"x"), Err(Error::WriteClosed));
        for side in [&mut pair.client, &mut pair.server] {
            let closed = Phase::Open { write_closed: true, ended: Some(Ending::CloseNotify) };
            assert_eq!(side.session.phase(), closed);
            side.end_transport();
        }
        pair.run();
        assert_eq!((&pair.client.error, &pair.server.error), (&None, &None));
    }
}

#[test]
fn what_follows_close_notify_is_dropped() {
    let mut pair = Configs::plain(TLS13).pair().open();
    pair.client.closing = true;
    pair.client.turn();
    let mut bytes = pair.client.session.transmit().to_vec();
    bytes.extend_from_slice(b"no TLS at all");
    pair.server.session.receive(&bytes);
    pair.run();
    for _ in 0..1000 {
        assert_eq!(pair.server.session.receive(&[0; 1000]), 1000, "the transport can be drained");
        pair.server.turn();
    }
    assert_eq!(pair.server.error, None);
    assert_eq!(pair.server.session.ending(), Some(Ending::CloseNotify));
    assert!(pair.server.session.buffered_bytes() <= BUFFERS);
    pair.server.to_write = b"answer".to_vec();
    pair.server.turn();
    assert!(!pair.server.session.transmit().is_empty());
}

/// A client of ours, open, and a server of rustls.
fn with_raw_server(server: Raw) -> (Side, Raw) {
    let mut server = server;
    let config = Configs::plain(TLS13).client;
    let mut client = Side::new(Session::client(&config, &localhost()).unwrap());
    client.turn();
    server.take_from(&mut client);
    let flight = server.transmit();
    client.session.receive(&flight);
    client.turn();
    assert!(client.is_open());
    (client, server)
}

#[test]
fn the_peer_updates_its_keys() {
    let (mut client, mut server) = with_raw_server(Raw::server(|_| {}));
    server.take_from(&mut client);
    let mut expected = Vec::new();
    for round in 0..100_u8 {
        server.0.refresh_traffic_keys().unwrap();
        server.write(&[round; 50]);
        expected.extend_from_slice(&[round; 50]);
        client.session.receive(&server.transmit());
        client.turn();
        assert_eq!(client.received(), expected);
        client.session.write(&[round; 20]).unwrap();
        server.take_from(&mut client);
        assert_eq!(server.read(20), [round; 20]);
    }
}

#[test]
fn writing_is_possible_in_the_middle_of_the_peers_messages() {
    // Tickets in records of a few bytes: at most points a part of a message lies with rustls.
    let fragmented = Raw::server(|config| {
        config.max_fragment_size = Some(40);
        config.send_tls13_tickets = 4;
    });
    let (mut client, mut server) = with_raw_server(fragmented);
    server.take_from(&mut client);
    server.write(b"behind the tickets");
    let bytes = server.transmit();
    assert!(bytes.len() > 500);
    for byte in &bytes {
        client.session.receive(&[*byte]);
        assert_eq!(client.session.write(b"."), Ok(1));
        client.turn();
        assert_eq!(client.session.write(b"."), Ok(1));
        assert_eq!(client.error, None);
        server.take_from(&mut client);
    }
    assert_eq!(client.received(), b"behind the tickets");
    assert_eq!(server.read(2 * bytes.len()), vec![b'.'; 2 * bytes.len()]);
    // And when the transport ends in the middle of one.
    let fragmented = Raw::server(|config| config.max_fragment_size = Some(40));
    let (mut client, mut server) = with_raw_server(fragmented);
    server.take_from(&mut client);
    let bytes = server.transmit();
    client.session.receive(&bytes[..bytes.len() / 2]);
    client.turn();
    client.end_transport();
    client.turn();
    assert_eq!(client.session.ending(), Some(Ending::Truncated));
    assert_eq!(client.session.write(b"last words"), Ok(10));
    client.session.close_notify().unwrap();
    server.take_from(&mut client);
    assert_eq!(server.read(10), b"last words");
}

#[test]
fn an_error_comes_after_the_data_before_it() {
    let mut pair: Pair = Configs::plain(TLS13).pair().open();
    pair.client.session.write(b"good").unwrap();
    let good = pair.client.session.transmit().len();
    pair.client.session.write(b"evil").unwrap();
    let mut bytes = pair.client.session.transmit().to_vec();
    bytes[good + 7] ^= 4;
    pair.server.session.receive(&bytes);
    let session = &mut pair.server.session;
    let mut target = [0; 3];
    let first = session.process(&mut SliceSink::new(&mut target)).unwrap();
    assert_eq!((first.plaintext, &target), (3, b"goo"));
    let mut target = [0; 100];
    let second = session.process(&mut SliceSink::new(&mut target)).unwrap();
    assert_eq!((second.plaintext, target[0]), (1, b'd'));
    for _ in 0..3 {
        let mut target = [0; 100];
        assert_eq!(session.process(&mut SliceSink::new(&mut target)), Err(Error::Decrypt));
        assert_eq!(session.error(), Some(&Error::Decrypt));
        assert_eq!(session.write(b"x"), Err(Error::Decrypt));
    }
    assert!(!session.transmit().is_empty(), "the alert");
    pair.run();
    let alert = tls_session::Alert { code: 20 };
    assert_eq!(pair.client.error, Some(Error::PeerAlert(alert)));
}

/// rustls (0.23.46) asserts in debug builds that it never fails after close_notify.
#[cfg(not(debug_assertions))]
#[test]
fn no_alert_follows_close_notify() {
    let mut pair = Configs::plain(TLS13).pair().open();
    pair.server.session.close_notify().unwrap();
    let farewell = pair.server.session.transmit().to_vec();
    pair.client.session.write(b"data").unwrap();
    let mut bytes = pair.client.session.transmit().to_vec();
    bytes[7] ^= 1;
    pair.server.session.receive(&bytes);
    pair.server.turn();
    assert_eq!(pair.server.error, Some(Error::Decrypt));
    assert_eq!(pair.server.session.transmit(), farewell);
}
