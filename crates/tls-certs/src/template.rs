//! The making of certificates and certificate requests.

use aws_lc_rs::{digest, rand};
use rustls::sign::Signer;

use crate::certificate::{BasicConstraints, Certificate, Extension, Validity, fingerprint};
use crate::datetime::Utc;
use crate::error::CertError;
use crate::general_name::GeneralName;
use crate::key::PrivateKey;
use crate::name::Name;
use crate::request::CertificateRequest;
use crate::{der, encode, extension};

/// A random serial number has as many octets: 128 bits, and none for a sign.
const SERIAL_LENGTH: usize = 16;
/// RFC 5280, section 4.1.2.2.
const LONGEST_SERIAL: usize = 20;

/// What a new certificate, or a request for one, is to say.
///
/// Extensions come from the fields, key identifiers from the keys.
#[derive(Debug, Clone)]
pub struct Template {
    /// Whom the certificate is for. May be empty if there are alternative
    /// names.
    pub subject: Name,
    /// The names that it is valid for.
    pub alt_names: Vec<GeneralName>,
    /// Whether it may sign others; no extension if `None`.
    pub basic_constraints: Option<BasicConstraints>,
    /// The bits of the key usage extension, bit 0 (digitalSignature) the
    /// lowest; no extension if `None`.
    pub key_usage: Option<u16>,
    /// The purposes of the extended key usage extension as dotted decimal; no
    /// extension, so any purpose, if there are none.
    pub extended_key_usage: Vec<String>,
    /// Extensions beside these. One of a type named above takes its place.
    pub extensions: Vec<Extension>,
    /// When it is valid. No matter for a request.
    pub validity: Validity,
    /// Its number, big-endian, at most 20 octets; a random one if `None`.
    pub serial: Option<Vec<u8>>,
}

impl Template {
    /// A template without any extension, valid from `validity.not_before` to
    /// `validity.not_after`.
    pub fn new(subject: Name, validity: Validity) -> Self {
        Self {
            subject,
            alt_names: Vec::new(),
            basic_constraints: None,
            key_usage: None,
            extended_key_usage: Vec::new(),
            extensions: Vec::new(),
            validity,
            serial: None,
        }
    }

    /// A certificate of `key`, signed by itself; the key is attached.
    pub fn self_signed(&self, key: &PrivateKey) -> Result<Certificate, CertError> {
        let id = key_id(key.public_key_info())?;
        let extensions = self.certificate_extensions(key.public_key_info(), &id)?;
        let certificate = self.sign(key.public_key_info(), &self.subject, key, &extensions)?;
        certificate.with_private_key(key.clone())
    }

    /// A certificate of the public key `public_key_info` (DER
    /// `SubjectPublicKeyInfo`), signed by `issuer`, whose private key must be
    /// known.
    pub fn signed_by(&self, public_key_info: &[u8], issuer: &Certificate) -> Result<Certificate, CertError> {
        let key = issuer.private_key().ok_or(CertError::NoPrivateKey)?;
        let id = match issuer.subject_key_id() {
            Some(id) => id,
            None => key_id(issuer.public_key_info())?,
        };
        let extensions = self.certificate_extensions(public_key_info, &id)?;
        self.sign(public_key_info, issuer.subject(), key, &extensions)
    }

    /// A request for a certificate of `key` (PKCS#10, RFC 2986).
    pub fn request(&self, key: &PrivateKey) -> Result<CertificateRequest, CertError> {
        const EXTENSION_REQUEST: &str = "1.2.840.113549.1.9.14";
        let extensions = encoded(&self.stated_extensions()?)?;
        let mut attributes = Vec::new();
        if !extensions.is_empty() {
            let oid = encode::oid(EXTENSION_REQUEST).unwrap_or_default();
            attributes.push(encode::sequence([oid, encode::set_of(vec![encode::sequence(extensions)])]));
        }
        let information = encode::sequence([
            encode::unsigned(&[]),
            self.subject.der().to_vec(),
            key.public_key_info().to_vec(),
            encode::constructed(0xa0, attributes),
        ]);
        let (algorithm, signer) = key.signer()?;
        CertificateRequest::from_der(&signed(&information, &algorithm, &*signer)?)
    }

    fn sign(
        &self,
        public_key_info: &[u8],
        issuer: &Name,
        key: &PrivateKey,
        extensions: &[Extension],
    ) -> Result<Certificate, CertError> {
        const VERSION_3: &[u8] = &[2];
        let Validity { not_before, not_after } = self.validity;
        if not_after < not_before {
            return Err(CertError::encoding("validity", "it ends before it begins"));
        }
        let (algorithm, signer) = key.signer()?;
        let information = encode::sequence([
            encode::explicit(0, &encode::unsigned(VERSION_3)),
            encode::unsigned(&self.serial_number()?),
            algorithm.clone(),
            issuer.der().to_vec(),
            encode::sequence([time(not_before)?, time(not_after)?]),
            self.subject.der().to_vec(),
            public_key_info.to_vec(),
            encode::explicit(3, &encode::sequence(encoded(extensions)?)),
        ]);
        Certificate::from_der(&signed(&information, &algorithm, &*signer)?)
    }

    /// What the fields ask for, none of it twice.
    fn stated_extensions(&self) -> Result<Vec<Extension>, CertError> {
        let mut all = Vec::new();
        if let Some(constraints) = self.basic_constraints {
            all.push(extension::of_basic_constraints(constraints));
        }
        if let Some(usage) = self.key_usage {
            all.push(extension::of_key_usage(usage));
        }
        if !self.extended_key_usage.is_empty() {
            all.push(extension::of_extended_key_usage(&self.extended_key_usage)?);
        }
        if !self.alt_names.is_empty() {
            // RFC 5280, section 4.2.1.6.
            all.push(extension::of_alt_names(&self.alt_names, self.subject.is_empty())?);
        }
        for extra in &self.extensions {
            all.retain(|stated| stated.oid != extra.oid);
            all.push(extra.clone());
        }
        Ok(all)
    }

    fn certificate_extensions(&self, public_key_info: &[u8], issuer_id: &[u8]) -> Result<Vec<Extension>, CertError> {
        if self.subject.is_empty() && self.alt_names.is_empty() {
            return Err(CertError::encoding("subject", "a certificate needs a subject or an alternative name"));
        }
        let mut all = self.stated_extensions()?;
        for derived in
            [extension::of_subject_key_id(&key_id(public_key_info)?), extension::of_authority_key_id(issuer_id)]
        {
            if all.iter().all(|stated| stated.oid != derived.oid) {
                all.push(derived);
            }
        }
        Ok(all)
    }

    fn serial_number(&self) -> Result<Vec<u8>, CertError> {
        match &self.serial {
            Some(given) if given.is_empty() || given.len() > LONGEST_SERIAL || given.iter().all(|b| *b == 0) => {
                Err(CertError::encoding("serial number", "it must have 1 to 20 octets and not be zero"))
            }
            Some(given) if given.len() == LONGEST_SERIAL && given.first().is_some_and(|b| b & 0x80 != 0) => {
                Err(CertError::encoding("serial number", "it is larger than 20 octets with a sign can hold"))
            }
            Some(given) => Ok(given.clone()),
            None => {
                let mut serial = vec![0; SERIAL_LENGTH];
                rand::fill(&mut serial).map_err(|_| CertError::encoding("serial number", "no random number"))?;
                if let Some(first) = serial.first_mut() {
                    *first = *first & 0x7f | 0x40;
                }
                Ok(serial)
            }
        }
    }
}

/// What is signed, the algorithm, and the signature.
fn signed(information: &[u8], algorithm: &[u8], signer: &dyn Signer) -> Result<Vec<u8>, CertError> {
    let signature = signer.sign(information);
    let signature = signature.map_err(|e| CertError::UnsupportedKey(format!("it did not sign: {e}")))?;
    Ok(encode::sequence([information, algorithm, &encode::bit_string(&signature)]))
}

fn encoded(extensions: &[Extension]) -> Result<Vec<Vec<u8>>, CertError> {
    extensions.iter().map(Extension::encoded).collect()
}

/// The key identifier of a public key (RFC 5280, section 4.2.1.2, method 1).
fn key_id(public_key_info: &[u8]) -> Result<Vec<u8>, CertError> {
    let malformed = || CertError::encoding("public key", "not the structure of SubjectPublicKeyInfo");
    let (info, rest) = der::split(public_key_info).filter(|(e, _)| e.tag == der::SEQUENCE).ok_or_else(malformed)?;
    let bits = info.children().nth(1).filter(|e| e.tag == encode::BIT_STRING && rest.is_empty());
    let key = bits.and_then(|bits| bits.value.get(1..)).ok_or_else(malformed)?;
    let id: [u8; 20] = fingerprint(&digest::SHA1_FOR_LEGACY_USE_ONLY, key);
    Ok(id.to_vec())
}

/// RFC 5280, section 4.1.2.5: years of two digits up to 2049, of four beyond.
fn time(seconds: i64) -> Result<Vec<u8>, CertError> {
    let text = Utc(seconds).digits();
    match text.len() {
        14 if (-631_152_000..2_524_608_000).contains(&seconds) => {
            Ok(encode::element(encode::UTC_TIME, format!("{}Z", text.get(2..).unwrap_or_default()).as_bytes()))
        }
        14 => Ok(encode::element(encode::GENERALIZED_TIME, format!("{text}Z").as_bytes())),
        _ => Err(CertError::encoding("validity", "a year needs four digits")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{NOW, TempDir, now};
    use crate::{KeyType, PeerName, TrustAnchors, verify_client, verify_server};

    const YEAR: i64 = 365 * 86_400;

    fn template(subject: &str) -> Template {
        Template::new(Name::parse(subject).unwrap(), Validity { not_before: NOW - YEAR, not_after: NOW + YEAR })
    }

    fn ca(subject: &str) -> Template {
        Template {
            basic_constraints: Some(BasicConstraints { ca: true, path_length: None }),
            key_usage: Some(0b110_0000),
            ..template(subject)
        }
    }

    fn leaf() -> Template {
        Template {
            alt_names: vec![GeneralName::Dns("a.example".to_owned()), GeneralName::Ip("127.0.0.1".parse().unwrap())],
            basic_constraints: Some(BasicConstraints { ca: false, path_length: None }),
            key_usage: Some(1),
            extended_key_usage: vec!["1.3.6.1.5.5.7.3.1".to_owned(), "1.3.6.1.5.5.7.3.2".to_owned()],
            ..template("DC=com, DC=example, OU=one, OU=two, CN=ü leaf")
        }
    }

    #[test]
    fn chains_of_every_kind_of_key() {
        let dir = TempDir::new();
        for kind in [KeyType::Rsa2048, KeyType::EcdsaP256, KeyType::EcdsaP384, KeyType::Ed25519] {
            let root = ca("CN=root, DC=example, DC=com").self_signed(&PrivateKey::generate(kind).unwrap()).unwrap();
            let between_key = PrivateKey::generate(kind).unwrap();
            let between = ca("CN=between").signed_by(between_key.public_key_info(), &root).unwrap();
            let between = between.with_private_key(between_key).unwrap();
            let key = PrivateKey::generate(kind).unwrap();
            let cert = leaf().signed_by(key.public_key_info(), &between).unwrap();
            assert!(cert.matches(&key));
            let anchors = TrustAnchors::from_certificates(std::slice::from_ref(&root)).unwrap();
            let sent = [between.der().clone()];
            let name = PeerName::parse("a.example").unwrap();
            assert_eq!(verify_server(cert.der(), &sent, &anchors, Some(&name), now()), Ok(()), "{kind:?}");
            assert_eq!(verify_client(cert.der(), &sent, &anchors, now()), Ok(()));
            dir.write("root.pem", root.to_pem());
            dir.write("between.pem", between.to_pem());
            dir.write("leaf.pem", cert.to_pem());
            dir.openssl(&format!(
                "verify -x509_strict -attime {NOW} -purpose sslserver -verify_hostname a.example -CAfile root.pem \
                 -untrusted between.pem leaf.pem"
            ));
            dir.openssl(&format!("verify -x509_strict -attime {NOW} -CAfile root.pem root.pem"));
        }
    }

    #[test]
    fn every_part_is_there() {
        let root = ca("CN=root").self_signed(&PrivateKey::generate(KeyType::EcdsaP256).unwrap()).unwrap();
        assert!(root.private_key().is_some() && root.is_self_issued());
        assert_eq!(root.authority_key_id(), root.subject_key_id());
        let key = PrivateKey::generate(KeyType::Ed25519).unwrap();
        let custom = Extension { oid: "1.2.3.4".to_owned(), critical: false, der: vec![5, 0] };
        let asked = Template { serial: Some(vec![0xff, 1]), extensions: vec![custom.clone()], ..leaf() };
        let cert = asked.signed_by(key.public_key_info(), &root).unwrap();
        assert_eq!(cert.subject().x500(), "DC=com, DC=example, OU=one, OU=two, CN=ü leaf");
        assert_eq!(cert.issuer(), root.subject());
        assert_eq!(cert.subject_alt_names(), asked.alt_names);
        assert_eq!(cert.validity(), asked.validity);
        assert_eq!((cert.version(), cert.serial()), (3, &[0, 0xff, 1][..]));
        assert_eq!((cert.key_usage(), cert.basic_constraints()), (Some(1), asked.basic_constraints));
        assert_eq!(cert.extended_key_usage().unwrap(), asked.extended_key_usage);
        assert_eq!(cert.authority_key_id(), root.subject_key_id());
        assert!(cert.extensions().contains(&custom));
        let other = leaf().signed_by(key.public_key_info(), &root).unwrap();
        assert_ne!(other.serial(), leaf().signed_by(key.public_key_info(), &root).unwrap().serial());
    }

    #[test]
    fn times_far_away() {
        let key = PrivateKey::generate(KeyType::EcdsaP256).unwrap();
        for (not_before, not_after) in
            [(0, 2_524_607_999), (2_524_607_999, 2_524_608_000), (-700_000_000, 253_402_300_799)]
        {
            let asked = Template { validity: Validity { not_before, not_after }, ..leaf() };
            assert_eq!(asked.self_signed(&key).unwrap().validity(), asked.validity);
        }
        for (not_before, not_after) in [(1, 0), (0, 253_402_300_800), (i64::MIN, 0), (0, i64::MAX)] {
            let asked = Template { validity: Validity { not_before, not_after }, ..leaf() };
            assert!(matches!(asked.self_signed(&key), Err(CertError::BadEncoding { what: "validity", .. })));
        }
    }

    #[test]
    fn refused() {
        let key = PrivateKey::generate(KeyType::EcdsaP256).unwrap();
        assert!(template("").self_signed(&key).is_err(), "nothing says whom it is for");
        for serial in [vec![], vec![0], vec![1; 21], vec![0xff; 20]] {
            assert!(Template { serial: Some(serial), ..leaf() }.self_signed(&key).is_err());
        }
        let bare = Certificate::from_der(leaf().self_signed(&key).unwrap().der()).unwrap();
        assert_eq!(leaf().signed_by(key.public_key_info(), &bare).unwrap_err(), CertError::NoPrivateKey);
        let issuer = ca("CN=x").self_signed(&key).unwrap();
        for public in [&[][..], &[0x30, 0], b"no key"] {
            assert!(leaf().signed_by(public, &issuer).is_err());
        }
        assert!(Template { subject: Name::parse("").unwrap(), ..leaf() }.self_signed(&key).is_ok());
    }
}
