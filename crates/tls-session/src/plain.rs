//! What speaks where TLS should: the usual mistakes are a wrong port, and TLS begun too early.

use std::fmt;

/// A protocol that is not TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Foreign {
    /// A request of HTTP.
    HttpRequest,
    /// A response of HTTP.
    HttpResponse,
    /// The greeting of an SSH server.
    Ssh,
    /// The greeting of a server where TLS begins later: SMTP, FTP, POP3, IMAP.
    Greeting,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HttpRequest => "an HTTP request",
            Self::HttpResponse => "an HTTP response",
            Self::Ssh => "the greeting of an SSH server",
            Self::Greeting => "the greeting of a mail or FTP server",
        })
    }
}

/// What the first bytes of a connection are, if not TLS but a protocol that is known.
pub(crate) fn recognise(bytes: &[u8]) -> Option<Foreign> {
    const KNOWN: [(Foreign, &[&str]); 4] = [
        (
            Foreign::HttpRequest,
            &["GET ", "POST ", "HEAD ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "CONNECT ", "TRACE ", "PRI * HTTP"],
        ),
        (Foreign::HttpResponse, &["HTTP/"]),
        (Foreign::Ssh, &["SSH-"]),
        (Foreign::Greeting, &["220 ", "220-", "+OK", "* OK", "* PREAUTH"]),
    ];
    let begins = |with: &&str| {
        // What has come of it so far; a record's header at least.
        let length = with.len().min(bytes.len());
        length >= 3 && bytes.get(..length) == with.as_bytes().get(..length)
    };
    KNOWN.iter().find(|(_, beginnings)| beginnings.iter().any(begins)).map(|(what, _)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_mistakes() {
        for (bytes, what) in [
            (&b"GET / HTTP/1.1\r\n"[..], Foreign::HttpRequest),
            (b"OPTIO", Foreign::HttpRequest),
            (b"HTTP/1.1 400 Bad Request\r\n", Foreign::HttpResponse),
            (b"SSH-2.0-OpenSSH", Foreign::Ssh),
            (b"220 mail.example ESMTP\r\n", Foreign::Greeting),
            (b"+OK ready", Foreign::Greeting),
            (b"* OK IMAP4rev1", Foreign::Greeting),
        ] {
            assert_eq!(recognise(bytes), Some(what), "{bytes:?}");
        }
        for bytes in [&b""[..], b"G", b"\x16\x03\x01\x00\x05", b"\0\0\0\0\0", b"hello", b"GETS /"] {
            assert_eq!(recognise(bytes), None);
        }
    }
}
