//! The names in a certificate's extensions.

use std::fmt;
use std::net::IpAddr;

use x509_parser::extensions::GeneralName as ParsedName;

use crate::name::Name;

/// A name in a certificate's extensions (RFC 5280, section 4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GeneralName {
    /// A DNS name, possibly with a wildcard.
    Dns(String),
    /// An IP address.
    Ip(IpAddr),
    /// An e-mail address.
    Email(String),
    /// A URI.
    Uri(String),
    /// A distinguished name.
    Directory(Name),
    /// Any other kind of name, for display only.
    Other(String),
}

impl GeneralName {
    pub(crate) fn from_parsed(name: &ParsedName<'_>) -> Self {
        match name {
            ParsedName::DNSName(text) => Self::Dns((*text).to_owned()),
            ParsedName::RFC822Name(text) => Self::Email((*text).to_owned()),
            ParsedName::URI(text) => Self::Uri((*text).to_owned()),
            ParsedName::DirectoryName(name) => Self::Directory(Name::from_parsed(name)),
            ParsedName::IPAddress(octets) => {
                if let Ok(octets) = <[u8; 4]>::try_from(*octets) {
                    Self::Ip(octets.into())
                } else if let Ok(octets) = <[u8; 16]>::try_from(*octets) {
                    Self::Ip(octets.into())
                } else {
                    Self::Other(name.to_string())
                }
            }
            _ => Self::Other(name.to_string()),
        }
    }
}

impl fmt::Display for GeneralName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(text) | Self::Email(text) | Self::Uri(text) | Self::Other(text) => f.write_str(text),
            Self::Ip(address) => address.fmt(f),
            Self::Directory(name) => name.fmt(f),
        }
    }
}
