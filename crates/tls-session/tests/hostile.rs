//! A wire that splits, cuts and alters, at every byte of a handshake and of the data.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use common::{
    BOTH_DIRECTIONS, BOTH_VERSIONS, Configs, Direction, Harm, Pair, Random, Side, TLS13, client_options, ending, pki,
    server_options,
};
use tls_session::{ClientCertificate, Ending, Error, Phase, Protocols, ServerVerification};

const UP: &[u8] = b"what the client has to say";
const DOWN: &[u8] = b"and what the server answers";

/// Both sides write, close, and the transport ends.
fn exchange(configs: &Configs, harm: Option<Harm>, chunk: usize) -> Pair {
    let mut pair = configs.pair();
    pair.wire.harm = harm;
    pair.wire.chunk = chunk;
    pair.client.to_write = UP.to_vec();
    pair.server.to_write = DOWN.to_vec();
    pair.client.closing = true;
    pair.server.closing = true;
    // rustls (0.23.46) has a debug assertion that it never meets an error after it has sent
    // close_notify. Whoever receives the altered bytes closes last.
    match harm {
        Some(Harm::Flip { direction: Direction::ToServer, .. }) => pair.server.closing_last = true,
        Some(Harm::Flip { direction: Direction::ToClient, .. }) => pair.client.closing_last = true,
        _ => {}
    }
    pair.run_to_the_end();
    // Whatever happens, no altered byte is delivered, and each side comes to a definite end.
    assert!(UP.starts_with(pair.server.received()), "{harm:?}");
    assert!(DOWN.starts_with(pair.client.received()), "{harm:?}");
    for side in [&pair.client, &pair.server] {
        assert_eq!(side.error.is_some(), ending(side).is_none(), "{harm:?} {:?}", side.session);
        assert!(!side.session.is_handshaking(), "{harm:?}");
    }
    pair
}

fn is_whole(pair: &Pair) -> bool {
    let closed = Some(Ending::CloseNotify);
    pair.server.received() == UP
        && pair.client.received() == DOWN
        && ending(&pair.client) == closed
        && ending(&pair.server) == closed
}

/// Client certificates and a deferred verdict included, so that every message there is appears.
fn everything(protocols: Protocols) -> Configs {
    let mut client = client_options(protocols);
    client.identities = vec![pki().client.clone()];
    client.verification = ServerVerification::Deferred;
    let mut server = server_options(protocols);
    server.client_certificate = ClientCertificate::AskedAndVerified(pki().authority.anchors());
    server.verdict = true;
    Configs::new(client, server)
}

#[test]
fn pieces_of_any_size() {
    for protocols in BOTH_VERSIONS {
        for configs in [Configs::plain(protocols), everything(protocols)] {
            for chunk in [1, 2, 3, 5, 7, 100, 1000, 0] {
                let pair = exchange(&configs, None, chunk);
                assert!(is_whole(&pair), "{chunk}");
            }
        }
    }
}

#[test]
fn cut_at_every_byte() {
    for protocols in BOTH_VERSIONS {
        for configs in [Configs::plain(protocols), everything(protocols)] {
            for direction in BOTH_DIRECTIONS {
                cut_everywhere(&configs, direction);
            }
        }
    }
}

fn cut_everywhere(configs: &Configs, direction: Direction) {
    for at in 0.. {
        let pair = exchange(configs, Some(Harm::Cut { direction, at }), 0);
        if !pair.wire.harmed {
            assert!(at > 300 && is_whole(&pair), "{at} {pair:?}");
            return;
        }
        let cut = match direction {
            Direction::ToServer => &pair.server,
            Direction::ToClient => &pair.client,
        };
        match &cut.error {
            Some(error) => assert_eq!(*error, Error::HandshakeEof, "{at}"),
            None => assert!(cut.is_open(), "{at}"),
        }
    }
}

#[test]
fn a_bit_flipped_at_every_byte() {
    for protocols in BOTH_VERSIONS {
        for configs in [Configs::plain(protocols), everything(protocols)] {
            for direction in BOTH_DIRECTIONS {
                flip_everywhere(&configs, direction);
            }
        }
    }
}

fn flip_everywhere(configs: &Configs, direction: Direction) {
    let mut unnoticed = 0;
    for at in 0.. {
        let bit = u8::try_from(at * 5 % 8).unwrap();
        let pair = exchange(configs, Some(Harm::Flip { direction, at, bit }), 0);
        if !pair.wire.harmed {
            assert!(at > 300 && is_whole(&pair), "{at} {pair:?}");
            // The versions in record headers and compatibility records are not protected.
            assert!(unnoticed < 16, "{unnoticed} flips went unnoticed");
            return;
        }
        let failed = pair.client.error.is_some() || pair.server.error.is_some();
        if !failed {
            // A changed record length makes one side wait for the rest, in vain.
            let truncated = [&pair.client, &pair.server].iter().any(|side| ending(side) == Some(Ending::Truncated));
            assert!(is_whole(&pair) || truncated, "{at}");
            assert!(pair.client.is_open() && pair.server.is_open(), "{at}");
            unnoticed += usize::from(!truncated);
        }
    }
}

/// An open pair, and the ciphertext of three records from the client.
fn three_records(protocols: Protocols) -> (Pair, Vec<Vec<u8>>) {
    let mut pair = Configs::plain(protocols).pair().open();
    let mut records = Vec::new();
    for text in ["first", "second", "third"] {
        pair.client.session.write(text.as_bytes()).unwrap();
        let record = pair.client.session.transmit().to_vec();
        pair.client.session.transmitted(record.len());
        records.push(record);
    }
    (pair, records)
}

fn feed(server: &mut Side, records: &[&[u8]]) {
    for record in records {
        server.session.receive(record);
    }
    server.turn();
    server.turn();
}

#[test]
fn every_bit_of_a_record_is_protected() {
    for protocols in BOTH_VERSIONS {
        let (_, records) = three_records(protocols);
        for at in 0..records[1].len() {
            for bit in 0..8 {
                let (mut pair, mut records) = three_records(protocols);
                records[1][at] ^= 1 << bit;
                feed(&mut pair.server, &[&records[0], &records[1], &records[2]]);
                pair.server.end_transport();
                pair.run();
                let server = &pair.server;
                match (at, &server.error) {
                    // The header of a TLS 1.3 record carries nothing; rustls does not look at it.
                    (0..=2, None) => assert_eq!(server.received(), b"firstsecondthird"),
                    // A longer length: the rest of the record never comes.
                    (3 | 4, None) => assert_eq!(ending(server), Some(Ending::Truncated)),
                    (_, Some(Error::Decrypt)) | (0..=4, Some(Error::Protocol(_))) => {
                        assert_eq!(server.received(), b"first");
                    }
                    (_, error) => panic!("byte {at} bit {bit}: {error:?}"),
                }
            }
        }
    }
}

#[test]
fn records_lost_repeated_or_swapped() {
    for protocols in BOTH_VERSIONS {
        for order in [&[1, 2][..], &[0, 0], &[0, 2], &[1, 0]] {
            let (mut pair, records) = three_records(protocols);
            let order: Vec<&[u8]> = order.iter().map(|i| &records[*i][..]).collect();
            feed(&mut pair.server, &order);
            assert_eq!(pair.server.error, Some(Error::Decrypt));
            assert!(b"first".starts_with(pair.server.received()));
        }
    }
}

#[test]
fn oversized_and_empty_records() {
    let (mut pair, _) = three_records(TLS13);
    pair.server.session.receive(&[23, 3, 3, 0x48, 0x01]);
    pair.server.turn();
    assert!(matches!(pair.server.error, Some(Error::Protocol(_))), "{:?}", pair.server.error);

    let mut server = Configs::plain(TLS13).pair().server;
    server.session.receive(&[22, 3, 1, 0, 0]);
    server.turn();
    assert!(matches!(server.error, Some(Error::Protocol(_))), "{:?}", server.error);
}

#[test]
fn a_handshake_message_that_is_too_long() {
    let mut server = Configs::plain(TLS13).pair().server;
    // A ClientHello of 65536 bytes, says its header.
    server.session.receive(&[22, 3, 1, 0, 4, 1, 1, 0, 0]);
    server.turn();
    assert!(matches!(server.error, Some(Error::Protocol(_))), "{:?}", server.error);
}

#[test]
fn a_message_in_countless_fragments_fills_the_buffer_and_no_more() {
    let mut server = Configs::plain(TLS13).pair().server;
    let mut fragments = vec![22, 3, 1, 0, 4, 1, 0, 0xff, 0xff];
    for _ in 0..30_000 {
        fragments.extend_from_slice(&[22, 3, 1, 0, 1, 0]);
    }
    let mut fragments = &fragments[..];
    while server.error.is_none() {
        let taken = server.session.receive(fragments);
        fragments = &fragments[taken..];
        server.turn();
        assert!(server.session.buffered_bytes() <= 192 * 1024);
    }
    let limit = 128 * 1024;
    assert_eq!(server.error, Some(Error::ReceiveBufferFull { limit }));
    assert_eq!(server.session.receive(&[0; 100]), 100, "what follows is dropped");
}

#[test]
fn the_largest_handshake_message_fits() {
    // 65535 bytes of garbage as a ClientHello, in full records: refused for what it is.
    let mut server = Configs::plain(TLS13).pair().server;
    let message = [&[1, 0, 0xff, 0xff][..], &vec![0; 0xffff]].concat();
    for fragment in message.chunks(16384) {
        let [high, low] = u16::try_from(fragment.len()).unwrap().to_be_bytes();
        let record = [&[22, 3, 1, high, low], fragment].concat();
        let mut rest = &record[..];
        while !rest.is_empty() {
            let taken = server.session.receive(rest);
            assert_ne!(taken, 0);
            rest = &rest[taken..];
            server.turn();
        }
    }
    assert!(matches!(server.error, Some(Error::Protocol(_))), "{:?}", server.error);
    assert!(matches!(server.session.phase(), Phase::Failed(_)));
}

#[test]
fn garbage_ends_in_an_error_or_in_waiting() {
    let mut random = Random::new(99);
    for protocols in BOTH_VERSIONS {
        let configs = Configs::plain(protocols);
        for round in 0..600 {
            let mut pair = configs.pair();
            pair.client.turn();
            if round % 3 == 0 {
                pair = pair.open();
            }
            for side in [&mut pair.client, &mut pair.server] {
                for _ in 0..4 {
                    let length = random.below(300);
                    let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
                    let kind = 20 + u8::try_from(random.below(5)).unwrap();
                    let mut record = vec![kind, 3, 3, high, low];
                    record.extend(random.bytes(length));
                    if kind == 22 && length > 4 {
                        // A handshake message, as far as its header goes.
                        let inner = u8::try_from((length - 4).min(255)).unwrap();
                        record[5] = u8::try_from(random.below(25)).unwrap();
                        record[6..9].copy_from_slice(&[0, 0, inner]);
                    }
                    side.session.receive(&record);
                    side.turn();
                }
                side.end_transport();
                side.turn();
                side.turn();
                assert!(side.received().is_empty());
                assert!(side.error.is_some() || ending(side) == Some(Ending::Truncated));
            }
        }
    }
}

#[test]
fn flights_with_several_bytes_altered() {
    let mut random = Random::new(5);
    for protocols in BOTH_VERSIONS {
        for configs in [Configs::plain(protocols), everything(protocols)] {
            for _ in 0..300 {
                let mut pair = configs.pair();
                pair.client.to_write = UP.to_vec();
                pair.server.to_write = DOWN.to_vec();
                let rate = 200 + random.below(2000);
                for _ in 0..20 {
                    noisy(&mut pair.client, &mut pair.server, &mut random, rate);
                    noisy(&mut pair.server, &mut pair.client, &mut random, rate);
                }
                pair.run_to_the_end();
                assert!(UP.starts_with(pair.server.received()));
                assert!(DOWN.starts_with(pair.client.received()));
                for side in [&pair.client, &pair.server] {
                    assert_eq!(side.error.is_some(), ending(side).is_none());
                }
            }
        }
    }
}

/// Carries what is to be sent, and changes one byte in `rate`.
fn noisy(from: &mut Side, to: &mut Side, random: &mut Random, rate: usize) {
    from.turn();
    let mut bytes = from.session.transmit().to_vec();
    from.session.transmitted(bytes.len());
    for byte in &mut bytes {
        if random.below(rate) == 0 {
            *byte = random.bytes(1)[0];
        }
    }
    to.session.receive(&bytes);
}
