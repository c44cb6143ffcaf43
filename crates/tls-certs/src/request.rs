//! Certificate requests (PKCS#10, RFC 2986).

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::prelude::FromDer;

use crate::certificate::Extension;
use crate::error::CertError;
use crate::name::Name;
use crate::{pem, signature};

const WHAT: &str = "certificate request";
/// No key, and no list of names in use, makes a request as large.
const LARGEST: usize = 1 << 20;

/// A request for a certificate, whose signature proved that who made it has
/// the private key.
#[derive(Debug, Clone)]
pub struct CertificateRequest {
    der: Vec<u8>,
    subject: Name,
    public_key_info: Vec<u8>,
    signature_algorithm: String,
    extensions: Vec<Extension>,
}

impl CertificateRequest {
    /// Reads a request in DER and checks its signature.
    pub fn from_der(der: &[u8]) -> Result<Self, CertError> {
        if der.len() > LARGEST {
            return Err(CertError::encoding(WHAT, "it is too large"));
        }
        let (rest, parsed) = X509CertificationRequest::from_der(der).map_err(|e| CertError::encoding(WHAT, e))?;
        if !rest.is_empty() {
            return Err(CertError::encoding(WHAT, format_args!("{} more octets after its end", rest.len())));
        }
        let info = &parsed.certification_request_info;
        let signature = &parsed.signature_value.data;
        let algorithm = parsed.signature_algorithm.algorithm.to_id_string();
        if !signature::fits(info.subject_pki.raw, &algorithm, info.raw, signature) {
            return Err(CertError::encoding(WHAT, "its signature is not by the key that it is for"));
        }
        let extensions = info.iter_attributes().find_map(|attribute| match attribute.parsed_attribute() {
            ParsedCriAttribute::ExtensionRequest(requested) => Some(&requested.extensions),
            _ => None,
        });
        let extensions = extensions.into_iter().flatten().map(|e| Extension {
            oid: e.oid.to_id_string(),
            critical: e.critical,
            der: e.value.to_vec(),
        });
        Ok(Self {
            subject: Name::from_parsed(&info.subject),
            public_key_info: info.subject_pki.raw.to_vec(),
            signature_algorithm: algorithm,
            extensions: extensions.collect(),
            der: der.to_vec(),
        })
    }

    /// Reads the first request of a PEM text.
    pub fn from_pem(text: &[u8]) -> Result<Self, CertError> {
        let blocks = pem::blocks(text)?;
        let block = blocks.iter().find(|b| matches!(&*b.label, "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST"));
        let block = block.ok_or_else(|| CertError::encoding(WHAT, "the PEM text has no CERTIFICATE REQUEST"))?;
        Self::from_der(&block.contents)
    }

    /// The encoding.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The encoding as PEM text.
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE REQUEST", &self.der)
    }

    /// Whom the certificate shall be for.
    pub fn subject(&self) -> &Name {
        &self.subject
    }

    /// The public key as DER `SubjectPublicKeyInfo` (RFC 5280, section 4.1).
    pub fn public_key_info(&self) -> &[u8] {
        &self.public_key_info
    }

    /// The algorithm of the signature as dotted decimal.
    pub fn signature_algorithm(&self) -> &str {
        &self.signature_algorithm
    }

    /// The extensions that the certificate shall have.
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{Noise, TempDir};
    use crate::{GeneralName, KeyType, PrivateKey, Template, Validity};

    fn template() -> Template {
        let validity = Validity { not_before: 0, not_after: 0 };
        let mut template = Template::new(Name::parse("CN=a.example, O=Example").unwrap(), validity);
        template.alt_names = vec![GeneralName::Dns("a.example".to_owned())];
        template.key_usage = Some(1);
        template.extended_key_usage = vec!["1.3.6.1.5.5.7.3.1".to_owned()];
        template
    }

    #[test]
    fn made_here_and_read_by_openssl() {
        let dir = TempDir::new();
        for kind in [KeyType::Rsa2048, KeyType::EcdsaP256, KeyType::EcdsaP384, KeyType::Ed25519] {
            let key = PrivateKey::generate(kind).unwrap();
            let request = template().request(&key).unwrap();
            assert_eq!(request.public_key_info(), key.public_key_info());
            dir.write("csr.pem", request.to_pem());
            dir.openssl("req -in csr.pem -verify -noout -text -out text");
            let text = String::from_utf8(dir.read("text")).unwrap();
            for part in ["CN = a.example, O = Example", "DNS:a.example", "Digital Signature", "TLS Web Server"] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
        let bare = Template::new(Name::parse("CN=x").unwrap(), Validity { not_before: 0, not_after: 0 });
        let bare = bare.request(&PrivateKey::generate(KeyType::Ed25519).unwrap()).unwrap();
        assert!(bare.extensions().is_empty());
        dir.write("csr.der", bare.der());
        dir.openssl("req -in csr.der -inform DER -verify -noout");
    }

    #[test]
    fn made_by_openssl_and_read_here() {
        let dir = TempDir::new();
        for kind in ["rsa:2048", "ec -pkeyopt ec_paramgen_curve:P-521", "ed25519", "rsa:2048 -sha512"] {
            dir.openssl(&format!(
                "req -new -nodes -newkey {kind} -subj /C=DE/CN=a.example -keyout key.pem -out csr.pem \
                 -addext subjectAltName=DNS:a.example,IP:127.0.0.1 -addext basicConstraints=CA:FALSE"
            ));
            let request = CertificateRequest::from_pem(&dir.read("csr.pem")).unwrap();
            assert_eq!(request.subject().x500(), "C=DE, CN=a.example");
            let names = request.extensions().iter().find_map(Extension::alt_names).unwrap();
            assert_eq!(names.len(), 2);
            let constraints = request.extensions().iter().find_map(Extension::basic_constraints).unwrap();
            assert!(!constraints.ca);
            assert_eq!(request.to_pem().as_bytes(), dir.read("csr.pem"));
        }
        let other = dir.read("key.pem");
        assert!(CertificateRequest::from_pem(&other).is_err());
    }

    #[test]
    fn damaged() {
        let key = PrivateKey::generate(KeyType::EcdsaP256).unwrap();
        let request = template().request(&key).unwrap();
        let der = request.der();
        for length in 0..der.len() {
            assert!(CertificateRequest::from_der(&der[..length]).is_err());
        }
        let mut noise = Noise::new(12);
        for _ in 0..5000 {
            let damaged = noise.damage(der);
            // What is signed cannot be changed unseen; parameters of the algorithm are outside.
            if let Ok(read) = CertificateRequest::from_der(&damaged) {
                assert_eq!((read.subject(), read.extensions()), (request.subject(), request.extensions()));
                assert_eq!(read.public_key_info(), request.public_key_info());
            }
            let length = noise.below(300);
            assert!(CertificateRequest::from_der(&noise.bytes(length)).is_err());
        }
        let mut longer = der.to_vec();
        longer.push(0);
        assert!(CertificateRequest::from_der(&longer).is_err());
        assert!(CertificateRequest::from_der(&vec![0x30; LARGEST + 1]).is_err());
    }
}
