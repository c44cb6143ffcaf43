//! OCSP responses for tests, made by hand.
#![allow(clippy::unwrap_used)]

use aws_lc_rs::digest;
use rcgen::SigningKey;

use crate::certificate::Certificate;
use crate::datetime::Utc;
use crate::der::INTEGER;
use crate::encode::{self, GENERALIZED_TIME, element, explicit, octet_string, sequence};
use crate::ocsp::{BASIC_RESPONSE, ENUMERATED, OcspResponse, Status, contents, key_bits};
use crate::testing::Ca;

/// What a response says.
#[derive(Clone, Copy)]
pub(crate) struct Answering<'a> {
    pub(crate) status: Status,
    pub(crate) this_update: i64,
    pub(crate) next_update: Option<i64>,
    /// The hash of the issuer: its OID and how it is done.
    pub(crate) hash: (&'static str, &'static digest::Algorithm),
    pub(crate) by_key: bool,
    pub(crate) critical: bool,
    /// Who signs it for the issuer.
    pub(crate) delegate: Option<&'a Ca>,
}

impl Answering<'_> {
    /// Good, from this time on for a day.
    pub(crate) fn at(time: i64) -> Self {
        Self {
            status: Status::Good,
            this_update: time,
            next_update: Some(time + 86_400),
            hash: ("1.3.14.3.2.26", &digest::SHA1_FOR_LEGACY_USE_ONLY),
            by_key: false,
            critical: false,
            delegate: None,
        }
    }
}

/// What `issuer` says about a certificate.
pub(crate) fn respond(issuer: &Ca, cert: &Certificate, what: &Answering<'_>) -> OcspResponse {
    OcspResponse::from_der(&encoded(issuer, cert, what)).unwrap()
}

pub(crate) fn encoded(issuer: &Ca, cert: &Certificate, what: &Answering<'_>) -> Vec<u8> {
    let oid = |dotted| encode::oid(dotted).unwrap();
    let time = |at| element(GENERALIZED_TIME, format!("{}Z", Utc(at).digits()).as_bytes());
    let bits = |ca: &Ca| key_bits(contents(ca.certificate.public_key_info())).unwrap().to_vec();
    let hash = |bytes: &[u8]| octet_string(digest::digest(what.hash.1, bytes).as_ref());
    let extensions =
        |number| explicit(number, &sequence([sequence([oid("1.2.3.4"), encode::yes(), octet_string(&[5, 0])])]));
    let id = sequence([
        sequence([oid(what.hash.0)]),
        hash(cert.issuer().der()),
        hash(&bits(issuer)),
        element(INTEGER, cert.serial()),
    ]);
    let status = match what.status {
        Status::Good => element(0x80, &[]),
        Status::Revoked => element(0xa1, &time(what.this_update)),
        Status::Unknown => element(0x82, &[]),
    };
    let mut answer = vec![id, status, time(what.this_update)];
    answer.extend(what.next_update.map(|at| explicit(0, &time(at))));
    if what.critical {
        answer.push(extensions(1));
    }
    let signer = what.delegate.unwrap_or(issuer);
    let responder = if what.by_key {
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &bits(signer));
        explicit(2, &octet_string(hash.as_ref()))
    } else {
        explicit(1, signer.certificate.subject().der())
    };
    let signed = sequence([responder, time(what.this_update), sequence([sequence(answer)])]);
    let signature = encode::bit_string(&signer.key.sign(&signed).unwrap());
    let mut basic = vec![signed, sequence([oid("1.2.840.10045.4.3.2")]), signature];
    if let Some(delegate) = what.delegate {
        basic.push(explicit(0, &sequence([delegate.certificate.der()])));
    }
    let bytes = sequence([oid(BASIC_RESPONSE), octet_string(&sequence(basic))]);
    sequence([element(ENUMERATED, &[0]), explicit(0, &bytes)])
}
