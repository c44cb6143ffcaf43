//! A writer of DER (ITU-T X.690), for the structures that are made here.
//!
//! Values are written from the inside out; each function gives one element
//! with its header. What holds a private key is wiped: see [`secret`].

use zeroize::Zeroizing;

use crate::der::{INTEGER, OCTET_STRING, OID, SEQUENCE};

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const IA5_STRING: u8 = 0x16;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SET: u8 = 0x31;

/// One element.
pub(crate) fn element(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 10);
    header(&mut out, tag, value.len());
    out.extend_from_slice(value);
    out
}

/// One element whose contents are other elements, in order.
pub(crate) fn constructed<P: AsRef<[u8]>>(tag: u8, parts: impl IntoIterator<Item = P>) -> Vec<u8> {
    let mut value = Vec::new();
    for part in parts {
        value.extend_from_slice(part.as_ref());
    }
    element(tag, &value)
}

/// A SEQUENCE of other elements.
pub(crate) fn sequence<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Vec<u8> {
    constructed(SEQUENCE, parts)
}

/// A SET OF, whose elements DER wants in the order of their encodings.
pub(crate) fn set_of(mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    parts.sort();
    constructed(SET, parts)
}

/// A constructed element with a context-specific tag, as EXPLICIT makes it.
pub(crate) fn explicit(number: u8, inner: &[u8]) -> Vec<u8> {
    element(0xa0 | number, inner)
}

/// A primitive element with a context-specific tag, as IMPLICIT makes it.
pub(crate) fn implicit(number: u8, value: &[u8]) -> Vec<u8> {
    element(0x80 | number, value)
}

/// A non-negative INTEGER from its big-endian digits.
pub(crate) fn unsigned(digits: &[u8]) -> Vec<u8> {
    let first = digits.iter().position(|b| *b != 0).unwrap_or(digits.len());
    let digits = digits.get(first..).unwrap_or_default();
    let mut value = Vec::with_capacity(digits.len() + 1);
    // The highest bit is the sign.
    if digits.first().is_none_or(|b| b & 0x80 != 0) {
        value.push(0);
    }
    value.extend_from_slice(digits);
    element(INTEGER, &value)
}

/// BOOLEAN TRUE. FALSE is everywhere a default, so never written.
pub(crate) fn yes() -> Vec<u8> {
    element(BOOLEAN, &[0xff])
}

/// A BIT STRING of whole octets.
pub(crate) fn bit_string(octets: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(octets.len() + 1);
    value.push(0);
    value.extend_from_slice(octets);
    element(BIT_STRING, &value)
}

/// A BIT STRING of named bits: bit 0 is the lowest of `flags` and the highest
/// of the first octet; trailing zeros are left out.
pub(crate) fn named_bits(flags: u16) -> Vec<u8> {
    let [high, low] = flags.reverse_bits().to_be_bytes();
    let octets: &[u8] = match (high, low) {
        (0, 0) => &[],
        (_, 0) => &[high],
        _ => &[high, low],
    };
    let unused = octets.last().map_or(0, |b| b.trailing_zeros());
    let mut value = vec![u8::try_from(unused).unwrap_or(0)];
    value.extend_from_slice(octets);
    element(BIT_STRING, &value)
}

/// An OBJECT IDENTIFIER of its dotted decimal form; `None` if it is none.
pub(crate) fn oid(dotted: &str) -> Option<Vec<u8>> {
    let arcs: Option<Vec<u64>> = dotted.split('.').map(arc).collect();
    let arcs = arcs?;
    let [first, second, rest @ ..] = &arcs[..] else {
        return None;
    };
    if *first > 2 || (*first < 2 && *second > 39) {
        return None;
    }
    let mut value = Vec::new();
    base128(&mut value, first.checked_mul(40)?.checked_add(*second)?);
    for arc in rest {
        base128(&mut value, *arc);
    }
    Some(element(OID, &value))
}

/// An OCTET STRING with a secret in it, wiped when it is dropped.
pub(crate) fn secret(tag: u8, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    // Growing would leave an unwiped copy behind.
    let mut out = Zeroizing::new(Vec::with_capacity(length + 10));
    header(&mut out, tag, length);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// An OCTET STRING.
pub(crate) fn octet_string(value: &[u8]) -> Vec<u8> {
    element(OCTET_STRING, value)
}

fn header(out: &mut Vec<u8>, tag: u8, length: usize) {
    out.push(tag);
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let digits = length.to_be_bytes();
            let digits = digits.iter().copied().skip_while(|b| *b == 0);
            let count = u8::try_from(digits.clone().count()).unwrap_or(0);
            out.push(0x80 | count);
            out.extend(digits);
        }
    }
}

fn arc(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn base128(out: &mut Vec<u8>, number: u64) {
    let mut shift = 63;
    while shift > 0 && number >> shift == 0 {
        shift -= 7;
    }
    while shift > 0 {
        out.push(0x80 | low_seven(number >> shift));
        shift -= 7;
    }
    out.push(low_seven(number));
}

fn low_seven(number: u64) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::der;

    #[test]
    fn lengths_are_the_shortest_and_read_back() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000] {
            let value = vec![7; length];
            let encoded = element(OCTET_STRING, &value);
            let (read, rest) = der::split(&encoded).unwrap();
            assert_eq!((read.value, rest), (&value[..], &[][..]));
        }
        assert_eq!(element(4, &[0; 0x80])[..3], [4, 0x81, 0x80]);
        assert_eq!(*secret(4, &[&[1, 2], &[3]]), [4, 3, 1, 2, 3]);
    }

    #[test]
    fn integers() {
        assert_eq!(unsigned(&[]), [2, 1, 0]);
        assert_eq!(unsigned(&[0, 0]), [2, 1, 0]);
        assert_eq!(unsigned(&[0x7f]), [2, 1, 0x7f]);
        assert_eq!(unsigned(&[0, 0x80]), [2, 2, 0, 0x80]);
    }

    #[test]
    fn identifiers() {
        for (dotted, value) in [
            ("1.2.840.113549.1.9.1", &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1][..]),
            ("2.5.29.17", &[0x55, 0x1d, 0x11]),
            ("2.999.3", &[0x88, 0x37, 3]),
            ("0.9.2342.19200300.100.1.25", &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25]),
        ] {
            assert_eq!(oid(dotted).unwrap()[2..], *value, "{dotted}");
        }
        for wrong in ["", "1", "3.1", "1.40", "1..2", "1.2.", "a.b", "1.+2", "1.2.99999999999999999999999"] {
            assert_eq!(oid(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn bits() {
        assert_eq!(named_bits(0), [3, 1, 0]);
        assert_eq!(named_bits(1), [3, 2, 7, 0x80]);
        assert_eq!(named_bits(0b110_0000), [3, 2, 1, 0b0000_0110]);
        assert_eq!(named_bits(1 << 8), [3, 3, 7, 0, 0x80]);
        assert_eq!(bit_string(&[5]), [3, 2, 0, 5]);
    }
}
