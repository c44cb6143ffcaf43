//! A reader for the few DER structures that are looked at without a parser
//! of their own.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;

/// One element: its tag and its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    /// The identifier octet. Multi-octet tags are not read.
    pub(crate) tag: u8,
    /// The contents octets.
    pub(crate) value: &'a [u8],
}

impl<'a> Element<'a> {
    /// Whether the contents are elements themselves.
    pub(crate) fn is_constructed(self) -> bool {
        self.tag & 0x20 != 0
    }

    /// The elements inside; ends at the first that is malformed.
    pub(crate) fn children(self) -> Elements<'a> {
        Elements { rest: self.value }
    }

    /// The value of a non-negative INTEGER; `u64::MAX` if it does not fit.
    pub(crate) fn unsigned(self) -> Option<u64> {
        if self.tag != INTEGER || self.value.first().is_none_or(|first| first & 0x80 != 0) {
            return None;
        }
        let digits: Vec<u8> = self.value.iter().copied().skip_while(|b| *b == 0).collect();
        if digits.len() > 8 {
            return Some(u64::MAX);
        }
        Some(digits.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
    }
}

/// An iterator over the elements of a run of DER.
#[derive(Clone, Debug)]
pub(crate) struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Elements<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let (element, rest) = split(self.rest)?;
        self.rest = rest;
        Some(element)
    }
}

/// Splits the first element off `bytes`.
pub(crate) fn split(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let octets = usize::from(first & 0x7f);
        if octets == 0 || octets > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(octets)?;
        let length = digits.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
        (usize::try_from(length).ok()?, rest)
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((Element { tag, value }, rest))
}

/// The first element of `bytes`, header included.
pub(crate) fn first_element(bytes: &[u8]) -> Option<&[u8]> {
    let (_, rest) = split(bytes)?;
    bytes.get(..bytes.len() - rest.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn elements() {
        let bytes = [0x30, 0x05, 0x02, 0x01, 0x07, 0x05, 0x00, 0xff];
        let (outer, rest) = split(&bytes).unwrap();
        assert_eq!((outer.tag, rest), (SEQUENCE, &[0xff][..]));
        let children: Vec<_> = outer.children().collect();
        assert_eq!(children.len(), 2);
        assert_eq!(children[0].unsigned(), Some(7));
        assert_eq!(first_element(&bytes), Some(&bytes[..7]));
    }

    #[test]
    fn lengths() {
        assert!(split(&[]).is_none());
        assert!(split(&[0x30]).is_none());
        assert!(split(&[0x30, 0x80, 0, 0]).is_none(), "indefinite");
        assert!(split(&[0x30, 0x85, 0, 0, 0, 0, 0]).is_none());
        assert!(split(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).is_none());
        let mut long = vec![0x04, 0x82, 0x01, 0x00];
        long.extend([9; 256]);
        assert_eq!(split(&long).unwrap().0.value.len(), 256);
    }

    #[test]
    fn integers() {
        let int = |value| Element { tag: INTEGER, value };
        assert_eq!(int(&[]).unsigned(), None);
        assert_eq!(int(&[0xff]).unsigned(), None);
        assert_eq!(int(&[0]).unsigned(), Some(0));
        assert_eq!(int(&[0, 0xff, 0xff]).unsigned(), Some(0xffff));
        assert_eq!(int(&[1; 9]).unsigned(), Some(u64::MAX));
    }
}
