//! PKCS#7 as a bag of certificates: a `SignedData` without any signature
//! (RFC 5652, section 5; RFC 8551, section 3.2.2).

use crate::certificate::Certificate;
use crate::crl::RevocationList;
use crate::der::{self, Element};
use crate::encode;
use crate::error::CertError;

const WHAT: &str = "PKCS#7 data";
const DATA: &str = "1.2.840.113549.1.7.1";
const SIGNED_DATA: &str = "1.2.840.113549.1.7.2";
/// More than the certificates of all public roots.
const LARGEST: usize = 64 << 20;

/// All certificates and revocation lists, in order. What is signed and by
/// whom is not looked at.
pub(crate) fn read(bytes: &[u8]) -> Result<(Vec<Certificate>, Vec<RevocationList>), CertError> {
    if bytes.len() > LARGEST {
        return Err(CertError::encoding(WHAT, "it is too large"));
    }
    if let [0x30, 0x80, ..] = bytes {
        return Err(CertError::encoding(WHAT, "it is BER of indefinite length; convert it to DER"));
    }
    let (info, rest) = der::split(bytes).filter(|(e, _)| e.tag == der::SEQUENCE).ok_or_else(|| wrong("a sequence"))?;
    if !rest.is_empty() {
        return Err(CertError::encoding(WHAT, format_args!("{} more octets after its end", rest.len())));
    }
    let mut parts = exactly(info)?.into_iter();
    let kind = parts.next().filter(|e| e.tag == der::OID).ok_or_else(|| wrong("a content type"))?;
    if Some(encode::element(der::OID, kind.value)) != encode::oid(SIGNED_DATA) {
        return Err(CertError::encoding(WHAT, "it is no SignedData, so has no certificates"));
    }
    let content = parts.next().filter(|e| e.tag == 0xa0).ok_or_else(|| wrong("a content"))?;
    let (signed, rest) = der::split(content.value).ok_or_else(|| wrong("a SignedData"))?;
    if signed.tag != der::SEQUENCE || !rest.is_empty() {
        return Err(wrong("one SignedData"));
    }
    let (mut certificates, mut lists) = (Vec::new(), Vec::new());
    for part in exactly(signed)? {
        match part.tag {
            0xa0 => {
                for choice in encodings(part.value)? {
                    // The other choices are attribute certificates and relics.
                    if choice.first() == Some(&der::SEQUENCE) {
                        certificates.push(Certificate::from_der(choice)?);
                    }
                }
            }
            0xa1 => {
                for choice in encodings(part.value)? {
                    if choice.first() == Some(&der::SEQUENCE) {
                        lists.push(RevocationList::from_der(choice)?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok((certificates, lists))
}

/// The certificates and revocation lists in DER.
pub(crate) fn write(certificates: &[Certificate], lists: &[RevocationList]) -> Vec<u8> {
    let oid = |dotted| encode::oid(dotted).unwrap_or_default();
    let mut signed = vec![
        encode::unsigned(&[1]),
        encode::set_of(Vec::new()),
        encode::sequence([oid(DATA)]),
        encode::constructed(0xa0, certificates.iter().map(|c| c.der().as_ref())),
    ];
    if !lists.is_empty() {
        signed.push(encode::constructed(0xa1, lists.iter().map(RevocationList::der)));
    }
    signed.push(encode::set_of(Vec::new()));
    encode::sequence([oid(SIGNED_DATA), encode::explicit(0, &encode::sequence(signed))])
}

/// The elements inside, which must fill it.
fn exactly(element: Element<'_>) -> Result<Vec<Element<'_>>, CertError> {
    encodings(element.value)?.into_iter().map(|e| der::split(e).map(|(e, _)| e).ok_or_else(|| wrong("DER"))).collect()
}

/// The encodings of elements that follow each other to the end.
fn encodings(mut bytes: &[u8]) -> Result<Vec<&[u8]>, CertError> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let first = der::first_element(bytes).ok_or_else(|| wrong("DER"))?;
        all.push(first);
        bytes = bytes.get(first.len()..).unwrap_or_default();
    }
    Ok(all)
}

fn wrong(missing: &str) -> CertError {
    CertError::encoding(WHAT, format_args!("{missing} was expected"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{Ca, NOW, Noise, TempDir};

    #[test]
    fn with_openssl() {
        let dir = TempDir::new();
        let ca = Ca::root("root");
        let leaf = ca.leaf(&["a.example"]);
        let list = ca.revoke(&[&[5]], NOW);
        dir.write("both.pem", ca.certificate.to_pem() + &leaf.to_pem());
        dir.write("crl.pem", list.to_pem());
        dir.openssl("crl2pkcs7 -in crl.pem -certfile both.pem -outform DER -out file.p7b");
        let (certificates, lists) = read(&dir.read("file.p7b")).unwrap();
        assert_eq!(certificates, [ca.certificate.clone(), leaf.clone()]);
        assert_eq!(lists, std::slice::from_ref(&list));
        let written = write(&certificates, &lists);
        assert_eq!(read(&written).unwrap(), (certificates.clone(), lists));
        dir.write("ours.p7b", &written);
        dir.openssl("pkcs7 -in ours.p7b -inform DER -print_certs -out printed.pem");
        let printed = crate::CertStore::from_pem(&dir.read("printed.pem"), None).unwrap();
        assert_eq!(printed.contents(), certificates);
        dir.openssl("crl2pkcs7 -nocrl -certfile both.pem -outform DER -out file.p7b");
        assert_eq!(read(&dir.read("file.p7b")).unwrap(), (certificates, Vec::new()));
        assert!(read(ca.certificate.der()).is_err());
    }

    #[test]
    fn damaged() {
        let ca = Ca::root("root");
        let whole = write(&[ca.leaf(&["a.example"]), ca.certificate.clone()], &[ca.revoke(&[&[5]], NOW)]);
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err());
        }
        let mut noise = Noise::new(14);
        for _ in 0..10_000 {
            let _ = read(&noise.damage(&whole));
            let length = noise.below(300);
            assert!(read(&noise.bytes(length)).is_err());
        }
        let mut deep = Vec::new();
        for _ in 0..20_000 {
            deep = [&[0x30, 0x84], &u32::try_from(deep.len()).unwrap().to_be_bytes()[..], &deep].concat();
            if deep.len() > 60_000 {
                break;
            }
        }
        assert!(read(&deep).is_err());
        assert!(read(&[0x30, 0x80, 0, 0]).is_err());
        assert!(read(&vec![0x30; LARGEST + 1]).is_err());
    }
}
