//! Certificates in DER, and everything that is read out of one later.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tls_certs::{Certificate, TrustAnchors, UnixTime, verify_server};

fuzz_target!(|data: &[u8]| {
    let Ok(certificate) = Certificate::from_der(data) else { return };
    let _ = (certificate.subject_alt_names(), certificate.extensions(), certificate.public_key());
    let _ = (certificate.extended_key_usage(), certificate.key_usage(), certificate.basic_constraints());
    let _ = (certificate.subject().x500(), certificate.issuer().rfc4514(), format!("{certificate:?}"));
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_700_000_000));
    let anchors = TrustAnchors::from_certificates(std::slice::from_ref(&certificate));
    let _ = verify_server(certificate.der(), &[], &anchors.unwrap_or_default(), None, now);
});
