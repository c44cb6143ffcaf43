//! Serialized certificate stores.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tls_certs::CertStore;

fuzz_target!(|data: &[u8]| {
    if let Ok(store) = CertStore::from_serialized(data) {
        let again = CertStore::from_serialized(&store.to_serialized()).expect("what is written is read");
        assert_eq!(again.contents(), store.contents());
    }
});
