//! OCSP responses in DER.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tls_certs::OcspResponse;

fuzz_target!(|data: &[u8]| {
    if let Ok(response) = OcspResponse::from_der(data) {
        assert_eq!(response.der(), data);
        let _ = format!("{response:?}");
    }
});
