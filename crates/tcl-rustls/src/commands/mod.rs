//! The commands of the module, by subject.

mod certificates;
mod channels;
mod context_info;
mod contexts;
mod credentials;
mod exports;
mod fetch;
mod held;
mod making;
mod names;
mod sockets;
mod stores;
mod tracing;
mod verification;

use tcl_stubs::{Interp, Obj};

use crate::failure::Failure;
use crate::trace;

/// What a command's body is.
type Body = fn(&Interp<'_>, &[Obj]) -> Result<Obj, Failure>;

/// All commands that this version has.
const TABLES: &[&[(&str, Body)]] = &[
    sockets::COMMANDS,
    channels::COMMANDS,
    credentials::COMMANDS,
    contexts::COMMANDS,
    context_info::COMMANDS,
    fetch::COMMANDS,
    stores::COMMANDS,
    exports::COMMANDS,
    certificates::COMMANDS,
    verification::COMMANDS,
    making::COMMANDS,
    held::COMMANDS,
    tracing::COMMANDS,
];

/// Defines all commands in `::twapi`.
pub(crate) fn define(interp: &Interp<'_>) {
    for &(name, body) in TABLES.iter().copied().flatten() {
        interp.create_command(&format!("::twapi::{name}"), move |interp: &Interp<'_>, words: &[Obj]| {
            let result = body(interp, words.get(1..).unwrap_or_default());
            trace::tell(interp);
            result.map_err(|failure| failure.to_error_in(interp))
        });
    }
}

/// Every exported command's name.
pub(crate) fn names() -> Vec<&'static str> {
    let public = |name: &&str| !name.contains("::");
    let mut names: Vec<_> = TABLES.iter().copied().flatten().map(|&(name, _)| name).filter(public).collect();
    names.extend(["tls_background_error", "cert_store_iterate", "hex"]);
    names
}

/// `No value supplied`, `Invalid option` and the like, for the options of the certificate commands: each takes a
/// value. Gives the values in the order of `known`.
fn parse_options<const N: usize>(words: &[Obj], known: [&str; N]) -> Result<[Option<Obj>; N], Failure> {
    let mut values = [const { None }; N];
    let mut rest = words;
    while let Some((name, after)) = rest.split_first() {
        let name = name.to_text();
        let Some(index) = known.iter().position(|&option| option == name) else {
            let known = known.join(", ");
            return Err(Failure::BadArguments(format!("Invalid option '{name}'. Must be one of {known}.")));
        };
        let Some((value, after)) = after.split_first() else {
            return Err(Failure::BadArguments(format!("No value supplied for option '{name}'")));
        };
        values[index] = Some(value.clone());
        rest = after;
    }
    Ok(values)
}

fn wrong_args(usage: &str) -> Failure {
    Failure::WrongArguments(format!("\"{usage}\""))
}

fn elements(value: &Obj) -> Result<Vec<Obj>, Failure> {
    value.elements().map_err(|_| Failure::BadArguments(format!("'{}' is not a list.", value.to_text())))
}
