//! Two sessions in memory, and their owner's part: to carry bytes from one to the other.

use std::sync::Arc;

use tls_certs::{Certificate, Identity, PeerName, TrustAnchors};
use tls_session::{
    CipherStrength, ClientCertificate, ClientConfig, ClientOptions, Error, Protocols, Resumption, ServerConfig,
    ServerOptions, ServerVerification, Session, SliceSink,
};

/// What both sides' sessions are made of.
pub struct Configs {
    client: ClientConfig,
    server: ServerConfig,
    name: PeerName,
}

impl Configs {
    /// For a server with this identity, which must be valid for `localhost`, and a client that trusts `authority`.
    pub fn new(identity: Identity, authority: &Certificate, protocols: Protocols) -> Result<Self, Error> {
        let anchors: Arc<TrustAnchors> =
            TrustAnchors::from_certificates(std::slice::from_ref(authority)).map_err(unusable)?;
        let client = ClientConfig::new(ClientOptions {
            protocols,
            identities: Vec::new(),
            verification: ServerVerification::Anchors(anchors),
            alpn: Vec::new(),
            ciphers: CipherStrength::default(),
        })?;
        let server = ServerConfig::new(ServerOptions {
            protocols,
            identities: vec![identity],
            client_certificate: ClientCertificate::NotAsked,
            alpn: Vec::new(),
            verdict: false,
            ciphers: CipherStrength::default(),
        })?;
        // Each handshake is a full one.
        let (client, server) = (client.with_resumption(&Resumption::off()), server.with_resumption(&Resumption::off()));
        let name = PeerName::parse("localhost").map_err(unusable)?;
        Ok(Self { client, server, name })
    }
}

fn unusable(error: impl std::fmt::Display) -> Error {
    Error::Configuration(error.to_string())
}

/// A client and a server.
pub struct Pair {
    client: Session,
    server: Session,
    buffer: Vec<u8>,
}

impl Pair {
    /// A pair that has shaken hands.
    pub fn open(configs: &Configs) -> Result<Self, Error> {
        let client = Session::client(&configs.client, &configs.name)?;
        let server = Session::server(&configs.server)?;
        let mut pair = Self { client, server, buffer: vec![0; 64 * 1024] };
        while pair.client.is_handshaking() || pair.server.is_handshaking() {
            pair.client.process(&mut SliceSink::new(&mut []))?;
            carry(&mut pair.client, &mut pair.server);
            pair.server.process(&mut SliceSink::new(&mut []))?;
            carry(&mut pair.server, &mut pair.client);
        }
        while pair.client.poll_event().is_some() || pair.server.poll_event().is_some() {}
        Ok(pair)
    }

    /// Data from the client to the server; returns how many bytes came out there.
    pub fn send(&mut self, data: &[u8]) -> Result<usize, Error> {
        transfer(&mut self.client, &mut self.server, data, &mut self.buffer)
    }

    /// The same back.
    pub fn reply(&mut self, data: &[u8]) -> Result<usize, Error> {
        transfer(&mut self.server, &mut self.client, data, &mut self.buffer)
    }
}

fn transfer(from: &mut Session, to: &mut Session, mut data: &[u8], buffer: &mut [u8]) -> Result<usize, Error> {
    let mut total = 0;
    while !data.is_empty() {
        let taken = from.write(data)?;
        data = data.get(taken..).unwrap_or_default();
        loop {
            carry(from, to);
            let count = to.process(&mut SliceSink::new(buffer))?.plaintext;
            total += count;
            if count == 0 && from.transmit().is_empty() {
                break;
            }
        }
    }
    Ok(total)
}

fn carry(from: &mut Session, to: &mut Session) {
    let count = to.receive(from.transmit());
    from.transmitted(count);
}
