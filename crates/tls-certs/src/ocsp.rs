//! Responses of the Online Certificate Status Protocol (RFC 6960).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;

use crate::certificate::Certificate;
use crate::der::{self, Element, INTEGER, OCTET_STRING, OID, SEQUENCE};
use crate::encode::{BIT_STRING, BOOLEAN, GENERALIZED_TIME};
use crate::error::CertError;
use crate::verify::verify_time;
use crate::{datetime, encode, judgement, signature};

const WHAT: &str = "OCSP response";
/// Usual ones have 500 to 3000 octets.
const LARGEST: usize = 256 << 10;
/// Of responders; more than one is rare.
const MOST_CERTIFICATES: usize = 8;

pub(crate) const BASIC_RESPONSE: &str = "1.3.6.1.5.5.7.48.1.1";
const OCSP_SIGNING: &str = "1.3.6.1.5.5.7.3.9";

pub(crate) const ENUMERATED: u8 = 0x0a;

/// How far clocks may differ, in seconds.
const SKEW: i64 = 300;
/// How long an answer is good that does not say so itself, in seconds.
const DEFAULT_LIFE: i64 = 86_400;

/// What a responder says about the status of certificates. Its signature is
/// checked when it is used. Cheap to clone.
#[derive(Clone)]
pub struct OcspResponse {
    inner: Arc<Inner>,
}

struct Inner {
    der: Vec<u8>,
    /// None if the responder says that it has no answer.
    basic: Option<Basic>,
}

/// A `BasicOCSPResponse` (RFC 6960, section 4.2.1).
struct Basic {
    signed: Vec<u8>,
    /// The OID of the algorithm, with its header.
    algorithm: Vec<u8>,
    signature: Vec<u8>,
    responder: Responder,
    answers: Vec<Answer>,
    certificates: Vec<Certificate>,
}

enum Responder {
    /// The DER of its name.
    Name(Vec<u8>),
    /// The SHA-1 of its key.
    Key(Vec<u8>),
}

/// A `SingleResponse`.
struct Answer {
    /// None if it is not known, so that the answer is about nobody.
    hash: Option<&'static digest::Algorithm>,
    name_hash: Vec<u8>,
    key_hash: Vec<u8>,
    serial: Vec<u8>,
    status: Status,
    this_update: i64,
    next_update: Option<i64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Good,
    Revoked,
    Unknown,
}

/// What a response tells about a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    /// Revoked, or good.
    pub(crate) revoked: bool,
    /// Whether that is so now, or was so once.
    pub(crate) current: bool,
}

impl OcspResponse {
    /// Reads a response in DER, as a responder sends it and TLS carries it.
    /// One in which the responder says that it has no answer is read too; it
    /// tells nothing.
    pub fn from_der(der: &[u8]) -> Result<Self, CertError> {
        if der.len() > LARGEST {
            return Err(CertError::encoding(WHAT, "it is too large"));
        }
        let [whole] = parts(der)?;
        let (status, rest) = der::split(expect(whole, SEQUENCE)?).ok_or_else(|| wrong("no status"))?;
        let basic = match (expect(status, ENUMERATED)?, parts::<1>(rest)) {
            ([0], Ok([bytes])) => {
                let [bytes] = parts(expect(bytes, 0xa0)?)?;
                let [kind, response] = parts(expect(bytes, SEQUENCE)?)?;
                if Some(encode::element(OID, expect(kind, OID)?)) != encode::oid(BASIC_RESPONSE) {
                    return Err(wrong("it is of an unknown kind"));
                }
                Some(Basic::read(expect(response, OCTET_STRING)?)?)
            }
            ([1..=6], _) if rest.is_empty() => None,
            _ => return Err(wrong("its status is none")),
        };
        Ok(Self { inner: Arc::new(Inner { der: der.to_vec(), basic }) })
    }

    /// The encoding.
    pub fn der(&self) -> &[u8] {
        &self.inner.der
    }

    /// Whether it has an answer about a certificate, as far as can be told
    /// without that of its issuer.
    pub fn is_about(&self, cert: &Certificate) -> bool {
        let answers = self.inner.basic.iter().flat_map(|basic| &basic.answers);
        answers.into_iter().any(|answer| answer.names(cert))
    }

    /// What it tells about a certificate whose issuer has the key with these
    /// contents of its `SubjectPublicKeyInfo`, at a time in seconds since
    /// 1970-01-01 00:00:00 UTC; `None` if nothing, or it is not signed by
    /// the issuer or by whom the issuer lets do that (RFC 6960, section 3.2).
    pub(crate) fn tells(&self, cert: &Certificate, issuer_key: &[u8], now: i64) -> Option<Told> {
        let basic = self.inner.basic.as_ref()?;
        let key_bits = key_bits(issuer_key)?;
        let about = |answer: &&Answer| answer.names(cert) && answer.hash_fits(key_bits, &answer.key_hash);
        let answers: Vec<_> = basic.answers.iter().filter(about).filter(|a| a.status != Status::Unknown).collect();
        // Of several the one that was made last.
        let answer = answers.into_iter().max_by_key(|answer| answer.this_update)?;
        let delegate = match basic.signer(cert, issuer_key, key_bits)? {
            Signer::Issuer => None,
            Signer::Delegate(delegate) => Some(delegate),
        };
        let valid_at = |time| delegate.is_none_or(|delegate| verify_time(delegate, judgement::unix_time(time)).is_ok());
        if !valid_at(answer.this_update) {
            return None;
        }
        let end = answer.next_update.unwrap_or(answer.this_update.saturating_add(DEFAULT_LIFE));
        let current = answer.this_update.saturating_sub(SKEW) <= now && now <= end.saturating_add(SKEW);
        Some(Told { revoked: answer.status == Status::Revoked, current: current && valid_at(now) })
    }
}

/// Who signed a response.
enum Signer<'a> {
    Issuer,
    Delegate(&'a Certificate),
}

impl Basic {
    fn read(bytes: &[u8]) -> Result<Self, CertError> {
        let [whole] = parts(bytes)?;
        let whole = expect(whole, SEQUENCE)?;
        let signed = der::first_element(whole).ok_or_else(|| wrong("nothing is signed"))?;
        let mut fields = elements(whole)?.into_iter();
        let data = next(&mut fields, SEQUENCE)?;
        let algorithm = next(&mut fields, SEQUENCE)?;
        let signature = next(&mut fields, BIT_STRING)?;
        let certificates = match fields.next() {
            Some(list) => Self::read_certificates(expect(list, 0xa0)?)?,
            None => Vec::new(),
        };
        let (responder, answers) = Self::read_data(data)?;
        let algorithm = der::first_element(algorithm).ok_or_else(|| wrong("no algorithm of its signature"))?;
        let signature = signature.get(1..).ok_or_else(|| wrong("no signature"))?;
        Ok(Self {
            signed: signed.to_vec(),
            algorithm: algorithm.to_vec(),
            signature: signature.to_vec(),
            responder,
            answers,
            certificates,
        })
    }

    fn read_certificates(list: &[u8]) -> Result<Vec<Certificate>, CertError> {
        let [list] = parts(list)?;
        let mut rest = expect(list, SEQUENCE)?;
        let mut certificates = Vec::new();
        while let Some(der) = der::first_element(rest) {
            if certificates.len() == MOST_CERTIFICATES {
                return Err(wrong("it has too many certificates"));
            }
            certificates.push(Certificate::from_der(der)?);
            rest = rest.get(der.len()..).unwrap_or_default();
        }
        if rest.is_empty() { Ok(certificates) } else { Err(wrong("a certificate in it is cut off")) }
    }

    /// The fields of `ResponseData`.
    fn read_data(data: &[u8]) -> Result<(Responder, Vec<Answer>), CertError> {
        let mut fields = elements(data)?.into_iter().peekable();
        // Version 1 is not written, and there is no other.
        if fields.peek().is_some_and(|field| field.tag == 0xa0) {
            return Err(wrong("its version is unknown"));
        }
        let responder = fields.next().ok_or_else(|| wrong("no responder"))?;
        let responder = match responder.tag {
            0xa1 => Responder::Name(responder.value.to_vec()),
            0xa2 => {
                let [hash] = parts(responder.value)?;
                Responder::Key(expect(hash, OCTET_STRING)?.to_vec())
            }
            _ => return Err(wrong("no responder")),
        };
        next(&mut fields, GENERALIZED_TIME)?;
        let answers = next(&mut fields, SEQUENCE)?;
        if let Some(extensions) = fields.next() {
            refuse_critical(expect(extensions, 0xa1)?)?;
        }
        let answers = elements(answers)?.into_iter().map(Answer::read);
        Ok((responder, answers.collect::<Result<_, _>>()?))
    }

    /// The issuer of `cert`, or one whom it has certified for this.
    fn signer(&self, cert: &Certificate, issuer_key: &[u8], key_bits: &[u8]) -> Option<Signer<'_>> {
        if self.responder.is(cert.issuer().der(), key_bits) && self.is_signed_by(issuer_key) {
            return Some(Signer::Issuer);
        }
        let delegate = self.certificates.iter().find(|delegate| {
            let key = contents(delegate.public_key_info());
            delegate.issuer() == cert.issuer()
                && self.responder.is(delegate.subject().der(), self::key_bits(key).unwrap_or_default())
                && delegate
                    .extended_key_usage()
                    .is_some_and(|usage| usage.iter().any(|purpose| purpose == OCSP_SIGNING))
                && signature::is_certified_by(delegate, issuer_key)
                && self.is_signed_by(key)
        });
        delegate.map(Signer::Delegate)
    }

    fn is_signed_by(&self, key: &[u8]) -> bool {
        signature::fits_key(key, &self.algorithm, &self.signed, &self.signature)
    }
}

impl Responder {
    fn is(&self, name: &[u8], key_bits: &[u8]) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Key(own) => hash(&digest::SHA1_FOR_LEGACY_USE_ONLY, key_bits, own),
        }
    }
}

impl Answer {
    fn read(answer: Element<'_>) -> Result<Self, CertError> {
        let mut fields = elements(expect(answer, SEQUENCE)?)?.into_iter().peekable();
        let [algorithm, name_hash, key_hash, serial] = parts(next(&mut fields, SEQUENCE)?)?;
        let status = match fields.next() {
            Some(Element { tag: 0x80, value: [] }) => Status::Good,
            Some(Element { tag: 0xa1, .. }) => Status::Revoked,
            Some(Element { tag: 0x82, value: [] }) => Status::Unknown,
            _ => return Err(wrong("an answer in it is none")),
        };
        let time = |value: &[u8]| {
            let time = datetime::seconds(Element { tag: GENERALIZED_TIME, value });
            time.ok_or_else(|| wrong("a time in it is none"))
        };
        let this_update = time(next(&mut fields, GENERALIZED_TIME)?)?;
        let next_update = match fields.next_if(|field| field.tag == 0xa0) {
            Some(field) => {
                let [end] = parts(field.value)?;
                Some(time(expect(end, GENERALIZED_TIME)?)?)
            }
            None => None,
        };
        if let Some(extensions) = fields.next() {
            refuse_critical(expect(extensions, 0xa1)?)?;
        }
        Ok(Self {
            hash: der::first_element(expect(algorithm, SEQUENCE)?).and_then(hash_algorithm),
            name_hash: expect(name_hash, OCTET_STRING)?.to_vec(),
            key_hash: expect(key_hash, OCTET_STRING)?.to_vec(),
            serial: expect(serial, INTEGER)?.to_vec(),
            status,
            this_update,
            next_update,
        })
    }

    /// Whether it is about the certificate of this issuer and number; the
    /// issuer's key is another matter.
    fn names(&self, cert: &Certificate) -> bool {
        self.serial == cert.serial() && self.hash_fits(cert.issuer().der(), &self.name_hash)
    }

    fn hash_fits(&self, bytes: &[u8], wanted: &[u8]) -> bool {
        self.hash.is_some_and(|algorithm| hash(algorithm, bytes, wanted))
    }
}

fn hash(algorithm: &'static digest::Algorithm, bytes: &[u8], wanted: &[u8]) -> bool {
    digest::digest(algorithm, bytes).as_ref() == wanted
}

/// The algorithms by which requests name a certificate. SHA-1 is the usual
/// one: what it hashes is signed by another one.
fn hash_algorithm(oid: &[u8]) -> Option<&'static digest::Algorithm> {
    let known: [(&str, &'static digest::Algorithm); 4] = [
        ("1.3.14.3.2.26", &digest::SHA1_FOR_LEGACY_USE_ONLY),
        ("2.16.840.1.101.3.4.2.1", &digest::SHA256),
        ("2.16.840.1.101.3.4.2.2", &digest::SHA384),
        ("2.16.840.1.101.3.4.2.3", &digest::SHA512),
    ];
    known.into_iter().find(|(dotted, _)| encode::oid(dotted).as_deref() == Some(oid)).map(|(_, algorithm)| algorithm)
}

/// The contents of the key's BIT STRING, over which it is hashed.
pub(crate) fn key_bits(public_key_info: &[u8]) -> Option<&[u8]> {
    let key = der::Elements::new(public_key_info).nth(1)?;
    key.value.get(1..)
}

pub(crate) fn contents(der: &[u8]) -> &[u8] {
    der::split(der).map_or(&[], |(element, _)| element.value)
}

/// Who does not know a critical extension must not heed the rest. None is
/// known here.
fn refuse_critical(extensions: &[u8]) -> Result<(), CertError> {
    let [list] = parts(extensions)?;
    for extension in elements(expect(list, SEQUENCE)?)? {
        if elements(expect(extension, SEQUENCE)?)?.iter().any(|field| field.tag == BOOLEAN && field.value != [0]) {
            return Err(wrong("it has a critical extension that is not understood"));
        }
    }
    Ok(())
}

/// The elements that fill `bytes`.
fn elements(bytes: &[u8]) -> Result<Vec<Element<'_>>, CertError> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (element, after) = der::split(rest).ok_or_else(|| wrong("an element in it is cut off"))?;
        found.push(element);
        rest = after;
    }
    Ok(found)
}

/// As many elements as there must be.
fn parts<const N: usize>(bytes: &[u8]) -> Result<[Element<'_>; N], CertError> {
    elements(bytes)?.try_into().map_err(|_| wrong("it has not the structure of one"))
}

fn expect(element: Element<'_>, tag: u8) -> Result<&[u8], CertError> {
    if element.tag == tag { Ok(element.value) } else { Err(wrong("it has not the structure of one")) }
}

fn next<'a>(fields: &mut impl Iterator<Item = Element<'a>>, tag: u8) -> Result<&'a [u8], CertError> {
    expect(fields.next().ok_or_else(|| wrong("it has not the structure of one"))?, tag)
}

fn wrong(what: &str) -> CertError {
    CertError::encoding(WHAT, what)
}

impl PartialEq for OcspResponse {
    fn eq(&self, other: &Self) -> bool {
        self.inner.der == other.inner.der
    }
}

impl Eq for OcspResponse {}

impl fmt::Debug for OcspResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers = self.inner.basic.as_ref().map_or(0, |basic| basic.answers.len());
        f.debug_struct("OcspResponse").field("answers", &answers).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rcgen::ExtendedKeyUsagePurpose;

    use super::*;
    use crate::ocsp_testing::{Answering, encoded, respond};
    use crate::testing::{Ca, NOW, Noise, ca_params, leaf_params};

    const DAY: i64 = 86_400;

    fn tells(response: &OcspResponse, ca: &Ca, cert: &Certificate, now: i64) -> Option<(bool, bool)> {
        let told = response.tells(cert, contents(ca.certificate.public_key_info()), now)?;
        Some((told.revoked, told.current))
    }

    #[test]
    fn answers() {
        let ca = Ca::root("root");
        let (cert, other) = (ca.leaf(&["a.example"]), ca.leaf(&["b.example"]));
        let hashes: [(&str, &'static digest::Algorithm); 3] = [
            ("1.3.14.3.2.26", &digest::SHA1_FOR_LEGACY_USE_ONLY),
            ("2.16.840.1.101.3.4.2.1", &digest::SHA256),
            ("2.16.840.1.101.3.4.2.3", &digest::SHA512),
        ];
        for hash in hashes {
            for by_key in [false, true] {
                let good = Answering { hash, by_key, ..Answering::at(NOW) };
                let response = respond(&ca, &cert, &good);
                assert!(response.is_about(&cert) && !response.is_about(&other));
                assert_eq!(tells(&response, &ca, &cert, NOW), Some((false, true)));
                assert_eq!(tells(&response, &ca, &other, NOW), None);
                assert_eq!(tells(&response, &Ca::root("root"), &cert, NOW), None);
                let revoked = respond(&ca, &cert, &Answering { status: Status::Revoked, ..good });
                assert_eq!(tells(&revoked, &ca, &cert, NOW), Some((true, true)));
                let unknown = respond(&ca, &cert, &Answering { status: Status::Unknown, ..good });
                assert_eq!(tells(&unknown, &ca, &cert, NOW), None);
            }
        }
        let odd = Answering { hash: ("1.2.3", &digest::SHA256), ..Answering::at(NOW) };
        assert_eq!(tells(&respond(&ca, &cert, &odd), &ca, &cert, NOW), None);
        let critical = Answering { critical: true, ..Answering::at(NOW) };
        assert!(OcspResponse::from_der(&encoded(&ca, &cert, &critical)).is_err());
    }

    #[test]
    fn times() {
        let ca = Ca::root("root");
        let cert = ca.leaf(&["a.example"]);
        for (next_update, end) in [(Some(NOW + 3 * DAY), NOW + 3 * DAY), (None, NOW + DEFAULT_LIFE)] {
            let response = respond(&ca, &cert, &Answering { next_update, ..Answering::at(NOW) });
            for (now, current) in
                [(NOW - SKEW, true), (NOW - SKEW - 1, false), (end + SKEW, true), (end + SKEW + 1, false)]
            {
                assert_eq!(tells(&response, &ca, &cert, now), Some((false, current)), "{}", now - NOW);
            }
        }
    }

    #[test]
    fn delegates() {
        let ca = Ca::root("root");
        let cert = ca.leaf(&["a.example"]);
        let mut params = leaf_params(&[]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
        let right = ca.intermediate_of(params.clone());
        let mut lapsed = params.clone();
        lapsed.not_after = time::OffsetDateTime::from_unix_timestamp(NOW + 60).unwrap();
        let lapsed = ca.intermediate_of(lapsed);
        let told = |delegate: &Ca, by_key, now| {
            let what = Answering { delegate: Some(delegate), by_key, ..Answering::at(NOW) };
            tells(&respond(&ca, &cert, &what), &ca, &cert, now)
        };
        assert_eq!(told(&right, false, NOW), Some((false, true)));
        assert_eq!(told(&right, true, NOW), Some((false, true)));
        assert_eq!(told(&lapsed, true, NOW), Some((false, true)));
        assert_eq!(told(&lapsed, true, NOW + 61), Some((false, false)));
        // Without the purpose, of another authority, of one below, and one that is not valid yet.
        let mut early = params.clone();
        early.not_before = time::OffsetDateTime::from_unix_timestamp(NOW + 60).unwrap();
        for wrong in [
            ca.intermediate_of(leaf_params(&[])),
            ca.intermediate_of(ca_params("any")),
            Ca::root("root").intermediate_of(params.clone()),
            ca.intermediate("between").intermediate_of(params.clone()),
            ca.intermediate_of(early),
        ] {
            assert_eq!(told(&wrong, false, NOW), None);
        }
    }

    #[test]
    fn no_answer() {
        let cert = Ca::root("root").leaf(&["a.example"]);
        for status in 1..=6 {
            let response = OcspResponse::from_der(&[0x30, 3, 0x0a, 1, status]).unwrap();
            assert!(!response.is_about(&cert));
            assert_eq!(response.tells(&cert, &[], NOW), None);
        }
        assert!(OcspResponse::from_der(&[0x30, 3, 0x0a, 1, 0]).is_err());
        assert!(OcspResponse::from_der(&[0x30, 3, 0x0a, 1, 7]).is_err());
    }

    #[test]
    fn damaged() {
        let ca = Ca::root("root");
        let cert = ca.leaf(&["a.example"]);
        let key = contents(ca.certificate.public_key_info());
        let good = encoded(&ca, &cert, &Answering { delegate: Some(&ca), ..Answering::at(NOW) });
        for length in 0..good.len() {
            assert!(OcspResponse::from_der(&good[..length]).is_err());
        }
        let original = OcspResponse::from_der(&good).unwrap();
        assert_eq!(original.tells(&cert, key, NOW), Some(Told { revoked: false, current: true }));
        let mut noise = Noise::new(17);
        for _ in 0..10_000 {
            // What is read at all tells nothing else than before.
            if let Ok(response) = OcspResponse::from_der(&noise.damage(&good))
                && let Some(told) = response.tells(&cert, key, NOW)
            {
                assert_eq!(told, Told { revoked: false, current: true });
            }
            let length = noise.below(300);
            assert!(OcspResponse::from_der(&noise.bytes(length)).is_err());
        }
        assert!(OcspResponse::from_der(&vec![0x30; LARGEST + 1]).is_err());
        let deep = (0..10_000).fold(Vec::new(), |inner, _| encode::sequence([inner]));
        assert!(OcspResponse::from_der(&deep).is_err());
    }
}
