//! X.509 certificates (RFC 5280).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::error::CertError;
use crate::general_name::GeneralName;
use crate::key::PrivateKey;
use crate::name::Name;
use crate::{der, pem};

/// A certificate, and its private key if that is known.
///
/// It is parsed once and cheap to clone. Two certificates are equal if their
/// encodings are, whether or not a key is attached.
#[derive(Clone)]
pub struct Certificate {
    inner: Arc<Inner>,
    key: Option<PrivateKey>,
}

struct Inner {
    der: CertificateDer<'static>,
    subject: Name,
    issuer: Name,
    validity: Validity,
    serial: Vec<u8>,
    version: u32,
    signature_algorithm: String,
    public_key_info: Vec<u8>,
}

/// When a certificate is valid, both ends included, in seconds since
/// 1970-01-01 00:00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: i64,
    /// The last second.
    pub not_after: i64,
}

/// What a certificate's public key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeyInfo {
    /// The algorithm as dotted decimal, e.g. `1.2.840.10045.2.1` for ECDSA.
    pub algorithm: String,
    /// The algorithm's parameter as dotted decimal where it is an identifier:
    /// the curve of an ECDSA key.
    pub parameter: Option<String>,
    /// The size in bits, 0 if unknown.
    pub bits: usize,
}

/// The basic constraints extension (RFC 5280, section 4.2.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BasicConstraints {
    /// Whether the certificate may sign others.
    pub ca: bool,
    /// How many intermediates may follow it, if that is limited.
    pub path_length: Option<u32>,
}

/// An extension of a certificate, as it is encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Its type as dotted decimal.
    pub oid: String,
    /// Whether a certificate must be refused by whoever does not know it.
    pub critical: bool,
    /// The DER inside its octet string.
    pub der: Vec<u8>,
}

impl PublicKeyInfo {
    /// What a DER `SubjectPublicKeyInfo` (RFC 5280, section 4.1) says; `None`
    /// if it is none.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let (_, info) = SubjectPublicKeyInfo::from_der(der).ok().filter(|(rest, _)| rest.is_empty())?;
        let parameter = info.algorithm.parameters.as_ref();
        let parameter = parameter.and_then(|p| p.as_oid().ok());
        let parameter = parameter.map(|oid| oid.to_id_string());
        Some(Self {
            algorithm: info.algorithm.algorithm.to_id_string(),
            bits: key_bits(&info, parameter.as_deref()),
            parameter,
        })
    }
}

impl Certificate {
    /// Reads a certificate in DER, without anything after it.
    pub fn from_der(der: &[u8]) -> Result<Self, CertError> {
        const WHAT: &str = "certificate";
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|e| CertError::encoding(WHAT, e))?;
        if !rest.is_empty() {
            return Err(CertError::encoding(WHAT, format_args!("{} more octets after its end", rest.len())));
        }
        if let Err(error) = parsed.extensions_map() {
            return Err(CertError::encoding(WHAT, error));
        }
        let inner = Inner {
            der: CertificateDer::from(der.to_vec()),
            subject: Name::from_parsed(parsed.subject()),
            issuer: Name::from_parsed(parsed.issuer()),
            validity: Validity {
                not_before: parsed.validity().not_before.timestamp(),
                not_after: parsed.validity().not_after.timestamp(),
            },
            serial: parsed.raw_serial().to_vec(),
            version: parsed.version().0.saturating_add(1),
            signature_algorithm: parsed.signature_algorithm.algorithm.to_id_string(),
            public_key_info: parsed.public_key().raw.to_vec(),
        };
        Ok(Self { inner: Arc::new(inner), key: None })
    }

    /// Reads the first certificate of a PEM text. Other blocks are skipped.
    pub fn from_pem(text: &[u8]) -> Result<Self, CertError> {
        for block in pem::blocks(text)? {
            if let Some(certificate) = Self::from_block(&block)? {
                return Ok(certificate);
            }
        }
        Err(CertError::NoCertificate)
    }

    /// The encoding.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.inner.der
    }

    /// The encoding as PEM text. The private key is not in it.
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.inner.der)
    }

    /// The private key, if it is known.
    pub fn private_key(&self) -> Option<&PrivateKey> {
        self.key.as_ref()
    }

    /// The same certificate with its private key.
    ///
    /// A key of another certificate is a [`CertError::KeyMismatch`].
    pub fn with_private_key(&self, key: PrivateKey) -> Result<Self, CertError> {
        if !self.matches(&key) {
            return Err(CertError::KeyMismatch);
        }
        Ok(Self { inner: Arc::clone(&self.inner), key: Some(key) })
    }

    /// Whether `key` is this certificate's private key.
    pub fn matches(&self, key: &PrivateKey) -> bool {
        self.inner.public_key_info == key.public_key_info()
    }

    /// Whom the certificate is for.
    pub fn subject(&self) -> &Name {
        &self.inner.subject
    }

    /// Who signed it.
    pub fn issuer(&self) -> &Name {
        &self.inner.issuer
    }

    /// When it is valid.
    pub fn validity(&self) -> Validity {
        self.inner.validity
    }

    /// The serial number, big-endian, as encoded.
    pub fn serial(&self) -> &[u8] {
        &self.inner.serial
    }

    /// The version: 3, or 1 for very old certificates.
    pub fn version(&self) -> u32 {
        self.inner.version
    }

    /// The algorithm of the signature as dotted decimal.
    pub fn signature_algorithm(&self) -> &str {
        &self.inner.signature_algorithm
    }

    /// The public key as DER `SubjectPublicKeyInfo` (RFC 5280, section 4.1).
    pub fn public_key_info(&self) -> &[u8] {
        &self.inner.public_key_info
    }

    /// The kind and size of the public key.
    pub fn public_key(&self) -> PublicKeyInfo {
        PublicKeyInfo::from_der(self.public_key_info()).unwrap_or(PublicKeyInfo {
            algorithm: String::new(),
            parameter: None,
            bits: 0,
        })
    }

    /// The names that the certificate is valid for, in its order.
    pub fn subject_alt_names(&self) -> Vec<GeneralName> {
        self.parsed(|certificate| {
            let extension = certificate.subject_alternative_name().ok().flatten();
            let names = extension.map(|e| e.value.general_names.iter().map(GeneralName::from_parsed));
            names.map(Iterator::collect).unwrap_or_default()
        })
        .unwrap_or_default()
    }

    /// SHA-1 of the encoding, by which Windows names certificates.
    pub fn sha1_thumbprint(&self) -> [u8; 20] {
        fingerprint(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.inner.der)
    }

    /// SHA-256 of the encoding.
    pub fn sha256_thumbprint(&self) -> [u8; 32] {
        fingerprint(&digest::SHA256, &self.inner.der)
    }

    /// Whether subject and issuer are the same, as in a root certificate.
    pub fn is_self_issued(&self) -> bool {
        self.inner.subject == self.inner.issuer
    }

    /// The basic constraints, if the certificate has that extension.
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.parsed(|certificate| {
            let extension = certificate.basic_constraints().ok().flatten()?;
            Some(BasicConstraints { ca: extension.value.ca, path_length: extension.value.path_len_constraint })
        })
        .flatten()
    }

    /// The bits of the key usage extension, bit 0 (digitalSignature) the
    /// lowest (RFC 5280, section 4.2.1.3).
    pub fn key_usage(&self) -> Option<u16> {
        self.parsed(|certificate| Some(certificate.key_usage().ok().flatten()?.value.flags)).flatten()
    }

    /// The purposes of the extended key usage extension as dotted decimal
    /// (RFC 5280, section 4.2.1.12).
    pub fn extended_key_usage(&self) -> Option<Vec<String>> {
        self.extensions().iter().find_map(Extension::extended_key_usage)
    }

    /// The subject key identifier (RFC 5280, section 4.2.1.2).
    pub fn subject_key_id(&self) -> Option<Vec<u8>> {
        self.parsed(|certificate| {
            certificate.iter_extensions().find_map(|e| match e.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                _ => None,
            })
        })
        .flatten()
    }

    /// The key identifier of the issuer (RFC 5280, section 4.2.1.1).
    pub fn authority_key_id(&self) -> Option<Vec<u8>> {
        self.parsed(|certificate| {
            certificate.iter_extensions().find_map(|e| match e.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
                _ => None,
            })
        })
        .flatten()
    }

    /// All extensions, in the order of the encoding.
    pub fn extensions(&self) -> Vec<Extension> {
        self.parsed(|certificate| {
            let extensions = certificate.iter_extensions().map(|e| Extension {
                oid: e.oid.to_id_string(),
                critical: e.critical,
                der: e.value.to_vec(),
            });
            extensions.collect()
        })
        .unwrap_or_default()
    }

    /// The certificate of a PEM block, `None` if the block is no certificate.
    pub(crate) fn from_block(block: &pem::Block) -> Result<Option<Self>, CertError> {
        match block.label.as_str() {
            "CERTIFICATE" | "X509 CERTIFICATE" => Self::from_der(&block.contents).map(Some),
            // OpenSSL appends its trust settings to the certificate.
            "TRUSTED CERTIFICATE" => {
                let der = der::first_element(&block.contents).unwrap_or(&block.contents);
                Self::from_der(der).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// What `f` makes of the parsed certificate. It parsed once, so it does.
    pub(crate) fn parsed<T>(&self, f: impl FnOnce(&X509Certificate<'_>) -> T) -> Option<T> {
        let (_, parsed) = X509Certificate::from_der(&self.inner.der).ok()?;
        Some(f(&parsed))
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.inner.der == other.inner.der
    }
}

impl Eq for Certificate {}

impl std::hash::Hash for Certificate {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.inner.der.hash(state);
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &self.inner.subject)
            .field("issuer", &self.inner.issuer)
            .field("validity", &self.inner.validity)
            .field("private_key", &self.key)
            .finish_non_exhaustive()
    }
}

/// The digest of `bytes` in an array of its size.
pub(crate) fn fingerprint<const N: usize>(algorithm: &'static digest::Algorithm, bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    for (to, from) in array.iter_mut().zip(digest::digest(algorithm, bytes).as_ref()) {
        *to = *from;
    }
    array
}

fn key_bits(info: &SubjectPublicKeyInfo<'_>, parameter: Option<&str>) -> usize {
    match info.parsed() {
        Ok(PublicKey::RSA(key)) => {
            let digits: Vec<_> = key.modulus.iter().skip_while(|b| **b == 0).collect();
            let top = digits.first().map_or(0, |b| b.leading_zeros() as usize);
            digits.len() * 8 - top
        }
        // A point's size is that of its octets, which says 528 of P-521.
        Ok(PublicKey::EC(_)) if parameter == Some("1.3.132.0.35") => 521,
        Ok(key) if key.key_size() > 0 => key.key_size(),
        _ if info.algorithm.algorithm.to_id_string() == "1.3.101.112" => 256,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rcgen::{CustomExtension, SanType};

    use super::*;
    use crate::testing::{Ca, Noise, TempDir, leaf_params, self_signed};

    #[test]
    fn parts() {
        let ca = Ca::root("root");
        let mut params = leaf_params(&["a.example", "*.b.example", "127.0.0.1", "::1"]);
        params.serial_number = Some(vec![0x7f, 1, 2].into());
        let more = [
            SanType::Rfc822Name("a@b.example".try_into().unwrap()),
            SanType::URI("https://a.example/".try_into().unwrap()),
        ];
        params.subject_alt_names.extend(more);
        let custom = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        params.custom_extensions.push(custom);
        let cert = ca.leaf_of(&params);
        assert_eq!(cert.subject().common_name(), Some("leaf"));
        assert_eq!(cert.issuer().rfc4514(), "CN=root");
        assert_eq!(cert.validity().not_before, crate::testing::NOW - 365 * 86_400);
        assert_eq!(cert.validity().not_after, crate::testing::NOW + 365 * 86_400);
        assert_eq!(cert.serial(), [0x7f, 1, 2]);
        assert_eq!(cert.version(), 3);
        assert_eq!(cert.signature_algorithm(), "1.2.840.10045.4.3.2");
        assert_eq!(
            cert.public_key(),
            PublicKeyInfo {
                algorithm: "1.2.840.10045.2.1".to_owned(),
                parameter: Some("1.2.840.10045.3.1.7".to_owned()),
                bits: 256,
            }
        );
        assert_eq!(
            cert.subject_alt_names(),
            [
                GeneralName::Dns("a.example".to_owned()),
                GeneralName::Dns("*.b.example".to_owned()),
                GeneralName::Ip("127.0.0.1".parse().unwrap()),
                GeneralName::Ip("::1".parse().unwrap()),
                GeneralName::Email("a@b.example".to_owned()),
                GeneralName::Uri("https://a.example/".to_owned()),
            ]
        );
        assert_eq!(cert.extended_key_usage().unwrap(), ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
        assert!(!cert.is_self_issued());
        assert_eq!(cert.basic_constraints(), None);
        assert_eq!(cert.key_usage(), None);
        let extensions = cert.extensions();
        let custom = extensions.iter().find(|e| e.oid == "1.2.3.4").unwrap();
        assert_eq!((custom.critical, &custom.der[..]), (false, &[5, 0][..]));

        let root = &ca.certificate;
        assert!(root.is_self_issued());
        assert_eq!(root.basic_constraints(), Some(BasicConstraints { ca: true, path_length: None }));
        assert_eq!(root.key_usage(), Some(0b110_0000));
        assert_eq!(cert.authority_key_id(), root.subject_key_id());
        assert!(root.subject_key_id().is_some());
        assert_eq!(root.extended_key_usage(), None);
    }

    #[test]
    fn as_openssl_sees_it() {
        let dir = TempDir::new();
        for (options, bits) in [
            ("rsa:2048", 2048),
            ("rsa:3072", 3072),
            ("ec -pkeyopt ec_paramgen_curve:P-384", 384),
            ("ec -pkeyopt ec_paramgen_curve:P-521", 521),
            ("ed25519", 256),
        ] {
            dir.openssl(&format!(
                "req -x509 -nodes -newkey {options} -subj /C=DE/O=Example/CN=a.example -keyout key.pem -out cert.pem"
            ));
            dir.openssl("x509 -in cert.pem -outform DER -out cert.der");
            dir.openssl("dgst -sha1 -binary -out sha1 cert.der");
            dir.openssl("dgst -sha256 -binary -out sha256 cert.der");
            let cert = Certificate::from_pem(&dir.read("cert.pem")).unwrap();
            assert_eq!(cert.der().as_ref(), dir.read("cert.der"));
            assert_eq!(cert.sha1_thumbprint()[..], dir.read("sha1"));
            assert_eq!(cert.sha256_thumbprint()[..], dir.read("sha256"));
            assert_eq!(cert.to_pem().as_bytes(), dir.read("cert.pem"));
            assert_eq!(cert.subject().x500(), "C=DE, O=Example, CN=a.example");
            assert_eq!(cert.public_key().bits, bits, "{options}");
        }
        dir.openssl("x509 -in cert.pem -trustout -addtrust serverAuth -out trusted.pem");
        let trusted = Certificate::from_pem(&dir.read("trusted.pem")).unwrap();
        assert_eq!(trusted, Certificate::from_pem(&dir.read("cert.pem")).unwrap());
    }

    #[test]
    fn keys() {
        let one = self_signed(&leaf_params(&["a.example"]));
        let two = self_signed(&leaf_params(&["a.example"]));
        let key = one.private_key().unwrap().clone();
        assert_eq!(two.with_private_key(key).unwrap_err(), CertError::KeyMismatch);
        let bare = Certificate::from_der(one.der()).unwrap();
        assert!(bare.private_key().is_none());
        assert_eq!(bare, one);
        assert_ne!(one, two);
        assert!(format!("{one:?}").ends_with("private_key: Some(PrivateKey(ECDSA, secret)), .. }"));
    }

    #[test]
    fn damaged() {
        let cert = Ca::root("root").leaf(&["a.example", "127.0.0.1"]);
        let der = cert.der();
        for length in 0..der.len() {
            assert!(Certificate::from_der(&der[..length]).is_err());
        }
        let mut longer = der.to_vec();
        longer.push(0);
        assert!(Certificate::from_der(&longer).is_err());
        let mut noise = Noise::new(3);
        for _ in 0..20_000 {
            if let Ok(cert) = Certificate::from_der(&noise.damage(der)) {
                let _ = (cert.subject_alt_names(), cert.extensions(), cert.public_key());
                let _ = (cert.extended_key_usage(), cert.key_usage());
                let _ = (cert.basic_constraints(), cert.authority_key_id());
                let _ = (cert.subject().x500(), cert.issuer().simple_display());
                let _ = format!("{cert:?}");
            }
            let length = noise.below(300);
            assert!(Certificate::from_der(&noise.bytes(length)).is_err());
        }
    }

    #[test]
    fn damaged_pem() {
        let cert = Ca::root("root").certificate;
        let text = cert.to_pem();
        let mut noise = Noise::new(4);
        for _ in 0..5000 {
            let _ = Certificate::from_pem(&noise.damage(text.as_bytes()));
        }
        assert_eq!(Certificate::from_pem(b"").unwrap_err(), CertError::NoCertificate);
    }
}
