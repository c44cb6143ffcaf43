//! PFX files. Run with `-timeout=5`: what takes longer asks for too many rounds of key derivation.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tls_certs::CertStore;

fuzz_target!(|data: &[u8]| {
    let _ = CertStore::from_pfx(data, "x");
});
