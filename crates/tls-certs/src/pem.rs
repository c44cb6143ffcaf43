//! PEM text: blocks of base64 between `-----BEGIN X-----` and
//! `-----END X-----` (RFC 7468), whatever stands around them.

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use crate::error::{CertError, excerpt};

/// One block of a PEM text. The contents may be a key, so they are wiped.
pub(crate) struct Block {
    /// The words after `BEGIN`.
    pub(crate) label: String,
    /// The decoded contents.
    pub(crate) contents: Zeroizing<Vec<u8>>,
    /// Whether a `Proc-Type: 4,ENCRYPTED` header says that the contents are
    /// encrypted in the way of old OpenSSL.
    pub(crate) legacy_encrypted: bool,
}

/// All blocks of `text`, in order. Text outside of blocks is ignored.
pub(crate) fn blocks(text: &[u8]) -> Result<Vec<Block>, CertError> {
    let mut found = Vec::new();
    let mut open: Option<Open> = None;
    for line in text.split(|b| matches!(b, b'\n' | b'\r')) {
        let line = line.trim_ascii();
        if let Some(label) = marker(line, b"-----BEGIN ") {
            if let Some(open) = open {
                return Err(unfinished(&open.label));
            }
            open = Some(Open::new(label));
        } else if let Some(label) = marker(line, b"-----END ") {
            match open.take() {
                Some(open) if open.label == label => found.push(open.close()?),
                Some(open) => return Err(unfinished(&open.label)),
                None => {
                    return Err(CertError::encoding(
                        "PEM text",
                        format_args!("END {} without its BEGIN", excerpt(&label)),
                    ));
                }
            }
        } else if let Some(open) = &mut open {
            open.line(line);
        }
    }
    match open {
        Some(open) => Err(unfinished(&open.label)),
        None => Ok(found),
    }
}

/// `der` as a PEM block with lines of 64 characters.
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let base64 = Base64::encode_string(der);
    for (i, character) in base64.chars().enumerate() {
        if i > 0 && i % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str("\n-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// A block whose end has not been met yet.
struct Open {
    label: String,
    base64: Zeroizing<Vec<u8>>,
    legacy_encrypted: bool,
}

impl Open {
    fn new(label: String) -> Self {
        Self { label, base64: Zeroizing::new(Vec::new()), legacy_encrypted: false }
    }

    fn line(&mut self, line: &[u8]) {
        if line.contains(&b':') {
            self.legacy_encrypted |= line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED");
            return;
        }
        // Growing would leave unwiped copies behind.
        if self.base64.capacity() - self.base64.len() < line.len() {
            let mut larger = Zeroizing::new(Vec::with_capacity((self.base64.len() + line.len()) * 2 + 4096));
            larger.extend_from_slice(&self.base64);
            self.base64 = larger;
        }
        let digits = line.iter().filter(|b| !b.is_ascii_whitespace());
        self.base64.extend(digits);
    }

    fn close(self) -> Result<Block, CertError> {
        let mut contents = Zeroizing::new(vec![0; self.base64.len() / 4 * 3 + 3]);
        let length = Base64::decode(&*self.base64, &mut contents)
            .map_err(|_| CertError::encoding("PEM text", format_args!("{} block is not base64", excerpt(&self.label))))?
            .len();
        contents.truncate(length);
        Ok(Block { label: self.label, contents, legacy_encrypted: self.legacy_encrypted })
    }
}

/// The label, if `line` is `prefix`, a label and five hyphens.
fn marker(line: &[u8], prefix: &[u8]) -> Option<String> {
    let label = line.strip_prefix(prefix)?.strip_suffix(b"-----")?;
    Some(String::from_utf8_lossy(label).trim().to_owned())
}

fn unfinished(label: &str) -> CertError {
    CertError::encoding("PEM text", format_args!("BEGIN {} without its END", excerpt(label)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn encode_and_decode() {
        for length in [0, 1, 2, 3, 47, 48, 49, 96, 1000] {
            let der: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let text = format!("noise\n{}noise", encode("CERTIFICATE", &der));
            assert!(text.lines().all(|line| line.len() <= 64));
            for text in [text.clone(), text.replace('\n', "\r\n"), text.replace('\n', "\n  ")] {
                let found = blocks(text.as_bytes()).unwrap();
                assert_eq!(found.len(), 1);
                assert_eq!(found[0].label, "CERTIFICATE");
                assert_eq!(*found[0].contents, der);
            }
        }
    }

    #[test]
    fn malformed() {
        for text in [
            "-----BEGIN A-----\nAAAA\n",
            "-----BEGIN A-----\nAAAA\n-----END B-----\n",
            "-----BEGIN A-----\n-----BEGIN A-----\n",
            "-----END A-----\n",
            "-----BEGIN A-----\nA*AA\n-----END A-----\n",
            "-----BEGIN A-----\nAAA\n-----END A-----\n",
        ] {
            assert!(matches!(blocks(text.as_bytes()), Err(CertError::BadEncoding { what: "PEM text", .. })), "{text}");
        }
        assert!(blocks(b"no PEM \xff at all").unwrap().is_empty());
    }

    #[test]
    fn headers() {
        let text = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: X,00\n\nAAAA\n-----END RSA PRIVATE KEY-----";
        let found = blocks(text.as_bytes()).unwrap();
        assert!(found[0].legacy_encrypted);
        assert_eq!(*found[0].contents, [0, 0, 0]);
    }
}
