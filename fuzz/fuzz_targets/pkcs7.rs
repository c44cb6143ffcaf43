//! PKCS#7 in DER and PEM; what is read is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tls_certs::CertStore;

fuzz_target!(|data: &[u8]| {
    if let Ok(store) = CertStore::from_pkcs7(data) {
        let again = CertStore::from_pkcs7(&store.to_pkcs7()).expect("it was just written");
        assert_eq!(again.contents(), store.contents());
    }
});
