//! Extensions of certificates and requests: what they say, and how it is
//! encoded (RFC 5280, section 4.2).

use std::net::IpAddr;

use x509_parser::extensions as parsed;
use x509_parser::prelude::FromDer;

use crate::certificate::{BasicConstraints, Extension};
use crate::error::{CertError, excerpt};
use crate::general_name::GeneralName;
use crate::{der, encode};

pub(crate) const SUBJECT_KEY_ID: &str = "2.5.29.14";
pub(crate) const KEY_USAGE: &str = "2.5.29.15";
pub(crate) const SUBJECT_ALT_NAME: &str = "2.5.29.17";
pub(crate) const BASIC_CONSTRAINTS: &str = "2.5.29.19";
pub(crate) const NAME_CONSTRAINTS: &str = "2.5.29.30";
pub(crate) const AUTHORITY_KEY_ID: &str = "2.5.29.35";
pub(crate) const EXTENDED_KEY_USAGE: &str = "2.5.29.37";

const WHAT: &str = "extension";

impl Extension {
    /// The names of a subject alternative name extension; `None` if it is
    /// another one, or malformed.
    pub fn alt_names(&self) -> Option<Vec<GeneralName>> {
        let names = self.read::<parsed::SubjectAlternativeName<'_>>(SUBJECT_ALT_NAME)?;
        Some(names.general_names.iter().map(GeneralName::from_parsed).collect())
    }

    /// The bits of a key usage extension, bit 0 (digitalSignature) the lowest;
    /// `None` as above.
    pub fn key_usage(&self) -> Option<u16> {
        Some(self.read::<parsed::KeyUsage>(KEY_USAGE)?.flags)
    }

    /// What a basic constraints extension says; `None` as above.
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        let read = self.read::<parsed::BasicConstraints>(BASIC_CONSTRAINTS)?;
        Some(BasicConstraints { ca: read.ca, path_length: read.path_len_constraint })
    }

    /// The purposes of an extended key usage extension as dotted decimal;
    /// `None` as above.
    pub fn extended_key_usage(&self) -> Option<Vec<String>> {
        if self.oid != EXTENDED_KEY_USAGE {
            return None;
        }
        let (list, _) = der::split(&self.der)?;
        let purposes = list.children().filter(|e| e.tag == der::OID);
        Some(purposes.map(|e| dotted(e.value)).collect())
    }

    fn read<'a, T: FromDer<'a, x509_parser::error::X509Error>>(&'a self, oid: &str) -> Option<T> {
        (self.oid == oid).then(|| T::from_der(&self.der).ok()).flatten().map(|(_, value)| value)
    }

    pub(crate) fn new(oid: &str, critical: bool, der: Vec<u8>) -> Self {
        Self { oid: oid.to_owned(), critical, der }
    }

    /// The whole extension as a certificate has it.
    pub(crate) fn encoded(&self) -> Result<Vec<u8>, CertError> {
        let oid = encode::oid(&self.oid)
            .ok_or_else(|| CertError::encoding(WHAT, format_args!("\"{}\" is no OID", self.oid)))?;
        if der::first_element(&self.der) != Some(&self.der[..]) {
            return Err(CertError::encoding(WHAT, format_args!("the value of {} is not one DER element", self.oid)));
        }
        let critical = if self.critical { encode::yes() } else { Vec::new() };
        Ok(encode::sequence([oid, critical, encode::octet_string(&self.der)]))
    }
}

pub(crate) fn of_alt_names(names: &[GeneralName], critical: bool) -> Result<Extension, CertError> {
    let names = names.iter().map(general_name).collect::<Result<Vec<_>, _>>()?;
    Ok(Extension::new(SUBJECT_ALT_NAME, critical, encode::sequence(names)))
}

pub(crate) fn of_key_usage(flags: u16) -> Extension {
    Extension::new(KEY_USAGE, true, encode::named_bits(flags))
}

pub(crate) fn of_basic_constraints(constraints: BasicConstraints) -> Extension {
    let ca = if constraints.ca { encode::yes() } else { Vec::new() };
    let length = constraints.path_length.map(|n| encode::unsigned(&n.to_be_bytes())).unwrap_or_default();
    Extension::new(BASIC_CONSTRAINTS, true, encode::sequence([ca, length]))
}

pub(crate) fn of_extended_key_usage(purposes: &[String]) -> Result<Extension, CertError> {
    let purposes = purposes.iter().map(|oid| {
        encode::oid(oid).ok_or_else(|| CertError::encoding(WHAT, format_args!("the purpose \"{oid}\" is no OID")))
    });
    let purposes = purposes.collect::<Result<Vec<_>, _>>()?;
    Ok(Extension::new(EXTENDED_KEY_USAGE, false, encode::sequence(purposes)))
}

pub(crate) fn of_subject_key_id(id: &[u8]) -> Extension {
    Extension::new(SUBJECT_KEY_ID, false, encode::octet_string(id))
}

pub(crate) fn of_authority_key_id(id: &[u8]) -> Extension {
    Extension::new(AUTHORITY_KEY_ID, false, encode::sequence([encode::implicit(0, id)]))
}

/// The dotted decimal form of the contents of an OBJECT IDENTIFIER.
pub(crate) fn dotted(value: &[u8]) -> String {
    x509_parser::der_parser::asn1_rs::Oid::new(value.into()).to_id_string()
}

fn general_name(name: &GeneralName) -> Result<Vec<u8>, CertError> {
    let text = |number: u8, text: &str| {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_graphic()) {
            let detail =
                format_args!("\"{}\" is not ASCII: give an internationalized name in its xn-- form", excerpt(text));
            return Err(CertError::encoding("alternative name", detail));
        }
        Ok(encode::implicit(number, text.as_bytes()))
    };
    match name {
        GeneralName::Email(address) => text(1, address),
        GeneralName::Dns(host) => text(2, host),
        GeneralName::Directory(name) => Ok(encode::explicit(4, name.der())),
        GeneralName::Uri(uri) => text(6, uri),
        GeneralName::Ip(IpAddr::V4(address)) => Ok(encode::implicit(7, &address.octets())),
        GeneralName::Ip(IpAddr::V6(address)) => Ok(encode::implicit(7, &address.octets())),
        GeneralName::Other(shown) => {
            Err(CertError::encoding("alternative name", format_args!("\"{shown}\" is of a kind that is not written")))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::Name;

    #[test]
    fn written_and_read() {
        let names = vec![
            GeneralName::Dns("*.a.example".to_owned()),
            GeneralName::Ip("127.0.0.1".parse().unwrap()),
            GeneralName::Ip("::1".parse().unwrap()),
            GeneralName::Email("a@b.example".to_owned()),
            GeneralName::Uri("https://a.example/?x".to_owned()),
            GeneralName::Directory(Name::parse("CN=x, O=y").unwrap()),
        ];
        assert_eq!(of_alt_names(&names, true).unwrap().alt_names().unwrap(), names);
        for flags in [1, 0b110_0000, 0x1ff, 1 << 8] {
            assert_eq!(of_key_usage(flags).key_usage(), Some(flags));
        }
        for constraints in [
            BasicConstraints { ca: false, path_length: None },
            BasicConstraints { ca: true, path_length: None },
            BasicConstraints { ca: true, path_length: Some(0) },
            BasicConstraints { ca: true, path_length: Some(300) },
        ] {
            assert_eq!(of_basic_constraints(constraints).basic_constraints(), Some(constraints));
        }
        let purposes = vec!["1.3.6.1.5.5.7.3.1".to_owned(), "2.5.29.37.0".to_owned()];
        assert_eq!(of_extended_key_usage(&purposes).unwrap().extended_key_usage().unwrap(), purposes);
        assert_eq!(of_key_usage(1).alt_names(), None);
    }

    #[test]
    fn refused() {
        for name in ["", "bücher.example", "a b", "a\n"] {
            assert!(of_alt_names(&[GeneralName::Dns(name.to_owned())], false).is_err(), "{name}");
        }
        assert!(of_alt_names(&[GeneralName::Other("x".to_owned())], false).is_err());
        assert!(of_extended_key_usage(&["server".to_owned()]).is_err());
        assert!(Extension::new("1.2.3", false, vec![5, 0, 1]).encoded().is_err());
        assert!(Extension::new("x", false, vec![5, 0]).encoded().is_err());
    }
}
