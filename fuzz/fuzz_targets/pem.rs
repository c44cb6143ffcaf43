//! PEM texts: certificates, keys, revocation lists, PKCS#7.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tls_certs::CertStore;

fuzz_target!(|data: &[u8]| {
    if let Ok(store) = CertStore::from_pem(data, Some("x")) {
        let _ = store.to_pem();
    }
});
