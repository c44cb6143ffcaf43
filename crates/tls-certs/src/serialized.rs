//! Serialised certificate stores, as Windows saves them in `.sst` files: a
//! list of certificates and revocation lists, with their properties
//! ([MS-OSHARED], sections 2.3.2.5 and 2.3.9.1; `wincrypt.h` has the numbers).
//!
//! Private keys are never in them, only the names of where Windows has them.

use crate::certificate::Certificate;
use crate::crl::RevocationList;
use crate::error::CertError;

const WHAT: &str = "serialized certificate store";
/// More than the certificates of all public roots.
const LARGEST: usize = 64 << 20;

const VERSION: u32 = 0;
/// The letters `CERT`.
const FILE_TYPE: u32 = 0x5452_4543;
const END: u32 = 0;
const CERTIFICATE: u32 = 32;
const REVOCATION_LIST: u32 = 33;
/// ASN.1 of X.509. What else the number says, that of messages, does not matter.
const X509_ENCODING: u32 = 1;
const ENCODING_MASK: u32 = 0xffff;

/// All certificates and revocation lists, in order. Properties are left out,
/// and so are lists of trusted certificates.
pub(crate) fn read(bytes: &[u8]) -> Result<(Vec<Certificate>, Vec<RevocationList>), CertError> {
    if bytes.len() > LARGEST {
        return Err(CertError::encoding(WHAT, "it is too large"));
    }
    let mut rest = bytes;
    if (number(&mut rest)?, number(&mut rest)?) != (VERSION, FILE_TYPE) {
        return Err(CertError::encoding(WHAT, "it does not begin as one"));
    }
    let (mut certificates, mut lists) = (Vec::new(), Vec::new());
    loop {
        let [id, encoding, length] = [number(&mut rest)?, number(&mut rest)?, number(&mut rest)?];
        if id == END {
            return match (encoding, length, rest) {
                (0, 0, []) => Ok((certificates, lists)),
                _ => Err(CertError::encoding(WHAT, "its end is none")),
            };
        }
        let length = usize::try_from(length).map_err(|_| cut_off())?;
        let (value, after) = rest.split_at_checked(length).ok_or_else(cut_off)?;
        rest = after;
        match id {
            CERTIFICATE | REVOCATION_LIST if encoding & ENCODING_MASK != X509_ENCODING => {
                return Err(CertError::encoding(WHAT, "it has something other than X.509"));
            }
            CERTIFICATE => certificates.push(Certificate::from_der(value)?),
            REVOCATION_LIST => lists.push(RevocationList::from_der(value)?),
            _ => {}
        }
    }
}

/// The certificates and revocation lists, without any property.
pub(crate) fn write(certificates: &[Certificate], lists: &[RevocationList]) -> Vec<u8> {
    let mut out: Vec<u8> = [VERSION, FILE_TYPE].into_iter().flat_map(u32::to_le_bytes).collect();
    let certificates = certificates.iter().map(|certificate| (CERTIFICATE, certificate.der().as_ref()));
    for (id, der) in certificates.chain(lists.iter().map(|list| (REVOCATION_LIST, list.der()))) {
        // None that is read anywhere has 4 GB.
        let length = u32::try_from(der.len()).unwrap_or(u32::MAX);
        out.extend([id, X509_ENCODING, length].into_iter().flat_map(u32::to_le_bytes));
        out.extend(der);
    }
    out.extend([END, 0, 0].into_iter().flat_map(u32::to_le_bytes));
    out
}

/// Takes a number off the start of `rest`; they are little-endian.
fn number(rest: &mut &[u8]) -> Result<u32, CertError> {
    let (number, after) = rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
    *rest = after;
    Ok(u32::from_le_bytes(*number))
}

fn cut_off() -> CertError {
    CertError::encoding(WHAT, "it is cut off")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::{Ca, NOW, Noise};

    fn element(id: u32, encoding: u32, value: &[u8]) -> Vec<u8> {
        let head = [id, encoding, u32::try_from(value.len()).unwrap()];
        [head.map(u32::to_le_bytes).concat(), value.to_vec()].concat()
    }

    #[test]
    fn as_windows_writes_them() {
        let ca = Ca::root("root");
        let (leaf, list) = (ca.leaf(&["a.example"]), ca.revoke(&[&[1]], NOW + 60));
        let bytes = [
            b"\0\0\0\0CERT".to_vec(),
            // properties: a thumbprint, where the key is, a friendly name
            element(3, 1, &leaf.sha1_thumbprint()),
            element(2, 1, &[7; 90]),
            element(11, 1, b"f\0n\0\0\0"),
            element(32, 1, leaf.der()),
            element(32, 0x1_0001, ca.certificate.der()),
            element(3, 1, &[9; 20]),
            element(33, 1, list.der()),
            element(34, 1, b"a list of trusted ones"),
            vec![0; 12],
        ];
        let (certificates, lists) = read(&bytes.concat()).unwrap();
        assert_eq!((&certificates[..], &lists[..]), (&[leaf, ca.certificate][..], &[list][..]));
        assert!(certificates[0].private_key().is_none());
        let written = write(&certificates, &lists);
        assert!(written.starts_with(b"\0\0\0\0CERT\x20\0\0\0\x01\0\0\0"));
        assert_eq!(read(&written).unwrap(), (certificates, lists));
        assert_eq!(read(&write(&[], &[])).unwrap(), (Vec::new(), Vec::new()));
    }

    #[test]
    fn damaged() {
        let ca = Ca::root("root");
        let good = write(std::slice::from_ref(&ca.certificate), &[ca.revoke(&[&[1]], NOW + 60)]);
        for length in 0..good.len() {
            assert!(read(&good[..length]).is_err());
        }
        assert!(read(&[&good[..], b"x"].concat()).is_err());
        assert!(read(&[&b"\0\0\0\0CERT"[..], &element(32, 2, ca.certificate.der()), &[0; 12]].concat()).is_err());
        assert!(read(b"\0\0\0\0CERT\x20\0\0\0\x01\0\0\0\xff\xff\xff\xff").is_err());
        let mut noise = Noise::new(19);
        for _ in 0..5000 {
            let _ = read(&noise.damage(&good));
            let length = noise.below(300);
            assert!(read(&noise.bytes(length)).is_err());
        }
    }
}
