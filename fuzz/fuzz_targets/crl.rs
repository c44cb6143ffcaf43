//! Revocation lists in DER and PEM.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tls_certs::RevocationList;

fuzz_target!(|data: &[u8]| {
    if let Ok(list) = RevocationList::from_der(data).or_else(|_| RevocationList::from_pem(data)) {
        let _ = (list.issuer().x500(), list.to_pem());
    }
});
