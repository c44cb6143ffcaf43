//! `tls_trace`.

use tcl_stubs::{Interp, Obj};

use super::{Body, elements, wrong_args};
use crate::failure::Failure;
use crate::trace;

pub(super) const COMMANDS: &[(&str, Body)] = &[("tls_trace", tls_trace)];

/// Like `tls_socket_command`: returns the command that was set, and sets another if one is given.
fn tls_trace(interp: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let previous = trace::command(interp.id());
    match words {
        [] => {}
        [command] => {
            elements(command)?;
            trace::set_command(interp.id(), command.to_text());
        }
        _ => return Err(wrong_args("tls_trace ?command?")),
    }
    Ok(Obj::text(&previous))
}
