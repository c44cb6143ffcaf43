//! Keys for tickets that several servers share.

use std::fmt;
use std::sync::Arc;

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

/// Lengths of a key in bytes, as nginx and `HAProxy` have them: a name of 16, then keys for AES-128 or AES-256 and for
/// HMAC.
const LENGTHS: [usize; 2] = [48, 80];
/// More keys than this are surely a mistake.
const MAX_KEYS: usize = 64;

/// Keys by which servers seal tickets (RFC 5077, section 4; RFC 8446, section 4.6.1). The first seals; all open.
///
/// What is sealed with a key is kept apart by the servers' demands on their clients: the keys that are really used are
/// derived from these bytes and those demands. So a key file may be shared with nginx or `HAProxy`, but they and this
/// crate cannot open each other's tickets.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketKeys(Vec<Zeroizing<Vec<u8>>>);

impl TicketKeys {
    /// The keys of all `files` in their order. A file is one key of 48 or 80 bytes, as for nginx, or has one key in
    /// base64 on each line, as for `HAProxy`.
    ///
    /// # Errors
    /// A file has something else in it, there is no key, or there are more than 64.
    pub fn parse<F: AsRef<[u8]>>(files: &[F]) -> Result<Self, TicketKeyError> {
        let mut keys = Vec::new();
        for (file, content) in files.iter().enumerate() {
            keys.extend(keys_of(content.as_ref()).ok_or(TicketKeyError::Unreadable { file })?);
        }
        match keys.len() {
            0 => Err(TicketKeyError::None),
            1..=MAX_KEYS => Ok(Self(keys)),
            _ => Err(TicketKeyError::TooMany { limit: MAX_KEYS }),
        }
    }

    /// The bytes of each key.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|key| key.as_slice())
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketKeys({})", self.0.len())
    }
}

/// Where the keys are, which may be others next time.
pub trait TicketKeySource: fmt::Debug + Send + Sync {
    /// The keys to use now. While they stay the same, so should the `Arc`: others are derived from them once.
    fn current(&self) -> Arc<TicketKeys>;
}

/// Why there are no ticket keys.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TicketKeyError {
    /// The file at this place, counted from 0, is no key, nor lines of keys in base64.
    Unreadable {
        /// The file's place among those given.
        file: usize,
    },
    /// No file was given.
    None,
    /// There are more keys than can be of use.
    TooMany {
        /// The most there may be.
        limit: usize,
    },
}

impl fmt::Display for TicketKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { .. } => f.write_str("a ticket key has 48 or 80 bytes, or is that in base64 on a line"),
            Self::None => f.write_str("there is no ticket key"),
            Self::TooMany { limit } => write!(f, "there are more than {limit} ticket keys"),
        }
    }
}

impl std::error::Error for TicketKeyError {}

fn keys_of(content: &[u8]) -> Option<Vec<Zeroizing<Vec<u8>>>> {
    if LENGTHS.contains(&content.len()) {
        return Some(vec![Zeroizing::new(content.to_vec())]);
    }
    let text = std::str::from_utf8(content).ok()?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys: Option<Vec<_>> = lines.map(key_of_line).collect();
    keys.filter(|keys| !keys.is_empty())
}

fn key_of_line(line: &str) -> Option<Zeroizing<Vec<u8>>> {
    let key = Zeroizing::new(Base64::decode_vec(line).ok()?);
    LENGTHS.contains(&key.len()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_both_kinds() {
        let lines = format!("{}\n\n  {}\r\n", Base64::encode_string(&[3; 80]), Base64::encode_string(&[4; 48]));
        let keys = TicketKeys::parse(&[vec![1; 48], vec![2; 80], lines.into_bytes()]).unwrap();
        let found: Vec<_> = keys.secrets().map(|key| (key.len(), key[0])).collect();
        assert_eq!(found, [(48, 1), (80, 2), (80, 3), (48, 4)]);
    }

    #[test]
    fn anything_else_is_refused() {
        let short = Base64::encode_string(&[3; 47]);
        for bad in [&b""[..], &[1; 47], &[1; 81], b"\n \n", short.as_bytes(), b"no base64!"] {
            assert_eq!(TicketKeys::parse(&[&[1; 48], bad]), Err(TicketKeyError::Unreadable { file: 1 }));
        }
        assert_eq!(TicketKeys::parse::<&[u8]>(&[]), Err(TicketKeyError::None));
        assert_eq!(TicketKeys::parse(&[[1; 48]; 65]), Err(TicketKeyError::TooMany { limit: 64 }));
    }

    #[test]
    fn keys_do_not_show() {
        assert_eq!(format!("{:?}", TicketKeys::parse(&[[7; 48]]).unwrap()), "TicketKeys(1)");
    }
}
