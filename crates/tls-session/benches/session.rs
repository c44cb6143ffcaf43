//! The session alone, in memory: handshakes, bulk data, small messages. `cargo bench -p tls-session`
#![allow(missing_docs, unreachable_pub, clippy::missing_errors_doc)]
#![allow(clippy::expect_used)]

mod pair;

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pair::{Configs, Pair};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SignatureAlgorithm};
use tls_certs::{Certificate, Identity, PrivateKey};
use tls_session::Protocols;

const TLS12: Protocols = Protocols { tls12: true, tls13: false };
const TLS13: Protocols = Protocols { tls12: false, tls13: true };

fn configs(algorithm: &'static SignatureAlgorithm, protocols: Protocols) -> Configs {
    let key = || KeyPair::generate_for(algorithm).expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let authority = CertifiedIssuer::self_signed(params, key()).expect("an authority");
    let leaf_key = key();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let leaf = params.signed_by(&leaf_key, &authority).expect("a certificate");
    let private = PrivateKey::from_der(&leaf_key.serialize_der()).expect("a private key");
    let leaf = Certificate::from_der(leaf.der()).and_then(|leaf| leaf.with_private_key(private)).expect("an identity");
    let identity = Identity::new(&leaf, &[]).expect("an identity");
    let authority = Certificate::from_der(authority.der()).expect("a certificate");
    Configs::new(identity, &authority, protocols).expect("configurations")
}

fn handshakes(c: &mut Criterion) {
    let mut group = c.benchmark_group("handshake");
    for (name, algorithm, protocols) in [
        ("tls13-ecdsa", &rcgen::PKCS_ECDSA_P256_SHA256, TLS13),
        ("tls13-rsa", &rcgen::PKCS_RSA_SHA256, TLS13),
        ("tls12-ecdsa", &rcgen::PKCS_ECDSA_P256_SHA256, TLS12),
    ] {
        let configs = configs(algorithm, protocols);
        group.bench_function(name, |b| b.iter(|| Pair::open(&configs).expect("a handshake")));
    }
}

fn data(c: &mut Criterion) {
    let mut pair = Pair::open(&configs(&rcgen::PKCS_ECDSA_P256_SHA256, TLS13)).expect("a handshake");
    let block = vec![0x5a; 1024 * 1024];
    let mut group = c.benchmark_group("data");
    // Encrypted by one side, decrypted by the other.
    for size in [1024, 16 * 1024, 64 * 1024, 1024 * 1024] {
        let part = block.get(..size).unwrap_or_default();
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("{}-kb", size / 1024), |b| {
            b.iter(|| assert_eq!(pair.send(part), Ok(size)));
        });
    }
    group.throughput(Throughput::Elements(1));
    let message = block.get(..100).unwrap_or_default();
    group.bench_function("ping-pong-100-bytes", |b| {
        b.iter(|| assert_eq!((pair.send(message), pair.reply(message)), (Ok(100), Ok(100))));
    });
}

criterion_group! {
    name = session;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(30);
    targets = handshakes, data
}
criterion_main!(session);
