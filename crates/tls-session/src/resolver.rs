//! Which of several identities is presented to the peer.

use std::sync::Arc;

use rustls::DistinguishedName;
use rustls::SignatureScheme;
use rustls::client::{ResolvesClientCert, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tls_certs::Identity;

use crate::witness;

/// An identity and what is asked of it often.
#[derive(Debug)]
struct Candidate {
    identity: Identity,
    key: Arc<CertifiedKey>,
    /// Subjects that issued a certificate of the chain, DER.
    issuers: Vec<DistinguishedName>,
}

impl Candidate {
    fn new(identity: Identity) -> Self {
        let key = identity.certified_key();
        let issuers = key.cert.iter().filter_map(issuer).collect();
        Self { identity, key, issuers }
    }

    fn signs_with_one_of(&self, schemes: &[SignatureScheme]) -> bool {
        self.key.key.choose_scheme(schemes).is_some()
    }

    fn is_for(&self, name: &ServerName<'_>) -> bool {
        let certificate = self.key.cert.first().map(ParsedCertificate::try_from);
        certificate.is_some_and(|parsed| parsed.is_ok_and(|parsed| verify_server_name(&parsed, name).is_ok()))
    }

    fn is_issued_by_one_of(&self, subjects: &[&[u8]]) -> bool {
        let known = |issuer: &DistinguishedName| subjects.contains(&issuer.as_ref());
        self.issuers.iter().any(known)
    }

    fn choose(&self) -> Arc<CertifiedKey> {
        witness::note(|notes| notes.identity = Some(self.identity.clone()));
        Arc::clone(&self.key)
    }
}

/// A server's identities: the first whose names and key fit the client's wishes.
#[derive(Debug)]
pub(crate) struct ServerIdentities(Vec<Candidate>);

impl ServerIdentities {
    pub(crate) fn new(identities: Vec<Identity>) -> Self {
        Self(identities.into_iter().map(Candidate::new).collect())
    }
}

impl ResolvesServerCert for ServerIdentities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name();
        witness::note(|notes| notes.server_name = asked.map(str::to_owned));
        let name = asked.and_then(|name| ServerName::try_from(name).ok());
        let fits = |c: &&Candidate| c.signs_with_one_of(hello.signature_schemes());
        let named = |c: &&Candidate| name.as_ref().is_some_and(|name| c.is_for(name));
        let candidates = || self.0.iter();
        // A server with a single certificate presents it whatever the client asked for: the client
        // is the one to judge the name. Without a common signature scheme rustls says so.
        candidates()
            .find(|c| fits(c) && (self.0.len() == 1 || named(c)))
            .or_else(|| candidates().find(fits))
            .or_else(|| candidates().next())
            .map(Candidate::choose)
    }
}

/// A client's identities, possibly none: the first that the server can verify.
#[derive(Debug)]
pub(crate) struct ClientIdentities(Vec<Candidate>);

impl ClientIdentities {
    pub(crate) fn new(identities: Vec<Identity>) -> Self {
        Self(identities.into_iter().map(Candidate::new).collect())
    }
}

impl ResolvesClientCert for ClientIdentities {
    fn resolve(&self, issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        witness::note(|notes| notes.issuers = Some(issuers.iter().map(|name| name.to_vec()).collect()));
        let fits = |c: &&Candidate| c.signs_with_one_of(schemes);
        let candidates = || self.0.iter();
        // The server's list is a hint: a chain may end in a cross-signed root that it omits.
        candidates()
            .find(|c| fits(c) && c.is_issued_by_one_of(issuers))
            .or_else(|| candidates().find(fits))
            .map(Candidate::choose)
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

fn issuer(certificate: &CertificateDer<'_>) -> Option<DistinguishedName> {
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    Some(DistinguishedName::in_sequence(parsed.issuer()))
}
