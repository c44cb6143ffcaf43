//! What a session tells of its course, and the log of its secrets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::sync::{Arc, Mutex};

use common::{
    BOTH_VERSIONS, Configs, Direction as Way, Harm, Pair, Side, TLS12, TLS13, client_options, pki, server_options,
};
use tls_certs::VerifyError;
use tls_session::{ClientCertificate, Direction, KeyLog, Protocols, ServerVerification, Session, Trace, Verdict};

fn traced(configs: &Configs) -> Pair {
    let mut pair = configs.pair();
    pair.client.session.trace();
    pair.server.session.trace();
    pair
}

/// The steps that a session has told of, in one word each.
fn words(session: &mut Session) -> String {
    let way = |direction: Direction| if direction == Direction::Sent { '>' } else { '<' };
    let mut words = Vec::new();
    while let Some(step) = session.poll_trace() {
        words.push(match step {
            Trace::ClientHello { direction, server_name } => {
                format!("{}hello({})", way(direction), server_name.unwrap_or_default())
            }
            Trace::RetryRequest { direction } => format!("{}retry", way(direction)),
            Trace::ServerHello { direction, protocol, .. } => format!("{}agreed({protocol})", way(direction)),
            Trace::LocalCertificate(own) => format!("own({})", own.subject().rfc4514()),
            Trace::PeerCertificate { leaf, count } => format!("peer({} {count})", leaf.unwrap().subject().rfc4514()),
            Trace::Verified => "verified".to_owned(),
            Trace::Refused(_) => "refused".to_owned(),
            Trace::Established(info) => format!("open({})", info.cipher.unwrap()),
            Trace::Alert { direction, alert } => {
                format!("{}alert({})", way(direction), alert.map_or("?", |alert| alert.name()))
            }
            Trace::CloseNotify { direction } => format!("{}close", way(direction)),
            Trace::Truncated => "truncated".to_owned(),
            Trace::KeyLogFailed(why) => format!("keylog({why})"),
            other => format!("{other:?}"),
        });
    }
    words.join(" ")
}

fn both(pair: &mut Pair) -> (String, String) {
    (words(&mut pair.client.session), words(&mut pair.server.session))
}

fn cipher(protocols: Protocols) -> &'static str {
    if protocols == TLS13 { "TLS_AES_256_GCM_SHA384" } else { "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" }
}

#[test]
fn a_handshake_and_its_end() {
    for protocols in BOTH_VERSIONS {
        let mut client = client_options(protocols);
        client.identities = vec![pki().client.clone()];
        let mut server = server_options(protocols);
        server.client_certificate = ClientCertificate::AskedAndVerified(pki().authority.anchors());
        let mut pair = traced(&Configs::new(client, server));
        pair.client.closing = true;
        pair.server.closing = true;
        pair.server.closing_last = true;
        pair.run();
        let version = if protocols == TLS13 { "TLSv1.3" } else { "TLSv1.2" };
        let cipher = cipher(protocols);
        let (client, server) = both(&mut pair);
        let begin = format!(">hello(localhost) <agreed({version})");
        // Which of the two is known first depends on the version.
        let own = "own(CN=leaf)";
        let peer = "peer(CN=leaf 1) verified";
        let end = format!("open({cipher}) >close <close");
        let orders = [format!("{begin} {own} {peer} {end}"), format!("{begin} {peer} {own} {end}")];
        assert!(orders.contains(&client), "{client}");
        assert_eq!(server, format!("<hello(localhost) >agreed({version}) {own} {peer} open({cipher}) <close >close"));
    }
}

#[test]
fn nothing_is_kept_unasked() {
    let mut pair = Configs::plain(TLS13).pair().open();
    assert_eq!(both(&mut pair), (String::new(), String::new()));
}

#[test]
fn a_refused_certificate() {
    for (protocols, alert) in [(TLS12, "unknown_ca"), (TLS13, "unknown_ca")] {
        let mut client = client_options(protocols);
        client.verification = ServerVerification::Anchors(pki().stranger.anchors());
        let mut pair = traced(&Configs::new(client, server_options(protocols)));
        pair.run();
        let (client, server) = both(&mut pair);
        assert!(client.ends_with(&format!(" refused >alert({alert})")), "{client}");
        assert!(!client.contains("peer("), "{client}");
        assert!(server.ends_with(&format!(" <alert({alert})")), "{server}");
    }
}

#[test]
fn the_reason_of_a_refusal_comes_along() {
    let mut client = client_options(TLS13);
    client.verification = ServerVerification::Anchors(pki().stranger.anchors());
    let mut pair = traced(&Configs::new(client, server_options(TLS13)));
    pair.run();
    let steps: Vec<Trace> = std::iter::from_fn(|| pair.client.session.poll_trace()).collect();
    let issuer = "CN=Test CA".to_owned();
    assert!(steps.contains(&Trace::Refused(VerifyError::PartialChain { issuer })), "{steps:?}");
}

#[test]
fn no_common_version_is_an_alert_in_plain_text() {
    let mut pair = traced(&Configs::new(client_options(TLS12), server_options(TLS13)));
    pair.run();
    let (client, server) = both(&mut pair);
    assert_eq!(client, ">hello(localhost) <alert(protocol_version)");
    assert_eq!(server, ">alert(protocol_version)");
}

#[test]
fn a_verdict_is_the_owners_to_tell() {
    for verdict in [Verdict::Accept, Verdict::Reject] {
        let mut client = client_options(TLS13);
        client.verification = ServerVerification::Deferred;
        let mut pair = traced(&Configs::new(client, server_options(TLS13)));
        pair.client.verdict = Some(verdict);
        pair.run();
        let (client, _) = both(&mut pair);
        let end = if verdict == Verdict::Accept { " open(TLS_AES_256_GCM_SHA384)" } else { "" };
        assert_eq!(client, format!(">hello(localhost) <agreed(TLSv1.3) peer(CN=leaf 1){end}"));
    }
}

#[test]
fn damage_and_a_sudden_end() {
    let mut pair = traced(&Configs::plain(TLS13)).open();
    let _ = both(&mut pair);
    pair.wire.harm = Some(Harm::Flip { direction: Way::ToServer, at: pair.wire.to_server + 10, bit: 1 });
    pair.client.to_write = b"data".to_vec();
    pair.run();
    assert_eq!(both(&mut pair), ("<alert(bad_record_mac)".to_owned(), ">alert(bad_record_mac)".to_owned()));

    let mut pair = traced(&Configs::plain(TLS13)).open();
    let _ = both(&mut pair);
    pair.run_to_the_end();
    assert_eq!(both(&mut pair), ("truncated".to_owned(), "truncated".to_owned()));
}

/// Keeps lines, or fails.
#[derive(Debug, Default)]
struct Lines {
    kept: Mutex<Vec<String>>,
    broken: bool,
}

impl KeyLog for Lines {
    fn keep(&self, line: &str) -> Result<(), String> {
        self.kept.lock().unwrap().push(line.to_owned());
        if self.broken { Err("no space".to_owned()) } else { Ok(()) }
    }
}

fn logged(configs: &Configs, broken: bool) -> (Pair, [Vec<String>; 2]) {
    let sinks = [(), ()].map(|()| Arc::new(Lines { broken, ..Lines::default() }));
    let [client, server] = sinks.clone();
    let configs = Configs { client: configs.client.with_key_log(client), server: configs.server.with_key_log(server) };
    let pair = traced(&configs).open();
    (pair, sinks.map(|sink| sink.kept.lock().unwrap().clone()))
}

#[test]
fn both_sides_log_the_same_secrets() {
    let labels13 = [
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
        "EXPORTER_SECRET",
    ];
    for (protocols, labels) in [(TLS12, &["CLIENT_RANDOM"][..]), (TLS13, &labels13)] {
        let (_, [mut client, mut server]) = logged(&Configs::plain(protocols), false);
        client.sort();
        server.sort();
        assert_eq!(client, server);
        let mut found: Vec<_> = client.iter().map(|line| line.split(' ').next().unwrap()).collect();
        let mut expected = labels.to_vec();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
        let randoms: Vec<_> = client.iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
        assert!(randoms.iter().all(|random| random.len() == 64 && *random == randoms[0]), "{client:?}");
    }
}

#[test]
fn a_log_that_fails_breaks_nothing_and_is_told_of_once() {
    for protocols in BOTH_VERSIONS {
        let (mut pair, [kept, _]) = logged(&Configs::plain(protocols), true);
        assert!(!kept.is_empty());
        let (client, server) = both(&mut pair);
        assert_eq!(client.matches("keylog(no space)").count(), 1, "{client}");
        assert_eq!(server.matches("keylog(no space)").count(), 1, "{server}");
    }
}

#[test]
fn application_protocols_and_key_log_go_together() {
    let sink = Arc::new(Lines::default());
    let plain = Configs::plain(TLS13);
    let client = plain.client.with_key_log(sink.clone()).with_alpn(vec![b"h2".to_vec()]).unwrap();
    let client = Session::client(&client, &common::localhost()).unwrap();
    let server = Session::server(&plain.server.with_alpn(vec![b"h2".to_vec()]).unwrap()).unwrap();
    let pair = Pair { client: Side::new(client), server: Side::new(server), wire: common::Wire::default() }.open();
    assert_eq!(pair.client.session.info().alpn.as_deref(), Some(&b"h2"[..]));
    assert_eq!(sink.kept.lock().unwrap().len(), 5);
}
