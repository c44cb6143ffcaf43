//! Distinguished names as text; what is read is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tls_certs::Name;

fuzz_target!(|text: &str| {
    let Ok(name) = Name::parse(text) else { return };
    // The form of Windows has no escape for a backslash, a line break is its separator.
    if !name.attributes().any(|attribute| attribute.value.contains(['\\', '\r', '\n', '\0'])) {
        let again = Name::parse(&name.x500()).expect("it was just written");
        assert_eq!(again, name, "{}", name.x500());
    }
});
