//! What loading the library does to an interpreter.

use tcl_stubs::{Error, Interp};

use crate::commands;

/// The package's name, the one that scripts for the module require.
const NAME: &str = "twapi_crypto";
/// The version of the module that this one stands in for.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What is simpler said in Tcl.
const SCRIPT: &str = include_str!("../../../tcl/twapi_tls.tcl");
/// A command that each package of this name defines.
const TELLTALE: &str = "::twapi::tls_socket";

/// Defines the package's commands.
///
/// # Errors
/// Another package has defined them already; nothing is changed then.
pub(crate) fn load(interp: &Interp<'_>) -> Result<(), Error> {
    if interp.has_command(TELLTALE) {
        return Err(Error::new(format!(
            "cannot load {NAME}: the command {TELLTALE} already exists, so another package provides it"
        ))
        .with_code(["TWAPI", "LOADED"]));
    }
    interp.eval("namespace eval ::twapi::tls {}")?;
    commands::define(interp);
    interp.eval(SCRIPT)?;
    interp.eval(&format!("namespace eval ::twapi {{namespace export {}}}", commands::names().join(" ")))?;
    interp.provide_package(NAME, VERSION)
}

/// A safe interpreter gets none of this: certificates, files and sockets are what it is kept from.
///
/// # Errors
/// Always.
pub(crate) fn refuse(_interp: &Interp<'_>) -> Result<(), Error> {
    Err(Error::new(format!("{NAME} cannot be loaded into a safe interpreter")).with_code(["TWAPI", "SAFE"]))
}
