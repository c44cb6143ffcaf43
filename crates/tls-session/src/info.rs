//! What was negotiated, by the names in the IANA registries.

use rustls::{CipherSuite, CommonState, HandshakeKind, NamedGroup, ProtocolVersion};

/// What the two sides agreed on, as far as it is known yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionInfo {
    /// `TLSv1.2` or `TLSv1.3`.
    pub protocol: Option<&'static str>,
    /// The cipher suite, such as `TLS_AES_128_GCM_SHA256`.
    pub cipher: Option<String>,
    /// The key exchange group, such as `X25519MLKEM768`. A resumed session of TLS 1.2 has none of its own:
    /// it is that of the session that it continues, if it is known.
    pub group: Option<String>,
    /// The application protocol (RFC 7301).
    pub alpn: Option<Vec<u8>>,
    /// Client: the name of the server that was asked for. Server: the name the client sent
    /// (RFC 6066, section 3).
    pub server_name: Option<String>,
    /// Whether the session continues an earlier one.
    pub resumed: bool,
}

pub(crate) fn describe(
    state: &CommonState,
    server_name: Option<&str>,
    key_exchange: Option<NamedGroup>,
) -> SessionInfo {
    SessionInfo {
        protocol: state.protocol_version().and_then(protocol),
        cipher: state.negotiated_cipher_suite().map(|suite| cipher(suite.suite())),
        group: key_exchange.map(group),
        alpn: state.alpn_protocol().map(<[u8]>::to_vec),
        server_name: server_name.map(str::to_owned),
        resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
    }
}

pub(crate) fn protocol(version: ProtocolVersion) -> Option<&'static str> {
    match version {
        ProtocolVersion::TLSv1_2 => Some("TLSv1.2"),
        ProtocolVersion::TLSv1_3 => Some("TLSv1.3"),
        _ => None,
    }
}

/// rustls calls the suites of TLS 1.3 `TLS13_…`.
pub(crate) fn cipher(suite: CipherSuite) -> String {
    let name = format!("{suite:?}");
    match name.strip_prefix("TLS13_") {
        Some(rest) => format!("TLS_{rest}"),
        None => name,
    }
}

fn group(group: NamedGroup) -> String {
    match group {
        NamedGroup::X25519 => "x25519".into(),
        NamedGroup::X448 => "x448".into(),
        NamedGroup::secp256r1MLKEM768 => "SecP256r1MLKEM768".into(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_registries() {
        assert_eq!(cipher(CipherSuite::TLS13_AES_128_GCM_SHA256), "TLS_AES_128_GCM_SHA256");
        let tls12 = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384;
        assert_eq!(cipher(tls12), "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
        assert_eq!(group(NamedGroup::X25519), "x25519");
        assert_eq!(group(NamedGroup::X25519MLKEM768), "X25519MLKEM768");
        assert_eq!(group(NamedGroup::secp256r1), "secp256r1");
    }
}
