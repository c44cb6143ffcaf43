//! The reading of distinguished names from text.

use crate::encode::{self, IA5_STRING, PRINTABLE_STRING, UTF8_STRING};
use crate::error::{CertError, excerpt};
use crate::name::{Name, keyword_oid};

const WHAT: &str = "distinguished name";
const COUNTRY: &str = "2.5.4.6";
/// Upper bounds of X.520 stop at 64; nobody keeps to them, but there are bounds.
const LONGEST_VALUE: usize = 4096;

/// Reads `CN=x, O=y` or `/CN=x/O=y`; the parts are encoded in the order in
/// which they are written.
///
/// Values may be in double quotes, inner ones doubled or escaped; `\` escapes
/// the next character, or two hexadecimal digits an octet (RFC 4514, section
/// 2.4). `+` joins attributes of one part. Attribute types are short names in
/// any case, or dotted decimal with or without `OID.` in front.
pub(crate) fn parse(text: &str) -> Result<Name, CertError> {
    let trimmed = text.trim();
    let slashed = trimmed.strip_prefix('/');
    let mut reader = Reader { rest: slashed.unwrap_or(trimmed), slashed: slashed.is_some() };
    let mut rdns = Vec::new();
    while !reader.rest.trim().is_empty() {
        rdns.push(encode::set_of(reader.rdn()?));
    }
    Name::from_der(&encode::sequence(rdns))
}

struct Reader<'a> {
    rest: &'a str,
    slashed: bool,
}

/// What stood behind a value.
#[derive(PartialEq)]
enum Stop {
    Plus,
    Part,
    End,
}

impl Reader<'_> {
    /// The attributes of one part, encoded.
    fn rdn(&mut self) -> Result<Vec<Vec<u8>>, CertError> {
        let mut attributes = Vec::new();
        loop {
            let Some((kind, rest)) = self.rest.split_once('=') else {
                return Err(malformed(format_args!("\"{}\" is not of the form TYPE=VALUE", excerpt(self.rest.trim()))));
            };
            self.rest = rest;
            let oid = attribute_type(kind.trim())?;
            let (value, stop) = self.value()?;
            attributes.push(attribute(&oid, &value)?);
            match stop {
                Stop::Plus => {}
                Stop::Part if self.rest.trim().is_empty() => {
                    return Err(malformed("a separator has nothing behind it"));
                }
                Stop::Part | Stop::End => return Ok(attributes),
            }
        }
    }

    fn value(&mut self) -> Result<(String, Stop), CertError> {
        let text = self.rest.trim_start();
        match text.strip_prefix('"') {
            Some(quoted) => self.quoted(quoted),
            None => self.plain(text),
        }
    }

    fn quoted(&mut self, text: &str) -> Result<(String, Stop), CertError> {
        let mut value = Vec::new();
        let mut chars = text.char_indices().peekable();
        while let Some((at, character)) = chars.next() {
            match character {
                '"' if chars.peek().is_some_and(|(_, next)| *next == '"') => {
                    chars.next();
                    value.push(b'"');
                }
                '"' => {
                    let rest = text.get(at + 1..).unwrap_or_default().trim_start().to_owned();
                    let mut chars = rest.chars();
                    let stop = match chars.next() {
                        None => Stop::End,
                        Some(c) => self
                            .separator(c)
                            .ok_or_else(|| malformed(format_args!("\"{}\" follows a closing quote", excerpt(&rest))))?,
                    };
                    self.skip_to(chars.as_str());
                    return Ok((utf8(value)?, stop));
                }
                '\\' => escaped(&mut chars, &mut value)?,
                other => push(&mut value, other),
            }
        }
        Err(malformed("a quote is not closed"))
    }

    fn plain(&mut self, text: &str) -> Result<(String, Stop), CertError> {
        let mut value = Vec::new();
        // What an escape made is never trimmed.
        let mut kept = 0;
        let mut chars = text.char_indices().peekable();
        while let Some((at, character)) = chars.next() {
            if let Some(stop) = self.separator(character) {
                let rest = text.get(at + character.len_utf8()..).unwrap_or_default().to_owned();
                self.skip_to(&rest);
                return Ok((finish(value, kept)?, stop));
            }
            if character == '\\' {
                escaped(&mut chars, &mut value)?;
                kept = value.len();
            } else {
                push(&mut value, character);
            }
        }
        self.rest = "";
        Ok((finish(value, kept)?, Stop::End))
    }

    /// `rest` is always a tail of what is being read.
    fn skip_to(&mut self, rest: &str) {
        let at = self.rest.len().saturating_sub(rest.len());
        self.rest = self.rest.get(at..).unwrap_or_default();
    }

    fn separator(&self, character: char) -> Option<Stop> {
        match character {
            '+' => Some(Stop::Plus),
            '/' if self.slashed => Some(Stop::Part),
            ',' | ';' if !self.slashed => Some(Stop::Part),
            _ => None,
        }
    }
}

fn escaped(chars: &mut std::iter::Peekable<std::str::CharIndices<'_>>, value: &mut Vec<u8>) -> Result<(), CertError> {
    let Some((_, first)) = chars.next() else {
        return Err(malformed("it ends with a backslash"));
    };
    let second = chars.peek().and_then(|(_, c)| c.to_digit(16));
    match (first.to_digit(16), second) {
        (Some(high), Some(low)) => {
            chars.next();
            value.push(u8::try_from(high * 16 + low).unwrap_or(0));
        }
        _ => push(value, first),
    }
    Ok(())
}

fn push(value: &mut Vec<u8>, character: char) {
    value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

fn finish(mut value: Vec<u8>, kept: usize) -> Result<String, CertError> {
    while value.len() > kept && value.last().is_some_and(u8::is_ascii_whitespace) {
        value.pop();
    }
    utf8(value)
}

fn utf8(value: Vec<u8>) -> Result<String, CertError> {
    String::from_utf8(value).map_err(|_| malformed("its escapes are not UTF-8"))
}

fn attribute_type(kind: &str) -> Result<String, CertError> {
    let dotted = kind.strip_prefix("OID.").or_else(|| kind.strip_prefix("oid.")).unwrap_or(kind);
    if encode::oid(dotted).is_some() {
        return Ok(dotted.to_owned());
    }
    let known = keyword_oid(kind).map(str::to_owned);
    known.ok_or_else(|| malformed(format_args!("\"{}\" is no known attribute type, nor an OID", excerpt(kind))))
}

fn attribute(kind: &str, value: &str) -> Result<Vec<u8>, CertError> {
    let bad = |why: &str| malformed(format_args!("the value \"{}\" of attribute {kind} {why}", excerpt(value)));
    if value.is_empty() || value.len() > LONGEST_VALUE {
        return Err(bad("is empty or too long"));
    }
    let tag = match kind {
        COUNTRY if value.len() != 2 || !value.bytes().all(|b| b.is_ascii_alphabetic()) => {
            return Err(bad("is no country code of two letters"));
        }
        // Serial number and qualifier are printable strings (RFC 5280, appendix A.1).
        COUNTRY | "2.5.4.5" | "2.5.4.46" => PRINTABLE_STRING,
        // Domain component and e-mail address.
        "0.9.2342.19200300.100.1.25" | "1.2.840.113549.1.9.1" => IA5_STRING,
        _ => UTF8_STRING,
    };
    if tag != UTF8_STRING && !value.is_ascii() {
        return Err(bad("is not ASCII"));
    }
    let oid = encode::oid(kind).ok_or_else(|| bad("has no type"))?;
    Ok(encode::sequence([oid, encode::element(tag, value.as_bytes())]))
}

fn malformed(detail: impl std::fmt::Display) -> CertError {
    CertError::encoding(WHAT, detail)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::testing::Noise;

    #[test]
    fn both_notations() {
        for (text, shown) in [
            ("CN=a.example", "CN=a.example"),
            ("CN=a, O=b", "CN=a, O=b"),
            ("/CN=a/O=b, c", "CN=a, O=\"b, c\""),
            (" cn = a b ;o=  c ", "CN=a b, O=c"),
            ("C=DE, ST=Hessen, DC=example, DC=com, E=a@b", "C=DE, S=Hessen, DC=example, DC=com, E=a@b"),
            ("CN=a+OU=b,O=c", "CN=a + OU=b, O=c"),
            (r#"O="Example, ""Inc.""", CN=x"#, r#"O="Example, ""Inc.""", CN=x"#),
            (r"CN=a\,b\ ,O=\c3\bc", "CN=\"a,b \", O=ü"),
            ("1.2.3.4=x, OID.2.5.4.3=y", "OID.1.2.3.4=x, CN=y"),
            ("CN=Zürich", "CN=Zürich"),
            ("", ""),
            ("/", ""),
        ] {
            let name = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(name.x500(), shown, "{text}");
            assert_eq!(parse(&name.x500()).unwrap(), name, "{text}");
        }
    }

    #[test]
    fn refused() {
        for text in [
            "a",
            "CN",
            "CN=",
            "CN=a,",
            "CN=a, b",
            "XY=a",
            "C=Deutschland",
            "C=D1",
            "E=ä@b",
            "CN=\"a",
            "CN=\"a\"b",
            "CN=a\\",
            "CN=\\ff",
            "=a",
            "CN=a+",
            "1.2=",
            "3.1=a",
            "/CN=a/",
            "CN=a,,O=b",
        ] {
            assert!(matches!(parse(text), Err(CertError::BadEncoding { what: WHAT, .. })), "{text}");
        }
        assert!(parse(&format!("CN={}", "a".repeat(5000))).is_err());
    }

    #[test]
    fn any_text_ends() {
        let mut noise = Noise::new(11);
        let base = r#"/CN=a\,b, O="x ""y""" + OU=ü;1.2.3=\c3\bc"#;
        for _ in 0..20_000 {
            let damaged = noise.damage(base.as_bytes());
            let _ = parse(&String::from_utf8_lossy(&damaged));
        }
    }
}
