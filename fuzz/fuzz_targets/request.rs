//! Certificate requests in DER and PEM.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tls_certs::{CertificateRequest, Extension};

fuzz_target!(|data: &[u8]| {
    let request = CertificateRequest::from_der(data).or_else(|_| CertificateRequest::from_pem(data));
    let Ok(request) = request else { return };
    for extension in request.extensions() {
        let _ = (extension.alt_names(), extension.key_usage(), extension.basic_constraints());
        let _ = Extension::extended_key_usage(extension);
    }
});
