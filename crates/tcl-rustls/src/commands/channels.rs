//! `tls_state`, `tls_handshake`, `tls_close`, `tls_info`.

use std::sync::Arc;

use tcl_stubs::{Channel, Interp, Obj};
use tls_certs::Certificate;
use tls_session::{Ending, Session};

use super::{Body, wrong_args};
use crate::context::Context;
use crate::driver::{self, TlsChannel};
use crate::failure::Failure;
use crate::fault::Fault;
use crate::handles;
use crate::listener::Listener;
use crate::negotiate::{self, Within};
use crate::pump::Reads;

pub(super) const COMMANDS: &[(&str, Body)] = &[
    ("tls_state", tls_state),
    ("tls_handshake", tls_handshake),
    ("tls_close", tls_close),
    ("tls_info", tls_info),
    ("tls::_inject_panic", inject_panic),
];

/// A channel of ours.
enum Found {
    Connection(Channel<TlsChannel>),
    Listener(Channel<Listener>),
}

fn find(interp: &Interp<'_>, name: &str) -> Result<Found, Failure> {
    let wrong = |error: tcl_stubs::Error| Failure::BadArguments(error.message().to_owned());
    if let Some(chan) = Channel::<TlsChannel>::find(interp, name).map_err(wrong)? {
        return Ok(Found::Connection(chan));
    }
    if let Some(chan) = Channel::<Listener>::find(interp, name).map_err(wrong)? {
        return Ok(Found::Listener(chan));
    }
    Err(Failure::BadArguments(format!("channel \"{name}\" is not a TLS channel")))
}

fn tls_state(interp: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [name] = words else { return Err(wrong_args("tls_state chan")) };
    match find(interp, &name.to_text())? {
        Found::Connection(chan) => chan.driver().with(|state| Obj::text(state.name())),
        Found::Listener(_) => Ok(Obj::text("LISTENER")),
    }
}

fn tls_handshake(interp: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [name] = words else { return Err(wrong_args("tls_handshake chan")) };
    let Found::Connection(chan) = find(interp, &name.to_text())? else {
        return Err(Failure::NotOpen { operation: "complete the handshake", state: "LISTENER" });
    };
    // On a blocking channel the call below waits, so that nothing stays incomplete.
    let complete = negotiate::advance(&chan, Reads::AsNeeded, Within::Loop);
    let pending = chan.driver().with(|state| state.accepted.is_some())?;
    if pending && complete == Ok(true) {
        // A verifier or the like has completed it ahead of the event loop: the callback is due all the same.
        negotiate::opened(chan);
    } else {
        driver::refresh(&chan);
    }
    complete.map(Obj::from)
}

fn tls_close(interp: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let (name, direction) = match words {
        [name] => (name.to_text(), None),
        [name, direction] => (name.to_text(), Some(direction.to_text())),
        _ => return Err(wrong_args("tls_close chan ?direction?")),
    };
    let found = find(interp, &name)?;
    match (found, direction) {
        (Found::Connection(chan), None) => chan.unregister(interp)?,
        (Found::Listener(chan), None) => chan.unregister(interp)?,
        (found, Some(direction)) => {
            if direction.is_empty() || !"write".starts_with(direction.as_str()) {
                return Err(Failure::BadArguments(format!(
                    "Invalid direction '{direction}'. Only 'write' can be closed by itself."
                )));
            }
            match found {
                Found::Connection(chan) => close_output(interp, &chan)?,
                Found::Listener(_) => {
                    return Err(Failure::NotOpen { operation: "close the sending direction", state: "LISTENER" });
                }
            }
        }
    }
    Ok(Obj::text(""))
}

fn close_output(interp: &Interp<'_>, chan: &Channel<TlsChannel>) -> Result<(), Failure> {
    match chan.driver().with(|state| state.name())? {
        "OPEN" => Ok(chan.close_output(interp)?),
        "CLOSED" => Ok(()),
        state => Err(Failure::NotOpen { operation: "close the sending direction", state }),
    }
}

/// A dictionary about the session of a channel, or of a security context that a script drives.
fn tls_info(interp: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [name] = words else { return Err(wrong_args("tls_info chan")) };
    let name = name.to_text();
    let found = match find(interp, &name) {
        Ok(found) => found,
        Err(failure) => {
            let context = handles::look_up::<Arc<Context>>(&name).map_err(|_| failure)?;
            let stepper = context.stepper()?;
            return Ok(describe(stepper.state_name(), stepper.session()));
        }
    };
    let Found::Connection(chan) = found else {
        return Err(Failure::NotOpen { operation: "tell about the session", state: "LISTENER" });
    };
    chan.driver().with(|state| {
        let name = state.name();
        Ok(describe(name, &state.pump()?.session))
    })?
}

fn describe(state: &str, session: &Session) -> Obj {
    let info = session.info();
    let text = |value: Option<&str>| Obj::text(value.unwrap_or_default());
    let pem = |certificate: Option<Certificate>| {
        certificate.map_or_else(|| Obj::text(""), |certificate| Obj::text(&certificate.to_pem()))
    };
    let peer = session.peer_certificates().first().and_then(|der| Certificate::from_der(der).ok());
    let local = session.local_identity().map(|identity| identity.certificate().clone());
    Obj::dict([
        ("state", Obj::text(state)),
        ("protocol", text(info.protocol)),
        ("cipher", text(info.cipher.as_deref())),
        ("group", text(info.group.as_deref())),
        ("alpn", Obj::text(&String::from_utf8_lossy(&info.alpn.unwrap_or_default()))),
        ("servername", text(info.server_name.as_deref())),
        ("resumed", Obj::from(info.resumed)),
        ("closenotify", Obj::from(session.ending() == Some(Ending::CloseNotify))),
        ("peercert", pem(peer)),
        ("localcert", pem(local)),
        ("ocsp", Obj::bytes(session.stapled_response())),
    ])
}

/// For tests: the next call of a procedure of this channel's driver panics.
fn inject_panic(interp: &Interp<'_>, words: &[Obj]) -> Result<Obj, Failure> {
    let [name, procedure] = words else { return Err(wrong_args("_inject_panic chan procedure")) };
    let procedure = procedure.to_text();
    let Found::Connection(chan) = find(interp, &name.to_text())? else {
        return Err(Failure::BadArguments("a listener has no such procedure".to_owned()));
    };
    let fault = Fault::NAMES.into_iter().find(|(name, _)| *name == procedure);
    let (_, fault) = fault.ok_or_else(|| Failure::BadArguments(format!("unknown procedure \"{procedure}\"")))?;
    chan.driver().inject(fault);
    Ok(Obj::text(""))
}
