//! Distinguished names (X.501, RFC 5280 section 4.1.2.4) and their text forms.

use std::fmt::{self, Write as _};

use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

use crate::error::CertError;
use crate::name_parse;

const COMMON_NAME: &str = "2.5.4.3";
const ORGANIZATION: &str = "2.5.4.10";
const ORGANIZATIONAL_UNIT: &str = "2.5.4.11";
const EMAIL: &str = "1.2.840.113549.1.9.1";

/// The distinguished name of a certificate's subject or issuer.
///
/// Two names are equal if their encodings are, which is how issuers are
/// matched to subjects (RFC 5280, section 7.1, as implementations do it).
#[derive(Clone)]
pub struct Name {
    der: Box<[u8]>,
    rdns: Vec<Vec<Attribute>>,
}

/// One attribute of a [`Name`], such as the common name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The attribute's type as dotted decimal, e.g. `2.5.4.3`.
    pub oid: String,
    /// Its value as text; `#` and the DER in hexadecimal if it is no string
    /// (RFC 4514, section 2.4).
    pub value: String,
}

impl Name {
    /// Reads a name as one writes it: `CN=a.example, O=Example` or
    /// `/CN=a.example/O=Example`, encoded in the order in which it is written.
    ///
    /// Values with special characters stand in double quotes or have them
    /// escaped as RFC 4514 says; `+` joins attributes of one part; types are
    /// the usual short names in any case, or dotted decimal. An empty text is
    /// the empty name. [`Name::x500`] writes what this reads, as long as no
    /// value has a backslash.
    pub fn parse(text: &str) -> Result<Self, CertError> {
        name_parse::parse(text)
    }

    /// Reads a DER encoding.
    pub fn from_der(der: &[u8]) -> Result<Self, CertError> {
        const WHAT: &str = "distinguished name";
        match X509Name::from_der(der) {
            Ok(([], parsed)) => Ok(Self::from_parsed(&parsed)),
            Ok(_) => Err(CertError::encoding(WHAT, "more octets after its end")),
            Err(error) => Err(CertError::encoding(WHAT, error)),
        }
    }

    /// The first value of the attribute `oid` (dotted decimal), or `None`.
    pub fn attribute(&self, oid: &str) -> Option<&str> {
        self.attributes().find(|a| a.oid == oid).map(|a| a.value.as_str())
    }

    /// All attributes in the order of the encoding.
    pub fn attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.rdns.iter().flatten()
    }

    /// The first common name.
    pub fn common_name(&self) -> Option<&str> {
        self.attribute(COMMON_NAME)
    }

    /// What to show where there is room for one word: the common name, else
    /// the organizational unit, the organization, the e-mail address, or the
    /// whole name.
    pub fn simple_display(&self) -> String {
        [COMMON_NAME, ORGANIZATIONAL_UNIT, ORGANIZATION, EMAIL]
            .iter()
            .find_map(|oid| self.attribute(oid))
            .map_or_else(|| self.rfc4514(), str::to_owned)
    }

    /// The name as RFC 4514 writes it: most specific part first,
    /// `CN=a.example,O=Example,C=DE`.
    pub fn rfc4514(&self) -> String {
        let rdns = self.rdns.iter().rev().map(|rdn| {
            let attributes = rdn.iter().map(|a| match keyword(&a.oid) {
                Some(word) => format!("{word}={}", escape(&a.value)),
                None => format!("{}={}", a.oid, escape(&a.value)),
            });
            attributes.collect::<Vec<_>>().join("+")
        });
        rdns.collect::<Vec<_>>().join(",")
    }

    /// The name as Windows writes it: in the order of the encoding, values
    /// with special characters in double quotes,
    /// `C=DE, O="Example, Inc.", CN=a.example`.
    pub fn x500(&self) -> String {
        self.x500_joined(", ")
    }

    /// The same with something else than a comma and a space between its
    /// parts.
    pub fn x500_joined(&self, separator: &str) -> String {
        let rdns = self.rdns.iter().map(|rdn| {
            let attributes = rdn.iter().map(|a| match windows_keyword(&a.oid) {
                Some(word) => format!("{word}={}", quote(&a.value)),
                None => format!("OID.{}={}", a.oid, quote(&a.value)),
            });
            attributes.collect::<Vec<_>>().join(" + ")
        });
        rdns.collect::<Vec<_>>().join(separator)
    }

    /// The DER encoding.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Whether the name has no attribute at all.
    pub fn is_empty(&self) -> bool {
        self.rdns.is_empty()
    }

    pub(crate) fn from_parsed(name: &X509Name<'_>) -> Self {
        let rdns = name.iter().map(|rdn| {
            let attributes = rdn.iter().map(|attribute| {
                let value = attribute.attr_value();
                Attribute { oid: attribute.attr_type().to_id_string(), value: text(value.tag().0, value.data) }
            });
            attributes.collect()
        });
        Self { der: name.as_raw().into(), rdns: rdns.collect() }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc4514())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({})", self.rfc4514())
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Name {}

/// The short names of RFC 4514, section 3, and those that everybody knows.
fn keyword(oid: &str) -> Option<&'static str> {
    Some(match oid {
        COMMON_NAME => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "STREET",
        ORGANIZATION => "O",
        ORGANIZATIONAL_UNIT => "OU",
        "2.5.4.12" => "title",
        "2.5.4.42" => "GN",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        EMAIL => "emailAddress",
        _ => return None,
    })
}

/// The short names that Windows uses.
fn windows_keyword(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.5" => "SERIALNUMBER",
        "2.5.4.8" => "S",
        "2.5.4.12" => "T",
        "2.5.4.42" => "G",
        "0.9.2342.19200300.100.1.1" => return None,
        EMAIL => "E",
        other => return keyword(other),
    })
}

/// The type that a short name stands for, in any case.
pub(crate) fn keyword_oid(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_uppercase().as_str() {
        "CN" => COMMON_NAME,
        "SN" | "SURNAME" => "2.5.4.4",
        "SERIALNUMBER" => "2.5.4.5",
        "C" => "2.5.4.6",
        "L" => "2.5.4.7",
        "ST" | "S" => "2.5.4.8",
        "STREET" => "2.5.4.9",
        "O" => ORGANIZATION,
        "OU" => ORGANIZATIONAL_UNIT,
        "TITLE" | "T" => "2.5.4.12",
        "GN" | "G" | "GIVENNAME" => "2.5.4.42",
        "UID" => "0.9.2342.19200300.100.1.1",
        "DC" => "0.9.2342.19200300.100.1.25",
        "E" | "EMAIL" | "EMAILADDRESS" => EMAIL,
        _ => return None,
    })
}

/// A value with the characters escaped that RFC 4514, section 2.4 names.
fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (i, character) in value.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => escaped.push('\\'),
            ' ' if i == 0 || i == last => escaped.push('\\'),
            // A leading # is left alone: it stands for a value that is no string.
            '\0'..='\x1f' | '\x7f' => {
                let _infallible = write!(escaped, "\\{:02x}", u32::from(character));
                continue;
            }
            _ => {}
        }
        escaped.push(character);
    }
    escaped
}

/// A value in double quotes if it needs them, inner ones doubled.
fn quote(value: &str) -> String {
    let special = |c: char| matches!(c, ',' | '+' | '=' | '"' | '<' | '>' | '#' | ';' | '\n');
    if value.is_empty() || value.trim() != value || value.contains(special) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value.to_owned()
    }
}

/// The text of an ASN.1 string; of anything else, its DER in hexadecimal.
fn text(tag: u32, data: &[u8]) -> String {
    match tag {
        // UTF8String, NumericString, PrintableString, IA5String, VisibleString
        12 | 18 | 19 | 22 | 26 => match std::str::from_utf8(data) {
            Ok(text) => text.to_owned(),
            Err(_) => latin1(data),
        },
        // TeletexString, which in practice is Latin 1
        20 => latin1(data),
        // BMPString
        30 => {
            let units = data.chunks(2).map(|pair| pair.iter().fold(0, |n, b| n << 8 | u16::from(*b)));
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        // UniversalString
        28 => data
            .chunks(4)
            .map(|four| four.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
            .map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect(),
        _ => data.iter().fold(String::from("#"), |mut hex, byte| {
            let _infallible = write!(hex, "{byte:02x}");
            hex
        }),
    }
}

fn latin1(data: &[u8]) -> String {
    data.iter().map(|b| char::from(*b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(rdns: &[&[(&str, &str)]]) -> Name {
        let rdns = rdns.iter().map(|rdn| {
            let attributes =
                rdn.iter().map(|(oid, value)| Attribute { oid: (*oid).to_owned(), value: (*value).to_owned() });
            attributes.collect()
        });
        Name { der: Box::default(), rdns: rdns.collect() }
    }

    #[test]
    fn forms() {
        let full = name(&[
            &[("2.5.4.6", "DE")],
            &[("2.5.4.8", "Hessen")],
            &[("2.5.4.10", "Example, \"Inc.\"")],
            &[("2.5.4.3", " a"), ("1.2.3", "x+y")],
        ]);
        assert_eq!(full.rfc4514(), "CN=\\ a+1.2.3=x\\+y,O=Example\\, \\\"Inc.\\\",ST=Hessen,C=DE");
        assert_eq!(full.x500(), "C=DE, S=Hessen, O=\"Example, \"\"Inc.\"\"\", CN=\" a\" + OID.1.2.3=\"x+y\"");
        assert_eq!(full.common_name(), Some(" a"));
        assert_eq!(full.attribute("1.2.3"), Some("x+y"));
        assert_eq!(full.attribute("1.2.4"), None);
        assert_eq!(full.to_string(), full.rfc4514());
    }

    #[test]
    fn short_form() {
        let cases: [(&[(&str, &str)], &str); 6] = [
            (&[("2.5.4.3", "cn"), ("2.5.4.11", "ou")], "cn"),
            (&[("2.5.4.10", "o"), ("2.5.4.11", "ou")], "ou"),
            (&[("2.5.4.10", "o"), (EMAIL, "e")], "o"),
            (&[("2.5.4.6", "DE"), (EMAIL, "e")], "e"),
            (&[("2.5.4.6", "DE")], "C=DE"),
            (&[], ""),
        ];
        for (attributes, shown) in cases {
            assert_eq!(name(&[attributes]).simple_display(), shown);
        }
    }

    #[test]
    fn strings() {
        assert_eq!(text(12, "Zürich".as_bytes()), "Zürich");
        assert_eq!(text(12, b"Z\xfcrich"), "Zürich");
        assert_eq!(text(20, b"Z\xfcrich"), "Zürich");
        assert_eq!(text(30, &[0, 0x5a, 0xd8, 0x3d, 0xde, 0x00, 0xd8, 0]), "Z😀\u{fffd}");
        assert_eq!(text(28, &[0, 1, 0xf6, 0, 0xff, 0xff, 0xff, 0xff]), "😀\u{fffd}");
        assert_eq!(text(2, &[0x0a, 0xff]), "#0aff");
    }

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(escape("a\nb\0"), "a\\0ab\\00");
        assert_eq!(escape("  "), "\\ \\ ");
    }
}
