//! The name under which a server is to be authenticated.

use std::fmt;
use std::net::IpAddr;

use rustls::pki_types::{DnsName, ServerName};

/// A host as a certificate names it: a DNS name or an IP address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PeerName {
    /// A DNS name, without a trailing dot, in lower case.
    Dns(DnsName<'static>),
    /// An IP address.
    Ip(IpAddr),
}

impl PeerName {
    /// Reads a DNS name or an IP address.
    ///
    /// Absolute names (with a trailing dot) and IPv6 addresses in brackets are
    /// understood; internationalized names only in their ASCII form
    /// (`xn--…`, RFC 5890).
    pub fn parse(text: &str) -> Result<Self, PeerNameError> {
        if text.is_empty() {
            return Err(PeerNameError::Empty);
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            return match inner.parse() {
                Ok(address @ IpAddr::V6(_)) => Ok(Self::Ip(address)),
                _ => Err(PeerNameError::Malformed(text.to_owned())),
            };
        }
        if !text.is_ascii() {
            return Err(PeerNameError::NotAscii(text.to_owned()));
        }
        let relative = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        // A name that looks like an address was meant as one.
        if relative.split('.').all(|l| !l.is_empty() && l.bytes().all(|b| b.is_ascii_digit())) {
            return Err(PeerNameError::Malformed(text.to_owned()));
        }
        DnsName::try_from(relative).map(Self::Dns).map_err(|_| PeerNameError::Malformed(text.to_owned()))
    }

    /// The same name in the type that rustls asks for.
    pub fn to_rustls(&self) -> ServerName<'static> {
        match self {
            Self::Dns(name) => ServerName::DnsName(name.clone()),
            Self::Ip(address) => ServerName::IpAddress((*address).into()),
        }
    }

    /// The name to send as SNI: addresses are not sent (RFC 6066, section 3).
    pub fn sni(&self) -> Option<&str> {
        match self {
            Self::Dns(name) => Some(name.as_ref()),
            Self::Ip(_) => None,
        }
    }

    pub(crate) fn from_rustls(name: &ServerName<'_>) -> Option<Self> {
        match name {
            ServerName::DnsName(name) => Some(Self::Dns(name.to_owned())),
            ServerName::IpAddress(address) => Some(Self::Ip((*address).into())),
            _ => None,
        }
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name.as_ref()),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

impl std::str::FromStr for PeerName {
    type Err = PeerNameError;

    fn from_str(text: &str) -> Result<Self, PeerNameError> {
        Self::parse(text)
    }
}

/// Why a text is no name that a certificate could be checked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerNameError {
    /// It is empty.
    Empty,
    /// It has characters outside of ASCII.
    NotAscii(String),
    /// It is neither a DNS name nor an IP address.
    Malformed(String),
}

impl fmt::Display for PeerNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the peer name is empty"),
            Self::NotAscii(name) => {
                write!(f, "the peer name \"{name}\" is not ASCII: give an internationalized name in its xn-- form")
            }
            Self::Malformed(name) => {
                write!(f, "\"{name}\" is neither a DNS name nor an IP address")
            }
        }
    }
}

impl std::error::Error for PeerNameError {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names() {
        for (text, shown) in [
            ("a.example", "a.example"),
            ("A.Example.", "a.example"),
            ("localhost", "localhost"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("under_score.example", "under_score.example"),
        ] {
            let name = PeerName::parse(text).unwrap();
            assert_eq!(name.to_string(), shown);
            assert_eq!(name.sni(), Some(shown));
            assert_eq!(PeerName::from_rustls(&name.to_rustls()), Some(name));
        }
        for (text, shown) in
            [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("[::1]", "::1"), ("2001:DB8::1", "2001:db8::1")]
        {
            let name = PeerName::parse(text).unwrap();
            assert_eq!(name.to_string(), shown);
            assert_eq!(name.sni(), None);
            assert_eq!(PeerName::from_rustls(&name.to_rustls()), Some(name));
        }
    }

    #[test]
    fn refused() {
        assert_eq!(PeerName::parse(""), Err(PeerNameError::Empty));
        assert_eq!(PeerName::parse("bücher.example"), Err(PeerNameError::NotAscii("bücher.example".into())));
        let long = "a.".repeat(200);
        for text in [
            ".",
            "..",
            "a..b",
            ".a",
            "a b",
            "*.example",
            "-a.example",
            "a-.example",
            "[::1",
            "::1]",
            "[127.0.0.1]",
            "[a.example]",
            "fe80::1%eth0",
            "127.0.0.256",
            "127.1",
            "a.example:443",
            "https://a.example",
            "a\0b",
            &long,
        ] {
            assert_eq!(PeerName::parse(text), Err(PeerNameError::Malformed(text.to_owned())), "{text}");
        }
    }
}
