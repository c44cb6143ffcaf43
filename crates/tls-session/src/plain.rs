//! What speaks where TLS should: the usual mistakes are a wrong port, and TLS begun too early.

/// What the first bytes of a connection are, if not TLS but a protocol that is known.
pub(crate) fn recognise(bytes: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&str, &[&str]); 4] = [
        (
            "an HTTP request: the peer does not use TLS",
            &["GET ", "POST ", "HEAD ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "CONNECT ", "TRACE ", "PRI * HTTP"],
        ),
        ("an HTTP response: the server does not use TLS on this port", &["HTTP/"]),
        ("the greeting of an SSH server", &["SSH-"]),
        (
            "the greeting of a mail or FTP server in plain text: TLS begins there with starttls, once the server has \
             agreed to it",
            &["220 ", "220-", "+OK", "* OK", "* PREAUTH"],
        ),
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
        for (bytes, part) in [
            (&b"GET / HTTP/1.1\r\n"[..], "request"),
            (b"OPTIO", "request"),
            (b"HTTP/1.1 400 Bad Request\r\n", "response"),
            (b"SSH-2.0-OpenSSH", "SSH"),
            (b"220 mail.example ESMTP\r\n", "greeting"),
            (b"+OK ready", "greeting"),
            (b"* OK IMAP4rev1", "greeting"),
        ] {
            assert!(recognise(bytes).is_some_and(|what| what.contains(part)), "{bytes:?}");
        }
        for bytes in [&b""[..], b"G", b"\x16\x03\x01\x00\x05", b"\0\0\0\0\0", b"hello", b"GETS /"] {
            assert_eq!(recognise(bytes), None);
        }
    }
}
