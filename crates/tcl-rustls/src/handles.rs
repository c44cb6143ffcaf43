//! Handles: names by which scripts hold certificates, stores, credentials and contexts. Process-wide, so that
//! interpreters and threads can pass them on; each kind is told from the others.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tls_certs::{CertStore, Certificate};

use crate::context::Context;
use crate::credentials::Credentials;
use crate::failure::Failure;

/// A certificate as scripts hold it.
#[derive(Debug, Clone)]
pub(crate) struct HeldCertificate {
    pub(crate) certificate: Certificate,
    /// Where it came from: its intermediates are looked for there.
    pub(crate) store: Option<CertStore>,
}

/// What a handle stands for.
#[derive(Clone)]
pub(crate) enum Resource {
    Certificate(HeldCertificate),
    Store(CertStore),
    Credentials(Arc<Credentials>),
    Context(Arc<Context>),
}

/// A kind of resource: how its handles are named, and how it lies in the table.
pub(crate) trait Kind: Clone {
    /// What handles of this kind begin with.
    const PREFIX: &'static str;
    /// What messages call it.
    const NAME: &'static str;
    fn wrap(self) -> Resource;
    fn unwrap(resource: &Resource) -> Option<&Self>;
}

macro_rules! kinds {
    ($($variant:ident($ty:ty), $prefix:literal, $name:literal;)*) => {$(
        impl Kind for $ty {
            const PREFIX: &'static str = $prefix;
            const NAME: &'static str = $name;
            fn wrap(self) -> Resource {
                Resource::$variant(self)
            }
            fn unwrap(resource: &Resource) -> Option<&Self> {
                match resource {
                    Resource::$variant(inner) => Some(inner),
                    _ => None,
                }
            }
        }
    )*};
}

kinds! {
    Certificate(HeldCertificate), "hcert", "certificate";
    Store(CertStore), "hstore", "certificate store";
    Credentials(Arc<Credentials>), "hcred", "credentials";
    Context(Arc<Context>), "hctx", "security context";
}

/// Enters a resource and gives its handle.
pub(crate) fn hold<K: Kind>(resource: K) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    table().insert(number, resource.wrap());
    format!("{}{number}", K::PREFIX)
}

/// What a handle stands for.
///
/// # Errors
/// It is none of this kind, or was released.
pub(crate) fn look_up<K: Kind>(handle: &str) -> Result<K, Failure> {
    number::<K>(handle)
        .and_then(|number| table().get(&number).and_then(K::unwrap).cloned())
        .ok_or_else(|| bad_handle::<K>(handle))
}

/// Takes a resource out; who uses it keeps it.
///
/// # Errors
/// As [`look_up`].
pub(crate) fn release<K: Kind>(handle: &str) -> Result<K, Failure> {
    let found = number::<K>(handle).and_then(|number| {
        let mut table = table();
        let resource = table.get(&number).and_then(K::unwrap).cloned()?;
        table.remove(&number);
        Some(resource)
    });
    found.ok_or_else(|| bad_handle::<K>(handle))
}

/// All handles of a kind, oldest first.
pub(crate) fn held<K: Kind>() -> Vec<String> {
    let table = table();
    let of_kind = table.iter().filter(|(_, resource)| K::unwrap(resource).is_some());
    of_kind.map(|(number, _)| format!("{}{number}", K::PREFIX)).collect()
}

fn number<K: Kind>(handle: &str) -> Option<u64> {
    let digits = handle.strip_prefix(K::PREFIX)?;
    // One handle, one spelling: "+7" and "07" are not handle 7.
    digits.parse().ok().filter(|number: &u64| number.to_string() == digits)
}

fn bad_handle<K: Kind>(handle: &str) -> Failure {
    Failure::BadHandle { wanted: K::NAME, given: handle.to_owned() }
}

fn table() -> MutexGuard<'static, BTreeMap<u64, Resource>> {
    static TABLE: Mutex<BTreeMap<u64, Resource>> = Mutex::new(BTreeMap::new());
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_handle_is_good_until_it_is_released() {
        let handle = hold(CertStore::new());
        assert!(look_up::<CertStore>(&handle).is_ok());
        release::<CertStore>(&handle).unwrap();
        assert!(look_up::<CertStore>(&handle).is_err());
        assert!(release::<CertStore>(&handle).is_err());
    }

    #[test]
    fn kinds_are_told_apart_and_spellings_are_exact() {
        let handle = hold(CertStore::new());
        let number = handle.strip_prefix("hstore").unwrap();
        for wrong in [format!("hcert{number}"), format!("hstore0{number}"), format!("hstore+{number}"), String::new()] {
            assert!(look_up::<CertStore>(&wrong).is_err(), "{wrong}");
        }
        assert!(look_up::<HeldCertificate>(&handle).is_err());
        release::<CertStore>(&handle).unwrap();
    }
}
