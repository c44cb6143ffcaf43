//! What is held for scripts: handles, and passwords in concealed form.

use std::sync::Arc;

use tcl_stubs::{Interp, Obj};
use tls_certs::{CertStore, ConcealError, Password};

use super::{Body, names, wrong_args};
use crate::context::Context;
use crate::credentials::Credentials;
use crate::failure::Failure;
use crate::handles::{self, HeldCertificate};

pub(super) const COMMANDS: &[(&str, Body)] = &[("tls_handles", tls_handles), ("conceal", conceal), ("reveal", reveal)];

/// What gives all handles of a kind.
type Lister = fn() -> Vec<String>;

const KINDS: [(&str, Lister); 4] = [
    ("certificate", handles::held::<HeldCertificate>),
    ("context", handles::held::<Arc<Context>>),
    ("credentials", handles::held::<Arc<Credentials>>),
    ("store", handles::held::<CertStore>),
];

/// The handles that have not been released yet, in all interpreters and threads of the process: of one kind as a list,
/// or of all as a dictionary of lists.
fn tls_handles(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    match words {
        [] => Ok(Obj::dict(KINDS.map(|(kind, held)| (kind, Obj::words(held()))))),
        [kind] => {
            let kind = kind.to_text();
            let found = KINDS.iter().find(|(known, _)| *known == kind);
            let (_, held) =
                found.ok_or_else(|| names::invalid("kind of handle", &kind, &KINDS.map(|(kind, _)| kind)))?;
            Ok(Obj::words(held()))
        }
        _ => Err(wrong_args("tls_handles ?kind?")),
    }
}

/// Enciphers a password with a key of this process. The result, printable text, is taken wherever a password is.
fn conceal(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [password] = words else { return Err(wrong_args("conceal password")) };
    let concealed = tls_certs::conceal(&password.to_text()).map_err(failed)?;
    Ok(Obj::text(&concealed))
}

/// The password that `conceal` was given.
fn reveal(_: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [concealed] = words else { return Err(wrong_args("reveal password")) };
    let password = tls_certs::reveal(&concealed.to_text()).map_err(failed)?;
    Ok(Obj::text(password.as_str()))
}

/// The password of an option, concealed or not.
///
/// # Errors
/// It was concealed by another process, or is damaged.
pub(super) fn password(given: Option<&Obj>) -> Result<Option<Password>, Failure> {
    given.map(|given| Password::new(given.to_text())).transpose().map_err(failed)
}

#[allow(clippy::needless_pass_by_value)]
fn failed(error: ConcealError) -> Failure {
    let text = error.to_string();
    Failure::BadArguments(text.replacen("the", "The", 1) + ".")
}
