//! What can be done about a failure, in the words of those who call the commands.

use std::env;

use tls_certs::{TrustAnchors, VerifyError};
use tls_session::{Alert, Error, Foreign};

use crate::failure::sentence;
use crate::state::Role;

/// A sentence without its full stop, for a failure whose remedy is known.
pub(crate) fn for_error(error: &Error, role: Role) -> Option<String> {
    match error {
        Error::Certificate(fault) => for_certificate(fault, role),
        Error::NotTls(foreign) => foreign.and_then(for_foreign).map(str::to_owned),
        Error::PeerAlert(alert) => for_alert(*alert, role).map(str::to_owned),
        _ => None,
    }
}

/// The same for a certificate that this side refuses; `role` is this side's.
pub(crate) fn for_certificate(fault: &VerifyError, role: Role) -> Option<String> {
    let is_incomplete = matches!(fault, VerifyError::PartialChain { .. });
    match (fault, role) {
        (VerifyError::UntrustedRoot { .. } | VerifyError::PartialChain { .. }, Role::Server) => {
            Some("Clients are accepted whose chain ends in the -rootstore of the credentials".to_owned())
        }
        (VerifyError::UntrustedRoot { .. } | VerifyError::PartialChain { .. }, Role::Client) => {
            Some(no_anchors().unwrap_or_else(|| {
                let trust = "to trust a root, put it into the file that the environment variable SSL_CERT_FILE names";
                if is_incomplete {
                    format!("The server should send its intermediate certificates; {trust}")
                } else {
                    sentence(trust)
                }
            }))
        }
        (VerifyError::NameMismatch { .. }, Role::Client) => {
            Some("If that is the host you mean, name it by -peersubject".to_owned())
        }
        _ => None,
    }
}

/// Said instead of all else where not one root is known.
fn no_anchors() -> Option<String> {
    if !TrustAnchors::platform().is_empty() {
        return None;
    }
    let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find_map(|variable| {
        let value = env::var_os(variable).filter(|value| !value.is_empty())?;
        Some(format!("No root is trusted at all, as {variable} names \"{}\" where none was found", value.display()))
    });
    Some(named.unwrap_or_else(|| {
        "No root is trusted at all: install those of your system (Debian: ca-certificates), or set SSL_CERT_FILE"
            .to_owned()
    }))
}

fn for_foreign(foreign: Foreign) -> Option<&'static str> {
    Some(match foreign {
        Foreign::HttpRequest => "The peer must use https here",
        Foreign::HttpResponse => "There is no TLS on this port of the server; that of https is usually 443",
        Foreign::Greeting => "There TLS begins later, by starttls, when the server has agreed to it",
        _ => return None,
    })
}

/// What an alert of the peer usually means (RFC 8446, section 6.2).
fn for_alert(alert: Alert, role: Role) -> Option<&'static str> {
    Some(match (alert.code, role) {
        (40, Role::Client) => {
            "It may lack a cipher suite or group in common, know no such host name, or want a client certificate, which \
             -credentials gives"
        }
        (40, Role::Server) => "It may lack a cipher suite, group or signature scheme in common",
        (42 | 43 | 46, _) => "It does not accept the certificate that this side sent",
        (44, _) => "The certificate that this side sent was revoked",
        (45, _) => "By the peer's clock the certificate that this side sent is expired or not yet valid",
        (48, _) => {
            "It does not trust the issuer of the certificate that this side sent; intermediate certificates must be in \
             the same store as the certificate"
        }
        (49, _) => "It knows who this side is, and does not let it in",
        (70, Role::Client) => "It speaks no protocol version that was offered; TLS 1.2 and 1.3 can be",
        (70, Role::Server) => "It does not speak the protocol versions that the credentials allow",
        (71, _) => "It asks for stronger cryptography than this side offers",
        (80, _) => "Something went wrong there; its own log may tell more",
        (112, Role::Client) => "It serves no host of the name that was asked for; -peersubject gives another",
        (116, Role::Client) => "It wants a client certificate: give one by -credentials",
        (120, Role::Client) => "It speaks none of the application protocols of -alpn",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_depends_on_the_side() {
        let asked = Error::PeerAlert(Alert { code: 116 });
        assert!(for_error(&asked, Role::Client).is_some_and(|hint| hint.contains("-credentials")));
        assert_eq!(for_error(&asked, Role::Server), None);
        let unknown = VerifyError::UntrustedRoot { root: "CN=x".to_owned() };
        assert!(for_certificate(&unknown, Role::Server).is_some_and(|hint| hint.contains("-rootstore")));
        assert!(for_certificate(&unknown, Role::Client).is_some_and(|hint| hint.contains("SSL_CERT_FILE")));
        assert_eq!(for_error(&Error::HandshakeEof, Role::Client), None);
    }
}
