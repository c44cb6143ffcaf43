//! Handshakes that succeed, in every combination, and those that must not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::sync::Arc;

use common::{
    Authority, BOTH_VERSIONS, Configs, Raw, Side, TLS12, TLS13, client_options, localhost, pki, server_options,
};
use rcgen::KeyPair;
use rustls::SignatureScheme;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use tls_certs::{Identity, Name, PeerName, VerifyError};
use tls_session::{
    Alert, ClientCertificate, ClientConfig, Error, Event, Foreign, Phase, Protocols, ServerConfig, ServerVerification,
    Session, Verdict,
};

#[test]
fn every_combination_opens() {
    let pki = pki();
    for protocols in BOTH_VERSIONS {
        for identity in [&pki.ecdsa, &pki.rsa] {
            for client_certificate in [
                ClientCertificate::NotAsked,
                ClientCertificate::Asked,
                ClientCertificate::AskedAndVerified(pki.authority.anchors()),
            ] {
                for has_certificate in [false, true] {
                    for deferred in [false, true] {
                        let certificate = client_certificate.clone();
                        opens(protocols, identity, certificate, has_certificate, deferred);
                    }
                }
            }
        }
    }
}

fn opens(
    protocols: Protocols,
    identity: &Identity,
    client_certificate: ClientCertificate,
    has_certificate: bool,
    deferred: bool,
) {
    let mut client = client_options(protocols);
    let mut server = server_options(protocols);
    let sent = has_certificate && !matches!(client_certificate, ClientCertificate::NotAsked);
    server.identities = vec![identity.clone()];
    server.client_certificate = client_certificate;
    server.verdict = deferred;
    server.alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    client.alpn = vec![b"http/1.1".to_vec(), b"spdy".to_vec()];
    if has_certificate {
        client.identities = vec![pki().client.clone()];
    }
    if deferred {
        client.verification = ServerVerification::Deferred;
    }
    let mut pair = Configs::new(client, server).pair();
    pair.client.to_write = b"from the client".to_vec();
    pair.server.to_write = b"from the server".to_vec();
    let pair = pair.open();
    assert_eq!(pair.server.received(), b"from the client");
    assert_eq!(pair.client.received(), b"from the server");

    let asked = pair.client.events.contains(&Event::VerdictNeeded);
    assert_eq!(asked, deferred);
    assert_eq!(pair.server.events.contains(&Event::VerdictNeeded), deferred);
    let leaf = identity.certified_key().cert[0].clone();
    assert_eq!(pair.client.session.peer_certificates().first(), Some(&leaf));
    let presented = pair.server.session.peer_certificates();
    assert_eq!(presented.is_empty(), !sent);
    assert_eq!(pair.client.session.local_identity().is_some(), sent);
    assert!(pair.server.session.local_identity().is_some());

    let info = pair.client.session.info();
    assert_eq!(info.protocol, Some(if protocols.tls13 { "TLSv1.3" } else { "TLSv1.2" }));
    assert_eq!(info.alpn.as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(info.server_name.as_deref(), Some("localhost"));
    assert!(info.cipher.as_deref().is_some_and(|name| name.starts_with("TLS_")));
    let group = if protocols.tls13 { "X25519MLKEM768" } else { "x25519" };
    assert_eq!(info.group.as_deref(), Some(group));
    assert!(!info.resumed);
    assert_eq!(pair.server.session.info(), info);
}

/// The server's side of a connection that the client refuses, or the other way round.
fn refused(pair: &mut common::Pair) -> (Option<Error>, Option<Error>) {
    pair.run();
    pair.run_to_the_end();
    (pair.client.error.clone(), pair.server.error.clone())
}

#[test]
fn an_untrusted_server_is_refused_and_told_so() {
    for protocols in BOTH_VERSIONS {
        let mut client = client_options(protocols);
        client.verification = ServerVerification::Anchors(pki().stranger.anchors());
        let mut pair = Configs::new(client, server_options(protocols)).pair();
        let (client, server) = refused(&mut pair);
        let Some(Error::Certificate(VerifyError::PartialChain { issuer })) = client else {
            panic!("{client:?}");
        };
        assert!(issuer.contains("Test CA"), "{issuer}");
        assert_eq!(server, Some(Error::PeerAlert(Alert { code: 48 })));
        assert!(!pair.client.is_open() && !pair.server.is_open());
    }
}

#[test]
fn a_wrong_name_is_reported_with_both_names() {
    let configs = Configs::plain(TLS13);
    let mut pair = configs.pair();
    let name = PeerName::parse("other.example").unwrap();
    pair.client.session = Session::client(&configs.client, &name).unwrap();
    let (client, _) = refused(&mut pair);
    let Some(Error::Certificate(VerifyError::NameMismatch { wanted, presented })) = client else {
        panic!("{client:?}");
    };
    assert_eq!(wanted, "other.example");
    assert!(presented.iter().any(|name| name.contains("localhost")), "{presented:?}");
}

#[test]
fn a_client_certificate_of_a_stranger_is_refused() {
    for protocols in BOTH_VERSIONS {
        let mut client = client_options(protocols);
        let key = KeyPair::generate().unwrap();
        client.identities = vec![pki().stranger.identity(&["x.example"], &key)];
        let mut server = server_options(protocols);
        server.client_certificate = ClientCertificate::AskedAndVerified(pki().authority.anchors());
        let mut pair = Configs::new(client, server).pair();
        let (client, server) = refused(&mut pair);
        assert!(matches!(server, Some(Error::Certificate(_))), "{server:?}");
        assert!(matches!(client, Some(Error::PeerAlert(_))), "{client:?}");
    }
}

#[test]
fn nothing_in_common() {
    let mut pair = Configs::new(client_options(TLS13), server_options(TLS12)).pair();
    let (client, server) = refused(&mut pair);
    assert!(matches!(server, Some(Error::NoCommonParameters(_))), "{server:?}");
    assert_eq!(client, Some(Error::PeerAlert(Alert { code: 70 })));

    let mut client = client_options(TLS13);
    client.alpn = vec![b"one".to_vec()];
    let mut server = server_options(TLS13);
    server.alpn = vec![b"two".to_vec()];
    let (client, server) = refused(&mut Configs::new(client, server).pair());
    assert!(matches!(server, Some(Error::NoCommonParameters(_))), "{server:?}");
    assert_eq!(client, Some(Error::PeerAlert(Alert { code: 120 })));
}

#[test]
fn application_protocols_are_set_on_a_copy() {
    let mut configs = Configs::plain(TLS13);
    let before = configs.client.clone();
    configs.client = configs.client.with_alpn(vec![b"h2".to_vec()]).unwrap();
    configs.server = configs.server.with_alpn(vec![b"h2".to_vec()]).unwrap();
    let pair = configs.pair().open();
    assert_eq!(pair.server.session.info().alpn.as_deref(), Some(&b"h2"[..]));
    configs.client = before;
    let pair = configs.pair().open();
    assert_eq!(pair.server.session.info().alpn, None);
}

#[test]
fn the_certificate_fits_the_name_asked_for() {
    let pki = pki();
    let one = pki.authority.identity(&["one.example"], &KeyPair::generate().unwrap());
    let two = pki.authority.identity(&["*.two.example"], &KeyPair::generate().unwrap());
    for protocols in BOTH_VERSIONS {
        let mut server = server_options(protocols);
        server.identities = vec![one.clone(), pki.rsa.clone(), two.clone(), pki.ecdsa.clone()];
        let configs = Configs::new(client_options(protocols), server);
        for (name, expected) in [("one.example", &one), ("a.two.example", &two), ("localhost", &pki.rsa)] {
            let mut pair = configs.pair();
            let peer = PeerName::parse(name).unwrap();
            pair.client.session = Session::client(&configs.client, &peer).unwrap();
            let pair = pair.open();
            let leaf = &expected.certified_key().cert[0];
            assert_eq!(pair.client.session.peer_certificates().first(), Some(leaf), "{name}");
            let local = pair.server.session.local_identity().unwrap();
            assert_eq!(&local.certified_key().cert[0], leaf);
            assert_eq!(pair.server.session.info().server_name.as_deref(), Some(name));
        }
        // A name that none has: the first is sent, and the client judges.
        let mut pair = configs.pair();
        let peer = PeerName::parse("three.example").unwrap();
        pair.client.session = Session::client(&configs.client, &peer).unwrap();
        let (client, _) = refused(&mut pair);
        assert!(matches!(client, Some(Error::Certificate(VerifyError::NameMismatch { .. }))));
    }
}

#[test]
fn a_client_presents_what_the_server_trusts() {
    let pki = pki();
    let other = Authority::new("Other CA");
    let stranger = other.identity(&["x.example"], &KeyPair::generate().unwrap());
    let mut client = client_options(TLS13);
    client.identities = vec![stranger, pki.client.clone()];
    let mut server = server_options(TLS13);
    server.client_certificate = ClientCertificate::AskedAndVerified(pki.authority.anchors());
    let pair = Configs::new(client, server).pair().open();
    let leaf = &pki.client.certified_key().cert[0];
    assert_eq!(pair.server.session.peer_certificates().first(), Some(leaf));
}

#[test]
fn an_address_is_no_server_name() {
    let identity = pki().authority.identity(&["127.0.0.1"], &KeyPair::generate().unwrap());
    let mut server = server_options(TLS13);
    server.identities = vec![identity];
    let configs = Configs::new(client_options(TLS13), server);
    let mut pair = configs.pair();
    let peer = PeerName::parse("127.0.0.1").unwrap();
    pair.client.session = Session::client(&configs.client, &peer).unwrap();
    let pair = pair.open();
    assert_eq!(pair.server.session.info().server_name, None);
    assert_eq!(pair.client.session.info().server_name.as_deref(), Some("127.0.0.1"));
}

#[test]
fn something_else_than_tls() {
    let configs = Configs::plain(TLS13);
    for (text, what) in [
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", Some(Foreign::HttpRequest)),
        ("SSH-2.0-OpenSSH\r\n", Some(Foreign::Ssh)),
        ("\r\n\r\n\r\n", None),
    ] {
        let mut server = configs.pair().server;
        server.session.receive(text.as_bytes());
        server.turn();
        assert_eq!(server.error, Some(Error::NotTls(what)));
        assert!(matches!(server.session.phase(), Phase::Failed(_)));
    }
    for (text, what) in
        [("220 mail.example ESMTP\r\n", Foreign::Greeting), ("HTTP/1.1 400 Bad Request\r\n\r\n", Foreign::HttpResponse)]
    {
        let mut client = configs.pair().client;
        client.turn();
        client.session.receive(text.as_bytes());
        client.turn();
        assert_eq!(client.error, Some(Error::NotTls(Some(what))));
    }
}

#[test]
fn the_phase_says_what_may_be_done() {
    let mut pair = Configs::plain(TLS13).pair();
    assert_eq!(pair.client.session.phase(), Phase::Handshaking);
    assert!(pair.client.session.needs_processing(), "the ClientHello is to be made");
    assert_eq!(pair.client.session.write(b"early"), Err(Error::NotOpen));
    assert_eq!(pair.client.session.close_notify(), Ok(()));
    pair.client.session.verdict(Verdict::Reject);
    let mut pair = pair.open();
    let open = Phase::Open { write_closed: false, ended: None };
    assert_eq!(pair.client.session.phase(), open);
    assert!(!pair.client.session.needs_processing() && !pair.client.session.is_handshaking());
    pair.client.session.close_notify().unwrap();
    pair.client.session.close_notify().unwrap();
    let closed = Phase::Open { write_closed: true, ended: None };
    assert_eq!(pair.client.session.phase(), closed);
    assert_eq!(pair.client.session.write(b"late"), Err(Error::WriteClosed));
}

#[test]
fn an_expired_certificate_is_reported_with_its_date() {
    let key = KeyPair::generate().unwrap();
    let expired = pki().authority.identity_with(&["localhost"], &key, |params| {
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    for protocols in BOTH_VERSIONS {
        let mut server = server_options(protocols);
        server.identities = vec![expired.clone()];
        let mut pair = Configs::new(client_options(protocols), server).pair();
        let (client, server) = refused(&mut pair);
        let Some(Error::Certificate(VerifyError::Expired { not_after, .. })) = client else {
            panic!("{client:?}");
        };
        assert_eq!(not_after, 1_577_836_800);
        assert_eq!(server, Some(Error::PeerAlert(Alert { code: 45 })));
    }
}

#[test]
fn a_server_that_asks_for_another_group() {
    let provider = Arc::new(CryptoProvider {
        kx_groups: vec![rustls::crypto::aws_lc_rs::kx_group::SECP384R1],
        ..(*tls_certs::provider()).clone()
    });
    for verification in [ServerVerification::Deferred, ServerVerification::Anchors(pki().authority.anchors())] {
        let mut options = client_options(TLS13);
        options.verification = verification;
        let config = ClientConfig::new(options).unwrap();
        let mut client = Side::new(Session::client(&config, &localhost()).unwrap());
        let mut server = Raw::server_with(Arc::clone(&provider), |_| {});
        while !client.is_open() {
            client.turn();
            server.take_from(&mut client);
            client.session.receive(&server.transmit());
        }
        assert_eq!(client.session.info().group.as_deref(), Some("secp384r1"));
    }
}

#[test]
fn the_certificate_fits_what_the_client_can_verify() {
    let provider =
        Arc::new(CryptoProvider { signature_verification_algorithms: rsa_only(), ..(*tls_certs::provider()).clone() });
    for protocols in BOTH_VERSIONS {
        let mut options = server_options(protocols);
        let only_ecdsa = ServerConfig::new(options.clone()).unwrap();
        options.identities.push(pki().rsa.clone());
        let both = ServerConfig::new(options).unwrap();
        for (config, common) in [(both, true), (only_ecdsa, false)] {
            let mut server = Side::new(Session::server(&config).unwrap());
            let mut client = Raw::client_with(Arc::clone(&provider), protocols);
            for _ in 0..4 {
                server.session.receive(&client.transmit());
                server.turn();
                client.take_from(&mut server);
            }
            assert_eq!(server.is_open(), common);
            if common {
                let leaf = &pki().rsa.certified_key().cert[0];
                assert_eq!(client.0.peer_certificates().unwrap().first(), Some(leaf));
            } else {
                assert!(matches!(server.error, Some(Error::NoCommonParameters(_))), "{:?}", server.error);
            }
        }
    }
}

fn rsa_only() -> WebPkiSupportedAlgorithms {
    let all = tls_certs::provider().signature_verification_algorithms;
    let is_rsa = |scheme: SignatureScheme| format!("{scheme:?}").starts_with("RSA");
    let mapping: Vec<_> = all.mapping.iter().copied().filter(|(scheme, _)| is_rsa(*scheme)).collect();
    WebPkiSupportedAlgorithms { all: all.all, mapping: mapping.leak() }
}

#[test]
fn a_client_knows_whose_certificates_the_server_takes() {
    for protocols in BOTH_VERSIONS {
        for has_certificate in [false, true] {
            let mut client = client_options(protocols);
            if has_certificate {
                client.identities = vec![pki().client.clone()];
            }
            let mut server = server_options(protocols);
            server.client_certificate = ClientCertificate::AskedAndVerified(pki().authority.anchors());
            let pair = Configs::new(client.clone(), server).pair().open();
            let names: Vec<_> = pair.client.session.accepted_issuers().iter().map(|der| Name::from_der(der)).collect();
            assert_eq!(names.len(), 1);
            let name = names[0].as_ref().unwrap();
            assert_eq!(name.common_name(), Some("Test CA"));
            assert_eq!(pair.server.session.accepted_issuers().len(), 0);

            let mut server = server_options(protocols);
            server.client_certificate = ClientCertificate::Asked;
            let pair = Configs::new(client, server).pair().open();
            assert_eq!(pair.client.session.accepted_issuers().len(), 0);
        }
    }
}

#[test]
fn a_client_without_a_name_needs_an_owner_who_judges() {
    let configs = Configs::plain(TLS13);
    assert!(matches!(Session::unnamed_client(&configs.client), Err(Error::Configuration(_))));
    for protocols in BOTH_VERSIONS {
        let mut client = client_options(protocols);
        client.verification = ServerVerification::Deferred;
        let configs = Configs::new(client, server_options(protocols));
        let mut pair = configs.pair();
        pair.client.session = Session::unnamed_client(&configs.client).unwrap();
        let pair = pair.open();
        assert!(pair.client.events.contains(&Event::VerdictNeeded));
        assert_eq!(pair.client.session.info().server_name, None);
        assert_eq!(pair.server.session.info().server_name, None);
    }
}
